"""Processes that sift parts of logs ahead of the one that reads."""

from __future__ import annotations

import multiprocessing
import signal
import sys
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial

from logscan.jobs.digest import Digest, Task
from logscan.jobs.parts import AHEAD, SMALLEST, Part, Shares
from logscan.jobs.sift import work

# Waits for a digest; None when the process that was at it died.
Result = Callable[[], Digest | None]


class Workers(ABC):
    """Processes that sift parts, never more than a few ahead of the reader. Close them.

    parts_ahead: how many parts are sifted before the reader wants them, or are its own. most: as of a Task.
    """

    parts_ahead: int
    most: int

    @abstractmethod
    def submit(self, task: Task) -> Result:
        """Have a part sifted."""

    @abstractmethod
    def close(self) -> None:
        """End, or let go."""

    def ahead(self, parts: Iterator[Part]) -> Iterator[tuple[Part, Digest | None]]:
        """Each part in order, with its digest, or None for one that the reader has to read itself."""
        waiting: deque[tuple[Part, Result | None]] = deque()
        for part in parts:
            waiting.append((part, None if part.own else self.submit(part.task)))
            if len(waiting) > self.parts_ahead:
                yield _next(waiting)
        while waiting:
            yield _next(waiting)


class Pool(Workers):
    """Processes of this machine."""

    def __init__(self, workers: int, parts_ahead: int) -> None:
        # A process that was forked has all modules there already. Elsewhere than on Linux that is not safe.
        how = "fork" if sys.platform == "linux" else "spawn"
        self.parts_ahead = parts_ahead
        self.most = max(AHEAD // parts_ahead, SMALLEST)
        self._workers = ProcessPoolExecutor(workers, multiprocessing.get_context(how), _begin)
        self._broken = False

    def close(self) -> None:
        """End the processes."""
        self._workers.shutdown(wait=False, cancel_futures=True)

    def submit(self, task: Task) -> Result:
        """Have a part sifted."""
        if not self._broken:
            try:
                future = self._workers.submit(work, task)
                return partial(self._result, future)
            except BrokenProcessPool:
                self._broken = True
        return _nothing

    def _result(self, future: Future[Digest]) -> Digest | None:
        try:
            return future.result()
        except BrokenProcessPool:
            # A process was killed, most likely for want of memory: what is left is read by this one.
            self._broken = True
            return None


def _next(waiting: deque[tuple[Part, Result | None]]) -> tuple[Part, Digest | None]:
    part, result = waiting.popleft()
    return part, None if result is None else result()


def _nothing() -> None:
    return None


def shares(jobs: int) -> Shares:
    """How a log is shared out among so many processes, this one among them."""
    # What sifting costs, and replaying what is left, of what reading does.
    sifting, replaying = 1.25, 0.13
    return Shares(jobs - 1, max(0.0, sifting - replaying * (jobs - 1)))


def _begin() -> None:
    # Who presses Ctrl-C means the reader, which ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
