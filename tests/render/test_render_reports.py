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


def test_a_narrow_screen_wraps_prose_and_cuts_no_command() -> None:
    doc = docs.problems()
    doc["faults"] = [docs.fault(meaning="short words " * 20, fix="postconf -e milter_default_action=tempfail")]
    made = terminal.report(doc, width=40, color=False).splitlines()
    prose = [line for line in made if "short words" in line]
    assert prose and max(map(len, prose)) <= 40
    assert any(line.endswith("milter_default_action=tempfail") for line in made)


def test_a_long_heading_takes_two_lines() -> None:
    doc = docs.problems()
    doc["why"] = [dict(docs.problems()["why"][0], cause="a-cause-" * 7, reason="r")]
    made = text.report(doc)
    heading = made[made.index("Why unsigned") :].split("\n  ")[0]
    assert heading.startswith("Why unsigned: ") and heading.endswith(",\n" + "a-cause-" * 7)


def test_a_time_has_its_date_unless_the_report_is_of_one_day() -> None:
    doc = docs.problems()
    day = doc["window"]["first"][:10]
    for message in doc["messages"]:
        message["first"] = f"{day}{message['first'][10:]}"
    assert f"  {day[5:]} " not in text.report(doc)
    doc["window"]["last"] = doc["window"]["last"].replace(day, "2026-11-26")
    assert f"  {day[5:]} " in text.report(doc)


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


def test_several_hosts_are_told_apart_without_being_asked_for() -> None:
    doc = docs.problems()
    one = {"host": "mx1", "signed": 3, "unsigned": 1, "milter_error": 0, "undecided": 0}
    doc["by_host"] = [one]
    assert "\nHosts\n" not in text.report(doc)
    doc["by_host"] = [one, {**one, "host": "mx2"}]
    assert "\nHosts\n" in text.report(doc)
    assert "\nHosts\n" not in text.report(doc, by=["domain"])


def test_events_are_in_the_order_of_the_times_shown() -> None:
    doc = docs.problems()
    stop = docs.fault(kind="opendkim-stopped", severity="info", first=docs.at("11:02:35"), last=docs.at("11:02:35"))
    start = docs.fault(kind="opendkim-started", severity="info", first=docs.at("08:00:00"), last=docs.at("11:24:30"))
    doc["faults"] = [start, stop]
    events = text.report(doc).partition("\nEvents\n")[2]
    assert events.index("opendkim-stopped") < events.index("opendkim-started")


def test_mail_of_unknown_direction_is_not_passed_over_for_want_of_outgoing_mail() -> None:
    doc = docs.healthy()
    doc["totals"]["outbound"] = dict.fromkeys(doc["totals"]["outbound"], 0)
    doc["totals"]["unknown"] = {"messages": 20}
    doc["signed_fraction"] = None
    made = text.report(doc)
    assert made.splitlines()[0].endswith(": no outgoing messages, 20 of unknown direction")
    assert "--our-domain" in made and "--opendkim-conf" in made
    assert "--our-domain" not in text.report(docs.healthy())


def test_many_hours_become_days_and_long_tables_end() -> None:
    doc = docs.problems()
    doc["by_hour"] = [
        docs.hour(h, signed=1) | {"hour": f"2026-11-{d:02}T{h:02}:00:00+01:00"} for d in range(1, 31) for h in range(24)
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


# What may stand in a report, and with which attributes: nothing here can load or run anything.
_ELEMENTS = {
    "html": {"lang"}, "head": set(), "title": set(), "style": set(), "body": set(), "meta": {"charset", "name", "content",
    "http-equiv"}, "h1": {"class"}, "h2": set(), "p": {"class"}, "section": {"id"}, "div": {"class"}, "figure": set(),
    "figcaption": {"class"}, "span": {"class"}, "i": {"class"}, "strong": set(), "code": set(), "pre": set(),
    "table": set(), "thead": set(), "tbody": set(), "tr": set(), "th": {"scope", "class"}, "td": {"class"},
    "svg": {"viewbox", "preserveaspectratio", "role", "aria-label"}, "g": set(), "rect": {"class", "x", "y", "width",
    "height"}, "path": {"class", "d"},
}  # fmt: skip
_VOID = {"meta"}
_INSIDE = {
    "tr": {"thead", "tbody"}, "th": {"tr"}, "td": {"tr"}, "thead": {"table"}, "tbody": {"table"}, "rect": {"g"},
    "g": {"svg"}, "path": {"svg"}, "h2": {"section"}, "table": {"div"}, "figcaption": {"figure"},
    "p": {"body", "section", "div", "figure"}, "pre": {"div"}, "code": {"p", "h1"}, "i": {"span"},
}  # fmt: skip


class _Seen(HTMLParser):
    """Fails at what is not well-formed or not expected; keeps the visible text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert set(names) <= _ELEMENTS[tag] and len(set(names)) == len(names)
        assert all(value and not re.search("https?:|javascript:|url\\(", value) for _, value in attrs)
        assert tag not in _INSIDE or self.open[-1] in _INSIDE[tag]
        self.ids += [str(value) for name, value in attrs if name == "id"]
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "style":
            assert not re.search("https?:|url\\(|@import|expression", data)
        self.text += data


@pytest.mark.parametrize("name", NAMES)
def test_html_is_well_formed_and_runs_or_loads_nothing(name: str) -> None:
    made = html.report(docs.ALL[name]())
    seen = _Seen()
    seen.feed(made)
    seen.close()
    assert not seen.open and len(set(seen.ids)) == len(seen.ids)
    assert made.startswith("<!DOCTYPE html>\n") and made.count("<html") == made.count("</html>") == 1
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\u200b]", made)
    # No entity is left half-escaped, and what looks like a tag in the log is text.
    assert not re.search(r"&(?!(?:amp|lt|gt|quot|nbsp|#x27);)", made)
    assert "<script" not in made
    assert ("<script>alert" in seen.text) == (name == "hostile")
    if name != "hostile":
        assert "http:" not in made and "https:" not in made


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_html_text_stands_out_from_its_ground_in_light_and_dark(scheme: str) -> None:
    """Contrast of 4.5 and more, as the web's guidelines ask for text."""
    light, dark = html._STYLE.split("@media (prefers-color-scheme: dark)")
    rules: dict[str, str] = {}
    for names, body in re.findall(r"([^{}]+)\{([^{}]*)\}", light + (dark if scheme == "dark" else "")):
        for name in names.split(","):
            rules[name.strip()] = rules.get(name.strip(), "") + f" {' '.join(body.split())}"

    def colour(rule: str, what: str) -> str:
        return re.findall(rf"(?:^|[ ;]){what}: (#[0-9a-f]{{3,6}});", rules[rule])[-1]  # the last one holds

    for ground in (colour("body", "background"), colour(".fault", "background")):
        for name in (".good", ".bad", ".unsure", ".quiet", ".zero", "body"):
            assert _contrast(colour(name, "color"), ground) >= 4.5, (name, ground)


def _contrast(one: str, other: str) -> float:
    bright = sorted((_luminance(one), _luminance(other)))
    return (bright[1] + 0.05) / (bright[0] + 0.05)


def _luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_html_shows_every_outcome_of_an_hour_however_rare() -> None:
    doc = docs.healthy()
    doc["by_hour"] = [docs.hour(0, signed=100_000, unsigned=1), docs.hour(1, signed=1), docs.hour(2)]
    made = html.report(doc)
    bars = [
        [float(height) for height in re.findall(r'height="([\d.]+)"', bar)] for bar in re.findall("<g>.*</g>", made)
    ]
    assert len(bars) == 2
    assert bars[0][1] >= 2 and bars[1][0] >= 2
    assert all(0 < sum(heights) <= 100 for heights in bars)
    tops = [float(y) for y in re.findall(r'y="([\d.]+)"', made)]
    assert min(tops) >= 0


def test_html_draws_the_hours() -> None:
    made = html.report(docs.problems())
    assert made.count("<svg") == 1
    assert "20:00: 100 signed, 5 unsigned, 21 undecided" in made
    assert "<svg" not in html.report(docs.empty())


def test_csv_holds_the_lines_to_write() -> None:
    rows = {tuple(row[:5]): row[5] for row in stdcsv.reader(io.StringIO(csv.report(docs.problems())))}
    reason = "no-signing-table-match"
    assert rows["why", reason, reason, "", "messages"] == "11"
    assert rows["why", reason, reason, "shop.example.org", "line"].startswith("*@shop.example.org k2026.")
