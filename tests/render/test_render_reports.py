"""Whole reports: what they look like, and that text from a log stays text in every format."""

from __future__ import annotations

import copy
import csv as stdcsv
import io
import json as stdjson
import re
from collections.abc import Callable
from html.parser import HTMLParser

import docs
import pytest
from rich.cells import cell_len

from logscan.render import csv, html, json, markdown, terminal, text
from logscan.render.layout import BY

Compare = Callable[[str, str], None]
NAMES = list(docs.ALL)
FORMATS: dict[str, Callable[[docs.Doc], str]] = {
    "text": text.report,
    "terminal": lambda doc: terminal.report(doc, width=100, color=False),
    "colour": lambda doc: terminal.report(doc, width=100, color=True),
    "json": json.report,
    "csv": csv.report,
    "markdown": markdown.report,
    "html": html.report,
}


@pytest.mark.parametrize("name", NAMES)
def test_text_at_80_columns_is_as_expected(name: str, expected: Compare) -> None:
    expected(f"{name}.80.txt", text.report(docs.ALL[name]()))


@pytest.mark.parametrize("name", [name for name in NAMES if name != "hostile"])
def test_terminal_at_100_columns_is_as_expected(name: str, expected: Compare) -> None:
    expected(f"{name}.100.txt", terminal.report(docs.ALL[name](), width=100, color=False))


def test_markdown_is_as_expected(expected: Compare) -> None:
    expected("problems.md.txt", markdown.report(docs.problems()))


@pytest.mark.parametrize("width", [60, 72, 80, 100, 200])
@pytest.mark.parametrize("name", NAMES)
def test_text_is_ascii_and_never_wider_than_asked(name: str, width: int) -> None:
    made = text.report(docs.ALL[name](), width=width)
    assert made.isascii()
    assert not re.search(r"[^\n\x20-\x7e]", made)
    assert max(map(len, made.split("\n"))) <= width
    assert made.endswith("\n") and not made.endswith("\n\n")


@pytest.mark.parametrize("width", [60, 80, 100, 200])
@pytest.mark.parametrize("name", NAMES)
def test_terminal_is_never_wider_than_the_screen(name: str, width: int) -> None:
    made = terminal.report(docs.ALL[name](), width=width, color=False)
    assert max(map(cell_len, made.split("\n"))) <= width
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\u200b]", made)


@pytest.mark.parametrize("name", NAMES)
def test_colour_adds_nothing_but_colours(name: str) -> None:
    plain = terminal.report(docs.ALL[name](), width=100, color=False)
    colored = terminal.report(docs.ALL[name](), width=100, color=True)
    assert colored != plain
    assert re.sub(r"\x1b\[[0-9;]*m", "", colored) == plain


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("name", NAMES)
def test_same_report_gives_same_bytes_and_is_left_alone(name: str, format: str) -> None:
    doc = docs.ALL[name]()
    before = copy.deepcopy(doc)
    first = FORMATS[format](doc)
    assert first == FORMATS[format](doc)
    assert doc == before
    first.encode("utf-8")


def test_verdict_is_the_first_line_and_names_what_is_wrong() -> None:
    first = text.report(docs.problems()).split("\n")[0]
    assert first.startswith("mx.example.org 2026-11-23: 12 unsigned, 9 milter errors")


def test_no_fraction_is_said_as_cannot_tell_with_the_setting_that_tells() -> None:
    made = text.report(docs.cannot_tell())
    assert "cannot tell" in made.split("\n")[0]
    assert "SyslogSuccess yes" in made
    assert "%" not in made


def test_almost_all_signed_is_not_all() -> None:
    doc = docs.problems()
    doc["signed_fraction"] = 99999 / 100000
    assert "99.9 % of" in text.report(doc).replace("\n  ", " ")


def test_without_hosts_the_verdict_begins_with_the_day() -> None:
    doc = docs.healthy()
    del doc["hosts"]
    assert text.report(doc).startswith("2026-11-23: all ")


@pytest.mark.parametrize(
    ("since", "until", "said"),
    [
        (docs.at("00:00:00"), docs.at("00:00:00", "2026-11-25"), "2026-11-23 to 2026-11-24"),
        (docs.at("14:00:00"), docs.at("16:30:00"), "2026-11-23 14:00 to 16:30"),
        (docs.at("14:00:00"), None, "from 2026-11-23 14:00"),
        (None, None, "2026-11-23"),
    ],
)
def test_verdict_names_the_window(since: str | None, until: str | None, said: str) -> None:
    doc = docs.healthy()
    doc["window"] |= {"since": since, "until": until}
    assert text.report(doc).startswith(f"mx.example.org {said}: ")


@pytest.mark.parametrize("by", [key for key in BY if key != "host"])
def test_by_shows_only_the_table_asked_for(by: str) -> None:
    made = text.report(docs.problems(), by=[by])
    titles = {
        "direction": "Mail",
        "domain": "Sender domains",
        "signature": "Signatures",
        "reason": "Reasons",
        "hour": "Outgoing messages by hour",
    }
    shown = [key for key, title in titles.items() if f"\n{title}\n" in made]
    assert shown == [by]
    assert "\nFaults\n" in made


def test_many_hours_become_days_and_long_tables_end() -> None:
    doc = docs.problems()
    doc["by_hour"] = [
        docs.hour(h, signed=1) | {"hour": f"2026-11-{d:02}T{h:02}:00:00+01:00"}
        for d in range(1, 31)
        for h in range(24)
    ]
    doc["by_domain"] = [docs.domain(f"d{n}.example.org", signed=1) for n in range(500)]
    made = text.report(doc)
    assert "Outgoing messages by day" in made
    assert re.search(r"2026-11-30 +24 ", made)
    assert "and 480 more" in made


def test_numbers_are_never_cut() -> None:
    assert "1,000,000,000,000" in text.report(docs.hostile(), width=60)


def test_json_is_the_report_itself() -> None:
    doc = docs.hostile()
    made = json.report(doc)
    assert made.isascii()
    assert stdjson.loads(made) == doc
    assert json.line({"a": "\u2028"}) == '{"a":"\\u2028"}\n'


def test_csv_is_one_table_without_formulas_or_control_characters() -> None:
    rows = list(stdcsv.reader(io.StringIO(csv.report(docs.hostile()), newline="")))
    assert rows[0] == list(csv.HEADER)
    assert {len(row) for row in rows} == {6}
    cells = [cell for row in rows for cell in row]
    assert not [cell for cell in cells if cell.lstrip().startswith(("=", "+", "-", "@", "\t", "\r"))]
    assert not [cell for cell in cells if not cell.isprintable()]


def test_csv_holds_every_number_of_the_report() -> None:
    rows = {tuple(row[:5]): row[5] for row in stdcsv.reader(io.StringIO(csv.report(docs.problems())))}
    assert rows["totals", "outbound", "", "", "unsigned"] == "12"
    assert rows["by_domain", "shop.example.org", "", "", "unsigned"] == "7"
    assert rows["by_reason", "outbound", "unsigned", "not-internal", "messages"] == "1"
    assert rows["faults", "milter-unreachable", "mx.example.org", "inet:127.0.0.1:8891", "count"] == "9"
    assert rows["messages", "mx.example.org", "4F2A91C03B7", docs.at("03:12:07"), "effect"] == "tempfailed"


def test_markdown_tables_keep_their_cells_and_hold_no_markup_of_the_log() -> None:
    made = markdown.report(docs.hostile())
    assert "\x1b" not in made and "<script" not in made and "http://" not in made and "www." not in made
    assert "`" not in made.replace("\\`", "")
    for table in re.findall(r"(?:^\|.*\n)+", made, flags=re.MULTILINE):
        assert len({line.count("|") for line in table.splitlines()}) == 1


class _Seen(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.open: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [
            str(value) for name, value in attrs if name in ("href", "src") or name.startswith("on")
        ]
        if tag not in ("meta",):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)


@pytest.mark.parametrize("name", NAMES)
def test_html_is_well_formed_and_runs_or_loads_nothing(name: str) -> None:
    made = html.report(docs.ALL[name]())
    seen = _Seen()
    seen.feed(made)
    assert not seen.open and not seen.links
    assert not seen.tags & {"script", "a", "img", "link", "iframe", "object", "base", "form"}
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\u200b]", made)
    # Without quotes a value of the log could add attributes.
    assert "<script>alert" not in made


def test_html_draws_the_hours() -> None:
    made = html.report(docs.problems())
    assert made.count("<svg") == 1
    assert "20:00: 100 signed, 5 unsigned, 21 undecided" in made
    assert "<svg" not in html.report(docs.empty())
