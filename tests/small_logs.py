"""Small logs for tests: mails as Postfix and OpenDKIM log them, in files of the age that their lines say."""

from __future__ import annotations

import bz2
import gzip
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from itertools import count
from pathlib import Path

DATA = Path(__file__).parent / "data" / "pipeline"
_NUMBER = count(1)


def epoch(text: str, zone: tzinfo = UTC) -> int:
    """``2026-11-23 10:00:00`` in a zone as epoch seconds."""
    return int(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp())


# When the commands of the tests are given.
NOW = epoch("2026-11-24 12:00:00")


@dataclass
class Log:
    """Lines with their instants (epoch seconds), in the zone's time. iso: with full stamps."""

    host: str = "mx"
    zone: tzinfo = UTC
    iso: bool = False
    lines: list[tuple[int, str]] = field(default_factory=list)

    def add(self, at: int, tag: str, payload: str) -> None:
        """One line."""
        time = datetime.fromtimestamp(at, self.zone)
        stamp = time.isoformat() if self.iso else f"{time:%b} {time.day:2} {time:%H:%M:%S}"
        self.lines.append((at, f"{stamp} {self.host} {tag}: {payload}"))

    def mail(
        self,
        at: int | str,
        sender: str = "app@example.org",
        *,
        signed: bool = True,
        word: str = "",
        failed: str = "",
        end: int = 2,
        queue_id: str = "",
    ) -> str:
        """A submitted mail. word: what OpenDKIM says of it. failed: an endpoint that was not there. end:
        seconds to its removal, -1 for never."""
        at = epoch(at, self.zone) if isinstance(at, str) else at
        queue_id = queue_id or f"{next(_NUMBER) + 0xA0000:X}10A"
        client = "localhost[127.0.0.1]"
        self.add(at, "postfix/smtpd[11]", f"connect from {client}")
        if failed:
            self.add(
                at, "postfix/smtpd[11]", f"warning: connect to Milter service {failed}: Connection refused"
            )
        self.add(
            at, "postfix/smtpd[11]", f"{queue_id}: client={client}, sasl_method=PLAIN, sasl_username=app"
        )
        self.add(at, "postfix/cleanup[12]", f"{queue_id}: message-id=<{queue_id}@app.example.org>")
        if signed:
            domain = sender.rpartition("@")[2]
            said = f"DKIM-Signature field added (s=mx2026, d={domain})"
            self.add(at, "opendkim[21]", f"{queue_id}: {said}")
        if word:
            self.add(at, "opendkim[21]", f"{queue_id}: {word}")
        self.add(at, "postfix/qmgr[13]", f"{queue_id}: from=<{sender}>, size=387, nrcpt=1 (queue active)")
        self.add(
            at, "postfix/smtpd[11]", f"disconnect from {client} ehlo=1 mail=1 rcpt=1 data=1 quit=1 commands=5"
        )
        if end >= 0:
            done = "relay=203.0.113.25[203.0.113.25]:25, delay=1, delays=1/0/0/0, dsn=2.0.0, status=sent (ok)"
            self.add(at + end, "postfix/smtp[14]", f"{queue_id}: to=<friend@example.net>, {done}")
            self.add(at + end, "postfix/qmgr[13]", f"{queue_id}: removed")
        return queue_id

    def inbound(self, at: int | str) -> None:
        """A mail from outside with a good signature, delivered here."""
        at = epoch(at, self.zone) if isinstance(at, str) else at
        queue_id = f"{next(_NUMBER) + 0xA0000:X}10A"
        client = "mail.example.com[198.51.100.7]"
        self.add(at, "postfix/smtpd[31]", f"connect from {client}")
        self.add(at, "postfix/smtpd[31]", f"{queue_id}: client={client}")
        self.add(at, "postfix/cleanup[32]", f"{queue_id}: message-id=<{queue_id}@mail.example.com>")
        self.add(at, "opendkim[21]", f"{queue_id}: mail.example.com [198.51.100.7] not internal")
        self.add(at, "opendkim[21]", f"{queue_id}: DKIM verification successful")
        self.add(
            at, "postfix/qmgr[13]", f"{queue_id}: from=<bo@example.com>, size=387, nrcpt=1 (queue active)"
        )
        done = "relay=local, delay=1, delays=1/0/0/0, dsn=2.0.0, status=sent (delivered to mailbox)"
        self.add(at + 1, "postfix/local[33]", f"{queue_id}: to=<ann@example.org>, {done}")
        self.add(at + 1, "postfix/qmgr[13]", f"{queue_id}: removed")

    def sorted(self) -> list[tuple[int, str]]:
        """In the order of time, as a daemon would write them."""
        return sorted(self.lines, key=lambda line: line[0])

    def write(self, path: Path, *, since: str = "", until: str = "") -> Path:
        """Write the lines of [since, until) to a file, packed as its name says."""
        low = epoch(since, self.zone) if since else 0
        high = epoch(until, self.zone) if until else 1 << 40
        return write(path, [line for line in self.sorted() if low <= line[0] < high])


def write(path: Path, lines: Iterable[tuple[int, str]]) -> Path:
    """Write lines with their instants to a file."""
    kept = list(lines)
    data = "".join(f"{line}\n" for _, line in kept).encode()
    packed = {".gz": lambda d: gzip.compress(d, mtime=0), ".bz2": bz2.compress}.get(path.suffix)
    path.write_bytes(packed(data) if packed else data)
    changed = kept[-1][0] if kept else NOW
    os.utime(path, (changed, changed))
    return path


def real(name: str, folder: Path) -> Path:
    """A log that real daemons wrote on 24 November 2026, as ``maillog`` in a folder."""
    path = folder / "maillog"
    path.write_bytes((DATA / f"{name}.log").read_bytes())
    changed = epoch("2026-11-24 10:30:00")
    os.utime(path, (changed, changed))
    return path
