"""Logs of different hosts that overlap in time, read with several processes.

Each chain of sources is sifted apart, and what was kept of all is replayed in the order of time. That is the answer
of one process as long as no host is in two of the chains.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from heapq import heapify, heappop, heapreplace
from typing import TYPE_CHECKING

from logscan.correlate.feed import Feed
from logscan.correlate.state import LEG_CAP
from logscan.errors import NotApartError, SourceError
from logscan.jobs.digest import Digest
from logscan.jobs.parts import AHEAD, CRUMB, LARGEST, SMALLEST, Part, Shares, cut
from logscan.jobs.pool import Result, Workers
from logscan.jobs.reading import add, task_of
from logscan.jobs.replay import Step, fits, leave_writers, steps, take_counts, take_step
from logscan.jobs.sift import sift
from logscan.model import SourceInfo
from logscan.parse.header import parse
from logscan.parse.stamps import Clock, Place

if TYPE_CHECKING:
    from logscan.job import Job
    from logscan.sources.plan import PlannedSource

PARTS_AHEAD = 2  # of a chain


def read(job: Job, chains: list[list[PlannedSource]], workers: Workers) -> None:
    """Read chains of sources that overlap in time. Raises NotApartError."""
    begin = len(job.infos)
    every = [source for sources in chains for source in sources]
    foreign = job.run.state.foreign_lines
    with job.run.feeding(job.clock_of(every)) as feed:
        merging = _Merging(job, workers, feed, chains)
        merging.read()
    mail = merging.mail or any(source.part is not None for source in every)
    job.check(feed, job.infos[begin:], mail, job.run.state.foreign_lines - foreign)


class _Merging:
    """One group of chains while it is read."""

    def __init__(self, job: Job, workers: Workers, feed: Feed, chains: list[list[PlannedSource]]) -> None:
        self.mail = False
        self._job = job
        self._workers = workers
        self._feed = feed
        size = max(min(AHEAD // (PARTS_AHEAD * len(chains)), LARGEST), SMALLEST)
        self._parts = [self._cut(sources, size) for sources in chains]
        self._waiting: list[deque[tuple[Part, Result]]] = [deque() for _ in chains]
        self._owners: dict[bytes, int] = {}
        self._open: dict[int, int] = {}  # chain → most legs open at once in its present part

    def read(self) -> None:
        """Replay all steps in the order of time; equal times go in the order of the chains."""
        for number in range(len(self._parts)):
            self._fill(number)
        streams = [self._chain(number) for number in range(len(self._parts))]
        heads: list[tuple[int, int, Step]] = []
        for number, stream in enumerate(streams):
            if (head := next(stream, None)) is not None:
                heads.append((head[0], number, head[1]))
        heapify(heads)
        while heads:
            _, number, step = heads[0]
            if not take_step(self._feed, step):
                raise NotApartError
            if (head := next(streams[number], None)) is None:
                heappop(heads)
            else:
                heapreplace(heads, (head[0], number, head[1]))

    def _cut(self, sources: list[PlannedSource], size: int) -> Iterator[Part]:
        rounds = Shares(1, 0).rounds(size)
        for source in sources:
            source = self._job.narrowed(source)
            yield from cut(source, task_of(self._job, source, self._workers), rounds, CRUMB)

    def _fill(self, number: int) -> None:
        """Have the chain's next parts sifted."""
        waiting = self._waiting[number]
        while len(waiting) < PARTS_AHEAD and (part := next(self._parts[number], None)) is not None:
            waiting.append((part, self._workers.submit(part.task)))

    def _chain(self, number: int) -> Iterator[tuple[int, Step]]:
        """One chain's steps, each with the newest instant of the chain so far."""
        newest = 0
        place: Place | None = None
        info = SourceInfo("")
        failed = False
        while self._waiting[number]:
            part, result = self._waiting[number].popleft()
            if part.first:
                info, place, failed = self._job.info(part.source), None, False
            digest = result()
            self._fill(number)
            if failed:
                continue
            if digest is not None and digest.unreadable:
                digest = sift(part.task)  # there only, perhaps
                if digest.good:
                    self._job.unread_elsewhere(info.name)
            if digest is None or not (digest.good or digest.unreadable):
                raise NotApartError
            clock = None
            if self._fits(number, part, digest, place):
                add(info, digest.info)
                take_counts(self._job.run, self._feed, digest)
                self.mail = self.mail or digest.mail
                found, place = steps(digest), digest.ended
            else:
                clock = Clock(part.task.zone, part.task.reference, part.task.year_hint)
                if place is not None:
                    clock.resume(place)
                found = self._lines(part, clock, info)
            try:
                for step in found:
                    info.first = step.at if info.first is None else info.first
                    info.last = step.at
                    newest = max(newest, step.at)
                    yield newest, step
                if clock is not None:
                    place = clock.place()
                else:
                    leave_writers(self._feed, digest)
            except SourceError as problem:
                failed = True
                self._job.infos.remove(info)
                self._job.problem(problem)
            self._job.tick()

    def _fits(self, number: int, part: Part, digest: Digest, place: Place | None) -> bool:
        """True when a part may be replayed, as far as its own chain is concerned and the others' size."""
        if any(self._owners.setdefault(host, number) != number for host in digest.hosts):
            raise NotApartError
        self._open[number] = digest.most_open
        if self._job.run.state.open_legs + sum(self._open.values()) >= LEG_CAP:
            return False
        return fits(self._job.run, digest, part.task, place, apart=True)

    def _lines(self, part: Part, clock: Clock, info: SourceInfo) -> Iterator[Step]:
        """A part's own lines."""
        at = clock.last or 0
        for block in self._job.open(part.task.open, info):
            self.mail = self.mail or b"postfix" in block or b"opendkim" in block
            kept: list[bytes] = []
            for line in block.replace(b"\r\n", b"\n").split(b"\n")[:-1]:
                if b" last message repeated " in line:
                    raise NotApartError
                found = clock.traditional(line[:15])
                if found is None:
                    header = parse(line, clock)
                    found = at if header is None else header.at
                if found != at:
                    if kept:
                        yield Step(at, kept, bytes(len(kept)))
                    at, kept = found, []
                kept.append(line)
            yield Step(at, kept, bytes(len(kept)))
            self._job.tick()
