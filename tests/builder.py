"""Small logs line by line, as Postfix and OpenDKIM write them, and what the engine makes of a log.

`Log` keeps lines apart from their form, so that the same mail can be written as any syslog. Lines are in the
order in which they were said; `wait` moves the clock.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from logscan.correlate.state import Leg
from logscan.findings import Case, resolve
from logscan.message_fields import build_message
from logscan.model import Fault, Message, SourceInfo, Window
from logscan.run import Run
from logscan.tally import Tally

START = 1795507200  # 2026-11-24T08:00:00Z
NOW = START + 86400

OUTSIDE = "mail.example.net[203.0.113.25]"
HERE = "localhost[127.0.0.1]"
STRANGER = "client.example.com[198.51.100.7]"
OPENDKIM = "inet:127.0.0.1:8891"
OTHER = "inet:127.0.0.1:8892"
LATER = "4.7.1 Service unavailable - try again later"

PIDS = {"qmgr": 11, "pickup": 12, "smtpd": 101, "submission/smtpd": 111, "cleanup": 201, "smtp": 301}
PIDS |= {"local": 401, "virtual": 411, "bounce": 501, "postsuper": 601, "discard": 421, "opendkim": 90}


class Line(NamedTuple):
    """One line, not yet in any form. at: epoch seconds. program: the whole tag, `postfix/smtpd`."""

    at: int
    host: str
    program: str
    pid: int
    payload: str


@dataclass
class Log:
    """Lines in the order in which they were said. Methods named after a daemon add one line of it."""

    host: str = "mx"
    at: int = START
    instance: str = "postfix"
    lines: list[Line] = field(default_factory=list)

    def wait(self, seconds: int) -> Log:
        """Later."""
        self.at += seconds
        return self

    def say(self, program: str, payload: str, pid: int = 0, host: str = "") -> Log:
        """One line. program: a tag, or the name of a daemon of the instance."""
        if program != "opendkim" and program in PIDS:
            pid = pid or PIDS[program]
            program = f"{self.instance}/{program}"
        self.lines.append(Line(self.at, host or self.host, program, pid or PIDS.get(program, 999), payload))
        return self

    def smtpd(self, payload: str, pid: int = 0) -> Log:
        return self.say("smtpd", payload, pid)

    def cleanup(self, payload: str, pid: int = 0) -> Log:
        return self.say("cleanup", payload, pid)

    def qmgr(self, payload: str) -> Log:
        return self.say("qmgr", payload)

    def opendkim(self, payload: str, pid: int = 0) -> Log:
        return self.say("opendkim", payload, pid)

    def started(self, pid: int = 0) -> Log:
        return self.opendkim("OpenDKIM Filter v2.11.0 starting (args: -f -x /etc/opendkim.conf)", pid)

    def stopped(self, pid: int = 0) -> Log:
        return self.opendkim("OpenDKIM Filter v2.11.0 terminating with status 0, errno = 0", pid)

    def connect(self, client: str = HERE, pid: int = 0, service: str = "") -> Log:
        return self.say(service + "smtpd", f"connect from {client}", pid)

    def disconnect(self, client: str = HERE, pid: int = 0, service: str = "") -> Log:
        return self.say(
            service + "smtpd", f"disconnect from {client} ehlo=1 mail=1 rcpt=1 data=1 quit=1", pid
        )

    def client(
        self, qid: str, client: str = HERE, sasl: str = "", pid: int = 0, more: str = "", service: str = ""
    ) -> Log:
        """smtpd opens a queue file. more: what follows, as `, orig_queue_id=…`."""
        user = f", sasl_method=PLAIN, sasl_username={sasl}" if sasl else ""
        return self.say(service + "smtpd", f"{qid}: client={client}{user}{more}", pid)

    def pickup(self, qid: str, sender: str = "root@example.org", uid: int = 0, more: str = "") -> Log:
        return self.say("pickup", f"{qid}: uid={uid} from=<{sender}>{more}")

    def named(self, qid: str, message_id: str = "", pid: int = 0) -> Log:
        """cleanup's `message-id=`."""
        return self.cleanup(f"{qid}: message-id=<{message_id or qid.lower() + '@app.example.org'}>", pid)

    def added(self, qid: str, domain: str = "example.org", selector: str = "k1") -> Log:
        return self.opendkim(f"{qid}: DKIM-Signature field added (s={selector}, d={domain})")

    def queued(self, qid: str, sender: str = "app@example.org", nrcpt: int = 1) -> Log:
        return self.qmgr(f"{qid}: from=<{sender}>, size=387, nrcpt={nrcpt} (queue active)")

    def delivery(
        self,
        qid: str,
        to: str,
        status: str,
        told: str,
        relay: str = OUTSIDE + ":25",
        daemon: str = "smtp",
        orig: str = "",
    ) -> Log:
        alias = f"orig_to=<{orig}>, " if orig else ""
        dsn = {"sent": "2.0.0", "bounced": "5.1.1"}.get(status, "4.2.1")
        return self.say(
            daemon,
            f"{qid}: to=<{to}>, {alias}relay={relay}, delay=1, delays=1/0/0/0, dsn={dsn}, status={status} ({told})",
        )

    def sent(
        self,
        qid: str,
        to: str = "friend@example.net",
        told: str = "250 2.0.0 Ok: queued as 0000000C9",
        **more: str,
    ) -> Log:
        return self.delivery(qid, to, "sent", told, **more)

    def boxed(self, qid: str, to: str = "boss@example.org") -> Log:
        """Delivered on this machine."""
        return self.delivery(qid, to, "sent", "delivered to maildir", relay="virtual", daemon="virtual")

    def removed(self, qid: str) -> Log:
        return self.qmgr(f"{qid}: removed")

    def refused(
        self, qid: str, told: str = LATER, client: str = HERE, sender: str = "app@example.org", pid: int = 0
    ) -> Log:
        """The milter's answer at the end of an SMTP mail."""
        tail = f"from=<{sender}> to=<friend@example.net> proto=ESMTP helo=<app.example.org>"
        return self.cleanup(f"{qid}: milter-reject: END-OF-MESSAGE from {client}: {told}; {tail}", pid)

    def mail(
        self,
        qid: str,
        *words: str,
        client: str = HERE,
        sasl: str = "",
        sender: str = "app@example.org",
        to: str = "friend@example.net",
        local: bool = False,
        end: bool = True,
        pid: int = 0,
        message_id: str = "",
        service: str = "",
    ) -> Log:
        """A whole SMTP mail. words: OpenDKIM's lines about it without the ID, "+" for a signature of ours.
        local: delivered here. end: with delivery and `removed`. pid: smtpd's; cleanup's is 100 more, since
        each has one mail at a time."""
        self.connect(client, pid, service).client(qid, client, sasl, pid, service=service)
        self.named(qid, message_id, pid and pid + 100)
        self.words(qid, *words).queued(qid, sender).disconnect(client, pid, service)
        if end:
            (self.boxed if local else self.sent)(qid, to).removed(qid)
        return self

    def words(self, qid: str, *words: str) -> Log:
        """OpenDKIM's lines about a mail."""
        for word in words:
            self.added(qid) if word == "+" else self.opendkim(f"{qid}: {word}")
        return self

    # --- forms ----------------------------------------------------------------------------------------------------

    def syslog(self) -> bytes:
        """`Nov 24 08:00:00 mx postfix/smtpd[101]: …`"""
        return _join(
            f"{datetime.fromtimestamp(line.at, UTC):%b %e %H:%M:%S} {line.host} {line.program}[{line.pid}]: {line.payload}"
            for line in self.lines
        )

    def rfc3339(self) -> bytes:
        """`2026-11-24T08:00:00.000001+00:00 mx postfix/smtpd[101]: …`"""
        return _join(
            f"{_full(line.at)}.{number:06}+00:00 {line.host} {line.program}[{line.pid}]: {line.payload}"
            for number, line in enumerate(self.lines)
        )

    def rfc5424(self) -> bytes:
        """As rsyslog writes it: the daemon's name is cut off at the slash."""
        return _join(
            f"<22>1 {_full(line.at)}.000000+00:00 {line.host} {line.program.partition('/')[0]} {line.pid} - -  {line.payload}"
            for line in self.lines
        )

    def journal(self) -> bytes:
        """`journalctl -o json`"""
        return _join(
            json.dumps(
                {
                    "__REALTIME_TIMESTAMP": str(line.at * 1_000_000 + number),
                    "_HOSTNAME": line.host,
                    "SYSLOG_IDENTIFIER": line.program,
                    "SYSLOG_PID": str(line.pid),
                    "MESSAGE": line.payload,
                }
            )
            for number, line in enumerate(self.lines)
        )


def _full(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _join(lines: Iterable[str]) -> bytes:
    return "".join(line + "\n" for line in lines).encode()


@dataclass
class Judged:
    """What the engine says of a log. messages: in the order of their first lines."""

    messages: list[Message]
    faults: list[Fault]
    not_mail: int
    let_go: int
    not_understood: dict[str, int]
    tally: Tally
    run: Run

    def one(self) -> Message:
        """The only message."""
        (message,) = self.messages
        return message

    def of(self, qid: str) -> Message:
        """The only message that a queue ID belongs to."""
        (message,) = [message for message in self.messages if qid in message.queue_ids]
        return message

    def fault(self, kind: str) -> Fault:
        """The only fault of a kind."""
        (fault,) = [fault for fault in self.faults if fault.kind == kind]
        return fault


def judge(log: Log | bytes | Iterator[bytes], ours: Iterable[str] = ()) -> Judged:
    """Give a log, or its blocks, to the engine. Its last line is taken to be of the day before `NOW`.

    ours: domains that are ours beforehand.
    """
    blocks = iter([log.syslog()]) if isinstance(log, Log) else iter([log]) if isinstance(log, bytes) else log
    rows: list[tuple[list[Leg], Case]] = []
    tally = Tally()
    run = Run(Window(), UTC, tally=tally, keep=lambda legs, case: rows.append((legs, case)))
    run.state.ours.update(domain.encode() for domain in ours)
    run.read(blocks, NOW, SourceInfo("test"))
    run.finish()
    rows.sort(key=lambda row: row[0][0].seq)
    messages = [build_message(legs, resolve(case, run.known)) for legs, case in rows]
    state = run.state
    faults = [fault for fault in state.faults.values() if fault.count]
    return Judged(messages, faults, state.not_mail, state.let_go, state.not_understood, tally, run)
