"""Processes of this machine that sift parts of logs ahead of the one that reads."""

from __future__ import annotations

import gc
import multiprocessing
import signal
import sys
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from logscan.jobs.digest import Digest, Task
from logscan.jobs.parts import Part, Shares
from logscan.jobs.sift import sift


class Pool:
    """Sifts parts, never more than a few ahead of the reader. Close it."""

    def __init__(self, jobs: int) -> None:
        # A process that was forked has all modules there already. Elsewhere than on Linux that is not safe.
        how = "fork" if sys.platform == "linux" else "spawn"
        self._ahead = 2 * jobs
        self._workers = ProcessPoolExecutor(jobs - 1, multiprocessing.get_context(how), _begin)
        self._broken = False

    def close(self) -> None:
        """End the processes."""
        self._workers.shutdown(wait=False, cancel_futures=True)

    def ahead(self, parts: Iterator[Part]) -> Iterator[tuple[Part, Digest | None]]:
        """Each part in order, with its digest, or None for one that the reader has to read itself."""
        waiting: deque[tuple[Part, Future[Digest] | None]] = deque()
        for part in parts:
            waiting.append((part, None if part.own or self._broken else self._submit(part)))
            if len(waiting) > self._ahead:
                yield self._next(waiting)
        while waiting:
            yield self._next(waiting)

    def _submit(self, part: Part) -> Future[Digest] | None:
        try:
            return self._workers.submit(_sift, part.task)
        except BrokenProcessPool:
            self._broken = True
            return None

    def _next(self, waiting: deque[tuple[Part, Future[Digest] | None]]) -> tuple[Part, Digest | None]:
        part, future = waiting.popleft()
        try:
            return part, None if future is None else future.result()
        except BrokenProcessPool:
            # A process was killed, most likely for want of memory: what is left is read by this one.
            self._broken = True
            return part, None


def shares(jobs: int) -> Shares:
    """How a log is shared out among so many processes, this one among them."""
    # What sifting costs, and replaying what is left, of what reading does.
    sifting, replaying = 1.2, 0.15
    return Shares(jobs - 1, max(0.0, sifting - replaying * (jobs - 1)))


def _sift(task: Task) -> Digest:
    digest = sift(task)
    # The sieve's own parts point at each other.
    gc.collect()
    return digest


def _begin() -> None:
    # Who presses Ctrl-C means the reader, which ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
