"""The server side of Postfix's `smtpd_sasl_type = dovecot`: says yes to every PLAIN login."""

from __future__ import annotations

import base64
import contextlib
import socket
from pathlib import Path

from .listener import Listener


class SaslServer(Listener):
    """Listens on a unix socket until closed. Protocol: Dovecot authentication protocol 1.1."""

    def __init__(self, path: Path):
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(path))
        path.chmod(0o666)
        super().__init__(listener)

    def serve(self, connection: socket.socket) -> None:
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
