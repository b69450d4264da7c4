"""A milter that is not OpenDKIM: agrees to everything, and at the end of a message does what it was told."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading

from .namespace import Namespace

NEGOTIATE, MACRO, BODY_END, QUIT, ABORT = b"O", b"D", b"E", b"Q", b"A"


class Milter:
    """verdict: a reply such as "550 5.7.1 no", "" to accept, or None to drop the connection."""

    def __init__(self, namespace: Namespace, address: tuple[str, int], verdict: str | None):
        self.verdict = verdict
        self._listener = namespace.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(address)
        self._listener.listen(16)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as stream, contextlib.suppress(OSError, struct.error):
            def say(command: bytes, content: bytes = b"") -> None:
                connection.sendall(struct.pack("!I", 1 + len(content)) + command + content)

            while True:
                (length,) = struct.unpack("!I", stream.read(4))
                packet = stream.read(length)
                command = packet[:1]
                if command == NEGOTIATE:
                    say(NEGOTIATE, struct.pack("!III", 6, 0, 0))
                elif command == QUIT:
                    return
                elif command == BODY_END:
                    if self.verdict is None:
                        return
                    if self.verdict:
                        say(b"y", self.verdict.encode() + b"\0")
                    else:
                        say(b"c")
                elif command not in (MACRO, ABORT):
                    say(b"c")
