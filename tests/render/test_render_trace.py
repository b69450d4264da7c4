"""Traces on the screen: whole, and that text from a log stays text."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from builder import NOW, OPENDKIM, STRANGER, Log
from rich.cells import cell_len

from logscan.job import Options
from logscan.render import json, trace
from logscan.trace import run_trace

Compare = Callable[[str, str], None]
ONE, TWO = "4F2A91C0301", "4F2A91C0302"
SITUATIONS = Path(__file__).parent.parent / "data" / "situations"


def unsigned() -> Log:
    log = Log().mail(ONE, "no signing table match for 'news@lists.example.org'", sender="news@lists.example.org")
    return log.wait(4000).mail(TWO, "+", sender="news@lists.example.org", sasl="news", client=STRANGER)


def milter_down() -> Log:
    log = Log().mail(ONE, "+").wait(60).connect()
    log.smtpd(f"warning: connect to Milter service {OPENDKIM}: Connection refused").client(TWO, sasl="app")
    return log.named(TWO).queued(TWO).sent(TWO).wait(86400).removed(TWO).disconnect()


def hostile() -> Log:
    """Escape sequences, markup, a right-to-left override, a formula, and a word without end."""
    nasty = "\x1b]0;owned\x07[red]<script>alert(1)</script>\u202e=cmd|'/C'!A0 \x9b31m"
    log = Log().mail(ONE, f"can't parse From: header value '{nasty}'", message_id=nasty, sender=f'"{nasty}"@example.org')
    return log.sent(ONE, "x" * 300 + "@example.net", told="250 " + "y" * 5000 + nasty)


def doc(log: Log | str, word: str, tmp_path: Path) -> dict[str, Any]:
    path = SITUATIONS / f"{log}.log" if isinstance(log, str) else tmp_path / "maillog"
    if isinstance(log, Log):
        path.write_bytes(log.syslog())
    asked = Options(logs=[str(path)], timezone="UTC")
    return run_trace(word, asked, limit=10, warn=lambda _: None, now=NOW).doc


MADE: dict[str, Callable[[Path], dict[str, Any]]] = {
    "unsigned": lambda path: doc(unsigned(), "news@lists.example.org", path),
    "milter_down": lambda path: doc(milter_down(), TWO, path),
    "filter": lambda path: doc("filter_signed_after", ONE, path),
    "retries": lambda path: doc("pickup_again_same_message_id", ONE, path),
    "key": lambda path: doc("key_missing", ONE, path),
    "hostile": lambda path: doc(hostile(), ONE, path),
}


@pytest.mark.parametrize("name", MADE)
def test_a_trace_at_80_columns_is_as_expected(name: str, expected: Compare, tmp_path: Path) -> None:
    expected(f"trace_{name}.80.txt", trace.text(MADE[name](tmp_path)))


@pytest.mark.parametrize("width", [60, 80, 132, 200])
@pytest.mark.parametrize("name", MADE)
def test_a_trace_is_never_wider_than_asked_and_holds_no_control(name: str, width: int, tmp_path: Path) -> None:
    made = MADE[name](tmp_path)
    plain = trace.text(made, width=width)
    assert plain.isascii() and not re.search(r"[^\n\x20-\x7e]", plain)
    assert max(map(len, plain.split("\n"))) <= width
    screen = trace.terminal(made, width=width, color=False)
    assert max(map(cell_len, screen.split("\n"))) <= width
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\u200b]", screen)
    colored = trace.terminal(made, width=width, color=True)
    assert colored != screen and re.sub(r"\x1b\[[0-9;]*m", "", colored) == screen


@pytest.mark.parametrize("name", MADE)
def test_nothing_of_a_step_is_lost_where_it_is_broken(name: str, tmp_path: Path) -> None:
    made = MADE[name](tmp_path)
    flat = re.sub(r"[\s]+", "", trace.text(made))
    for message in made["messages"]:
        for step in message["steps"]:
            if step["text"].isascii() and step["text"].isprintable() and len(step["text"]) < 1500:
                assert re.sub(r"\s+", "", f"{step['program']}[{step['pid']}]:{step['text']}") in flat


def test_markup_of_a_sender_is_shown_and_json_is_ascii(tmp_path: Path) -> None:
    made = MADE["hostile"](tmp_path)
    shown = trace.terminal(made, width=200, color=True)
    assert "[red]<script>alert(1)</script>" in shown
    assert "\x1b]0" not in shown and "\\x1b]0;owned\\x07" in shown
    assert json.report(made).isascii()
