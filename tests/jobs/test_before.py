"""Small logs in which a part of them would be read wrongly if what came before it were not asked for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_cuts import in_parts, whole, write

INET = "inet:127.0.0.1:8891"
GONE = f"warning: connect to Milter service {INET}: Connection refused"
LOST = f"warning: milter {INET}: can't read SMFIC_MAIL reply packet header: Broken pipe"
SIGNED = "DKIM-Signature field added (s=k1, d=example.org)"
ACTIVE = "from=<app@example.org>, size=387, nrcpt=1 (queue active)"
SENT = (
    "to=<friend@example.net>, relay=mail.example.net[203.0.113.25]:25, delay=1, delays=1/0/0/0, dsn=2.0.0,"
    " status=sent (250 2.0.0 Ok)"
)


def mail(queue_id: str, at: str, *, pid: int = 150, signed: bool = True) -> list[str]:
    """A mail with a session of its own."""
    said = [f"{at} opendkim[90]: {queue_id}: {SIGNED}"] if signed else []
    return [
        f"{at} postfix/smtpd[{pid}]: connect from localhost[127.0.0.1]",
        f"{at} postfix/smtpd[{pid}]: {queue_id}: client=localhost[127.0.0.1]",
        f"{at} postfix/cleanup[201]: {queue_id}: message-id=<{queue_id}@app.example.org>",
        *said,
        f"{at} postfix/qmgr[11]: {queue_id}: {ACTIVE}",
        f"{at} postfix/smtp[301]: {queue_id}: {SENT}",
        f"{at} postfix/qmgr[11]: {queue_id}: removed",
        f"{at} postfix/smtpd[{pid}]: disconnect from localhost[127.0.0.1] ehlo=1 mail=1 rcpt=1 data=1 quit=1",
    ]


# The session lost its milter before the part, so it is a message that was refused; the next session ends it.
REFUSED = [
    f"09:00:00 postfix/smtpd[101]: {GONE}",
    "CUT",
    "09:00:01 postfix/smtpd[101]: NOQUEUE: milter-reject: RCPT from localhost[127.0.0.1]: 451 4.7.1 Service"
    " unavailable - try again later; from=<app@example.org> proto=ESMTP helo=<x>",
    "09:00:40 postfix/smtpd[101]: connect from client.example.com[198.51.100.7]",
    "09:00:50 postfix/anvil[7]: statistics: max connection rate 1/60s",
]
# OpenDKIM's word on a mail of such a session ends no outage, the word after it does.
STILL_OUT = [
    f"09:00:00 postfix/smtpd[101]: {GONE}",
    "CUT",
    "09:10:00 postfix/cleanup[202]: 4F2A91C0300: message-id=<0@app.example.org>",
    "09:10:00 postfix/cleanup[202]: warning: milter unix:/run/opendkim.sock: can't read SMFIC_BODYEOB reply packet"
    " header: Success",
    f"09:10:00 opendkim[90]: 4F2A91C0300: {SIGNED}",
    "09:11:00 postfix/smtpd[101]: 4F2A91C0301: client=localhost[127.0.0.1]",
    "09:11:00 opendkim[90]: 4F2A91C0301: not authenticated",
    *mail("4F2A91C0302", "09:12:00"),
    "09:13:00 postfix/anvil[7]: statistics: max connection rate 1/60s",
]
# A mail of which the part shows cleanup's line first may be older than the outage.
OLDER_MAIL = [
    "09:00:00 postfix/pickup[12]: 4F2A91C0301: uid=0 from=<root@example.org>",
    "CUT",
    "09:01:00 postfix/anvil[7]: statistics: max connection rate 1/60s",
    f"09:01:20 postfix/smtpd[104]: {LOST}",
    "09:01:30 postfix/cleanup[202]: 4F2A91C0301: message-id=<1@app.example.org>",
    f"09:01:30 opendkim[90]: 4F2A91C0301: {SIGNED}",
    *mail("4F2A91C0302", "09:20:00"),
    "09:30:00 postfix/anvil[7]: statistics: max connection rate 1/60s",
]
# OpenDKIM names an ID before Postfix does: of which instance, only the whole log tells.
UNPLACED = [
    "09:00:00 postfix/smtpd[101]: connect from localhost[127.0.0.1]",
    "CUT",
    "09:10:00 opendkim[90]: 4F2A91C0302: no signature data",
    "09:11:00 postfix-out/smtpd[101]: connect from localhost[127.0.0.1]",
    *mail("4F2A91C0301", "09:11:30"),
    "09:12:00 postfix/cleanup[201]: 4F2A91C0302: message-id=<2@mx.example.org>",
    "09:12:00 postfix/qmgr[11]: 4F2A91C0302: from=<>, size=387, nrcpt=1 (queue active)",
    "09:12:00 postfix/qmgr[11]: 4F2A91C0302: removed",
    "09:15:00 postfix/anvil[7]: statistics: max connection rate 1/60s",
]
# Nobody understands the line, but it is about a mail; without the mail it would make one.
ODD_DELIVERY = [
    "09:00:00 postfix/smtpd[101]: connect from localhost[127.0.0.1]",
    "CUT",
    "09:10:00 postfix/anvil[7]: statistics: max connection rate 1/60s",
    *mail("4F2A91C0300", "09:11:00"),
    *mail("4F2A91C0301", "09:12:00")[:-2],
    "09:12:00 postfix/smtp[301]: 4F2A91C0301: to=<a b>, relay=odd, odd",
    *mail("4F2A91C0301", "09:12:00")[-2:],
    "09:15:00 postfix/anvil[7]: statistics: max connection rate 1/60s",
]
# Time goes back: a mail that seems to have ended later keeps the one after it reachable.
BACK_IN_TIME = [
    "09:00:00 postfix/smtpd[101]: connect from localhost[127.0.0.1]",
    "CUT",
    "09:10:00 postfix/anvil[7]: statistics: max connection rate 1/60s",
    *mail("4F2A91C0300", "09:11:00"),
    *mail("4F2A91C0301", "09:12:04"),
    *mail("4F2A91C0302", "09:12:00", pid=151, signed=False),
    "09:12:06 postfix/anvil[7]: statistics: max connection rate 1/60s",
    f"09:12:06 postfix/smtp[301]: 4F2A91C0302: {SENT.replace('friend', 'other')}",
    "09:15:00 postfix/anvil[7]: statistics: max connection rate 1/60s",
]

HERE = {
    "refused": REFUSED,
    "still out": STILL_OUT,
    "older mail": OLDER_MAIL,
    "unplaced": UNPLACED,
    "odd delivery": ODD_DELIVERY,
    "back in time": BACK_IN_TIME,
}


def same(path: Path, log: list[bytes], cuts: list[int], own: frozenset[int] = frozenset()) -> None:
    write(path, log)
    ends = [sum(len(line) + 1 for line in log[:cut]) for cut in cuts]
    sizes = [end - begin for begin, end in zip([0, *ends], ends, strict=False)]
    report, here = in_parts(path, sizes, set(own))
    assert here.parts == len(cuts) + 1 - len(own)
    assert json.loads(report) == json.loads(whole(path))


def dated(lines: list[str]) -> tuple[list[bytes], int]:
    cut = lines.index("CUT")
    return [f"Nov 20 {line[:8]} mx{line[8:]}".encode() for line in lines if line != "CUT"], cut


@pytest.mark.parametrize("name", HERE)
def test_what_only_the_lines_before_tell(name: str, tmp_path: Path) -> None:
    log, cut = dated(HERE[name])
    same(tmp_path / "maillog", log, [cut])


def test_a_name_of_opendkim_that_another_host_told(tmp_path: Path) -> None:
    lines = [
        f"Nov 20 09:00:00 mx2 postfix/smtp[301]: 4F2A91C0301: {SENT}",
        "Nov 20 09:00:00 mx2 dkimd[90]: 4F2A91C0301: DKIM verification successful",
        f"Nov 20 09:10:00 mx dkimd[90]: 4F2A91C0302: {SIGNED}",
        "Nov 20 09:10:30 mx2 dkimd[90]: 4F2A91C0301: no signature data",
    ]
    same(tmp_path / "maillog", [line.encode() for line in lines], [2], frozenset({1}))


def test_a_loss_of_lines_that_may_be_of_a_host_not_heard_of_yet(tmp_path: Path) -> None:
    second, _ = dated(["CUT", *mail("4F2A91C0301", "09:10:00"), *mail("4F2A91C0302", "09:10:05", signed=False)])
    later, _ = dated(["CUT", *mail("4F2A91C0303", "09:10:07"), *mail("4F2A91C0304", "09:12:00", signed=False)])
    log = [
        b"Nov 20 09:00:00 mx postfix/anvil[7]: statistics: max connection rate 1/60s",
        b"Nov 20 09:09:00 relay postfix/anvil[7]: statistics: max connection rate 1/60s",
        b"Nov 20 09:10:00 relay rsyslogd: imudp(*:514): begin to drop messages due to rate-limiting",
        *second,
        *later,
    ]
    same(tmp_path / "maillog", log, [1])


@pytest.mark.parametrize("junk", ["x", ".5abc", ".1.1"])
def test_a_stamp_that_is_read_for_the_sake_of_the_line_before(junk: str, tmp_path: Path) -> None:
    said = f"mx postfix/smtp[301]: 4F2A91C0301: {SENT}"
    at = "2026-11-20T09:00:00"
    log = [f"{at}+00:00 {said}", f"{at[:-2]}50+00:00 {said}", f"{at[:-2]}50{junk}+00:00 {said}"]
    same(tmp_path / "maillog", [line.encode() for line in log], [1])
