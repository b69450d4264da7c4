"""Sources that follow each other, read with several processes. The answer is the one of a single process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

from logscan.correlate.feed import Feed
from logscan.errors import SourceError
from logscan.jobs.digest import Digest, Task
from logscan.jobs.parts import AHEAD, LARGEST, SMALLEST, Part, Shares, cut
from logscan.jobs.replay import fits, replay
from logscan.model import SourceInfo
from logscan.parse.stamps import Clock, Place

if TYPE_CHECKING:
    from logscan.job import Job
    from logscan.jobs.pool import Workers
    from logscan.sources.plan import PlannedSource


def read(job: Job, sources: list[PlannedSource], workers: Workers, shares: Shares) -> None:
    """Read sources that follow each other, parts of them in other processes."""
    size = sum(source.size for source in sources) // (2 * (shares.others + 1))
    rounds = shares.rounds(max(min(size, AHEAD // workers.parts_ahead, LARGEST), SMALLEST))

    def parts() -> Iterator[Part]:
        for source in sources:
            source = job.narrowed(source)
            yield from cut(source, task_of(job, source, workers), rounds, shares.crumb)

    reading: _Reading | None = None
    try:
        for part, digest in workers.ahead(parts()):
            if part.first:
                reading = _Reading(job, part)
            assert reading is not None
            if reading.take(part, digest):
                job.tick()
            if part.last:
                reading.end()
                reading = None
    finally:
        if reading is not None:
            reading.end()


def task_of(job: Job, source: PlannedSource, workers: Workers) -> Task:
    """The task of sifting the whole source."""
    run = job.run
    return Task(
        name=source.name,
        open=source.open,
        reference=source.reference,
        year_hint=source.year_hint,
        upper=source.last,
        whole=True,
        window=run.window,
        zone=run.zone,
        hosts=run.hosts,
        domains=run.domains,
        ours=frozenset(job.ours),
        most=workers.most,
        names=frozenset(run.state.opendkim_names),
    )


class _Reading:
    """One source that is read part by part."""

    def __init__(self, job: Job, part: Part) -> None:
        self._job = job
        self._source = part.source
        self._info = job.info(part.source)
        self._info.split = True
        self._mail = part.source.part is not None
        self._foreign = job.run.state.foreign_lines
        self._before: Place | None = None
        self._failed = False
        self._told = False
        self._feeding = ExitStack()
        clock = Clock(job.zone, part.source.reference, part.source.year_hint)
        self._feed: Feed = self._feeding.enter_context(job.run.feeding(clock))

    def take(self, part: Part, digest: Digest | None) -> bool:
        """Read the next part, or replay what its digest kept of it. False when the source cannot be read."""
        if self._failed:
            return False
        run, feed = self._job.run, self._feed
        if digest is not None and fits(run, digest, part.task, self._before):
            replay(run, feed, digest)
            add(self._info, digest.info)
            self._mail = self._mail or digest.mail
        else:
            try:
                feed.blocks(self._watched(self._job.open(part.task.open, self._info)), self._info)
            except SourceError as problem:
                self._failed = True
                self._job.infos.remove(self._info)
                self._job.problem(problem)
            else:
                if digest is not None and digest.unreadable and self._info.ends_early is None and not self._told:
                    self._told = True
                    self._job.unread_elsewhere(self._info.name)
        self._before = feed.clock.place()
        return not self._failed

    def _watched(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        for block in blocks:
            self._mail = self._mail or b"postfix" in block or b"opendkim" in block
            self._job.tick()
            yield block

    def end(self) -> None:
        """The source is at its end: say what was wrong with it."""
        self._feeding.close()
        feed, info = self._feed, self._info
        info.first, info.last = feed.first, feed.last
        if not self._failed:
            foreign = self._job.run.state.foreign_lines - self._foreign
            self._job.check(feed, [info], self._mail, foreign)


def add(info: SourceInfo, part: SourceInfo) -> None:
    """Add what was read of a part."""
    info.lines += part.lines
    info.bytes += part.bytes
    info.cut_lines += part.cut_lines
    info.ends_early = info.ends_early or part.ends_early
