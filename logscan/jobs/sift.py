"""Sifts one part of a log, in whatever process."""

from __future__ import annotations

import gc
from contextlib import closing

from logscan.correlate.feed import Feed
from logscan.errors import SourceError
from logscan.jobs.digest import Digest, Task
from logscan.jobs.sieve import Kept, Sieve
from logscan.model import SourceInfo
from logscan.parse.header import first_stamp
from logscan.parse.stamps import Clock
from logscan.run import no_collector

_STAMP = 15  # bytes of a traditional one


def work(task: Task) -> Digest:
    """`sift` in a process that sifts many parts, one after the other."""
    digest = sift(task)
    # The sieve's own parts point at each other.
    gc.collect()
    return digest


def sift(task: Task) -> Digest:
    """Read a part of a log and leave out what is plain.

    Raises nothing: a source that cannot be read gives a digest that is not good, and whoever reads it then meets the
    fault.
    """
    digest = Digest(SourceInfo(task.name, split=True), task.names)
    sieve = Sieve(task.window, task.zone, task.hosts, task.domains, digest)
    sieve.state.ours.update(task.ours)
    sieve.state.now = -1
    clock = Clock(task.zone, task.reference, task.year_hint)
    kept = Kept(sieve.state, sieve.sifting, digest)
    feed = Feed(sieve.state, clock, sieve.writers, kept)
    try:
        with closing(task.open(digest.info)) as blocks, no_collector():
            for block in blocks:
                if not digest.first_stamp:
                    _begin(task, digest, clock, block)
                sieve.sift(feed, block)
                if kept.bytes > task.most:
                    digest.good = False
                    break
        sieve.end(feed, kept)
    except SourceError:
        digest.unreadable = True
    if digest.info.ends_early is not None and not task.whole:
        digest.unreadable = True  # how far it came is told by lines of the whole file
    if digest.unreadable or not digest.good:
        return Digest(SourceInfo(task.name), task.names, good=False, unreadable=digest.unreadable)
    return digest


def _begin(task: Task, digest: Digest, clock: Clock, block: bytes) -> None:
    """Set the clock to where it has to stand at a part that is not the first."""
    line = block[: block.find(b"\n")]
    digest.first_stamp = line[:_STAMP] or b"-"
    if not task.whole:
        # The year is the latest that the source's end allows. Whether it is the right one is seen afterwards.
        upper = task.reference if task.upper is None else task.upper
        guess = Clock(task.zone, upper)
        if guess.traditional(line[:_STAMP]) is not None:
            clock.resume(guess.place())
        elif first_stamp(line, upper, task.zone) is None:
            digest.good = False
    digest.begun = clock.place()
