"""What one process makes of a part of a log, and what it was asked."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any

from logscan.model import SourceInfo, Window
from logscan.parse.stamps import Place


@dataclass(frozen=True, slots=True)
class Task:
    """A part of a log to sift. It can be pickled.

    open: as of a PlannedSource. name: of the source. reference, year_hint: as for a Clock. upper: epoch seconds, no
    line of the source is later, None when not known. whole: the part begins where the source does. window, zone,
    hosts, domains: as for a Run. ours, names: domains that are ours, and names under which OpenDKIM logs, as far as
    known. most: bytes of lines that may be kept; one that keeps more is better read itself.
    """

    name: str
    open: Callable[[SourceInfo], Generator[bytes, None, None]]
    reference: int
    year_hint: int | None
    upper: int | None
    whole: bool
    window: Window
    zone: tzinfo
    hosts: frozenset[bytes]
    domains: frozenset[bytes]
    ours: frozenset[bytes]
    most: int
    names: frozenset[bytes]


@dataclass(slots=True)
class Digest:
    """A part of a log without the messages that are plain and wholly in it, which are counted in `tables` (`Tally`).

    lines: those kept, in order, joined. where: of each the index of its instant. notes: of each what to do before.
    instants: the log's way through time, epoch seconds, in order.
    good: False when only the whole log tells how to read the part; nothing else in it counts then.
    unreadable: that it is not good is the source's fault, which its reader will meet.
    The rest is what a reader of the kept lines has to check before and to know after: ids of the messages left out,
    joined; how many of them came from pickup, and if any that cleanup opened began early; the tags of Postfix's
    writers, and of those that may go on with a session from before (going_on); the most legs open at once; hosts, and
    how many instances they have; the clock after its first stamp and at its end; what has to be done to writers, by
    their tags, since lines of them were left out; what was counted of the lines left out.
    """

    info: SourceInfo
    names: frozenset[bytes]
    good: bool = True
    unreadable: bool = False
    lines: bytes = b""
    where: array[int] = field(default_factory=lambda: array("q"))
    notes: bytearray = field(default_factory=bytearray)
    instants: array[int] = field(default_factory=lambda: array("q"))
    tables: dict[str, dict[Any, int]] = field(default_factory=dict)
    ids: bytes = b""
    pickups: int = 0
    made_early: bool = False
    tags: frozenset[bytes] = frozenset()
    going_on: frozenset[bytes] = frozenset()
    most_open: int = 0
    hosts: frozenset[bytes] = frozenset()
    instances: int = 0
    writers: list[tuple[bytes, int]] = field(default_factory=list)
    first_stamp: bytes = b""
    begun: Place | None = None
    ended: Place | None = None
    foreign: int = 0
    unread: int = 0
    not_mail: int = 0
    mail: bool = False
