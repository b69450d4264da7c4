"""Words and dates of the command line → instants: `--since`, `--until`, `--date`, `--timezone`.

The words are those of systemd.time(7). Day words and dates without an offset mean local time in the zone of
`now`, which the caller passes in. dateutil reads the general dates, but only texts whose shape leaves it
nothing to guess: it would take ``7`` for a day of this month and ``1/2/2026`` for the second of January.
"""

from __future__ import annotations

import difflib
import math
import os
import re
import zoneinfo
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from pathlib import Path

from logscan.errors import TimeError, UsageError
from logscan.model import Window

_DAY_WORDS = {"yesterday": -1, "today": 0, "tomorrow": 1}
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_MONTHS = ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october",
           "november", "december")  # fmt: skip
_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800}
_UNITS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), "second"),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), "minute"),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), "hour"),
    **dict.fromkeys(("d", "day", "days"), "day"),
    **dict.fromkeys(("w", "week", "weeks"), "week"),
    **dict.fromkeys(("M", "month", "months"), "month"),
    **dict.fromkeys(("y", "year", "years"), "year"),
}
_VOCABULARY = ("now", *_DAY_WORDS, *_WEEKDAYS, *_MONTHS, "ago", *(unit for unit in _UNITS if len(unit) > 2))

_TIME = r"\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d{1,9})?)?(?:\s*[ap]m)?(?:\s*(?:z|utc|gmt|[+-]\d{2}(?::?\d{2})?))?"
_WEEKDAY = "(?:" + "|".join(f"{day[:3]}(?:{day[3:]})?" for day in _WEEKDAYS) + ")"
_MONTH = "(?:" + "|".join(f"{month[:3]}(?:{month[3:]})?" for month in _MONTHS) + r"|sept)\.?"

# As text: re compiles and keeps them when a time is given.
_DAY = rf"(?P<day>yesterday|today|tomorrow|{_WEEKDAY})(?:\s+(?:at\s+)?(?P<time>{_TIME}))?"
_NUMERIC = (
    rf"(?:{_WEEKDAY},?\s+)?(?P<date>(?:\d{{4}}-\d{{1,2}}-\d{{1,2}}|\d{{4}}/\d{{1,2}}/\d{{1,2}}|(?:19|20)\d{{6}}))"
    rf"(?:(?:\s*t\s*|\s+)(?P<time>{_TIME}))?"
)
_NAMED = (
    rf"(?:{_WEEKDAY},?\s+)?(?:{_MONTH}\s+\d{{1,2}}(?:st|nd|rd|th)?|\d{{1,2}}(?:st|nd|rd|th)?[ -]{_MONTH})"
    rf"(?P<year>,?[ -]\s*\d{{4}})?(?:,?\s+(?:at\s+)?{_TIME}(?P<late_year>\s+\d{{4}})?)?"
)
_SPAN = r"(?:\d{1,9}|an?(?=\s))\s*(?:" + "|".join(sorted(_UNITS, key=len, reverse=True)) + r")(?![a-z])"
_RELATIVE = rf"(?P<sign>[+-])?\s*(?P<spans>{_SPAN}(?:(?:\s*,\s*|\s+and\s+|\s*){_SPAN})*)(?P<ago>\s+ago)?"
_ONE_SPAN = r"(\d{1,9}|an?(?=\s))\s*([a-z]+)"
_EPOCH = r"@(\d{1,11})(?:\.\d*)?"

_EXAMPLE = "a date like 2026-06-01 works"
# The end of 2261, as for stamps: the tables hold no later instant.
_LATEST = 9_214_646_399


def parse_time(text: str, *, now: datetime, option: str) -> int:
    """Read a T of the contract (§3) as epoch seconds.

    now: aware, in the zone that counts. option: the flag, for the error, as ``--since``.
    A date without a year is its most recent occurrence that is not after today, and so is a weekday's name.
    Days and weeks are 24 and 168 hours, as in journalctl; months and years are the calendar's. A local time
    that a change of the clocks skips is read with the offset before it; of one that comes twice, the first is
    meant.
    Raises TimeError for anything else.
    """
    at = _instant(text, now, now.date())
    if at is None:
        raise TimeError(option, text, _hint(text, now))
    return at


def parse_date(text: str, now: datetime) -> date:
    """Read the day of ``daily --date``, in the zone of `now`; the words of parse_time. Raises TimeError."""
    return datetime.fromtimestamp(parse_time(text, now=now, option="--date"), now.tzinfo).date()


def day_window(day: date, zone: tzinfo) -> Window:
    """The local calendar day, midnight to midnight: 23 or 25 hours long when the clocks change."""
    return Window(_midnight(day, zone), _midnight(day + timedelta(days=1), zone))


def window(since: str | None, until: str | None, now: datetime) -> Window:
    """The span of `--since` and `--until`; None leaves that side open.

    Raises TimeError for words that are no time, UsageError when nothing is between the two.
    """
    start = None if since is None else parse_time(since, now=now, option="--since")
    end = None if until is None else parse_time(until, now=now, option="--until")
    if start is None or end is None or since is None or until is None:
        return Window(start, end)
    if end <= start:
        # "--since 'Nov 20' --until 'Nov 25'" on the 24th means tomorrow, not the day a year ago.
        latest = datetime.fromtimestamp(start, now.tzinfo).date() + timedelta(days=365)
        end = _instant(until, now, latest) or end
    if end <= start:
        raise UsageError(f"--until {until!r}", f"not after --since {since!r}", "nothing lies between the two")
    return Window(start, end)


def zone(name: str | None) -> tzinfo:
    """The zone of `--timezone`, or of the machine (TZ, else /etc/localtime, else UTC) for None.

    What is returned can be pickled. Raises UsageError for an unknown name.
    """
    if name is None:
        return _machine_zone()
    found = _named_zone(name)
    if found is None:
        raise UsageError(f"--timezone {name!r}", "not a time zone", _zone_hint(name))
    return found


def is_named(zone: tzinfo) -> bool:
    """True when a pickled zone is the same on another machine: it is known by a name or a rule."""
    return not isinstance(zone, _FileZone)


def _instant(text: str, now: datetime, latest: date) -> int | None:
    """The instant of a T, or None. latest: the last day that a date without a year may be."""
    text = " ".join(text.split())
    if len(text) > 80 or now.tzinfo is None:
        return None
    try:
        at = _relative(text, now)
        if at is None:
            at = _absolute(text.lower(), now, latest)
    except (ValueError, OverflowError):
        return None
    return at if at is not None and 0 <= at <= _LATEST else None


def _relative(text: str, now: datetime) -> int | None:
    """``now``, ``@1700000000``, ``2 hours ago``, ``-90min``, ``+1h``; None for the rest, ``2 hours`` too."""
    if text.lower() == "now":
        return math.floor(now.timestamp())
    if epoch := re.fullmatch(_EPOCH, text):
        return int(epoch[1])
    match = re.fullmatch(_RELATIVE, text, re.IGNORECASE)
    if match is None or (match["sign"] is None) == (match["ago"] is None):
        return None
    seconds = months = 0
    for number, unit in re.findall(_ONE_SPAN, match["spans"], re.IGNORECASE):
        count = int(number) if number.isdigit() else 1
        # As in systemd: m is minutes, M is months; otherwise case does not matter.
        word = _UNITS[unit if unit == "M" else unit.lower()]
        if word in _SECONDS:
            seconds += count * _SECONDS[word]
        else:
            months += count * (12 if word == "year" else 1)
    if match["sign"] != "+":
        seconds, months = -seconds, -months
    base = _later(now, months) if months else now
    return math.floor(base.timestamp()) + seconds


# dateutil is imported where it is needed: it takes a tenth of what `tail` has for its start.


def _later(moment: datetime, months: int) -> datetime:
    from dateutil.relativedelta import relativedelta

    later: datetime = moment + relativedelta(months=months)
    return later


def _absolute(text: str, now: datetime, latest: date) -> int | None:
    """Day words, times of day and dates, in lower case. ValueError for a day or time that does not exist."""
    today = now.date()
    if match := re.fullmatch(_DAY, text):
        word = match["day"]
        if word in _DAY_WORDS:
            day = today + timedelta(days=_DAY_WORDS[word])
        else:
            number = next(index for index, name in enumerate(_WEEKDAYS) if name.startswith(word))
            day = today - timedelta(days=(today.weekday() - number) % 7)
        return _at(match["time"] or "0:00", day, now)
    if re.fullmatch(_TIME, text):
        return _at(text, today, now)
    if match := re.fullmatch(_NUMERIC, text):
        day = _read(match["date"], today).date()
        return _at(match["time"] or "0:00", day, now)
    match = re.fullmatch(_NAMED, text)
    if match is None:
        return None
    if match["year"] or match["late_year"]:
        return _at(text, today, now)
    # 2000 is a leap year, so that "Feb 29" can be read at all.
    read = _read(text, date(2000, 1, 1))
    day = _most_recent(read.month, read.day, latest)
    return _seconds(read.replace(year=day.year, month=day.month, day=day.day), now)


def _read(text: str, default: date) -> datetime:
    """dateutil's reading, midnight where no time is given. Raises ValueError (its ParserError is one)."""
    from dateutil import parser as dateutil_parser

    # In upper case, because dateutil knows UTC and Z only so.
    found: datetime = dateutil_parser.parse(text.upper(), default=datetime.combine(default, time()))
    return found


def _at(text: str, default: date, now: datetime) -> int:
    return _seconds(_read(text, default), now)


def _seconds(read: datetime, now: datetime) -> int:
    return math.floor((read if read.tzinfo is not None else read.replace(tzinfo=now.tzinfo)).timestamp())


def _midnight(day: date, zone: tzinfo) -> int:
    return math.floor(datetime.combine(day, time(), zone).timestamp())


def _most_recent(month: int, day: int, latest: date) -> date:
    """The last such date up to `latest`. 29 February may be eight years back, around 1900 or 2100."""
    for year in range(latest.year, latest.year - 9, -1):
        try:
            candidate = date(year, month, day)
        except ValueError:
            continue
        if candidate <= latest:
            return candidate
    raise ValueError("no such date")


def _hint(text: str, now: datetime) -> str:
    """What the user may have meant: each unknown word replaced by its neighbour, if that makes a time."""

    def neighbour(match: re.Match[str]) -> str:
        word = match[0].lower()
        near = difflib.get_close_matches(word, _VOCABULARY, n=1, cutoff=0.7)
        return near[0] if near and word not in _UNITS else match[0]

    text = " ".join(text.split())[:80]
    for guess in (re.sub(r"[A-Za-z]{3,}", neighbour, text), f"{text} ago"):
        if guess != text and _instant(guess, now, now.date()) is not None:
            return f"did you mean {guess!r}? {_EXAMPLE} too"
    return f"{_EXAMPLE}, and so do 'yesterday' and '2 hours ago'"


class _FileZone(zoneinfo.ZoneInfo):
    """/etc/localtime when nothing tells its name (a copy, not a link): pickled as "the machine's zone"."""

    def __reduce__(self) -> tuple[object, ...]:
        return _machine_zone, ()


def _machine_zone(localtime: Path = Path("/etc/localtime")) -> tzinfo:
    """What the C library would use: tzset(3)."""
    name = os.environ.get("TZ")
    if name is not None:
        return _tz_variable(name.removeprefix(":"))
    return _file_zone(localtime)


def _tz_variable(name: str) -> tzinfo:
    """A name, the path of a zone's file, or a rule (``CET-1CEST,M3.5.0,M10.5.0/3``); UTC for nonsense."""
    if name.startswith("/"):
        return _file_zone(Path(name))
    if (found := _named_zone(name)) is not None:
        return found
    try:
        from dateutil import tz as dateutil_tz

        rule: tzinfo = dateutil_tz.tzstr(name, posix_offset=True)
    except ValueError:
        return UTC
    return rule


def _file_zone(path: Path) -> tzinfo:
    """The zone in a compiled file, by its name where the path tells it; UTC when it cannot be read."""
    try:
        parts = path.resolve().parts
        if "zoneinfo" in parts:
            found = _named_zone("/".join(parts[parts.index("zoneinfo") + 1 :]))
            if found is not None:
                return found
        with path.open("rb") as file:
            return _FileZone.from_file(file, key=path.name)
    except (ValueError, OSError):
        return UTC


def _named_zone(name: str) -> tzinfo | None:
    try:
        return zoneinfo.ZoneInfo(name) if name else None
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return None


def _zone_hint(name: str) -> str:
    words: dict[str, str] = {}
    for known in sorted(zoneinfo.available_timezones()):
        words[known.lower()] = known
        words.setdefault(known.rpartition("/")[2].lower(), known)
    near = difflib.get_close_matches(name.lower(), words, n=1, cutoff=0.7)
    return f"did you mean {words[near[0]]!r}?" if near else "names are like Europe/Berlin or UTC"
