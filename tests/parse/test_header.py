"""Every way in which a line can be written or wrapped gives the same five things."""

from __future__ import annotations

import json
from datetime import UTC
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from logscan.parse.header import (
    REPEATS_AT_MOST,
    Header,
    first_stamp,
    guess_daemon,
    looks_like_log,
    parse,
    repeated_bsd,
    unrepeat,
)
from logscan.parse.stamps import Clock

DATA = Path(__file__).parent.parent / "data" / "headers"
BERLIN = ZoneInfo("Europe/Berlin")
REFERENCE = 1795521600  # 2026-11-24T12:00:00Z


def lines_of(name: str) -> list[bytes]:
    return (DATA / name).read_bytes().split(b"\n")[:-1]


def as_text(header: Header | None) -> list[int | str] | None:
    return header and [
        header.at,
        *(field.decode("utf-8", "backslashreplace") for field in header[1:]),
    ]


@pytest.mark.parametrize("name", ["syslog", "journalctl", "containers"])
def test_lines_are_taken_apart(name: str) -> None:
    clock = Clock(BERLIN, REFERENCE)
    got = [as_text(parse(line, clock)) for line in lines_of(f"{name}.log")]
    expected = json.loads((DATA / f"{name}.json").read_text())
    assert len(got) == len(expected)
    for line, one, other in zip(lines_of(f"{name}.log"), got, expected, strict=True):
        assert one == other, line


@pytest.mark.parametrize("line", lines_of("none.log"))
def test_what_is_no_log_line_is_none(line: bytes) -> None:
    clock = Clock(BERLIN, REFERENCE)
    clock.last = REFERENCE
    stampless = line.startswith((b"<22>", b"mail "))
    assert parse(line, clock if stampless else Clock(BERLIN, REFERENCE)) is None
    assert first_stamp(line, REFERENCE, BERLIN) is None
    assert not looks_like_log(line)


def test_a_line_without_stamp_needs_one_before_it() -> None:
    line = b"<22>postfix/smtpd[1]: connect from unknown[192.0.2.7]"
    assert parse(line, Clock(UTC, REFERENCE)) is None
    assert looks_like_log(line)


def test_line_end_hole_and_byte_order_mark_are_no_text() -> None:
    line = b"Nov 23 10:00:00 mx opendkim[7]: text\r"
    expected = Header(1795424400, b"mx", b"opendkim", b"7", b"text")
    for before in (b"", b"\0" * 4096, b"\xef\xbb\xbf"):
        assert parse(before + line, Clock(BERLIN, REFERENCE)) == expected


def test_first_stamp_stands_alone() -> None:
    assert first_stamp(b"Dec 31 23:00:00 mx a[1]: b", REFERENCE, UTC) == 1767222000  # 2025
    for name in ("syslog", "journalctl", "containers"):
        for line in lines_of(f"{name}.log"):
            header = parse(line, Clock(BERLIN, REFERENCE))
            assert first_stamp(line, REFERENCE, BERLIN) == (header and header.at)


def test_looks_like_log() -> None:
    for line in lines_of("syslog.log"):
        assert looks_like_log(line), line
    assert not looks_like_log(b"2026-11-24T10:00:00Z something happened")
    assert not looks_like_log(b"Nov 24 10:00:00 mx")


def test_repeats() -> None:
    assert unrepeat(b"message repeated 71 times: [ connect from x]]") == (71, b"connect from x]")
    assert unrepeat(b"message repeated 3 times: [text]") == (3, b"text")
    assert unrepeat(b"message repeated 99999999999999999999 times: [ a]") == (REPEATS_AT_MOST, b"a")
    for payload in (
        b"",
        b"message repeated times: [ a]",
        b"message repeated 3 times: [ cut",
        b"message repeated -3 times: [ a]",
        b"message repeated " + b"9" * 5000 + b" times: [ a]",
        b"x message repeated 3 times: [ a]",
    ):
        assert unrepeat(payload) is None
    assert repeated_bsd(b"last message repeated 12 times") == 12
    assert repeated_bsd(b"last message repeated 1 time") == 1
    assert repeated_bsd(b"--- last message repeated 12 times ---") == 12
    assert repeated_bsd(b"last message repeated 99999999999 times") == REPEATS_AT_MOST
    assert repeated_bsd(b"last message repeated 12 times, or so") is None
    assert repeated_bsd(b"message repeated 12 times: [ a]") is None


Q = b"4F2A91C03B7: "
TO = Q + b"to=<a@example.org>, relay=%s, delay=0.1, delays=0/0/0/0.1, dsn=2.0.0, status=sent (%s)"


@pytest.mark.parametrize(
    ("payload", "daemon"),
    [
        (b"connect from unknown[192.0.2.7]", b"smtpd"),
        (b"disconnect from unknown[192.0.2.7] ehlo=1 commands=1", b"smtpd"),
        (b"lost connection after DATA from unknown[192.0.2.7]", b"smtpd"),
        (Q + b"client=unknown[192.0.2.7]", b"smtpd"),
        (b"NOQUEUE: client=unknown[192.0.2.7]", b"smtpd"),
        (b"4bQ7Xk1Z0Nz9rVw: client=unknown[192.0.2.7]", b"smtpd"),
        (b"NOQUEUE: reject: RCPT from unknown[192.0.2.7]: 554 5.7.1 <a@example.org>: no", b"smtpd"),
        (b"NOQUEUE: milter-reject: CONNECT from unknown[192.0.2.7]: 451 4.7.1 Service", b"smtpd"),
        (Q + b"milter-reject: MAIL from unknown[192.0.2.7]: 451 4.7.1 Service", b"smtpd"),
        (Q + b"milter-hold: RCPT from unknown[192.0.2.7]: milter triggers HOLD action;", b"smtpd"),
        (Q + b"milter-reject: CONNECT from localhost[127.0.0.1]: 4.7.1 Service", b"cleanup"),
        (Q + b"milter-reject: END-OF-MESSAGE from unknown[192.0.2.7]: 4.7.1 Service", b"cleanup"),
        (Q + b"milter-discard: END-OF-MESSAGE from unknown[192.0.2.7]: milter triggers", b"cleanup"),
        (Q + b"milter-header-info: header DKIM-Signature: v=1 from unknown[192.0.2.7];", b"cleanup"),
        (Q + b"message-id=<1@example.org>", b"cleanup"),
        (Q + b"resent-message-id=<1@example.org>", b"cleanup"),
        (Q + b"warning: header Subject: x from unknown[192.0.2.7];", b"cleanup"),
        (Q + b"removed (canceled)", b"cleanup"),
        (Q + b"uid=1000 from=<a@example.org>", b"pickup"),
        (Q + b"from=<a@example.org>, size=9, nrcpt=1 (queue active)", b"qmgr"),
        (Q + b"from=<a@example.org>, status=expired, returned to sender", b"qmgr"),
        (Q + b"removed", b"qmgr"),
        (Q + b"sender non-delivery notification: 4F2A91C03B8", b"bounce"),
        (TO % (b"mx.example.org[192.0.2.9]:25", b"250 2.0.0 (delivered via x service)"), b"smtp"),
        (TO % (b"none", b"x"), b"smtp"),
        (TO % (b"local", b"delivered to mailbox"), b"local"),
        (TO % (b"virtual", b"delivered to maildir"), b"virtual"),
        (TO % (b"dovecot", b"delivered via dovecot service"), b"pipe"),
        (TO % (b"/run/lmtp", b"250 ok"), b"lmtp"),
        (TO % (b"mx.example.org[/run/lmtp]", b"250 ok"), b"lmtp"),
        (TO % (b"mx.example.org[private/dovecot-lmtp], conn_use=2", b"250 ok"), b"lmtp"),
        (b"connect to mx.example.org[192.0.2.9]:25: Connection timed out", b"smtp"),
        (b"warning: connect to Milter service inet:127.0.0.1:8891: Connection refused", b"smtpd"),
        (b"warning: milter inet:127.0.0.1:8891: can't read SMFIC_OPTNEG reply packet header: x", b"smtpd"),
        (b"warning: milter inet:127.0.0.1:8891: can't read SMFIC_BODYEOB reply packet header: x", b"cleanup"),
        (
            b"warning: milter inet:127.0.0.1:8891: unexpected filter response a after event SMFIC_EOH",
            b"cleanup",
        ),
        (b"", None),
        (b"client=unknown[192.0.2.7]", None),
        (b"statistics: max connection rate 1/60s", None),
        (b"daemon started -- version 3.7.11, configuration /etc/postfix", None),
        (Q + b"from=<a@example.org>, size=9", None),
        (Q + b"to=<a@example.org>", None),
    ],
)
def test_daemon_is_guessed_from_the_shape(payload: bytes, daemon: bytes | None) -> None:
    assert guess_daemon(payload) == daemon


PIECES = st.sampled_from(
    [
        *(b"Nov 23 10:00:00", b"2026-11-24T10:00:00Z", b"Mon 2026-11-23 10:00:00 CET", b"<22>", b"<22>1 "),
        *(b" ", b" mx ", b"postfix/smtpd[1]: ", b"mail  | ", b"stdout F ", b"[pod/a/b] ", b"- ", b'[x y="'),
        *(b'{"log":"', b'","time":"2026-11-24T10:00:00Z"}', b'{"__REALTIME_TIMESTAMP":"1","MESSAGE":['),
        *(
            b"[ID 1 mail.info] ",
            b"]",
            b"}",
            b'"',
            b"\\",
            b"\r",
            b"\xff",
            b"4F2A91C03B7: ",
            b"to=<",
            b", relay=",
        ),
    ]
)


@given(st.one_of(st.binary(), st.lists(st.one_of(PIECES, st.binary(max_size=4))).map(b"".join)))
@example(b'{"log":"\\ud800","time":"2026-11-24T10:00:00Z"}')
@example(b'{"__REALTIME_TIMESTAMP":[[[1]]],"log":"x"}')
@example(b'{"__REALTIME_TIMESTAMP":"1","MESSAGE":[[1],[2]],"_PID":true,"_HOSTNAME":[300]}')
@example(b'{"a":' + b"[" * 60000)
@example(b'{"a":' + b"9" * 60000 + b"}")
def test_no_bytes_raise(line: bytes) -> None:
    clock = Clock(BERLIN, REFERENCE)
    clock.last = 0
    header = parse(line, clock)
    if header is not None:
        assert not header.payload.endswith(b"\r")
    first_stamp(line, REFERENCE, UTC)
    looks_like_log(line)
    for payload in (line, b"4F2A91C03B7: " + line):
        guess_daemon(payload)
        unrepeat(payload)
        repeated_bsd(payload)


@pytest.mark.parametrize(
    "before",
    [
        b"",
        b"Nov 23 10:00:00 ",
        b"2026-11-24T10:00:00.",
        b"2026-11-24T10:00:00Z ",
        b"<22>1 - - - - - ",
        b"{",
        b"mail",
    ],
)
@pytest.mark.parametrize(
    "repeated",
    [
        b"a",
        b"1",
        b" ",
        b":",
        b"[",
        b"]",
        b'"',
        b"\\",
        b'["',
        b'[x="',
        b'[a="b"]',
        b"<22>",
        b", relay=",
        b", size=1",
        b"\0",
    ],
)
def test_long_lines_come_to_an_end(before: bytes, repeated: bytes) -> None:
    line = before + repeated * (65536 // len(repeated))
    clock = Clock(BERLIN, REFERENCE)
    clock.last = 0
    # No clock here: quadratic time would be minutes, and nobody overlooks a suite that stands still.
    parse(line, clock)
    guess_daemon(b"4F2A91C03B7: to=<" + line)
    guess_daemon(b"4F2A91C03B7: from=<" + line)
    guess_daemon(line)
