"""Stamp bytes → epoch seconds, with the year that syslog leaves out and the hour that autumn repeats.

Sources: RFC 3164 §4.1.2 (``Nov  4 03:02:01``), RFC 3339 §5.6, `postfix/src/util/logwriter.c` (postlogd pads
the day with a zero), the zone database through ``tzinfo`` (PEP 495 for ``fold``).
"""

from __future__ import annotations

import re
from calendar import isleap
from datetime import date, datetime, timedelta, tzinfo
from typing import Final

DAY: Final = 86400
# The end of 2261, the last whole year of a 64-bit count of nanoseconds: tables hold no later instant.
LATEST: Final = 9_214_646_399
# A month-day this many days behind the newest one seen is of the next year ...
_NEXT_YEAR: Final = 180
# ... and one this far ahead is a late line of the year before: 31 Dec written after 1 Jan.
_LAST_YEAR: Final = 330
# In the hour that is passed twice, a line may be this many seconds late and still be of the first pass.
_LATE: Final = 120
# Hours remembered. Hosts of several zones in one file interleave a dozen; more is an unsorted or hostile log.
_KEPT: Final = 64
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()

_NAMES: Final = (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec")
_MONTHS: Final = {name + b" ": number for number, name in enumerate(_NAMES, 1)}
_LONGEST: Final = (0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_DAYS: Final = {form % day: day for day in range(1, 32) for form in (b"%2d", b"%02d")}
_HOURS: Final = {b" %02d" % hour: hour for hour in range(24)}
# ":MM:SS" → seconds in the hour. One look-up checks four digits and two colons; 60 is a leap second.
_IN_HOUR: Final = {b":%02d:%02d" % (m, s): 60 * m + s for m in range(60) for s in range(61)}

_ISO_HOUR: Final = re.compile(rb"(\d{4})-(\d\d)-(\d\d)[Tt ]([01]\d|2[0-3])")
_ISO_ZONE: Final = re.compile(rb"([+-])([01]\d|2[0-3])(?::?([0-5]\d))?")
_FRACTION: Final = re.compile(rb"[.,](\d{1,18})")


# Where a clock stands: `Clock.place`.
Place = tuple[int | None, int, int, bool, int | None]


_NONE: Final = bytes(16)  # longer than any stamp, so none begins so


class Clock:
    """Turns the stamps of one source into epoch seconds; feed them in the order of the file.

    zone: of stamps that name none. reference: epoch seconds, the file's last change or now; no traditional
    stamp is later than a day after it. start_year: the year of the first stamp where that is known, else the
    latest that the reference allows.

    last: the newest answer given, None before the first. It dates lines that carry no stamp.
    """

    __slots__ = (
        "_again",
        "_bound",
        "_bound_year",
        "_day",
        "_hours",
        "_iso_hours",
        "_night",
        "_start",
        "_ten",
        "_ten_at",
        "_year",
        "_zone",
        "last",
    )

    def __init__(self, zone: tzinfo, reference: int, start_year: int | None = None) -> None:
        self._zone = zone
        self._start = start_year
        self._hours: dict[bytes, int] = {}  # stamp[:9] → epoch of the full hour; valid while _day is
        # Of the newest stamp in one of these hours all but its last digit, and the instant less that digit's byte.
        self._ten = _NONE
        self._ten_at = 0
        self._iso_hours: dict[bytes, int] = {}  # date and hour and zone → epoch of the full hour
        self._year: int | None = None  # of the newest traditional stamp
        self._day = 0  # the newest day seen, as an ordinal; it is in _year
        self._night = 0  # newest answer in an hour in which the zone's offset changes
        self._again = False  # that hour is being passed for the second time
        self.last: int | None = None
        self.move_reference(reference)

    def move_reference(self, reference: int) -> None:
        """Take a later reference: a log that is followed for days outgrows the one it was opened with."""
        self._bound = min(max(reference, 0), LATEST - DAY) + DAY
        self._bound_year = (datetime(1970, 1, 1) + timedelta(seconds=self._bound + DAY)).year

    def place(self) -> Place:
        """What the stamps so far have taught it: the newest one's year and day, an hour that is passed twice."""
        return self._year, self._day, self._night, self._again, self.last

    def resume(self, place: Place) -> None:
        """Go on from where another clock of the same source stood."""
        self._year, self._day, self._night, self._again, self.last = place
        self._forget_hours()

    def _forget_hours(self) -> None:
        self._hours.clear()
        self._ten = _NONE

    @property
    def year(self) -> int | None:
        """The year the newest traditional stamp was placed in; None before the first."""
        return self._year

    def written(self, at: int) -> bytes:
        """An instant as an RFC 3339 stamp with the offset of the clock's zone.

        >>> Clock(timezone.utc, 0).written(1_699_066_921)
        b'2023-11-04T03:02:01+00:00'
        """
        return datetime.fromtimestamp(at, self._zone).isoformat().encode("ascii")

    def traditional(self, stamp: bytes) -> int | None:
        """Read ``Nov  4 03:02:01``: 15 bytes, day padded with a blank or a zero.

        Returns epoch seconds; None when it is no such stamp, whatever the bytes. A local time that spring
        skips is taken an hour later, one that autumn repeats is of the second pass once time went back.

        >>> from datetime import timezone
        >>> Clock(timezone.utc, 1_700_000_000).traditional(b"Nov  4 03:02:01")
        1699066921
        """
        if stamp.startswith(self._ten) and len(stamp) == 15 and 0x30 <= stamp[14] <= 0x39:
            self.last = self._ten_at + stamp[14]
            return self.last
        try:
            at = self._hours[stamp[:9]] + _IN_HOUR[stamp[9:]]
            if stamp[13] != 0x36:  # of a leap second's ten there is but one
                self._ten, self._ten_at = stamp[:14], at - stamp[14]
        except KeyError:
            found = self._new_hour(stamp)
            if found is None:
                return None
            at = found
        self.last = at
        return at

    def iso(self, stamp: bytes) -> int | None:
        """Read ``2026-11-24T10:00:00`` with or without a fraction and a zone, all forms of RFC 3339.

        Besides them: a blank for the T, a comma before the fraction, ``+0100`` and ``+01``; no zone is the
        local one. Returns epoch seconds, the fraction cut off; None for anything else, whatever the bytes,
        and for years before 1970 or after 2261.

        >>> from datetime import timezone
        >>> Clock(timezone.utc, 0).iso(b"2026-11-24T10:00:00.75+01:00")
        1795510800
        """
        tail = stamp[19:]
        zone = tail.lstrip(b".,0123456789")
        try:
            at = self._iso_hours[stamp[:13] + zone] + _IN_HOUR[stamp[13:19]]
        except KeyError:
            found = self._new_iso_hour(stamp, zone)
            if found is None:
                return None
            at = found
        if len(tail) != len(zone):
            digits = tail[1 : len(tail) - len(zone)]
            if tail[0] not in b".," or not digits.isdigit():
                return None
        self.last = at
        return at

    def _new_hour(self, stamp: bytes) -> int | None:
        """Place a stamp whose hour is not remembered, or not to be remembered."""
        try:
            month, day, hour = _MONTHS[stamp[:4]], _DAYS[stamp[4:6]], _HOURS[stamp[6:9]]
            second = _IN_HOUR[stamp[9:]]
        except KeyError:
            return None
        if day > _LONGEST[month]:
            return None
        wanted = self._candidate(month, day)
        year = real = _with_day(wanted, month, day)
        while True:
            moment = datetime(year, month, day, hour)
            base = self._full_hour(moment)
            at = base + second if base is not None else self._in_change(moment, second)
            if at <= self._bound:
                break
            year = _with_day(year - 1, month, day)
        if self._year is None:
            self._year, self._day = year, _ordinal(year, month, day)
        elif year == real:
            self._advance(wanted, year, _ordinal(year, month, day))
        else:
            return at  # the reference forbids what the order says: this line's business, not the clock's
        # What the newest day decided holds until there is a newer one: no check on the fast path.
        if base is not None and year == self._year and base + 3660 <= self._bound:
            if len(self._hours) >= _KEPT:
                self._forget_hours()
            self._hours[stamp[:9]] = base
        return at

    def _candidate(self, month: int, day: int) -> int:
        """The year this month and day belong to, going by the newest day seen."""
        if self._year is None:
            return self._bound_year if self._start is None else max(min(self._start, self._bound_year), 1970)
        ahead = _ordinal(self._year, month, day) - self._day
        if ahead < -_NEXT_YEAR:
            return self._year + 1
        return self._year - 1 if ahead > _LAST_YEAR else self._year

    def _advance(self, wanted: int, year: int, day: int) -> None:
        """Move on to this day, unless it is of a late line."""
        assert self._year is not None
        # 29 Feb in its place proves that the inferred year was wrong; out of its place it proves nothing.
        proof = year < wanted == self._year and self._start is None and _ordinal(wanted, 2, 29) >= self._day
        if day > self._day or proof:
            self._year, self._day = year, day
            self._forget_hours()

    def _new_iso_hour(self, stamp: bytes, zone: bytes) -> int | None:
        """Place an ISO stamp whose hour or zone is not remembered; its fraction is not looked at."""
        match = _ISO_HOUR.fullmatch(stamp[:13])
        second = _IN_HOUR.get(stamp[13:19])
        if match is None or second is None:
            return None
        year, month, day, hour = map(int, match.groups())
        if not 1970 <= year <= 2261:
            return None
        try:
            moment = datetime(year, month, day, hour)
        except ValueError:
            return None
        if zone == b"":
            local = self._full_hour(moment)
            if local is None:
                return self._in_change(moment, second)
            base = local
        elif zone in (b"Z", b"z"):
            base = _as_utc(moment)
        elif offset := _ISO_ZONE.fullmatch(zone):
            sign, hours, minutes = offset.groups(b"0")
            east = 3600 * int(hours) + 60 * int(minutes)
            base = _as_utc(moment) + (east if sign == b"-" else -east)
        else:
            return None
        if len(self._iso_hours) >= _KEPT:
            self._iso_hours.clear()
        self._iso_hours[stamp[:13] + zone] = base
        return base + second

    def _full_hour(self, moment: datetime) -> int | None:
        """Epoch seconds of a full local hour; None when the zone's offset changes in it or it is repeated."""
        end = moment.replace(minute=59, second=59)
        offset = self._offset(moment, 0)
        if offset == self._offset(moment, 1) == self._offset(end, 0) == self._offset(end, 1):
            return _as_utc(moment) - offset
        return None

    def _in_change(self, moment: datetime, second: int) -> int:
        """Epoch seconds of a local time in an hour that holds a change of the zone's offset."""
        moment += timedelta(seconds=second)
        first = _as_utc(moment) - self._offset(moment, 0)
        again = _as_utc(moment) - self._offset(moment, 1)
        if abs(first - self._night) > 4 * 3600:
            self._night, self._again = first, False
        # Time goes back by minutes only when the clocks do, and then for the rest of the night.
        # A skipped time has again < first, and no choice.
        self._again = self._again or first < self._night - _LATE
        at = again if self._again and again > first else first
        self._night = max(self._night, at)
        return at

    def _offset(self, moment: datetime, fold: int) -> int:
        """Seconds that the local time is ahead of UTC."""
        offset = moment.replace(tzinfo=self._zone, fold=fold).utcoffset()
        return 0 if offset is None else int(offset.total_seconds())


def fraction(stamp: bytes) -> float:
    """The part of a second in a traditional or ISO stamp: 0.0 <= f < 1.0, 0.0 when it has none.

    >>> fraction(b"2026-11-24T10:00:00.125Z")
    0.125
    """
    match = _FRACTION.match(stamp, 19 if stamp[4:5] == b"-" else 15)
    # 16 nines and more would round up to 1.0, which is the next second.
    return min(float(b"0." + match[1]), 0.999999999) if match else 0.0


def _as_utc(moment: datetime) -> int:
    """Epoch seconds of a moment read as UTC."""
    days = moment.toordinal() - _EPOCH_DAY
    return DAY * days + 3600 * moment.hour + 60 * moment.minute + moment.second


def _ordinal(year: int, month: int, day: int) -> int:
    """Day number; 29 Feb of a common year counts as 1 Mar."""
    return date(year, month, 1).toordinal() + day - 1


def _with_day(year: int, month: int, day: int) -> int:
    """The year itself, or for 29 Feb the nearest one not later that has it."""
    while month == 2 and day == 29 and not isleap(year):
        year -= 1
    return year
