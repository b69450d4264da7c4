"""Where in a plain log the lines of a Window stand, found by bisection, so that only they are read.

What is skipped is never looked at, so a log is only cut where its order can be relied on: its stamps are
looked at in many places, and one that goes back further than a busy syslog explains has the log read whole.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, tzinfo
from functools import partial
from operator import itemgetter
from typing import NamedTuple

from logscan.errors import SourceError
from logscan.model import Window
from logscan.parse.header import first_stamp
from logscan.sources.blocks import LONGEST_LINE, open_source, read_range
from logscan.sources.plan import PlannedSource

# Reading it all takes a few hundredths of a second.
SMALL = 1 << 20
# Lines come late by seconds, where several hosts write and a queue was full by minutes.
SLACK = 600
# Beyond it a stamp without a year could be of two years.
_LONGEST_SPAN = 360 * 86400
# The reader's clock takes a longer way forward for a way back, see stamps.Clock.
_LONGEST_STEP = 170 * 86400
# Places looked at in the whole file, and in the part that is read: where the window is, order matters most. On a
# disk with heads that is a second, else some milliseconds.
_PROBES, _PROBES_NEAR = 32, 128
_CHUNK = 16384
_HEAD = 300  # stamp, host and first words of a line
_HOURS = 3 * 3600


class _Line(NamedTuple):
    """A line that has a stamp: where it begins, and when it was written (epoch seconds)."""

    offset: int
    at: int


class _DisorderError(Exception):
    """The log's order cannot be relied on."""


def narrowed(source: PlannedSource, window: Window, zone: tzinfo) -> PlannedSource:
    """The source, cut to what has to be read of it for the window; the source itself where all has to be.

    zone: of stamps that name none. Only for plain, large files in the order of time that end or begin outside
    the window. What is kept begins with the last line before the window, which tells that the log was there.
    `first`, `last` and `size` stay those of the file; `begins` and `year_hint` are of what is kept, `part` is
    its bytes. Nothing is raised: a file that went away is for the reader to find.
    """
    if source.path is None or source.packed or source.size < SMALL or window == Window():
        return source
    if source.first is None or source.last is None or not 0 <= source.last - source.first <= _LONGEST_SPAN:
        return source
    try:
        with open_source(source.path, source.name) as file:
            return _cut(source, _Log(file.fileno(), source.last, zone), window, zone)
    except (SourceError, OSError, _DisorderError):
        return source


def stamped_line(source: PlannedSource, offset: int, end: int, zone: tzinfo) -> int | None:
    """Where the first line with a stamp begins at `offset` or later, and before `end`, in a plain file.

    None where there is none, and where the file cannot be read: that is for its reader to find.
    """
    if source.path is None or source.last is None or offset >= end:
        return None
    try:
        with open_source(source.path, source.name) as file:
            log = _Log(file.fileno(), source.last, zone)
            while (line := log.line(offset, end)) is not None:
                # "last message repeated" says nothing without the line before it.
                if b" last message repeated " not in os.pread(file.fileno(), _HEAD, line.offset):
                    return line.offset
                offset = line.offset + 1
    except (SourceError, OSError, _DisorderError):
        pass
    return None


def _cut(source: PlannedSource, log: _Log, window: Window, zone: tzinfo) -> PlannedSource:
    assert source.path is not None
    begin = log.line(0, log.size)
    if begin is None:
        return source
    end = log.size
    if window.since is not None:
        begin = log.last_before(_off_change(window.since - SLACK, -1, zone)) or begin
    if window.until is not None:
        last = log.last_before(_off_change(window.until + SLACK, 1, zone))
        following = None if last is None else log.line(last.offset + 1, log.size)
        end = log.size if following is None else following.offset
    if begin.offset == 0 and end == log.size:
        return source
    log.probe(0, log.size, _PROBES)
    log.probe(begin.offset, end, _PROBES_NEAR)
    log.check()
    if not log.mail:
        return source
    alone = log.instant(begin.offset, source.reference)
    return replace(
        source,
        open=partial(read_range, source.path, begin.offset, None if end == log.size else end),
        year_hint=None if alone == begin.at else datetime.fromtimestamp(begin.at, zone).year,
        begins=begin.at,
        part=end - begin.offset,
        start=begin.offset,
        stop=None if end == log.size else end,
    )


def _off_change(at: int, step: int, zone: tzinfo) -> int:
    """The instant, moved on by hours to where no change of the clocks makes a stamp mean two instants."""
    while _changes(at, zone):
        at += step * _HOURS
    return at


def _changes(at: int, zone: tzinfo) -> bool:
    """True when the zone's offset changes within hours of the instant."""
    return _offset(at - _HOURS, zone) != _offset(at + _HOURS, zone)


def _offset(at: int, zone: tzinfo) -> timedelta | None:
    return datetime.fromtimestamp(max(at, 0), zone).utcoffset()


class _Log:
    """A plain log, read a line here and there. mail: a word of Postfix or OpenDKIM was seen on the way."""

    def __init__(self, descriptor: int, last: int, zone: tzinfo) -> None:
        self.size = os.fstat(descriptor).st_size
        self.mail = False
        self._descriptor = descriptor
        self._last = last
        self._zone = zone
        self._seen: dict[int, int] = {}

    def line(self, offset: int, end: int) -> _Line | None:
        """The first line with a stamp that begins at `offset` or later and before `end`; None without one.

        Raises _DisorderError where far and wide no line has a stamp.
        """
        return next(self._stamped(offset, end), None)

    def last_before(self, target: int) -> _Line | None:
        """The last line that is older than the target, in a log whose stamps never fall; None without one."""
        before = self.line(0, self.size)
        if before is None or before.at >= target:
            return None
        # The first line with a stamp that begins at `high` or later is not older than the target.
        high = self.size
        while high - before.offset > _CHUNK:
            middle = (before.offset + high) // 2
            found = self.line(middle, high)
            if found is not None and found.at < target:
                before = found
            else:
                high = middle
        for found in self._stamped(before.offset + 1, high):
            if found.at >= target:
                break
            before = found
        return before

    def probe(self, start: int, end: int, count: int) -> None:
        """Look at as many lines, all over a part of the log."""
        step = max((end - start) // count, 1)
        for offset in range(start, end, step):
            self.line(offset, end)

    def check(self) -> None:
        """Raise _DisorderError when what was seen is not in the order of time."""
        newest = None
        for _, at in sorted(self._seen.items(), key=itemgetter(0)):
            if newest is None:
                newest = at
            # In the hour that autumn repeats a stamp alone is taken for the first pass.
            late = newest - at
            if late > SLACK and not (late <= 3600 + SLACK and _changes(at, self._zone)):
                raise _DisorderError
            if at - newest > _LONGEST_STEP:
                raise _DisorderError
            newest = max(newest, at)

    def instant(self, offset: int, reference: int) -> int | None:
        """The instant of the line that begins there, with another reference for its year."""
        _, text = next(self._lines(offset))
        return first_stamp(text, reference, self._zone)

    def _stamped(self, offset: int, end: int) -> Iterator[_Line]:
        """The lines with a stamp that begin at `offset` or later and before `end`."""
        newest = offset
        for start, text in self._lines(offset):
            if start >= end:
                return
            at = first_stamp(text, self._last, self._zone)
            if at is not None:
                newest = start
                self._seen[start] = at
                yield _Line(start, at)
            elif start > newest + 4 * LONGEST_LINE:
                raise _DisorderError

    def _lines(self, offset: int) -> Iterator[tuple[int, bytes]]:
        """The lines that begin at `offset` or later, with where they begin; one that is endless is cut."""
        # From the byte before: it tells whether a line begins at the offset.
        at = max(offset - 1, 0)
        rest = b""
        partial_line = offset > 0
        while chunk := os.pread(self._descriptor, _CHUNK, at + len(rest)):
            self.mail = self.mail or b"postfix" in chunk or b"opendkim" in chunk
            *lines, rest = (rest + chunk).split(b"\n")
            for text in lines:
                if not partial_line:
                    yield at, text
                partial_line = False
                at += len(text) + 1
            if len(rest) > 4 * LONGEST_LINE:
                raise _DisorderError
        if rest and not partial_line:
            yield at, rest
