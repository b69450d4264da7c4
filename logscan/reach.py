"""Does the input reach over the day that was asked for? What it does not tell is said, never counted as good.

Logs are judged by the directory they are in: of ``mail.log`` and ``mail.err`` one is as a rule empty, but each
host's directory on a log server has to reach over the day.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from logscan.errors import SourceError
from logscan.job import SILENCE, Job
from logscan.model import SourceInfo, Window
from logscan.parse.header import parse
from logscan.parse.stamps import Clock
from logscan.sources import merge
from logscan.sources.blocks import read_blocks
from logscan.sources.journal import NAME as JOURNAL
from logscan.sources.plan import PlannedSource, plan

# Nobody misses an hour: logs are rotated a while after midnight, and not every host sends mail at night.
PATIENCE = 3600
# A silence at an edge of the log is one more pause of a quiet host unless it is so many times as long as those
# before it, or where those cannot be looked up, longer than SILENCE.
UNUSUAL = 2


@dataclass(slots=True)
class Place:
    """The logs of one directory, or one stream. first, last: their outermost instants with the logs they are in."""

    sources: list[PlannedSource] = field(default_factory=list)
    first: tuple[int, PlannedSource] | None = None
    last: tuple[int, PlannedSource] | None = None

    def add(self, source: PlannedSource, first: int | None, last: int | None) -> None:
        """One of its logs, which begins and ends then; None where that is not known."""
        self.sources.append(source)
        begin = first if first is not None else last
        end = last if last is not None else first
        if begin is not None and (self.first is None or begin < self.first[0]):
            self.first = begin, source
        if end is not None and (self.last is None or end > self.last[0]):
            self.last = end, source


class Reach:
    """How far the input of a job that was read reaches. The job's window is the day; now: epoch seconds."""

    def __init__(self, job: Job, now: int) -> None:
        assert job.window.since is not None and job.window.until is not None
        self._job = job
        self._now = now
        self._since = job.window.since
        self._until = min(job.window.until, now)
        self._day = self._time(self._since)[:10]

    def shortfalls(self) -> list[SourceError]:
        """What of the day the input does not tell, one line each. Inputs that failed have been told about."""
        told = {problem.name for problem in self._job.problems}
        return [
            problem
            for key, place in self._places().items()
            if not any(source.name in told for source in place.sources)
            for problem in self._judge(key, place)
        ]

    def _places(self) -> dict[str, Place]:
        infos = {info.name: info for info in self._job.infos}
        places: dict[str, Place] = {}
        for source in self._job.plan.sources:
            place = places.setdefault(_key(source), Place())
            info = infos.get(source.name)
            if info is None:
                place.add(source, source.first, source.last)
            else:
                place.add(source, info.first, info.last)
        return places

    def _judge(self, key: str, place: Place) -> Iterator[SourceError]:
        first, last = place.first, place.last
        if first is None or last is None or first[0] > self._since or last[0] < self._until:
            # Rotated files that hold nothing of the day were not read, but tell that the log was there.
            beside = self._beside.get(key, Place())
            first = min((edge for edge in (first, beside.first) if edge), key=_instant, default=None)
            last = max((edge for edge in (last, beside.last) if edge), key=_instant, default=None)
        if first is None or last is None:
            yield SourceError(place.sources[-1].name, "empty", "is the mail log another file?")
        elif last[0] < self._since:
            yield self._problem(last, "ends", f"before {self._day}", "is it still written to?")
        elif first[0] >= self._until:
            yield self._problem(first, "begins", f"after {self._day}", "are rotated files missing?")
        elif key != JOURNAL:
            if self._unusual(first[0] - self._since, place, first[1]):
                yield self._problem(
                    first, "begins", f"and nothing tells of {self._day} before that", "are rotated files missing?"
                )
            if self._unusual(self._until - last[0], place, last[1]):
                yield self._problem(
                    last, "ends", f"and nothing tells of {self._day} after that", "is it still written to?"
                )

    def _problem(self, edge: tuple[int, PlannedSource], verb: str, what: str, hint: str) -> SourceError:
        return SourceError(edge[1].name, f"{verb} at {self._time(edge[0])}, {what}", hint)

    def _unusual(self, silence: int, place: Place, source: PlannedSource) -> bool:
        """Is a silence between the log's edge and the day's longer than a quiet host accounts for?"""
        if silence <= PATIENCE:
            return False
        pause = self._longest_pause([other for other in place.sources if other.family == source.family])
        return silence > (SILENCE if pause is None else UNUSUAL * pause)

    def _longest_pause(self, sources: list[PlannedSource]) -> int | None:
        """The longest time, in seconds, that passed between two lines; None for what can be read only once."""
        longest, before = 0, None
        for source in sources:
            if source.path is None:
                return None
            clock = Clock(self._job.zone, source.reference, source.year_hint)
            try:
                blocks = read_blocks(source.path, SourceInfo(source.name))
                for at, _ in merge.runs(blocks, lambda line, clock=clock: _at(line, clock)):  # type: ignore[misc]
                    longest = max(longest, 0 if before is None else at - before)
                    before = at
            except SourceError:
                return None
        return longest

    @cached_property
    def _beside(self) -> dict[str, Place]:
        """The edges of all rotated files, whatever they hold."""
        every = plan(self._job.options.logs, Window(0), now=self._now, zone=self._job.zone, stdin=sys.stdin.buffer)
        places: dict[str, Place] = {}
        for source in every.sources:
            places.setdefault(_key(source), Place()).add(source, source.first, source.last)
        return places

    def _time(self, at: int) -> str:
        return datetime.fromtimestamp(at, self._job.zone).strftime("%Y-%m-%d %H:%M:%S")


def _key(source: PlannedSource) -> str:
    return source.family[0] or source.name


def _instant(edge: tuple[int, PlannedSource]) -> int:
    return edge[0]


def _at(line: bytes, clock: Clock) -> int | None:
    header = parse(line, clock)
    return None if header is None else header.at
