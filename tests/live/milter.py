"""A milter that is not OpenDKIM: agrees to everything, and at the end of a message does what it was told."""

from __future__ import annotations

import contextlib
import socket
import struct

from .listener import Listener, bound
from .namespace import Namespace

NEGOTIATE, MACRO, BODY_END, QUIT, ABORT = b"O", b"D", b"E", b"Q", b"A"


class Milter(Listener):
    """verdict: a reply such as "550 5.7.1 no", "" to accept, or None to drop the connection."""

    def __init__(self, namespace: Namespace, address: tuple[str, int], verdict: str | None):
        self.verdict = verdict
        super().__init__(bound(namespace, address))

    def serve(self, connection: socket.socket) -> None:
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
