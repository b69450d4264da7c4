"""A server of the live tests: takes connections in threads of their own until it is closed."""

from __future__ import annotations

import contextlib
import socket
import threading

from .namespace import Namespace


class Listener:
    """Base of the servers; a subclass says in `serve` what one connection is answered."""

    def __init__(self, listener: socket.socket):
        """listener: bound, not yet listening."""
        self._listener = listener
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Stop listening; sessions end with their clients."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def serve(self, connection: socket.socket) -> None:
        """Answer one connection to its end."""
        raise NotImplementedError

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()


def bound(namespace: Namespace, address: tuple[str, int]) -> socket.socket:
    """A socket inside the namespace, bound to an address."""
    sock = namespace.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(address)
    return sock
