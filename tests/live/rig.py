"""The rig: one private Postfix, OpenDKIM and rsyslog, through which scenarios send mail.

    with Rig() as rig:
        run = rig.run(scenarios.SCENARIOS["signed_smtp"])

`run.log` is the scenario's part of the mail log; `run.messages` is what really happened to each mail.
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import shutil
import smtplib
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from .dns import Dns
from .milter import Milter
from .namespace import Namespace
from .opendkim import OpenDkim
from .postfix import SINK, Postfix
from .rows import Row
from .sasl import SaslServer
from .smtp import Client, Handler, Server
from .syslog import Syslog
from .truth import Copy, Expect, Run, Sent, bounced_token, headers, new_signatures, signatures, token_of

MX = ("127.0.0.1", 25)
SUBMISSION = ("192.0.2.10", 587)
MAILERS = 60999  # a group of several users, seen inside alone
APP, STRANGER = "10.0.0.20", "198.51.100.7"
HOSTS = """127.0.0.1 localhost
192.0.2.10 mx.example.org mx
10.0.0.20 app.example.org
198.51.100.7 client.example.com
203.0.113.25 mail.example.net
"""
MOUNTS = (("postfix", "/etc/postfix"), ("spool", "/var/spool/postfix"), ("lib", "/var/lib/postfix"),
          ("dkimkeys", "/etc/dkimkeys"), ("opendkim.conf", "/etc/opendkim.conf"), ("run", "/run"),
          ("log", "/var/log"), ("mail", "/var/mail"), ("hosts", "/etc/hosts"), ("group", "/etc/group"),
          ("resolv.conf", "/etc/resolv.conf"))


@dataclass(frozen=True)
class Scenario:
    """One situation: settings, then `play(lab)` sends the mail. opendkim None: not started.

    rows: the faults that the daemons' trouble amounts to, to the last number.
    """

    name: str
    play: Callable[[Lab], None]
    postfix: dict[str, str] = field(default_factory=dict)
    master: str = ""
    opendkim: dict[str, str] | None = field(default_factory=dict)
    keys: Callable[[OpenDkim], None] | None = None
    rows: tuple[Row, ...] = ()
    syslog: tuple[str, bool] = ("traditional", False)
    pickup: int = 1


class Lab:
    """What a scenario has in hand while it plays."""

    def __init__(self, rig: Rig, scenario: Scenario, serial: int):
        self.rig, self.scenario = rig, scenario
        self.opendkim, self.postfix, self.sink = rig.opendkim, rig.postfix, rig.sink
        self.sent: list[Sent] = []
        self.serial, self._numbers = serial, itertools.count()
        self.servers: list[Server | Milter] = []

    def mail(self, expect: Expect, sender: str = "app@example.org",
             to: str | list[str] = "friend@example.net", how: str = "smtp", message_id: str | None = "",
             author: str | None = None, extra: str = "", subject: str = "report") -> tuple[Sent, bytes]:
        """Note a new mail and build it.

        author: of the From header. message_id: "" makes one, None leaves it out. extra: more header lines.
        """
        token = f"t{self.serial:02d}{next(self._numbers):03d}"
        recipients = [to] if isinstance(to, str) else to
        if message_id == "":
            message_id = f"<{token}.1@app.example.org>"
        head = [f"From: {author or sender}", f"To: {', '.join(recipients)}", f"Subject: {subject}",
                "Date: Tue, 24 Nov 2026 08:00:00 +0000", f"X-Token: {token}"]
        if message_id is not None:
            head.append(f"Message-ID: {message_id}")
        body = f"mail {token}\r\n"
        data = "\r\n".join(head) + "\r\n" + extra + "\r\n" + body
        sent = Sent(token, message_id, sender, recipients, how, expect)
        self.sent.append(sent)
        return sent, data.encode("utf-8", "surrogateescape")

    @contextlib.contextmanager
    def session(self, source: str = "127.0.0.1", helo: str = "app.example.org",
                server: tuple[str, int] = MX) -> Iterator[Client]:
        """An open SMTP session; closed hard at the end when the server is gone."""
        client = Client(self.rig.namespace, server, source, helo)
        try:
            yield client
            with contextlib.suppress(smtplib.SMTPException, OSError):
                client.quit()
        finally:
            client.close()

    def send(self, client: Client, sent: Sent, data: bytes) -> Sent:
        """One transaction of an open session. Notes what the server said; a refused EHLO does not stop it."""
        sent.own_signatures = signatures(data)
        try:
            if client.ehlo_resp is None:
                client.ehlo()
            steps = [("MAIL", f"FROM:<{sent.envelope_sender}>")]
            steps += [("RCPT", f"TO:<{recipient}>") for recipient in sent.recipients]
            for verb, argument in steps:
                client.putcmd(verb, argument)
                code, text = client.getreply()
                self.note(sent, code, text)
                if code >= 400:
                    client.docmd("RSET")
                    return sent
            self.note(sent, *client.data(data))
        except smtplib.SMTPResponseException as error:
            self.note(sent, error.smtp_code, error.smtp_error)
        except smtplib.SMTPServerDisconnected as error:
            self.note(sent, 421, str(error).encode())
        return sent

    @staticmethod
    def note(sent: Sent, code: int, text: bytes | str) -> None:
        """Keep a reply; the queue ID is in the last one."""
        reply = text.decode(errors="replace") if isinstance(text, bytes) else text
        sent.reply = f"{code} {reply}"
        sent.accepted = "accepted" if code < 400 else f"{code // 100}xx"
        if code == 250 and "queued as " in reply:
            sent.queue_id = reply.rsplit("queued as ", 1)[1].split()[0]

    def smtp(self, expect: Expect, source: str = "127.0.0.1", helo: str = "app.example.org",
             **words: object) -> Sent:
        """One mail in a session of its own."""
        sent, data = self.mail(expect, **words)  # type: ignore[arg-type]
        with self.session(source, helo) as client:
            return self.send(client, sent, data)

    def submit(self, expect: Expect, source: str = STRANGER, user: str = "ann", **words: object) -> Sent:
        """One mail through the submission service, logged in."""
        sent, data = self.mail(expect, how="submission", **words)  # type: ignore[arg-type]
        with self.session(source, "laptop.example.com", SUBMISSION) as client:
            client.ehlo()
            secret = base64.b64encode(f"\0{user}\0secret".encode()).decode()
            code, text = client.docmd("AUTH", f"PLAIN {secret}")
            if code != 235:
                self.note(sent, code, text)
                return sent
            return self.send(client, sent, data)

    def sendmail(self, expect: Expect, *options: str, **words: object) -> Sent:
        """One mail through sendmail(1)."""
        sent, data = self.mail(expect, how="sendmail", **words)  # type: ignore[arg-type]
        sent.own_signatures = signatures(data)
        self.rig.namespace.run("sendmail", "-i", "-f", sent.envelope_sender, *options, "--", *sent.recipients,
                               stdin=data.replace(b"\r\n", b"\n"))
        return sent

    def pickup(self) -> None:
        """Have pickup look at maildrop again, more than a second after it last did (by itself: each minute).

        What was refused before its headers has no Message-ID in the log, so two tries in one second could
        as well be two mails.
        """
        time.sleep(1.1)
        # pickup may hang up before postkick has written its byte (SIGPIPE): then it is awake already.
        self.rig.namespace.run("postkick", "public", "pickup", "W", check=False)
        time.sleep(0.2)

    def settle(self, *queues: str) -> None:
        """Wait until mail is no longer in motion."""
        self.postfix.settle(*queues)

    def server(self, address: tuple[str, int], handler: Handler | None = None,
               xforward: bool = False) -> Server:
        """An SMTP server that ends with the scenario."""
        server = Server(self.rig.namespace, address, handler, xforward)
        self.servers.append(server)
        return server

    def milter(self, address: tuple[str, int], verdict: str | None) -> Milter:
        """A milter that ends with the scenario."""
        milter = Milter(self.rig.namespace, address, verdict)
        self.servers.append(milter)
        return milter

    def arrivals(self) -> list[tuple[str, list[str], bytes]]:
        """(place, recipients, message) of all that arrived, outside and in the mailbox; taken away."""
        arrived = [("outside", mail.recipients, mail.data) for mail in self.sink.arrived]
        self.sink.arrived.clear()
        box = self.rig.root / "mail/all/new"
        for path in sorted(box.iterdir()) if box.exists() else ():
            data = path.read_bytes()
            arrived.append(("inside", headers(data, "Delivered-To")[:1], data))
            path.unlink()
        return arrived

    def collect(self) -> None:
        """Sort what arrived to the mails sent; notice bounces."""
        known = {sent.token: sent for sent in self.sent}
        for place, recipients, data in self.arrivals():
            sent = known.get(token_of(data) or "")
            if sent is None and headers(data, "Auto-Submitted"):
                message_id = next(iter(headers(data, "Message-ID")), None)
                sent = Sent(f"{bounced_token(data)}-notice", message_id, "", recipients, "bounce",
                            Expect("unchecked", None, "bounce"))
                self.sent.append(sent)
            if sent is None:
                raise AssertionError(f"a stranger's mail arrived: {data[:300]!r}")
            sent.copies.append(Copy(place, recipients, new_signatures(data, sent.own_signatures),
                                    headers(data, "Authentication-Results")))


class Rig:
    """Starts on entry, and leaves nothing behind on exit, whatever happened."""

    def __init__(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="live-"))
        self._stack = contextlib.ExitStack()
        self._serial = 0

    def __enter__(self) -> Rig:
        with contextlib.ExitStack() as stack:
            stack.callback(shutil.rmtree, self.root, ignore_errors=True)
            self._lay_out()
            self.namespace = Namespace(self.root, "mx", MOUNTS, ("192.0.2.10", APP, STRANGER, SINK[0]))
            stack.callback(self.namespace.close)
            self.syslog = Syslog(self.namespace, self.root)
            self.syslog.start()
            self.sink = Server(self.namespace, SINK)
            stack.callback(self.sink.close)
            sasl = SaslServer(self.root / "run/auth")
            stack.callback(sasl.close)
            self.dns = Dns(self.namespace)
            stack.callback(self.dns.close)
            self.opendkim = OpenDkim(self.namespace, self.root, self.dns)
            self.opendkim.make_keys()
            self.postfix = Postfix(self.namespace, self.root)
            self.postfix.start()
            stack.callback(self.postfix.stop)
            stack.callback(self.opendkim.reset)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _lay_out(self) -> None:
        self.root.chmod(0o755)
        for name in ("postfix", "spool", "lib", "dkimkeys", "run", "run/opendkim", "log", "mail"):
            (self.root / name).mkdir(mode=0o755)
        for name, owner in (("lib", "postfix"), ("dkimkeys", "opendkim"), ("run/opendkim", "opendkim"),
                            ("mail", "nobody")):
            shutil.chown(self.root / name, owner)
        (self.root / "hosts").write_text(HOSTS)
        (self.root / "group").write_text(Path("/etc/group").read_text() + f"mailers:x:{MAILERS}:postfix,nobody\n")
        (self.root / "resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
        (self.root / "opendkim.conf").write_text("")

    def run(self, scenario: Scenario) -> Run:
        """Play one scenario from a clean state. Returns its log and truth."""
        self._serial += 1
        self.opendkim.reset()
        self.opendkim.lay_out()
        self.sink.refuse = lambda recipient: None
        self.sink.handler = None
        self.syslog.start(*scenario.syslog)
        self.postfix.configure(scenario.postfix, scenario.master, scenario.pickup)
        lab = Lab(self, scenario, self._serial)
        lab.arrivals()
        self.syslog.mark()
        starts = {name: self.syslog.size(name) for name in ("maillog", "messages", "all")}
        try:
            if scenario.keys:
                scenario.keys(self.opendkim)
            if scenario.opendkim is not None:
                self.opendkim.start(scenario.opendkim)
            scenario.play(lab)
            lab.collect()
            self.syslog.mark()
            logs = {name: self.syslog.read(name, start) for name, start in starts.items()}
        finally:
            self.postfix.stop_second()
            self.postfix.empty()
            self.opendkim.reset()
            for server in lab.servers:
                server.close()
        return Run(scenario.name, logs["maillog"], logs["messages"], logs["all"], lab.sent,
                   list(scenario.rows), scenario.opendkim, scenario.postfix)


def wait(what: Callable[[], object], seconds: float = 10) -> None:
    """Return once what() is true; raise after the time is over."""
    deadline = time.monotonic() + seconds
    while not what():
        if time.monotonic() > deadline:
            raise RuntimeError("did not happen in time")
        time.sleep(0.02)
