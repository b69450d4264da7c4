from __future__ import annotations

import pytest
from builder import Log, judge

from logscan.correlate.gaps import HANDLERS
from logscan.correlate.state import Origin, State
from logscan.model import Fault, Window

NOW = 1_795_000_000


def heard(*payloads: bytes, tag: bytes = b"rsyslogd", others: tuple[bytes, ...] = ()) -> State:
    """A state to which a daemon of host mx said this, a minute apart."""
    state = State(lambda legs: None, Window())
    for name in others:
        state.host(name)
    origin = Origin(state.host(b"mx"), tag, b"", tag, None, HANDLERS[tag])
    for number, payload in enumerate(payloads):
        state.now = NOW + 60 * number
        start, colon, rest = payload.partition(b": ")
        line = b"Nov 23 10:00:00 mx " + tag + b": " + payload
        origin.handler.take(state, origin, start, rest if colon else None, line)
    return state


def gap(state: State, host: bytes = b"mx") -> tuple[int | None, int]:
    return state.hosts[host].gap_from, state.hosts[host].gap_to


def only(state: State) -> Fault:
    (fault,) = state.faults.values()
    return fault


BEGINS = [
    (b"imjournal: begin to drop messages due to rate-limiting", "imjournal"),
    (b"imjournal from <mx:opendkim>: begin to drop messages due to rate-limiting", "imjournal"),
    (b"imjournal from <mx:sshd>: begin to drop messages due to rate-limiting", "imjournal"),
    (b"imuxsock begins to drop messages from pid 4711 due to rate-limiting", "imuxsock"),
    (b"imuxsock[pid 4711]: begin to drop messages due to rate-limiting", "imuxsock"),
    (
        b"imuxsock[pid: 88, name: /usr/sbin/opendkim] from <mx:opendkim>: begin to drop messages due to"
        b" rate-limiting",
        "imuxsock opendkim",
    ),
    (
        b"imuxsock[pid: 77, name: /usr/lib/postfix/sbin/smtpd] from <mx:postfix>: begin to drop messages due to"
        b" rate-limiting",
        "imuxsock postfix",
    ),
    (b"imuxsock from <opendkim>: begin to drop messages due to rate-limiting", "imuxsock opendkim"),
    (
        b"imuxsock[pid: 9, name: /usr/libexec/postfix/cleanup]: begin to drop messages due to rate-limiting"
        b" [v8.2102.0 try https://www.rsyslog.com/e/2177 ]",
        "imuxsock cleanup",
    ),
    (b"imptcp[45515] from <localhost:->: begin to drop messages due to rate-limiting", "imptcp"),
]

ENDS = [
    (b"imjournal: 96124 messages lost due to rate-limiting", "imjournal"),
    (b"imjournal: 96124 messages lost due to rate-limiting (20000 allowed within 600 seconds)", "imjournal"),
    (b"imuxsock lost 45 messages from pid 4711 due to rate-limiting", "imuxsock"),
    (
        b"imuxsock[pid: 88, name: /usr/sbin/opendkim]: 9 messages lost due to rate-limiting (3 allowed within 2"
        b" seconds)",
        "imuxsock opendkim",
    ),
    (b"imudp(127.0.0.1/514/IPv4): 9 messages lost due to rate-limiting (3 allowed within 2 seconds)", "imudp"),
]

FOREIGN = [
    b"[origin software=\"rsyslogd\" swVersion=\"8.2302.0\" x-pid=\"1\" x-info=\"https://www.rsyslog.com\"] start",
    b"imuxsock[pid: 9, name: /usr/sbin/cron] from <mx:CRON>: begin to drop messages due to rate-limiting",
    b"imuxsock[pid: 9, name: /usr/sbin/cron]: 8 messages lost due to rate-limiting (3 allowed within 2 seconds)",
    b"imklog: 12 messages lost due to rate-limiting (3 allowed within 2 seconds)",
    b"imuxsock: Acquired UNIX socket '/run/systemd/journal/syslog' (fd 3) from systemd.  [v8.2302.0]",
    b"x imjournal: begin to drop messages due to rate-limiting",
    b"imjournal: begin to drop messages due to rate-limiting, not",
    b"",
    b"im\xff\x00[",
]


@pytest.mark.parametrize(("payload", "subject"), BEGINS)
@pytest.mark.parametrize("tag", [b"rsyslogd", b"rsyslogd-2177"])
def test_rsyslog_begins_to_drop_lines(payload: bytes, subject: str, tag: bytes) -> None:
    state = heard(payload, tag=tag)
    assert gap(state) == (NOW, -1)
    fault = only(state)
    assert (fault.kind, fault.subject, fault.severity, fault.ongoing) == ("log-gap", subject, "warning", True)
    assert fault.lines[0].endswith(payload)
    assert state.foreign_lines == 0


@pytest.mark.parametrize(("payload", "subject"), ENDS)
def test_rsyslog_counts_what_was_lost_and_the_gap_is_over(payload: bytes, subject: str) -> None:
    state = heard(payload)
    assert gap(state) == (None, NOW)
    assert (only(state).subject, only(state).ongoing) == (subject, False)


def test_a_gap_lasts_from_its_first_beginning_to_its_end() -> None:
    begin, end = BEGINS[1][0], ENDS[1][0]
    assert gap(heard(begin, begin)) == (NOW, -1)
    state = heard(begin, begin, end)
    assert gap(state) == (None, NOW + 120)
    assert (only(state).count, only(state).ongoing) == (3, False)
    assert gap(heard(begin, end, begin)) == (NOW + 120, NOW + 60)


@pytest.mark.parametrize("payload", FOREIGN)
def test_other_lines_of_rsyslog_and_losses_of_other_programs_are_foreign(payload: bytes) -> None:
    state = heard(payload)
    assert gap(state) == (None, -1)
    assert not state.faults
    assert state.foreign_lines == 1


def test_an_input_from_the_network_may_have_dropped_any_hosts_lines() -> None:
    begin = b"imudp(192.0.2.1/514/IPv4) from <localhost:->: begin to drop messages due to rate-limiting"
    end = b"imudp(192.0.2.1/514/IPv4): 9 messages lost due to rate-limiting (3 allowed within 2 seconds)"
    assert gap(heard(begin, others=(b"mx2",)), b"mx2") == (NOW, -1)
    assert gap(heard(begin, end, others=(b"mx2",)), b"mx2") == (None, NOW + 60)
    local = heard(BEGINS[0][0], others=(b"mx2",))
    assert gap(local, b"mx2") == (None, -1)


@pytest.mark.parametrize("tag", [b"systemd-journald", b"systemd-journal", b"journal"])
@pytest.mark.parametrize(
    ("payload", "subject"),
    [
        (b"Suppressed 1523 messages from opendkim.service", "opendkim.service"),
        (b"Suppressed 1523 messages from postfix@-.service", "postfix@-.service"),
        (b"Suppressed 1523 messages from /system.slice/postfix.service", "postfix.service"),
        (b"Suppressed 7 messages from /system.slice/system-postfix.slice/postfix@-.service", "postfix@-.service"),
        (b"Forwarding to syslog missed 12 messages.", "systemd-journald"),
    ],
)
def test_journald_says_afterwards_what_it_dropped(payload: bytes, subject: str, tag: bytes) -> None:
    state = heard(payload, tag=tag)
    assert gap(state) == (None, NOW)
    assert (only(state).subject, only(state).ongoing) == (subject, False)


@pytest.mark.parametrize(
    "payload",
    [
        b"Suppressed 1523 messages from cron.service",
        b"Suppressed 1523 messages from /system.slice/postfix-policyd.service",
        b"Suppressed 1523 messages from session-3.scope",
        b"Suppressed many messages from opendkim.service",
        b"Suppressed 3 messages from opendkim.service and more",
        b"Missed 12 kernel messages",
        b"Runtime Journal (/run/log/journal/) is 8.0M, max 78.6M, 70.6M free.",
        b"",
    ],
)
def test_other_lines_of_journald_are_foreign(payload: bytes) -> None:
    state = heard(payload, tag=b"systemd-journald")
    assert gap(state) == (None, -1)
    assert state.foreign_lines == 1


def test_long_hostile_lines_are_read_in_linear_time() -> None:
    for payload in (b"imuxsock[" + b"name: " * 100_000, b"im" + b"a" * 500_000, b"Suppressed " + b"1" * 500_000):
        for tag in HANDLERS:
            assert heard(payload, tag=tag).foreign_lines == 1


def test_a_gap_that_nobody_ends_is_over_at_opendkims_next_line() -> None:
    begin = "imjournal: begin to drop messages due to rate-limiting"
    log = Log().say("rsyslogd", begin).mail("4F2A91C0301").wait(60)
    log.mail("4F2A91C0302", "+").wait(60).mail("4F2A91C0303")
    judged = judge(log)
    assert [(m.outcome, m.reason) for m in judged.messages] == [
        ("undecided", "log-gap"),
        ("signed", None),
        ("unsigned", "silent"),
    ]


def test_a_warning_of_unknown_text_is_not_understood() -> None:
    judged = judge(Log().say("smtpd", "warning: something that nobody has seen before", 101))
    assert judged.not_understood["postfix"] == 1
