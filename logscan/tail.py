"""`logscan tail`: a growing log, the engine on it, and where its news goes, until somebody ends it."""

from __future__ import annotations

import os
import select
import signal
import stat
import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import tzinfo
from pathlib import Path
from types import FrameType

from logscan import timespan
from logscan.errors import LogscanError, SourceError
from logscan.live import Live
from logscan.news import MessageNews, News
from logscan.opendkim_conf import OpenDkimConf, read_conf
from logscan.render.tail import Sink
from logscan.sources.follow import Followed, FollowedFile
from logscan.sources.journal import NAME as JOURNAL
from logscan.sources.journal import FollowedJournal
from logscan.sources.plan import STDIN, default_log
from logscan.sources.remote import is_url, local, shown
from logscan.sources.stream import FollowedStream
from logscan.sources.waking import FileWatch, Waker

# What is read back to learn from: on most hosts hours, with OpenDKIM's habits, open sessions and our domains in it.
HISTORY = 1_000_000
# With `-n`, so many bytes of log for each line to show.
PER_LINE = 4096
# Looked for what is due at least so often, and the status line drawn at most so often while lines pour in; seconds.
TICK, REDRAW = 1.0, 0.25

OK, FAILED, INTERRUPTED = 0, 2, 130


@dataclass(slots=True)
class TailOptions:
    """What `tail` was asked for. log: None for the system's. lines: of output to show from before. only: outcomes,
    empty for all. hold: seconds in transit after which a verdict is told. The rest as in `job.Options`."""

    log: str | None = None
    lines: int = 10
    only: frozenset[str] = frozenset()
    hold: int = 30
    our_domains: list[str] = field(default_factory=list)
    opendkim_conf: str | None = None
    timezone: str | None = None


class Stop:
    """Which signal asked us to end; None while none did."""

    def __init__(self) -> None:
        self.signal: int | None = None


def run_tail(options: TailOptions, *, sink: Callable[[tzinfo], Sink]) -> int:
    """Follow the log and tell; returns the exit status: 130 after SIGINT, 0 after SIGTERM or the end of a stream,
    2 when there was no mail in it.

    sink: makes what tells, for the zone of the times. Raises TimeError, UsageError and SourceError for options that
    cannot be followed and logs that cannot be read, BrokenPipeError when nobody listens any more.
    """
    zone = timespan.zone(options.timezone)
    conf: OpenDkimConf | None = None if options.opendkim_conf is None else read_conf(options.opendkim_conf)
    out = sink(zone)
    live = Live(
        zone,
        hold=options.hold,
        clock=time.monotonic,
        wall=time.time,
        is_ours=None if conf is None else conf.is_ours,
    )
    ours = set(options.our_domains) | (conf.domains if conf is not None else set())
    live.state.ours.update(_domain(domain) for domain in ours)
    stop, waker = Stop(), Waker()
    with signals(stop, waker), source_for(options.log, waker, out.notice) as source:
        try:
            ended = follow(live, source, out, stop, lines=options.lines, only=options.only)
        except LogscanError:
            out.end(live.standing(), live.in_transit())
            raise
        out.end(live.standing(), 0 if ended else live.in_transit())
    if stop.signal == signal.SIGINT:
        return INTERRUPTED
    if ended and not live.mail_seen():
        out.notice(f"{source.info.name}: no line of Postfix or OpenDKIM in it")
        return FAILED
    return OK


def follow(
    live: Live,
    source: Followed,
    sink: Sink,
    stop: Stop,
    *,
    lines: int,
    only: Collection[str] = (),
    clock: Callable[[], float] = time.monotonic,
) -> bool:
    """Tell what was, then what comes. True when the source is at its end, False when `stop` ended it."""

    def tell() -> None:
        for note in source.notes:
            sink.notice(note)
        source.notes.clear()
        sink.news(one for one in live.news() if _wanted(one, only))

    def quiet() -> float:
        return 0.0 if source.changed is None else time.time() - source.changed

    live.history(source.history(max(HISTORY, lines * PER_LINE)), lines, quiet, only)
    tell()
    live.start()
    drawn = 0.0
    while stop.signal is None:
        block = source.read()
        if source.lost:
            source.lost = False
            live.lost(source.info.name)
        if block is None:
            live.end()
            tell()
            return True
        if block:
            live.block(block)
        live.look(half=source.half())
        tell()
        if not block or clock() - drawn >= REDRAW:
            drawn = clock()
            sink.standing(live.standing())
        if not block:
            _still_heard()
            source.wait(TICK)
    return False


def _wanted(news: News, only: Collection[str]) -> bool:
    """--only chooses messages, also those that were told with that outcome before. Faults are always told."""
    if not only or not isinstance(news, MessageNews):
        return True
    return news.message.outcome in only or (news.was is not None and news.was[1] in only)


@contextmanager
def signals(stop: Stop, waker: Waker) -> Iterator[None]:
    """Let SIGINT and SIGTERM ask for the end, and SIGWINCH and SIGCONT for another look; a second SIGINT insists."""

    def end(number: int, frame: FrameType | None) -> None:
        if stop.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        stop.signal = number
        waker.poke()

    def look(number: int, frame: FrameType | None) -> None:
        waker.poke()

    handlers = {signal.SIGINT: end, signal.SIGTERM: end, signal.SIGWINCH: look, signal.SIGCONT: look}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    descriptor = signal.set_wakeup_fd(waker.descriptor, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(descriptor)
        for number, handler in before.items():
            signal.signal(number, handler)
        waker.close()


@contextmanager
def source_for(log: str | None, waker: Waker, notice: Callable[[str], None]) -> Iterator[Followed]:
    """What is followed under this name. Raises SourceError, here or at its first reading."""
    if log is None:
        notes: list[str] = []
        log = default_log(notes)
        for note in notes:
            notice(note)
    if is_url(log):
        raise SourceError(shown(log), "cannot be followed", "tail is for files of this machine; report reads URLs")
    log = local(log)
    source: Followed
    watch = None
    descriptor = None
    if log == STDIN:
        source = FollowedStream(sys.stdin.fileno(), "standard input", waker.wait)
    elif log == JOURNAL:
        source = FollowedJournal(waker.wait)
    elif _is_fifo(log):
        descriptor = os.open(log, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        source = FollowedStream(descriptor, log, waker.wait, lasting=True)
    else:
        watch = FileWatch(Path(log), waker)
        source = FollowedFile(Path(log), log, watch.wait)
    try:
        yield source
    finally:
        source.close()
        if watch is not None:
            watch.close()
        if descriptor is not None:
            os.close(descriptor)


def _is_fifo(log: str) -> bool:
    try:
        return stat.S_ISFIFO(Path(log).stat().st_mode)
    except (OSError, ValueError):
        return False


def _still_heard() -> None:
    """A pipe whose reader went away is found out at the next look, not only at the next news.

    Raises BrokenPipeError.
    """
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
        gone = poll.poll(0)
    except (OSError, ValueError):
        return
    if gone:
        raise BrokenPipeError


def _domain(word: str) -> bytes:
    return word.strip().removeprefix("@").rstrip(".").lower().encode("utf-8", "surrogateescape")
