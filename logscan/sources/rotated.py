"""The rotated files of a log: which belong to it, in which order, and which can hold a Window.

A file's name says where it stands in the order; what it holds says when. Names and times of change are only
hints for the year that a traditional stamp leaves out: files are copied, and copies lie about their age.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, NamedTuple

from logscan.model import SourceInfo, Window
from logscan.parse.header import first_stamp
from logscan.sources.blocks import LONGEST_LINE, open_source, packing, read_blocks

# logrotate: -YYYYMMDD (dateext), .N, and before the extension with `extension`; newsyslog: .N from 0;
# `postfix logrotate`: .YYYYMMDD-HHMMSS.
_ROTATED = re.compile(
    r"(?P<base>.+?)"
    r"(?:[-.](?P<date>(?:19|20)\d\d-?\d\d-?\d\d)(?:[-_T.]?(?P<clock>\d{1,10}))?|\.(?P<number>\d{1,4}))"
    r"(?P<extension>\.log)?(?:\.(?:gz|bz2|xz|zst|zstd))?"
)
_YEAR = 366 * 86400
# Older times of change and first stamps come from clocks that were not set.
_PLAUSIBLE = 946_684_800
# The daemon writes on into the renamed file until it is told.
_RACE = 60
_TRIES = 500
# They are looked for again when one was renamed meanwhile, so often at most.
_LOOKS = 3
_OPENING = 8192
# So much is looked at of a plain file's end.
TAIL = 2 * LONGEST_LINE

Identity = tuple[int, int] | str


class Rotation(NamedTuple):
    """What a file's name says. base: the live log's name. number: 0 or 1 is the youngest. day, clock: when.

    clock: the digits after the day as a number (a time of day or an epoch), 0 without any.
    """

    base: str
    number: int | None
    day: date | None
    clock: int


class Beside(NamedTuple):
    """A rotated file beside a live log. written: when it was last, in ns. identity: (device, inode). size: in bytes."""

    written: int
    path: Path
    identity: tuple[int, int]
    size: int


class Ends(NamedTuple):
    """What was seen of a file. packed: see blocks.packing. opening: its first lines, unpacked. tail: its last
    ones, b"" where it is packed or they cannot be had without all the others."""

    packed: str
    opening: bytes
    tail: bytes


@dataclass(slots=True)
class LogFile:
    """A file that was looked at.

    path: None for one that is read by a URL. name: as it is shown. place: its directory, and its name there.
    size: in bytes, as packed; 0 where a server does not tell. identity: (device, inode), or the URL. packed: as in
    blocks.packing. opening: its first bytes, unpacked. first_line, last_line: the outermost lines that have a
    stamp; last_line is None for packed files. rotation: None for a live log. After `place`: first, last (epoch
    seconds, as far as the lines tell), upper (no line is later) and reference (bounds the year of its last line).
    """

    path: Path | None
    name: str
    place: tuple[str, str]
    size: int
    mtime: int
    identity: Identity
    packed: str
    opening: bytes
    first_line: bytes | None
    last_line: bytes | None
    rotation: Rotation | None
    first: int | None = None
    last: int | None = None
    upper: int = 0
    reference: int = 0

    @property
    def family(self) -> tuple[str, str]:
        """The live log that the file belongs to: directory and name."""
        return self.place[0], self.rotation.base if self.rotation else self.place[1]

    def beside(self, other: str) -> str:
        """What a file of another name in the same directory would be shown as."""
        return str(self.path.with_name(other)) if self.path else f"{self.place[0]}/{other}"


def rotation(name: str) -> Rotation | None:
    """Read a rotated file's name; None for a live log's.

    >>> rotation("maillog-20261123.gz")
    Rotation(base='maillog', number=None, day=datetime.date(2026, 11, 23), clock=0)
    >>> rotation("mail.log") is None
    True
    """
    match = _ROTATED.fullmatch(name)
    if match is None:
        return None
    base = match["base"] + (match["extension"] or "")
    if match["number"] is not None:
        return Rotation(base, int(match["number"]), None, 0)
    digits = match["date"].replace("-", "")
    try:
        day = date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return None
    return Rotation(base, None, day, int(match["clock"] or 0))


def siblings(live: Path) -> list[Path]:
    """The rotated files beside a live log, by name. [] when the directory cannot be listed."""
    try:
        names = sorted(os.listdir(live.parent))  # noqa: PTH208 - names are all that is wanted
    except OSError:
        return []
    rotated = {name: rotation(name) for name in names}
    return [live.with_name(name) for name, found in rotated.items() if found and found.base == live.name]


def beside(live: Path, but: tuple[int, int]) -> list[Beside]:
    """The rotated files beside a live log, the one that was written to last at the end. but: not this one. Each once,
    though they are being renamed."""
    found: dict[tuple[int, int], Beside] = {}
    for _ in range(_LOOKS):
        moved = False
        for path in siblings(live):
            try:
                status = path.stat()
            except OSError as error:
                moved = moved or isinstance(error, FileNotFoundError)
                continue
            identity = status.st_dev, status.st_ino
            if identity != but and stat.S_ISREG(status.st_mode):
                found[identity] = Beside(status.st_mtime_ns, path, identity, status.st_size)
        if not moved:
            break
    return sorted(found.values())


def opened(file: Beside) -> int | None:
    """A descriptor of this file, to be closed; None when it may not be read, or another one has its name now."""
    try:
        descriptor = os.open(file.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    status = os.fstat(descriptor)
    if (status.st_dev, status.st_ino) == file.identity:
        return descriptor
    os.close(descriptor)
    return None


def look(path: Path, name: str, now: int, zone: tzinfo) -> LogFile:
    """Read a file's beginning, and its end if it is plain. Raises SourceError when it cannot be read."""
    with open_source(path, name) as file:
        status = os.fstat(file.fileno())
        packed = packing(file.read(6))
        start = max(0, status.st_size - TAIL)
        tail = b"" if packed else os.pread(file.fileno(), TAIL, start)
    ends = Ends(packed, opening(path, name), tail.partition(b"\n")[2] if start else tail)
    return looked_at(
        path, name, (str(path.parent.resolve()), path.name), status.st_size, int(status.st_mtime),
        (status.st_dev, status.st_ino), ends, now, zone,
    )  # fmt: skip


def opening(source: Path | BinaryIO, name: str) -> bytes:
    """The first block of lines, unpacked; b"" for an empty file. Raises SourceError as `read_blocks` does."""
    blocks = read_blocks(source, SourceInfo(name), size=LONGEST_LINE)
    first = next(blocks, b"")
    blocks.close()
    return first


def looked_at(
    path: Path | None,
    name: str,
    place: tuple[str, str],
    size: int,
    mtime: int,
    identity: Identity,
    ends: Ends,
    now: int,
    zone: tzinfo,
) -> LogFile:
    """A LogFile of what was seen of a file; the arguments are its fields."""
    first_line = _first_stamped(ends.opening.split(b"\n", _TRIES)[:_TRIES], now, zone)
    last_line = _first_stamped(reversed(ends.tail.split(b"\n")[-_TRIES:]), now, zone)
    return LogFile(
        path, name, place, size, mtime, identity, ends.packed, ends.opening[:_OPENING], first_line, last_line,
        rotation(place[1]),
    )  # fmt: skip


def in_order(files: Iterable[LogFile]) -> list[LogFile]:
    """Sort the files of one family by their names, oldest first; the live log is the last.

    Where a family has both numbers and dates, its rotation was changed: the kind that was written to last is
    the younger one.
    """
    kinds: dict[str, list[LogFile]] = {"number": [], "day": [], "live": []}
    for file in files:
        rotated = file.rotation
        kinds["live" if rotated is None else "day" if rotated.day else "number"].append(file)
    kinds["number"].sort(key=lambda file: -(file.rotation.number or 0) if file.rotation else 0)
    kinds["day"].sort(key=_day_key)
    rotated_kinds = [kinds["number"], kinds["day"]]
    rotated_kinds.sort(key=lambda kind: max((file.mtime for file in kind), default=0))
    return [*rotated_kinds[0], *rotated_kinds[1], *kinds["live"]]


def without_twins(files: Sequence[LogFile]) -> list[LogFile]:
    """Leave out copies: a ``.gz`` beside the file it was made from, a copy that is still to be truncated.

    Two files of one family are copies when they open with the same lines. The plain one is kept, for the
    packed one may be half-written; of two plain ones the longer.
    """
    best: dict[bytes, LogFile] = {}
    for file in files:
        # Short files are compared whole; one without a stamp says too little to be called a copy.
        if file.first_line is None:
            continue
        kept = best.get(file.opening)
        if kept is None or (not file.packed, file.size) > (not kept.packed, kept.size):
            best[file.opening] = file
    return [file for file in files if file.first_line is None or best[file.opening] is file]


def place(files: Sequence[LogFile], now: int, zone: tzinfo) -> None:
    """Find when the files of one family, oldest first, begin and end: fills first, last, upper, reference.

    A traditional stamp has no year, so this walks from the youngest file to the oldest: each one's lines are
    not later than the first of the next younger one (give or take the day that first_stamp allows).
    """
    bound = now
    for index in range(len(files) - 1, -1, -1):
        file = files[index]
        reference = min(bound, _hint(file, zone, now))
        last = None if file.last_line is None else first_stamp(file.last_line, reference, zone)
        first = None
        if file.first_line is not None:
            first = first_stamp(file.first_line, reference if last is None else last, zone)
        if file.last_line is not None and first is not None and last is not None and last - first > _YEAR:
            # The first line is of a 29 February: the rest is of that year too.
            last = reference = first_stamp(file.last_line, first + _YEAR - 2 * 86400, zone) or last
        file.first, file.last, file.reference = first, last, reference
        if last is not None:
            file.upper = max(last, first or last)
        else:
            day_end = _day_end(file, zone)
            file.upper = min(now, bound + _RACE, now if day_end is None else day_end)
            file.upper = max(file.upper, first or 0)
        if first is not None and first >= _PLAUSIBLE:
            bound = min(bound, first)


def holding(files: Sequence[LogFile], window: Window) -> list[LogFile]:
    """Those placed files that can hold an instant of the window. Empty files hold nothing; a file without any
    stamp may hold everything."""
    kept = []
    for file in files:
        if not file.opening:
            continue
        early = window.since is not None and file.first is not None and file.upper < window.since
        late = window.until is not None and file.first is not None and file.first >= window.until
        if not early and not late:
            kept.append(file)
    return kept


def missing(files: Sequence[LogFile]) -> list[str]:
    """Names of numbered files that are not there although older and younger ones are."""
    found: list[str] = []
    for older, younger in pairwise(file for file in files if file.rotation):
        assert older.rotation and younger.rotation
        if older.rotation.number is not None and younger.rotation.number is not None:
            base = younger.beside(younger.rotation.base)
            found += [f"{base}.{n}" for n in range(older.rotation.number - 1, younger.rotation.number, -1)]
    return found[:20]


def _first_stamped(lines: Iterable[bytes], now: int, zone: tzinfo) -> bytes | None:
    return next((line for line in lines if first_stamp(line, now, zone) is not None), None)


def _day_key(file: LogFile) -> tuple[date, int]:
    assert file.rotation is not None and file.rotation.day is not None
    return file.rotation.day, file.rotation.clock


def _day_end(file: LogFile, zone: tzinfo) -> int | None:
    """No line of a dated file is later. A day more, for logrotate's `dateyesterday` names the day before."""
    if file.rotation is None or file.rotation.day is None:
        return None
    return int(datetime.combine(file.rotation.day + timedelta(days=2), time(), zone).timestamp())


def _hint(file: LogFile, zone: tzinfo, now: int) -> int:
    """What the name, else the time of change, says about the last line."""
    end = _day_end(file, zone)
    if end is not None:
        return end
    return file.mtime if file.mtime >= _PLAUSIBLE else now
