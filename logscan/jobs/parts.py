"""Cuts sources into parts: byte ranges of plain files, anything else whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import cycle

from logscan.jobs.digest import Task
from logscan.sources.blocks import read_range
from logscan.sources.plan import PlannedSource
from logscan.sources.seek import stamped_line

# In bytes. The messages at the edges of a part are read twice, and what is kept of it waits in memory.
LARGEST, SMALLEST = 32 << 20, 4 << 20
CRUMB = 1 << 16
# Of all parts that are sifted before the reader comes to them: where all mail is in trouble, all of it is kept.
AHEAD = 128 << 20


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a source. own: the reader reads it itself. first, last: of its source."""

    source: PlannedSource
    task: Task
    own: bool
    first: bool
    last: bool


@dataclass(frozen=True, slots=True)
class Shares:
    """A round of parts: one of the reader's own, of the size `own` compared to the others, then so many `others`.

    crumb: what is left at the end of a file is no part of its own up to this size in bytes.
    """

    others: int
    own: float
    crumb: int = CRUMB

    def rounds(self, size: int) -> Iterator[tuple[int, bool]]:
        """Sizes of parts in bytes, and whether each is the reader's own, without end."""
        mine = [(int(self.own * size), True)] if self.own * size >= SMALLEST / 4 or not self.others else []
        return cycle(mine + [(size, False)] * self.others)


def cut(source: PlannedSource, task: Task, rounds: Iterator[tuple[int, bool]], crumb: int) -> Iterator[Part]:
    """The parts of a source, whose task for the whole of it is given."""
    if source.path is None or source.packed or source.last is None:
        own = next(rounds)[1]
        # A stream is this process's alone, and so is what would be kept for long.
        yield Part(source, task, own or not source.opening or source.size > task.most, True, True)
        return
    begin, end = source.start, source.size if source.stop is None else source.stop
    first = True
    while True:
        size, own = next(rounds)
        following = stamped_line(source, begin + size, end - crumb, task.zone)
        last = following is None
        here = partial(read_range, source.path, begin, source.stop if last else following)
        if not (first and last):
            task = replace(task, open=here, whole=first)
        yield Part(source, task, own, first, last)
        if following is None:
            return
        begin, first = following, False
