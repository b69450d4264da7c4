"""One command's input: which sources, read how and by which processes, and what was wrong with them."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from logscan import timespan
from logscan.compare import earlier
from logscan.correlate.feed import Feed
from logscan.correlate.state import Leg, text
from logscan.errors import SourceError
from logscan.findings import Case
from logscan.model import SourceInfo, Window
from logscan.opendkim_conf import OpenDkimConf, read_conf
from logscan.parse.header import parse
from logscan.parse.stamps import Clock
from logscan.reports.document import Facts
from logscan.run import Run, no_collector
from logscan.sources import merge
from logscan.sources.blocks import LONGEST_LINE
from logscan.sources.plan import Plan, PlannedSource, are_apart, chains, plan
from logscan.sources.seek import narrowed
from logscan.tally import KEEP, Tally

if TYPE_CHECKING:
    from logscan.jobs.fleet import Fleet

Warn = Callable[[str], None]
Progress = Callable[[int, int | None], None]
Opener = Callable[[SourceInfo], Generator[bytes, None, None]]

# Read from so long before the window: a message is in it when its first line is, so the openings of older
# ones have to be seen, and the sessions that lost their milter, and what OpenDKIM's settings let it log. Six
# hours hold many sessions, and on nearly every host a line of OpenDKIM.
BEFORE = 6 * 3600
# Read on for so long after it: what comes in late in the window is as a rule delivered within minutes, and
# what a day has not brought to an end is waiting for a host that is down.
AFTER = 86400
# A log that ends before the window is one of a host that is quiet just now, if it has not been so for longer.
SILENCE = 6 * 3600

# Smaller inputs, in bytes, are read before other processes are at work.
WORTHWHILE = 24 << 20

OK, FAILED = 0, 2

OVERLAPPING = "logs that overlap in time and cannot be read apart (is a host in several?)"
_NO_MAIL = ("no line of Postfix or OpenDKIM in it", "is the mail log another file?")


@dataclass(slots=True)
class Options:
    """What the commands were asked for, as typed; None and [] where nothing was.

    hosts, domains: only these; a domain is the envelope sender's. by: tables to show. limit: problem messages
    to list. our_domains: domains that are ours. jobs: processes to read with. scheduler: address of a Dask cluster
    whose workers help. compare: also count the time of the same length before, and tell what changed.
    """

    logs: list[str] = field(default_factory=list)
    since: str | None = None
    until: str | None = None
    hosts: list[str] = field(default_factory=list)
    domains: list[str] = field(default_factory=list)
    by: list[str] = field(default_factory=list)
    limit: int = 20
    our_domains: list[str] = field(default_factory=list)
    opendkim_conf: str | None = None
    timezone: str | None = None
    jobs: int | None = None
    scheduler: str | None = None
    compare: bool = False


class Job:
    """One command's input: what to read, what of it was read, and what was wrong with it.

    Raises TimeError and UsageError for options that cannot be followed. problems: inputs that are missing,
    unreadable, without mail lines, or no logs. partial: one of them broke off.
    """

    def __init__(
        self,
        options: Options,
        *,
        warn: Warn,
        progress: Progress | None = None,
        now: int | None = None,
        tally: Tally | None = None,
        keep: Callable[[list[Leg], Case], None] | None = None,
    ) -> None:
        now = int(time.time()) if now is None else now
        self._now = now
        self.options = options
        self.zone = timespan.zone(options.timezone)
        self.window = timespan.window(options.since, options.until, datetime.fromtimestamp(now, self.zone))
        self.conf: OpenDkimConf | None = (
            None if options.opendkim_conf is None else read_conf(options.opendkim_conf)
        )
        self.run = Run(
            self.window,
            self.zone,
            tally=tally,
            keep=keep,
            hosts=frozenset(_bytes(host) for host in options.hosts),
            domains=frozenset(_domain(domain) for domain in options.domains),
        )
        self.infos: list[SourceInfo] = []
        self.problems: list[SourceError] = []
        self.partial = False
        self.blank = False  # as of a ReportResult
        self._opened = ExitStack()
        self._joined: Fleet | None = None
        self._mail_elsewhere = False  # mail lines are in a log of which only a part was read
        self.warned: list[str] = []
        self._warn = _noting(warn, self.warned)
        self._progress = progress
        ours = set(options.our_domains) | (self.conf.domains if self.conf else set())
        self.ours = {_domain(domain) for domain in ours}
        self.run.state.ours.update(self.ours)
        self.earlier = earlier(self.window, now, self.zone) if options.compare else None
        begin = self.window.since if self.earlier is None else self.earlier.since
        self.wide = Window(
            None if begin is None else max(0, begin - BEFORE),
            None if self.window.until is None else self.window.until + AFTER,
        )
        self.plan: Plan = plan(options.logs, self.wide, now=now, zone=self.zone, stdin=sys.stdin.buffer)
        self.skipped = [source for source in self.plan.sources if not source.may_hold(self.wide)]
        self._total = _total([source for source in self.plan.sources if source not in self.skipped])

    @property
    def status(self) -> int:
        """The exit status, findings aside."""
        return FAILED if self.problems or self.partial else OK

    def read(self) -> None:
        """Read everything, and warn of what was wrong with it."""
        for note in self.plan.notes:
            self._warn(f"note: {note}")
        for problem in self.plan.problems:
            self.problem(problem)
        for value in self.conf.unread if self.conf else ():
            self._warn(f"{self.options.opendkim_conf}: {value} is not read; name its domains by --our-domain")
        if self.earlier is not None:
            self.note_alone("--compare, which reads with one process")
        with self._opened, no_collector():
            in_a_row: list[PlannedSource] = []
            for group in self.plan.groups:
                sources = [source for source in group if source not in self.skipped]
                followed = chains(sources)
                if len(followed) > 1:
                    self._in_a_row(in_a_row)
                    in_a_row = []
                    self._merged(followed)
                else:
                    in_a_row += sources
            self._in_a_row(in_a_row)
            self.run.finish()
        self._name_foreign_milters()
        self._judge()

    def facts(self) -> Facts:
        """What a document says of the input."""
        return Facts(
            window=self.window,
            zone=self.zone,
            sources=self.infos,
            seen=self.run.seen(),
            read=(self.begins(), self.ends()),
            hosts=self.run.hosts,
            missing=self.plan.missing,
            conf=self.conf,
        )

    def begins(self) -> int | None:
        """When the first line of the input was logged."""
        return min((feed.first for feed in self.run.feeds if feed.first is not None), default=None)

    def ends(self) -> int | None:
        """When the last line of the input was logged."""
        return max((feed.last for feed in self.run.feeds if feed.last is not None), default=None)

    # --- reading ---

    def narrowed(self, source: PlannedSource) -> PlannedSource:
        """What has to be read of the source. Just before it is read: logs are rotated at any time."""
        source = narrowed(source, self.wide, self.zone)
        if source.part is not None:
            self._mail_elsewhere = True
            if self._total is not None:
                self._total -= source.size - source.part
        return source

    def _in_a_row(self, sources: list[PlannedSource]) -> None:
        """Sources that follow each other."""
        jobs = self._processes(sources)
        if jobs == 1 or not sources:
            for source in sources:
                self._single(source)
            return
        # Not before it is needed: most logs are small.
        from logscan.jobs import parts, pool, reading

        fleet = self._fleet()
        if fleet is None:
            workers: pool.Workers = pool.Pool(jobs - 1, 2 * jobs)
            self._opened.callback(workers.close)
            shares = pool.shares(jobs)
        else:
            workers, shares = fleet, parts.Shares(fleet.workers, 0)
        reading.read(self, sources, workers, shares)

    def _processes(self, sources: list[PlannedSource]) -> int:
        """With how many processes to read them: one where messages are wanted, in their order, or there are few."""
        if self.run.tally is None or self.run.keep is not None or self.earlier is not None:
            return 1
        if self.options.scheduler is not None:
            return 2
        if self.options.jobs is None and sum(source.size for source in sources) < WORTHWHILE:
            return 1
        return _cores() if self.options.jobs is None else self.options.jobs

    def _fleet(self) -> Fleet | None:
        """The workers of the cluster that was asked for."""
        if self.options.scheduler is None:
            return None
        if self._joined is None:
            from logscan.jobs.fleet import Fleet

            self._joined = Fleet(self.options.scheduler)
            self._opened.callback(self._joined.close)
        return self._joined

    def _single(self, source: PlannedSource) -> None:
        source = self.narrowed(source)
        info = self.info(source)
        foreign = self.run.state.foreign_lines
        watch = _Watch(self.open(source.open, info), self.tick)
        try:
            feed = self.run.read(iter(watch), source.reference, info, source.year_hint)
        except SourceError as problem:
            self.infos.remove(info)
            self.problem(problem)
            return
        mail = watch.mail or source.part is not None
        self.check(feed, [info], mail, self.run.state.foreign_lines - foreign)

    def _merged(self, followed: list[list[PlannedSource]]) -> None:
        """Sources that overlap in time, as one log. A chain's files follow each other."""
        jobs = self._processes([source for sources in followed for source in sources])
        if jobs > 1 and are_apart(followed):
            from logscan.jobs import merging, pool

            workers: pool.Workers | None = self._fleet()
            if workers is None:
                workers = pool.Pool(jobs, merging.PARTS_AHEAD * len(followed))
                self._opened.callback(workers.close)
            if not any(source.packed and source.size > workers.most for sources in followed for source in sources):
                merging.read(self, followed, workers)
                return
        if jobs > 1:
            self.note_alone(OVERLAPPING)
        followed = [[self.narrowed(source) for source in sources] for sources in followed]
        foreign = self.run.state.foreign_lines
        before = len(self.infos)
        watch = _Watch(merge.merge([self._runs(sources) for sources in followed]), self.tick)
        every = [source for sources in followed for source in sources]
        feed = self.run.feed(iter(watch), self.clock_of(every))
        mail = watch.mail or any(source.part is not None for source in every)
        self.check(feed, self.infos[before:], mail, self.run.state.foreign_lines - foreign)

    def clock_of(self, sources: list[PlannedSource]) -> Clock:
        """The one clock of sources that are merged."""
        hint = min(sources, key=_begin).year_hint
        return Clock(self.zone, max(source.reference for source in sources), hint)

    def _runs(self, sources: list[PlannedSource]) -> Iterator[merge.Run]:
        """A chain's lines by the second. The feed reads their stamps again: here they only tell the order."""
        stamper = _Stamper()

        def blocks() -> Iterator[bytes]:
            for source in sources:
                info = self.info(source)
                stamper.start(Clock(self.zone, source.reference, source.year_hint), info)
                try:
                    yield from self.open(source.open, info)
                except SourceError as problem:
                    self.infos.remove(info)
                    self.problem(problem)

        return merge.runs(blocks(), stamper)

    def info(self, source: PlannedSource) -> SourceInfo:
        info = SourceInfo(source.name)
        self.infos.append(info)
        return info

    def open(self, how: Opener, info: SourceInfo) -> Iterator[bytes]:
        """A source's blocks, closed at the latest when the reading ends in whatever way."""
        blocks = how(info)
        self._opened.callback(blocks.close)
        return blocks

    def tick(self) -> None:
        if self._progress is not None:
            self._progress(sum(info.bytes for info in self.infos), self._total)

    # --- what was wrong with it ---

    def unread_elsewhere(self, name: str) -> None:
        """Another process could not read a source that this one can."""
        self._warn(f"note: {name}: read here, for a worker could not open it")

    def note_alone(self, why: str) -> None:
        """A cluster was asked for that is of no use."""
        if self.options.scheduler is not None:
            self._warn(f"note: --scheduler: not used for {why}")

    def problem(self, problem: SourceError) -> None:
        self.problems.append(problem)
        self._warn(f"error: {problem}")

    def check(self, feed: Feed, infos: list[SourceInfo], mail: bool, foreign: int) -> None:
        """Warn of what is wrong with sources that were just read."""
        for info in infos:
            if info.ends_early is not None:
                self.partial = True
                self._warn(f"{info.name}: {info.ends_early}; the report covers what came before")
            if info.cut_lines:
                cut = f"{info.cut_lines:,} line" + ("" if info.cut_lines == 1 else "s")
                self._warn(f"{info.name}: {cut} longer than {LONGEST_LINE:,} bytes cut to that length")
        lines = sum(info.lines for info in infos)
        name = ", ".join(info.name for info in infos)
        if lines and feed.first is None:
            self.problem(SourceError(name, "not a log", "none of its lines has a time stamp"))
        elif lines and not mail and foreign >= lines:
            self.problem(SourceError(name, *_NO_MAIL))

    def _judge(self) -> None:
        """Warn of what the whole input lacks."""
        lines = sum(info.lines for info in self.infos)
        if not lines and not self.skipped:
            for info in self.infos:
                self.problem(SourceError(info.name, "empty", "is the mail log another file?"))
        elif lines and not self.problems and not self.run.mail_seen() and not self._mail_elsewhere:
            names = ", ".join(info.name for info in self.infos)
            self.problem(SourceError(names, *_NO_MAIL))
        self.judge_span()
        state = self.run.state
        known = [text(name) for name in state.hosts]
        for host in self.options.hosts:
            if lines and _bytes(host) not in state.hosts:
                self.blank = True
                some = ", ".join(sorted(known)[:10]) + (" and others" if len(known) > 10 else "")
                self._warn(f"--host {host}: no line of it in the input, which has {some or 'none'}")
        for path in self.plan.missing:
            self._warn(f"{path}: missing, though older and younger ones are there; its mail is not counted")
        if state.let_go:
            self._warn(
                f"{state.let_go:,} messages were let go before their end: too many were open, or for too long"
            )
        tally = self.run.tally
        if tally is not None and tally.folded_early and len(state.ours) > tally.ours_then:
            self._warn(
                f"{tally.folded_early:,} messages were judged before the end of the input: too many kinds"
            )
        if tally is not None and self.options.limit > KEEP:
            self._warn(
                f"--limit {self.options.limit}: at most {KEEP:,} messages are listed; the export has them all"
            )

    def judge_span(self) -> None:
        """Warn when the window lies outside of the input, or begins before it."""
        begins = [self.begins(), *(source.first for source in self.plan.sources)]
        ends = [self.ends(), *(source.last or source.first for source in self.plan.sources)]
        begin = min((at for at in begins if at is not None), default=None)
        end = max((at for at in ends if at is not None), default=None)
        if begin is None or end is None:
            return
        since, until = self.window.since, self.window.until
        if self.run.seen()[0] is None:
            # Of a silence in the midst of the log, the log does tell.
            asked_to = self._now if until is None else min(until, self._now)
            late = since is not None and end < since and (since > self._now or asked_to - end > SILENCE)
            self.blank = late or (until is not None and begin >= until)
            bounds = (("since", since), ("until", until))
            asked = " ".join(f"{word} {self._time(at)}" for word, at in bounds if at is not None)
            span = f"{self._time(begin)} to {self._time(end)}"
            self._warn(f"nothing was logged {asked}; the input holds {span}")
        elif since is not None and begin > since + 3600:
            self._warn(f"note: the input begins at {self._time(begin)}, after --since")

    def _time(self, at: int) -> str:
        return datetime.fromtimestamp(at, self.zone).strftime("%Y-%m-%d %H:%M:%S")

    def _name_foreign_milters(self) -> None:
        """Every failing endpoint that is not OpenDKIM's socket is another milter's."""
        if self.conf is None:
            return
        state = self.run.state
        for _, kind, subject in state.faults:
            if kind.startswith("milter-") and subject and not self.conf.is_ours(text(subject)):
                state.foreign_endpoints.add(subject)


class _Watch:
    """Passes blocks on, tells that they come, and notes if a word of Postfix or OpenDKIM is in them."""

    def __init__(self, blocks: Iterator[bytes], tick: Callable[[], None]) -> None:
        self._blocks = blocks
        self._tick = tick
        self.mail = False

    def __iter__(self) -> Iterator[bytes]:
        for block in self._blocks:
            if not self.mail:
                self.mail = b"postfix" in block or b"opendkim" in block
            self._tick()
            yield block


class _Stamper:
    """The instant of each line of a chain, by the clock of its file; notes each file's first and last."""

    def __init__(self) -> None:
        self._clock = Clock(UTC, 0)
        self._info = SourceInfo("")

    def start(self, clock: Clock, info: SourceInfo) -> None:
        """The next lines are of another file."""
        self._clock = clock
        self._info = info

    def __call__(self, line: bytes) -> int | None:
        at = self._clock.traditional(line[:15])
        if at is None:
            header = parse(line, self._clock)
            if header is None:
                return None
            at = header.at
        if self._info.first is None:
            self._info.first = at
        self._info.last = at
        return at


def _cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _noting(warn: Warn, warned: list[str]) -> Warn:
    def noting(text: str) -> None:
        warned.append(text)
        warn(text)

    return noting


def _begin(source: PlannedSource) -> int:
    """When what is read of it begins, as far as that is known."""
    known = source.first if source.begins is None else source.begins
    return source.reference if known is None else known


def _total(sources: list[PlannedSource]) -> int | None:
    """How many bytes will be read; None when packed files or streams keep that for themselves."""
    if any(source.packed or source.path is None for source in sources):
        return None
    return sum(source.size for source in sources)


def _bytes(word: str) -> bytes:
    return word.encode("utf-8", "surrogateescape")


def _domain(word: str) -> bytes:
    return _bytes(word.strip().removeprefix("@").rstrip(".").lower())
