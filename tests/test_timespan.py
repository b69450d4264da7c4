"""Words and dates of the command line."""

from __future__ import annotations

import pickle
import shutil
import zoneinfo
from datetime import UTC, date, datetime, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import tzdata
from hypothesis import given, settings
from hypothesis import strategies as st

from logscan import timespan
from logscan.errors import TimeError, UsageError
from logscan.model import Window
from logscan.timespan import day_window, parse_date, parse_time, window, zone

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 24, 7, 54, 29, 600000, tzinfo=BERLIN)  # a Tuesday


def read(text: str, now: datetime = NOW) -> str:
    at = parse_time(text, now=now, option="--since")
    return datetime.fromtimestamp(at, now.tzinfo).isoformat()


def refused(text: str) -> str:
    with pytest.raises(TimeError) as caught:
        parse_time(text, now=NOW, option="--since")
    assert (caught.value.option, caught.value.text) == ("--since", text)
    return caught.value.hint


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", "2026-11-24T07:54:29+01:00"),
        ("today", "2026-11-24T00:00:00+01:00"),
        ("yesterday", "2026-11-23T00:00:00+01:00"),
        ("Tomorrow", "2026-11-25T00:00:00+01:00"),
        ("yesterday 14:00", "2026-11-23T14:00:00+01:00"),
        ("2 hours ago", "2026-11-24T05:54:29+01:00"),
        ("an hour ago", "2026-11-24T06:54:29+01:00"),
        ("1h30m ago", "2026-11-24T06:24:29+01:00"),
        ("1 day, 2 hours and 3 min ago", "2026-11-23T05:51:29+01:00"),
        ("-90min", "2026-11-24T06:24:29+01:00"),
        ("+1h", "2026-11-24T08:54:29+01:00"),
        ("-2 weeks", "2026-11-10T07:54:29+01:00"),
        ("-1M", "2026-10-24T07:54:29+02:00"),
        ("1 year ago", "2025-11-24T07:54:29+01:00"),
        ("@1700000000", "2023-11-14T23:13:20+01:00"),
        ("2026-11-23", "2026-11-23T00:00:00+01:00"),
        ("20261123", "2026-11-23T00:00:00+01:00"),
        ("2026/11/23", "2026-11-23T00:00:00+01:00"),
        ("2026-11-23 14:00", "2026-11-23T14:00:00+01:00"),
        ("2026-11-23 14:00:05.9", "2026-11-23T14:00:05+01:00"),
        ("2026-07-01T14:00", "2026-07-01T14:00:00+02:00"),
        ("2026-11-23T14:00:00Z", "2026-11-23T15:00:00+01:00"),
        ("2026-11-23 14:00 UTC", "2026-11-23T15:00:00+01:00"),
        ("2026-11-23T14:00:00+09:00", "2026-11-23T06:00:00+01:00"),
        ("2026-11-23T14:00:00.123456-0500", "2026-11-23T20:00:00+01:00"),
        ("14:00", "2026-11-24T14:00:00+01:00"),
        ("2:30pm", "2026-11-24T14:30:00+01:00"),
        ("Nov 23", "2026-11-23T00:00:00+01:00"),
        ("Nov  4 03:02:01", "2026-11-04T03:02:01+01:00"),
        ("23 november", "2026-11-23T00:00:00+01:00"),
        ("Sep 3rd, 14:00", "2026-09-03T14:00:00+02:00"),
        ("Nov 23 2024", "2024-11-23T00:00:00+01:00"),
        ("Mon Nov 23 14:00:00 2026", "2026-11-23T14:00:00+01:00"),
        ("Mon, 23 Nov 2026 14:00:00 +0100", "2026-11-23T14:00:00+01:00"),
    ],
)
def test_times_are_read_as_journalctl_users_expect(text: str, expected: str) -> None:
    assert read(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Nov 24", "2026-11-24"),
        ("Nov 25", "2025-11-25"),
        ("Dec 31 23:00", "2025-12-31"),
        ("Feb 29", "2024-02-29"),
        ("tuesday", "2026-11-24"),
        ("Mon", "2026-11-23"),
        ("wednesday", "2026-11-18"),
    ],
)
def test_a_date_without_a_year_is_the_last_one_that_is_not_in_the_future(text: str, expected: str) -> None:
    assert read(text)[:10] == expected


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "7", "2026", "-5", "+", "ago", "garbage", "Nov", "Nov 2026", "Nov 23 26", "1/2/2026",
        "23.11.2026", "2026-11", "2026-02-30", "Feb 30", "25:00", "2026-11-23 14", "14h 3", "1969-01-01",
        "2262-01-02", "00000000", "99999999 years ago", "999999999 weeks ago", "-1h ago", "2026-11-23 9:00 X",
        "9" * 5000, "\0", "today\0", "@99999999999", "@-1", "10 hours and", "2026-11-23T14:00:00+99:99",
    ],
)  # fmt: skip
def test_what_would_have_to_be_guessed_is_refused(text: str) -> None:
    assert "a date like 2026-06-01 works" in refused(text)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("yesteday", "yesterday"),
        ("tomorow 14:00", "tomorrow 14:00"),
        ("2 huors ago", "2 hours ago"),
        ("2 hours", "2 hours ago"),
        ("Febuary 3", "february 3"),
        ("mondy", "monday"),
    ],
)
def test_the_nearest_valid_words_are_suggested(text: str, meant: str) -> None:
    assert refused(text) == f"did you mean {meant!r}? a date like 2026-06-01 works too"


def test_the_message_is_the_one_of_the_style_guide() -> None:
    with pytest.raises(TimeError) as caught:
        window("yesteday", None, NOW)
    assert str(caught.value) == (
        "--since 'yesteday': not a time; did you mean 'yesterday'? a date like 2026-06-01 works too"
    )


@settings(max_examples=60, deadline=None)
@given(
    st.text(max_size=60)
    | st.from_regex(r"[-+@]?[0-9]{0,12}[:/. -]?[a-zA-Z]{0,9}( [0-9:]{0,8})?", fullmatch=True)
)
def test_any_text_is_a_time_or_a_time_error(text: str) -> None:
    try:
        at = parse_time(text, now=NOW, option="--since")
    except TimeError:
        return
    assert datetime.fromtimestamp(at, UTC)


@pytest.mark.parametrize(
    ("day", "hours"), [(date(2026, 3, 29), 23), (date(2026, 10, 25), 25), (date(2026, 11, 23), 24)]
)
def test_a_day_is_midnight_to_midnight_when_the_clocks_change(day: date, hours: int) -> None:
    span = day_window(day, BERLIN)
    assert span.since is not None and span.until is not None
    assert span.until - span.since == hours * 3600


def test_yesterday_is_the_local_midnight_on_the_day_after_a_change() -> None:
    assert read("yesterday", datetime(2026, 3, 30, 12, tzinfo=BERLIN)) == "2026-03-29T00:00:00+01:00"
    assert read("today", datetime(2026, 3, 29, 12, tzinfo=BERLIN)) == "2026-03-29T00:00:00+01:00"
    assert read("tomorrow", datetime(2026, 3, 29, 1, tzinfo=BERLIN)) == "2026-03-30T00:00:00+02:00"


def test_hours_ago_are_hours_on_the_day_of_a_change() -> None:
    assert read("2 hours ago", datetime(2026, 3, 29, 4, tzinfo=BERLIN)) == "2026-03-29T01:00:00+01:00"
    assert read("-24h", datetime(2026, 10, 26, 0, tzinfo=BERLIN)) == "2026-10-25T01:00:00+02:00"


def test_a_time_that_is_skipped_or_comes_twice() -> None:
    assert read("2026-03-29 02:30") == "2026-03-29T03:30:00+02:00"
    assert read("2026-10-25 02:30") == "2026-10-25T02:30:00+02:00"
    # Midnight itself is skipped here: the day begins at one.
    beirut = datetime(2026, 4, 1, tzinfo=ZoneInfo("Asia/Beirut"))
    assert read("2026-03-29", beirut) == "2026-03-29T01:00:00+03:00"


def test_window_is_open_where_nothing_is_given() -> None:
    assert window(None, None, NOW) == Window()
    assert window("@100", None, NOW) == Window(100, None)
    assert window(None, "@100", NOW) == Window(None, 100)
    assert window("@100", "@200", NOW) == Window(100, 200)


@pytest.mark.parametrize("until", ["@100", "@99", "2 days ago"])
def test_an_empty_window_is_refused(until: str) -> None:
    with pytest.raises(UsageError) as caught:
        window("@100" if until.startswith("@") else "today", until, NOW)
    assert caught.value.subject == f"--until {until!r}"


def test_until_without_a_year_follows_since() -> None:
    span = window("Nov 20", "Nov 26", NOW)
    assert span == window("2026-11-20", "2026-11-26", NOW)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("today", date(2026, 11, 24)),
        ("yesterday", date(2026, 11, 23)),
        ("2026-06-01", date(2026, 6, 1)),
        ("Nov 25", date(2025, 11, 25)),
        ("2026-11-23T23:30:00Z", date(2026, 11, 24)),
    ],
)
def test_the_date_of_daily(text: str, expected: date) -> None:
    assert parse_date(text, NOW) == expected


def test_a_bad_date_names_its_flag() -> None:
    with pytest.raises(TimeError, match="--date 'tody': not a time; did you mean 'today'"):
        parse_date("tody", NOW)


def test_a_zone_by_name() -> None:
    assert zone("Europe/Berlin") is BERLIN


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("Europe/Berln", "did you mean 'Europe/Berlin'?"),
        ("berlin", "did you mean 'Europe/Berlin'?"),
        ("qqq", "names are like Europe/Berlin or UTC"),
        ("", "names are like Europe/Berlin or UTC"),
        ("../../etc/passwd", "names are like Europe/Berlin or UTC"),
    ],
)
def test_an_unknown_zone_is_refused(name: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        zone(name)
    assert (caught.value.problem, caught.value.hint) == ("not a time zone", hint)


def offsets(found: tzinfo) -> list[float]:
    months = (datetime(2026, month, 1, tzinfo=found).utcoffset() for month in (1, 7))
    return [offset.total_seconds() / 3600 for offset in months if offset is not None]


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        ("Europe/Berlin", [1, 2]),
        (":Europe/Berlin", [1, 2]),
        ("CET-1CEST,M3.5.0,M10.5.0/3", [1, 2]),
        ("JST-9", [9, 9]),
        ("", [0, 0]),
        ("/nowhere", [0, 0]),
    ],
)
def test_the_machines_zone_honours_tz(
    variable: str, expected: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", variable)
    assert offsets(zone(None)) == expected


def test_the_machines_zone_is_etc_localtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TZ", raising=False)
    folder = tmp_path / "zoneinfo" / "Asia"
    folder.mkdir(parents=True)
    (folder / "Tokyo").touch()
    (tmp_path / "localtime").symlink_to(folder / "Tokyo")
    assert timespan._machine_zone(tmp_path / "localtime") == ZoneInfo("Asia/Tokyo")
    assert timespan._machine_zone(tmp_path / "none") is UTC


def test_a_copied_localtime_is_read_and_can_be_pickled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    roots = [*map(Path, zoneinfo.TZPATH), Path(tzdata.__path__[0]) / "zoneinfo"]
    source = next(root / "Asia/Tokyo" for root in roots if (root / "Asia/Tokyo").exists())
    shutil.copyfile(source, tmp_path / "localtime")
    monkeypatch.setenv("TZ", str(tmp_path / "localtime"))
    found = zone(None)
    assert offsets(found) == [9, 9]
    assert offsets(pickle.loads(pickle.dumps(found))) == [9, 9]
