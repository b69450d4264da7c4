"""The server side of Postfix's `smtpd_sasl_type = dovecot`: says yes to every PLAIN login."""

from __future__ import annotations

import base64
import contextlib
import socket
import threading
from pathlib import Path


class SaslServer:
    """Listens on a unix socket until closed. Protocol: Dovecot authentication protocol 1.1."""

    def __init__(self, path: Path):
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        path.chmod(0o666)
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
        hello = "VERSION\t1\t1\nMECH\tPLAIN\tplaintext\nSPID\t1\nCUID\t1\nCOOKIE\t0\nDONE\n"
        with connection, connection.makefile("r") as lines, contextlib.suppress(OSError):
            connection.sendall(hello.encode())
            for line in lines:
                words = line.rstrip("\n").split("\t")
                if words[0] != "AUTH":
                    continue
                response = next((word[5:] for word in words if word.startswith("resp=")), "")
                user = base64.b64decode(response).split(b"\0")[1].decode()
                connection.sendall(f"OK\t{words[1]}\tuser={user}\n".encode())
