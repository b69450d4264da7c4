"""SMTP spoken by the tests: a client, the mail server of the outside world, and content filters."""

from __future__ import annotations

import contextlib
import smtplib
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from .listener import Listener, bound
from .namespace import Namespace


class Client(smtplib.SMTP):
    """smtplib's client with a socket of the namespace and a source address.

    greeting: the server's first reply; one that refuses the session does not stop the client.
    """

    def __init__(self, namespace: Namespace, server: tuple[str, int], source: str, helo: str):
        super().__init__(local_hostname=helo, timeout=30)
        self.sock = namespace.socket()
        self.sock.settimeout(30)
        self.sock.bind((source, 0))
        self.sock.connect(server)
        self.greeting = self.getreply()


@dataclass
class Arrived:
    """One message as it came: envelope and bytes."""

    envelope_sender: str
    recipients: list[str]
    data: bytes
    xforward: dict[str, str] = field(default_factory=dict)


# Gets the message, returns the reply to the end of data; None means the default answer.
Handler = Callable[[Arrived], str | None]


class Server(Listener):
    """A threaded SMTP server on an address of the namespace. `arrived` keeps every accepted message.

    refuse(recipient) gives a 4xx or 5xx reply to RCPT TO, or None to accept it.
    """

    def __init__(self, namespace: Namespace, address: tuple[str, int], handler: Handler | None = None,
                 xforward: bool = False):
        self.arrived: list[Arrived] = []
        self.refuse: Callable[[str], str | None] = lambda recipient: None
        self.handler, self._xforward = handler, xforward
        self._count = 0
        super().__init__(bound(namespace, address))

    def serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as lines, contextlib.suppress(OSError):
            def say(text: str) -> None:
                connection.sendall(text.encode() + b"\r\n")

            say("220 sink.example.net ESMTP")
            sender = ""
            recipients: list[str] = []
            xforward: dict[str, str] = {}
            for line in lines:
                command = line.decode(errors="replace").strip()
                verb = command.upper()
                if verb.startswith("EHLO"):
                    xforwards = "250-XFORWARD NAME ADDR PROTO HELO IDENT SOURCE PORT\r\n"
                    say(f"250-sink.example.net\r\n{xforwards if self._xforward else ''}250 8BITMIME")
                elif verb.startswith("XFORWARD"):
                    xforward |= dict(word.split("=", 1) for word in command.split()[1:])
                    say("250 ok")
                elif verb.startswith("MAIL FROM:"):
                    sender, recipients = _address(command), []
                    say("250 2.1.0 ok")
                elif verb.startswith("RCPT TO:"):
                    refusal = self.refuse(_address(command))
                    if refusal is None:
                        recipients.append(_address(command))
                    say(refusal or "250 2.1.5 ok")
                elif verb.startswith("DATA"):
                    if not recipients:
                        say("554 5.5.1 no valid recipients")
                        continue
                    say("354 go ahead")
                    say(self._take(Arrived(sender, recipients, _data(lines), dict(xforward))))
                elif verb.startswith("QUIT"):
                    say("221 2.0.0 bye")
                    return
                else:
                    say("250 2.0.0 ok")

    def _take(self, mail: Arrived) -> str:
        reply = self.handler(mail) if self.handler else None
        self._count += 1
        if reply is None or reply.startswith("2"):
            self.arrived.append(mail)
        return reply or f"250 2.0.0 Ok: queued as {self._count:08X}"


def _address(command: str) -> str:
    return command[command.index("<") + 1 : command.rindex(">")]


def _data(lines: Iterable[bytes]) -> bytes:
    body = []
    for line in lines:
        if line == b".\r\n":
            break
        body.append(line[1:] if line.startswith(b".") else line)
    return b"".join(body)


def reinject(namespace: Namespace, target: tuple[str, int], mail: Arrived) -> tuple[int, str]:
    """Give a filtered message back to Postfix, with XFORWARD where it came with it. Returns the reply."""
    client = Client(namespace, target, "127.0.0.1", "localhost")
    client.ehlo()
    if mail.xforward and client.has_extn("xforward"):
        client.docmd("XFORWARD", " ".join(f"{name}={value}" for name, value in mail.xforward.items()))
    try:
        client.mail(mail.envelope_sender)
        for recipient in mail.recipients:
            client.rcpt(recipient)
        code, text = client.data(mail.data)
    finally:
        client.close()
    return code, text.decode(errors="replace")
