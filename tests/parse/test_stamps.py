"""Stamps become the instants they were written at, whatever the zone, the year's end and the clocks do."""

from __future__ import annotations

import calendar
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logscan.parse.stamps import DAY, Clock, fraction

BERLIN = ZoneInfo("Europe/Berlin")
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")
ZONES = [BERLIN, ZoneInfo("America/New_York"), LORD_HOWE, UTC, timezone(timedelta(hours=5, minutes=45))]


def epoch(*fields: int) -> int:
    return calendar.timegm((*fields, 0, 0, 0)[:6])


def stamp_of(at: int, zone: tzinfo) -> bytes:
    local = datetime.fromtimestamp(at, zone)
    return (local.strftime("%b ") + f"{local.day:2d}" + local.strftime(" %H:%M:%S")).encode()


REFERENCE = epoch(2026, 11, 24, 12)


def test_day_is_padded_with_a_blank_or_a_zero() -> None:
    clock = Clock(BERLIN, REFERENCE)
    assert clock.traditional(b"Nov  4 03:02:01") == epoch(2026, 11, 4, 2, 2, 1)
    assert clock.traditional(b"Nov 04 03:02:01") == epoch(2026, 11, 4, 2, 2, 1)
    assert clock.traditional(b"Nov  4 03:59:60") == epoch(2026, 11, 4, 3, 0, 0)  # a leap second
    assert clock.last == epoch(2026, 11, 4, 3, 0, 0)


@pytest.mark.parametrize(
    "stamp",
    [
        b"",
        b"Nov 4 03:02:01",
        b"Nov  4 03:02:01 ",
        b"Nov  4 03:02:0",
        b"nov  4 03:02:01",
        b"Nov  4 24:02:01",
        b"Nov  4 03:60:01",
        b"Nov  4 03:02:61",
        b"Nov  4 3:02:01 ",
        b"Nov  4 03.02.01",
        b"Nov  0 03:02:01",
        b"Nov 31 03:02:01",
        b"Feb 30 03:02:01",
        b"Jan 32 03:02:01",
        b"Nov  4\xc2\xb9 3:02:01",
        b"Nov\t 4 03:02:01",
    ],
)
def test_what_is_no_stamp_is_none(stamp: bytes) -> None:
    clock = Clock(UTC, REFERENCE)
    assert clock.traditional(b"Nov  4 03:02:01") is not None
    assert clock.traditional(stamp) is None
    assert clock.last == epoch(2026, 11, 4, 3, 2, 1)


def test_year_is_the_latest_that_is_not_the_future() -> None:
    assert Clock(UTC, REFERENCE).traditional(b"Nov 25 12:00:00") == REFERENCE + DAY
    assert Clock(UTC, REFERENCE).traditional(b"Nov 25 12:00:01") == epoch(2025, 11, 25, 12, 0, 1)
    assert Clock(UTC, REFERENCE).traditional(b"Dec 31 23:59:59") == epoch(2025, 12, 31, 23, 59, 59)
    assert Clock(UTC, epoch(2026, 12, 31, 23, 50)).traditional(b"Jan  1 00:00:00") == epoch(2027, 1, 1)


def test_bound_holds_within_an_hour_already_known() -> None:
    clock = Clock(UTC, REFERENCE)
    for second in range(0, 3600, 7):
        at = clock.traditional(b"Nov 25 11:%02d:%02d" % divmod(second, 60))
        assert at is not None and at <= REFERENCE + DAY
        at = clock.traditional(b"Nov 25 12:%02d:%02d" % divmod(second, 60))
        assert at is not None and at <= REFERENCE + DAY


def test_a_stamp_from_the_future_does_not_move_the_clock() -> None:
    clock = Clock(UTC, REFERENCE)
    clock.traditional(b"Nov 24 10:00:00")
    assert clock.traditional(b"Dec 24 10:00:00") == epoch(2025, 12, 24, 10)
    assert clock.traditional(b"Nov 24 10:00:01") == epoch(2026, 11, 24, 10, 0, 1)
    assert clock.traditional(b"Nov 24 11:00:01") == epoch(2026, 11, 24, 11, 0, 1)


def test_a_later_reference_lets_a_followed_log_go_on() -> None:
    clock = Clock(UTC, REFERENCE)
    clock.traditional(b"Nov 24 10:00:00")
    clock.move_reference(epoch(2027, 1, 2))
    assert clock.traditional(b"Dec 30 10:00:00") == epoch(2026, 12, 30, 10)
    assert clock.traditional(b"Jan  1 10:00:00") == epoch(2027, 1, 1, 10)


def test_new_year_and_a_late_line_of_the_old_one() -> None:
    clock = Clock(UTC, epoch(2027, 1, 5))
    assert clock.traditional(b"Dec 31 23:59:59") == epoch(2026, 12, 31, 23, 59, 59)
    assert clock.traditional(b"Jan  1 00:00:00") == epoch(2027, 1, 1)
    assert clock.traditional(b"Dec 31 23:59:58") == epoch(2026, 12, 31, 23, 59, 58)
    assert clock.traditional(b"Jan  1 00:00:01") == epoch(2027, 1, 1, 0, 0, 1)
    assert clock.year == 2027


def test_start_year_leads_through_several_years() -> None:
    clock = Clock(UTC, REFERENCE, start_year=2021)
    for year in range(2021, 2027):
        for month in (2, 5, 8, 11):
            stamp = stamp_of(epoch(year, month, 20, 3), UTC)
            assert clock.traditional(stamp) == epoch(year, month, 20, 3)


def test_months_out_of_order_stay_in_their_year() -> None:
    clock = Clock(UTC, REFERENCE, start_year=2025)
    assert clock.traditional(b"Sep  1 00:00:00") == epoch(2025, 9, 1)
    assert clock.traditional(b"Jun  1 00:00:00") == epoch(2025, 6, 1)
    assert clock.traditional(b"Nov  1 00:00:00") == epoch(2025, 11, 1)


def test_29_february_makes_a_leap_year() -> None:
    clock = Clock(UTC, epoch(2026, 6, 1))
    assert clock.traditional(b"Feb 28 10:00:00") == epoch(2026, 2, 28, 10)
    assert clock.traditional(b"Feb 29 10:00:00") == epoch(2024, 2, 29, 10)
    assert clock.traditional(b"Mar  1 10:00:00") == epoch(2024, 3, 1, 10)
    assert Clock(UTC, epoch(2026, 6, 1)).traditional(b"Feb 29 10:00:00") == epoch(2024, 2, 29, 10)
    assert Clock(UTC, epoch(2028, 6, 1)).traditional(b"Feb 29 10:00:00") == epoch(2028, 2, 29, 10)
    assert Clock(UTC, epoch(2028, 1, 1)).traditional(b"Feb 29 10:00:00") == epoch(2024, 2, 29, 10)


def test_29_february_out_of_place_is_one_line_only() -> None:
    clock = Clock(UTC, REFERENCE)
    clock.traditional(b"Jul  1 10:00:00")
    assert clock.traditional(b"Feb 29 10:00:00") == epoch(2024, 2, 29, 10)
    assert clock.traditional(b"Jul  1 11:00:00") == epoch(2026, 7, 1, 11)


def test_repeated_hour_is_told_by_time_going_back() -> None:
    clock = Clock(BERLIN, REFERENCE)
    first = epoch(2026, 10, 25, 0)  # 02:00 summer time
    assert clock.traditional(b"Oct 25 01:59:59") == first - 1
    assert clock.traditional(b"Oct 25 02:10:07") == first + 607
    assert clock.traditional(b"Oct 25 02:10:05") == first + 605
    assert clock.traditional(b"Oct 25 02:59:58") == first + 3598
    assert clock.traditional(b"Oct 25 02:00:01") == first + 3601
    assert clock.traditional(b"Oct 25 02:30:00") == first + 3600 + 1800
    assert clock.traditional(b"Oct 25 02:29:58") == first + 3600 + 1798
    assert clock.traditional(b"Oct 25 02:59:59") == first + 7199
    assert clock.traditional(b"Oct 25 03:00:00") == first + 7200
    assert clock.traditional(b"Oct 25 02:59:59") == first + 7199


def test_the_fold_is_forgotten_by_the_next_year() -> None:
    clock = Clock(BERLIN, REFERENCE, start_year=2025)
    for stamp in (b"Oct 26 02:50:00", b"Oct 26 02:10:00"):
        clock.traditional(stamp)
    assert clock.last == epoch(2025, 10, 26, 1, 10)
    clock.traditional(b"Mar  1 02:00:00")
    assert clock.traditional(b"Oct 25 02:10:00") == epoch(2026, 10, 25, 0, 10)


def test_skipped_hour_is_an_hour_later() -> None:
    clock = Clock(BERLIN, REFERENCE)
    assert clock.traditional(b"Mar 29 01:59:59") == epoch(2026, 3, 29, 0, 59, 59)
    assert clock.traditional(b"Mar 29 02:30:00") == epoch(2026, 3, 29, 1, 30)
    assert clock.traditional(b"Mar 29 03:00:00") == epoch(2026, 3, 29, 1)


def test_half_an_hour_repeated() -> None:
    clock = Clock(LORD_HOWE, REFERENCE)
    change = epoch(2026, 4, 4, 15)  # 02:00 becomes 01:30
    assert clock.traditional(b"Apr  5 01:10:00") == change - 3000
    assert clock.traditional(b"Apr  5 01:40:00") == change - 1200
    assert clock.traditional(b"Apr  5 01:59:59") == change - 1
    assert clock.traditional(b"Apr  5 01:30:00") == change
    assert clock.traditional(b"Apr  5 01:59:59") == change + 1799
    assert clock.traditional(b"Apr  5 02:00:00") == change + 1800


@pytest.mark.parametrize("zone", ZONES, ids=str)
def test_a_year_of_lines_round_trips(zone: tzinfo) -> None:
    start = epoch(2023, 7, 1)
    clock = Clock(zone, start + 700 * DAY, start_year=2023)
    for at in range(start, start + 600 * DAY, 599):
        assert clock.traditional(stamp_of(at, zone)) == at


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(ZONES),
    st.integers(0, 2_000_000_000),
    st.lists(st.integers(0, 150 * DAY), max_size=40),
)
def test_increasing_instants_come_back(zone: tzinfo, start: int, steps: list[int]) -> None:
    # At noon: no clock is put back there, so that long silences leave nothing open.
    days = [start // DAY * DAY + 43200]
    for step in steps:
        days.append(days[-1] + step // DAY * DAY)
    first_year = datetime.fromtimestamp(days[0], zone).year
    clock = Clock(zone, days[-1], start_year=first_year)
    assert [clock.traditional(stamp_of(at, zone)) for at in days] == days


@pytest.mark.parametrize(
    ("stamp", "at"),
    [
        (b"2026-11-24T10:00:00Z", epoch(2026, 11, 24, 10)),
        (b"2026-11-24t10:00:00z", epoch(2026, 11, 24, 10)),
        (b"2026-11-24 10:00:00", epoch(2026, 11, 24, 9)),
        (b"2026-11-24T10:00:00.9", epoch(2026, 11, 24, 9)),
        (b"2026-11-24T10:00:00,9999999999999999999999+01", epoch(2026, 11, 24, 9)),
        (b"2026-11-24T10:00:00.123456+01:00", epoch(2026, 11, 24, 9)),
        (b"2026-11-24T10:00:00+0545", epoch(2026, 11, 24, 4, 15)),
        (b"2026-11-24T10:00:00-03:30", epoch(2026, 11, 24, 13, 30)),
        (b"2026-07-24T10:00:00", epoch(2026, 7, 24, 8)),
        (b"2031-07-24T10:00:00", epoch(2031, 7, 24, 8)),
        (b"", None),
        (b"2026-11-24T10", None),
        (b"2026-11-24T10:00", None),
        (b"2026-11-24T24:00:00Z", None),
        (b"2026-11-24T10:60:00Z", None),
        (b"2026-11-31T10:00:00Z", None),
        (b"2026-02-29T10:00:00Z", None),
        (b"2026-11-24T10:00:00.Z", None),
        (b"2026-11-24T10:00:00..1Z", None),
        (b"2026-11-24T10:00:0012Z", None),
        (b"2026-11-24T10:00:00.5.5Z", None),
        (b"2026-11-24T10:00:00Zz", None),
        (b"2026-11-24T10:00:00+1", None),
        (b"2026-11-24T10:00:00+24:00", None),
        (b"2026-11-24T10:00:00+01:0", None),
        (b"0000-11-24T10:00:00Z", None),
        (b"1969-11-24T10:00:00Z", None),
        (b"2262-11-24T10:00:00Z", None),
    ],
)
def test_iso_forms(stamp: bytes, at: int | None) -> None:
    clock = Clock(BERLIN, REFERENCE)
    assert clock.iso(stamp) == at
    assert clock.iso(stamp) == at  # from memory


def test_iso_without_a_zone_knows_the_repeated_hour() -> None:
    clock = Clock(BERLIN, REFERENCE)
    assert clock.iso(b"2026-10-25T02:59:58") == epoch(2026, 10, 25, 0, 59, 58)
    assert clock.iso(b"2026-10-25T02:00:01.5") == epoch(2026, 10, 25, 1, 0, 1)
    assert clock.iso(b"2026-10-25T02:00:01+02:00") == epoch(2026, 10, 25, 0, 0, 1)


@given(st.integers(0, 9_000_000_000), st.integers(-1439, 1439), st.integers(0, 999_999))
def test_iso_agrees_with_the_standard_library(at: int, minutes: int, micros: int) -> None:
    zone = timezone(timedelta(minutes=minutes))
    moment = datetime.fromtimestamp(at, zone).replace(microsecond=micros)
    if moment.year >= 1970:
        assert Clock(BERLIN, 0).iso(moment.isoformat().encode()) == at


def test_fraction() -> None:
    assert fraction(b"Nov 23 10:00:00.25") == 0.25
    assert fraction(b"2026-11-23T10:00:00,5+01:00") == 0.5
    assert fraction(b"2026-11-23T10:00:00." + b"9" * 60) < 1.0
    assert fraction(b"2026-11-23T10:00:00+01:00") == 0.0
    assert fraction(b"Nov 23 10:00:00") == 0.0
    assert fraction(b"") == 0.0


ALMOST = st.builds(
    lambda stamp, place, junk: stamp[:place] + junk + stamp[place + len(junk) :],
    st.sampled_from([b"Nov  4 03:02:01", b"Feb 29 02:30:00", b"2026-11-24T10:00:00.5+01:00"]),
    st.integers(0, 30),
    st.binary(max_size=3),
)


@given(
    st.lists(st.one_of(st.binary(max_size=40), ALMOST)), st.integers(-(2**70), 2**70), st.integers(-5, 99999)
)
def test_no_bytes_raise_and_none_is_of_the_future(stamps: list[bytes], reference: int, year: int) -> None:
    clock = Clock(LORD_HOWE, reference, year if year > 0 else None)
    for stamp in stamps:
        at = clock.traditional(stamp)
        assert at is None or at <= max(reference, 0) + DAY
        clock.iso(stamp)
        assert 0.0 <= fraction(stamp) < 1.0


def test_memory_stays_small_on_an_unsorted_log() -> None:
    clock = Clock(UTC, REFERENCE)
    for hour in range(24 * 60):
        clock.traditional(stamp_of(REFERENCE - hour * 3600, UTC))
        clock.iso(b"2026-11-24T10:00:00+%02d:%02d" % divmod(hour, 60))
    assert len(clock._hours) <= 64 and len(clock._iso_hours) <= 64


@pytest.mark.parametrize("before", [b"", b"Nov  4 03:02:01", b"Nov  4 03:02:59", b"Nov  4 03:02:60"])
@pytest.mark.parametrize(
    "stamp",
    [b"\n" + b"3" * 14, b"\n" * 14 + b"5", b"Nov  4 03:02:0", b"Nov  4 03:02:0x", b"Nov  4 03:02:011", b"Nov  4 03:02:61"],
)
def test_a_stamp_that_is_none_stays_one_whatever_came_before_it(before: bytes, stamp: bytes) -> None:
    clock = Clock(UTC, 1_700_000_000)
    assert (clock.traditional(before) is None) is (before == b"")
    assert clock.traditional(stamp) is None


def test_seconds_of_the_same_ten_are_read_as_any_other() -> None:
    for first in range(61):
        clock = Clock(UTC, 1_700_000_000)
        for second in [first, *range(61)]:
            assert clock.traditional(b"Nov  4 03:02:%02d" % second) == 1_699_066_920 + second
