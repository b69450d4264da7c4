"""What `tail` shows: lines of text, the status line, objects."""

from __future__ import annotations

import io
import json
from datetime import UTC
from typing import Any

import pytest

from logscan.model import Fault, Message
from logscan.news import FaultNews, MessageNews, News, Standing
from logscan.render.escape import ascii_only
from logscan.render.lines import Paper
from logscan.render.tail import Json, Text, fault_lines, message_lines, span, status_line, summary

AT = 1795507200  # 2026-11-24T08:00:00Z


def message(**fields: Any) -> Message:
    made: dict[str, Any] = {
        "host": "mx", "queue_ids": ["4F2A91C0301"], "first": AT, "last": AT + 2, "direction": "outbound",
        "origin": "smtpd", "client": None, "sasl_username": None, "envelope_sender": "app@example.org",
        "envelope_recipients": ["friend@example.net"], "message_id": "1@example.org", "outcome": "signed",
        "reason": None, "effect": "sent", "signatures": [("example.org", "k1")], "verified": [], "milter": None,
        "detail": None,
    }  # fmt: skip
    return Message(**(made | fields))


UNSIGNED = {"outcome": "unsigned", "reason": "no-signing-table-match", "signatures": []}
FAULT = Fault(
    "milter-unreachable", "error", "mx", "inet:127.0.0.1:8891", AT, AT, count=1, ongoing=True,
    meaning="Nobody listens on inet:127.0.0.1:8891.", fix="systemctl status opendkim; ss -ltnp | grep 8891",
)  # fmt: skip


def text_of(*news: News, width: int | None = None, terminal: bool = False, color: bool = False) -> str:
    out = io.StringIO()
    shown = Text(
        out, UTC, lambda text: None, terminal=terminal, color=color,
        width=None if width is None else lambda: width,
    )  # fmt: skip
    shown.news(news)
    return out.getvalue()


def one(**fields: Any) -> str:
    return text_of(MessageNews(AT + 9, message(**fields)))


# --- plain lines ------------------------------------------------------------------------------------------------------


def test_a_message_is_one_line_with_its_whole_date() -> None:
    assert one() == (
        "2026-11-24 08:00:00 signed        4F2A91C0301  app@example.org -> friend@example.net  example.org/k1\n"
    )
    assert one(**UNSIGNED, effect="deferred").endswith(
        " unsigned      4F2A91C0301  app@example.org -> friend@example.net  no-signing-table-match  deferred\n"
    )


@pytest.mark.parametrize(
    ("fields", "ending"),
    [
        ({"signatures": [("a.example", "x"), ("b.example", "y")]}, "  a.example/x  b.example/y"),
        ({"envelope_recipients": ["a@example.net", "b@example.net", "c@example.net"]}, "-> a@example.net +2  example.org/k1"),
        ({"envelope_sender": None, "envelope_recipients": []}, "  ? -> -  example.org/k1"),
        (
            {"outcome": "milter-error", "reason": "connect-refused", "milter": "inet:[::1]:8891", "effect": "tempfailed"},
            "  connect-refused inet:[::1]:8891  tempfailed",
        ),
        ({"outcome": "undecided", "reason": "in-transit", "effect": "in-transit"}, "  in-transit"),
        ({"outcome": "pass", "direction": "inbound", "verified": [("d.example", "s", "pass")]}, "  d.example/s"),
        ({"outcome": "pass", "direction": "inbound", "verified": [(None, None, "pass")]}, "-> friend@example.net"),
        ({"outcome": "fail", "direction": "inbound", "reason": "body-altered"}, "  body-altered"),
        ({"outcome": "unchecked", "direction": "bounce", "envelope_sender": ""}, "  <> -> friend@example.net  bounce"),
        ({"outcome": "undecided", "direction": "unknown"}, "  direction unknown"),
        ({"outcome": "milter-error", "direction": "inbound", "reason": "key"}, "  key  incoming"),
        ({"queue_ids": [], "outcome": "milter-error", "reason": "connect-refused"}, "-> friend@example.net  connect-refused"),
    ],
)  # fmt: skip
def test_what_a_line_says(fields: dict[str, Any], ending: str) -> None:
    line = one(**fields)
    assert line.endswith(ending + "\n") and line.count("\n") == 1


def test_a_verdict_that_changed_says_so_and_when() -> None:
    line = text_of(MessageNews(AT + 3600, message(**UNSIGNED), ("outbound", "undecided", "success-not-logged")))
    assert line.startswith("2026-11-24 09:00:00 unsigned ")
    assert line.endswith("  no-signing-table-match  (was undecided, success-not-logged)\n")
    line = text_of(MessageNews(AT, message(), ("inbound", "none", None)))
    assert line.endswith("(was incoming none)\n")


def test_a_fault_says_what_to_do_when_it_begins_and_how_long_it_was() -> None:
    assert text_of(FaultNews(AT, "begin", FAULT)).splitlines() == [
        "2026-11-24 08:00:00 error         milter-unreachable: inet:127.0.0.1:8891 on mx",
        "                                  Nobody listens on inet:127.0.0.1:8891.",
        "                                  Fix: systemctl status opendkim",
        "                                       ss -ltnp | grep 8891",
    ]
    over = Fault(**{name: getattr(FAULT, name) for name in FAULT.__slots__} | {"messages_hit": 4, "ongoing": False})
    assert text_of(FaultNews(AT + 761, "end", over)) == (
        "2026-11-24 08:12:41 over          milter-unreachable: inet:127.0.0.1:8891 on mx, after 12 min 41 s, 4 messages hit\n"
    )
    again = Fault("key-unreadable", "error", "mx", "/k", AT, AT + 300, count=31)
    assert text_of(FaultNews(AT + 300, "again", again)) == (
        "2026-11-24 08:05:00 error         key-unreadable: /k on mx, 31 times since 2026-11-24 08:00:00\n"
    )
    started = Fault("opendkim-started", "info", "mx", "", AT, AT, count=1, meaning="It started.", fix="Nothing.")
    assert text_of(FaultNews(AT, "begin", started)) == "2026-11-24 08:00:00 info          opendkim-started on mx\n"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (59, "59 s"), (60, "1 min"), (3599, "59 min 59 s"), (3600, "1 h"), (86400 * 9 + 7200, "9 d 2 h")],
)
def test_spans_in_words(seconds: int, words: str) -> None:
    assert span(seconds) == words


# --- hostile text -------------------------------------------------------------------------------------------------------

HOSTILE = "\x1b]0;owned\x07\x1b[2J\r\n[red]x[/]\u202e\x9b31m\udc80\u2028"


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_log_text_never_moves_the_cursor_or_breaks_the_line(terminal: bool, width: int) -> None:
    hostile = message(
        queue_ids=[HOSTILE], envelope_sender=HOSTILE, envelope_recipients=[HOSTILE] * 2, reason=HOSTILE,
        outcome="milter-error", milter=HOSTILE, signatures=[(HOSTILE, HOSTILE)],
    )  # fmt: skip
    fault = Fault("socket", "error", HOSTILE, HOSTILE, AT, AT, 1, meaning=HOSTILE, fix=HOSTILE)
    shown = text_of(MessageNews(AT, hostile), MessageNews(AT, hostile, ("outbound", "unsigned", HOSTILE)),
                    FaultNews(AT, "begin", fault), FaultNews(AT, "end", fault),
                    terminal=terminal, width=width if terminal else None)  # fmt: skip
    assert shown.isascii()
    assert all(line.isprintable() for line in shown.splitlines())
    assert "\r" not in shown and "\x1b" not in shown
    if not terminal:
        # Two lines for the messages, four for the fault: nothing that a sender wrote makes a line.
        assert shown.count("\n") == 6


def test_objects_are_ascii_and_one_line_each() -> None:
    out = io.StringIO()
    Json(out, UTC, lambda text: None).news([MessageNews(AT, message(envelope_sender=HOSTILE))])
    assert out.getvalue().isascii() and out.getvalue().count("\n") == 1
    assert json.loads(out.getvalue())["envelope_sender"] == HOSTILE


# --- on a terminal ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", range(20, 140))
@pytest.mark.parametrize("fields", [{}, UNSIGNED, {"outcome": "undecided", "reason": "success-not-logged"}])
def test_lines_fit_the_screen(width: int, fields: dict[str, Any]) -> None:
    long = {"envelope_sender": "a" * 40 + "@example.org", "envelope_recipients": ["b" * 64 + "@example.net"] * 12}
    for more in ({}, long):
        news = MessageNews(AT, message(**(fields | more)))
        lines = ["".join(text for text, _ in line) for line in
                 message_lines(news, Paper(width, ascii_only), lambda at: "08:00:00")]  # fmt: skip
        assert "4F2A91C0301" in lines[0] or width < 33
        for line in lines:
            assert len(line.rstrip()) <= max(width, 40), line


def test_at_80_columns_what_is_signed_stays_one_line_and_trouble_gets_a_second() -> None:
    signed, unsigned = MessageNews(AT, message()), MessageNews(AT, message(**UNSIGNED))
    assert text_of(signed, unsigned, terminal=True, width=80).splitlines() == [
        "2026-11-24",
        "08:00:00 signed        4F2A91C0301  app@example.org -> friend@example.net  s=k1",
        "08:00:00 unsigned      4F2A91C0301  app@example.org -> friend@example.net",
        "                       no-signing-table-match",
    ]


def test_at_40_columns_addresses_get_a_line_of_their_own() -> None:
    shown = text_of(MessageNews(AT, message(**UNSIGNED)), FaultNews(AT, "begin", FAULT), terminal=True, width=40)
    assert shown.splitlines() == [
        "2026-11-24",
        "08:00:00 unsigned      4F2A91C0301",
        "  app@example.org -> friend@example.net",
        "  no-signing-table-match",
        "08:00:00 error",
        "  milter-unreachable:",
        "  inet:127.0.0.1:8891 on mx",
        "  Nobody listens on inet:127.0.0.1:8891.",
        "  Fix: systemctl status opendkim",
        "       ss -ltnp | grep 8891",
    ]


def test_the_day_is_said_when_it_changes() -> None:
    days = [MessageNews(AT + at, message(first=AT + at)) for at in (0, 60, 86400)]
    shown = text_of(*days, terminal=True, width=80).splitlines()
    assert [line for line in shown if line.startswith("2026")] == ["2026-11-24", "2026-11-25"]


def test_verdicts_are_coloured() -> None:
    shown = text_of(MessageNews(AT, message()), MessageNews(AT, message(**UNSIGNED)), terminal=True, width=100, color=True)
    assert "\x1b[32msigned      \x1b[0m" in shown and "\x1b[31munsigned    \x1b[0m" in shown
    assert "\x1b" not in text_of(MessageNews(AT, message()), terminal=True, width=100)


def standing(**fields: Any) -> Standing:
    made: dict[str, Any] = {
        "session": {("outbound", "signed", None): 340, ("outbound", "unsigned", "silent"): 3,
                    ("outbound", "milter-error", "key"): 2, ("outbound", "undecided", "log-gap"): 1,
                    ("inbound", "pass", None): 20, ("bounce", "unchecked", None): 2},
        "minute": {"signed": 12, "unsigned": 1}, "fraction": 0.985, "milter": "", "seconds": 761,
    }  # fmt: skip
    return Standing(**(made | fields))


def shown_status(width: int, **fields: Any) -> str:
    return "".join(text for text, _ in status_line(standing(**fields), width))


def test_the_status_line_says_what_there_is_room_for() -> None:
    assert shown_status(120) == (
        "1 min: 12 signed, 1 unsigned | session: 340 signed, 3 unsigned, 2 milter-error, 1 undecided | 98.5 % signed | milter ok"
    )
    assert shown_status(79) == "1 min: 12S 1U | session: 340S 3U 2E 1? | 98.5 % signed | milter ok"
    assert shown_status(39) == "340S 3U 2E 1? | 98.5% | milter ok"
    assert shown_status(39, milter="unreachable", session={("outbound", "signed", None): 4}, minute={}, fraction=1.0) == (
        "1m 0 | 4S | 100.0% | milter unreachable"
    )
    assert shown_status(79, session={}, minute={}, fraction=None, milter=None) == (
        "1 min: no mail | session: no mail | - % signed | milter: no word yet"
    )
    assert shown_status(79, milter="stopped").endswith("| OpenDKIM stopped")


@pytest.mark.parametrize("width", range(140))
@pytest.mark.parametrize("milter", [None, "", "stopped", "unreachable", "protocol"])
def test_the_status_line_never_wraps(width: int, milter: str | None) -> None:
    many = {("outbound", outcome, None): 123456789 for outcome in ("signed", "unsigned", "milter-error", "undecided")}
    assert len(shown_status(width, session=many, milter=milter)) <= width
    assert len(shown_status(width, milter=milter)) <= width


def test_lines_are_written_above_the_status_line_in_one_piece() -> None:
    class Pieces(io.StringIO):
        def __init__(self) -> None:
            super().__init__()
            self.pieces: list[str] = []

        def write(self, text: str) -> int:
            self.pieces.append(text)
            return len(text)

    out, width = Pieces(), 80
    said: list[str] = []
    shown = Text(out, UTC, said.append, terminal=True, width=lambda: width)
    shown.standing(standing())
    status = "1 min: 12S 1U | session: 340S 3U 2E 1? | 98.5 % signed | milter ok"
    assert out.pieces == [f"\r\x1b[J{status}\r"]
    shown.standing(standing())
    assert len(out.pieces) == 1, "nothing changed, nothing is written"
    shown.news([MessageNews(AT, message())])
    assert out.pieces[1].startswith("\r\x1b[J2026-11-24\n08:00:00 signed ") and out.pieces[1].endswith(f"\n{status}\r")
    shown.news([])
    assert len(out.pieces) == 2
    shown.standing(standing(minute={}))
    assert out.pieces[2] == f"\r{status.replace('12S 1U', '0')}\x1b[K\r"
    width = 40
    shown.standing(standing(minute={}))
    assert out.pieces[3] == "\r\x1b[J340S 3U 2E 1? | 98.5% | milter ok\r"
    shown.notice("rotated")
    assert said == ["rotated"] and out.pieces[4:] == ["\r\x1b[J", "\r\x1b[J340S 3U 2E 1? | 98.5% | milter ok\r"]
    shown.end(standing(), 2)
    assert out.pieces[6] == "\r\x1b[J" + summary(standing(), 2) + "\n"


def test_a_pipe_has_no_status_line() -> None:
    out = io.StringIO()
    shown = Text(out, UTC, lambda text: None)
    shown.standing(standing())
    assert out.getvalue() == ""
    shown.end(standing(), 0)
    assert out.getvalue() == (
        "12 min 41 s: 340 signed, 3 unsigned, 2 milter-error, 1 undecided; 98.5 % signed; 20 incoming; 2 bounces\n"
    )


def test_the_last_line_counts_other_mail_than_outgoing() -> None:
    session = {("inbound", "pass", None): 1, ("bounce", "unchecked", None): 1}
    said = summary(standing(session=session, fraction=None), 0)
    assert said == "12 min 41 s: no outgoing mail; 1 incoming; 1 bounce"
    assert summary(standing(session={}, fraction=None), 0) == "12 min 41 s: no mail"


# --- objects ------------------------------------------------------------------------------------------------------------


def test_objects() -> None:
    class Flushed(io.StringIO):
        flushes = 0

        def flush(self) -> None:
            self.flushes += 1

    out = Flushed()
    shown = Json(out, UTC, lambda text: None)
    shown.news([MessageNews(AT, message()), FaultNews(AT, "begin", FAULT)])
    shown.news([MessageNews(AT, message(), ("outbound", "undecided", "in-transit"))])
    shown.standing(standing())
    shown.end(standing(), 3)
    assert out.flushes == 3
    told, fault, changed, last = map(json.loads, out.getvalue().splitlines())
    assert list(told)[:3] == ["event", "host", "queue_ids"] and told["event"] == "message"
    assert told["first"] == "2026-11-24T08:00:00+00:00" and told["signatures"] == [{"signing_domain": "example.org", "selector": "k1"}]
    assert list(fault)[:3] == ["event", "phase", "kind"] and (fault["event"], fault["phase"]) == ("fault", "begin")
    assert fault["fix"] == FAULT.fix and fault["ongoing"] is True
    assert changed["event"] == "changed"
    assert changed["was"] == {"direction": "outbound", "outcome": "undecided", "reason": "in-transit"}
    assert last["event"] == "summary" and last["in_transit"] == 3 and last["signed_fraction"] == 0.985
    assert last["totals"]["outbound"] == {"messages": 346, "signed": 340, "unsigned": 3, "milter_error": 2, "undecided": 1}
    assert last["totals"]["inbound"]["pass"] == 20 and last["totals"]["bounce"] == {"messages": 2}


def test_fault_lines_at_any_width() -> None:
    for width in range(20, 120):
        for phase in ("begin", "again", "end"):
            news = FaultNews(AT + 99, phase, FAULT)  # type: ignore[arg-type]
            for line in fault_lines(news, Paper(width, ascii_only), lambda at: "08:00:00"):
                assert len("".join(text for text, _ in line).rstrip()) <= width
