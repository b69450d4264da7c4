"""Logs that overlap in time → one log, in the order of time, with each event once.

Syslog often writes a line to two files (mail.log and mail.warn), byte for byte the same; two hosts' logs
share nothing but the time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from heapq import heapify, heappop, heapreplace

Run = tuple[int, list[bytes]]

# How far apart, in seconds of the running maximum, the same line may stand in two logs: a line that came late
# has another maximum before it in each.
_SPAN = 10
# Lines remembered per span; more in ten seconds than any host logs is a flood, and memory has an end.
_REMEMBERED = 200_000
_BATCH = 2000


def runs(blocks: Iterable[bytes], stamp: Callable[[bytes], int | None]) -> Iterator[Run]:
    """Cut blocks of whole lines into runs of lines that share a second.

    stamp: a line, without its end, → epoch seconds or None; called once a line in the order of the file. `at`
    is a running maximum, for the order of the file is the order of events; a line without stamp goes with the
    one before it. A run ends with its block, so a long second is several runs.
    """
    at = 0
    for block in blocks:
        lines = block.split(b"\n")
        lines.pop()
        run: list[bytes] = []
        for line in lines:
            found = stamp(line)
            if found is not None and found > at:
                if run:
                    yield at, run
                    run = []
                at = found
            run.append(line)
        if run:
            yield at, run


def merge(streams: list[Iterator[Run]]) -> Iterator[bytes]:
    """Interleave streams of runs by time into blocks of lines; equal times go in the order of the streams.

    Each stream's `at` must not decrease; its own order is kept. A line that occurs k times in one stream and
    m times in another is passed max(k, m) times; it counts as the same only within a few seconds.
    """
    heads: list[tuple[int, int, list[bytes]]] = []
    for index, stream in enumerate(streams):
        if (head := next(stream, None)) is not None:
            heads.append((head[0], index, head[1]))
    heapify(heads)
    seen = _Seen(len(streams))
    batch: list[bytes] = []
    while heads:
        at, index, lines = heads[0]
        batch += seen.new(at, index, lines)
        if len(batch) >= _BATCH:
            yield b"\n".join(batch) + b"\n"
            batch = []
        following = next(streams[index], None)
        if following is None:
            heappop(heads)
        else:
            heapreplace(heads, (following[0], index, following[1]))
    if batch:
        yield b"\n".join(batch) + b"\n"


class _Seen:
    """How often each recent line came in each stream. Two generations, so that forgetting costs nothing."""

    def __init__(self, streams: int) -> None:
        self._streams = streams
        self._recent: dict[bytes, list[int]] = {}
        self._older: dict[bytes, list[int]] = {}
        self._since = 0

    def new(self, at: int, stream: int, lines: list[bytes]) -> list[bytes]:
        """Those of the lines that no other stream has given already."""
        if at - self._since >= _SPAN:
            # After a pause the older generation is out of reach too.
            self._older = self._recent if at - self._since < 2 * _SPAN else {}
            self._recent = {}
            self._since = at
        passed = []
        recent = self._recent
        for line in lines:
            counts = recent.get(line)
            if counts is None:
                if len(recent) >= _REMEMBERED:
                    self._older, self._recent = recent, {}
                    recent = self._recent
                counts = recent[line] = self._older.pop(line, []) or [0] * self._streams
            most = max(counts)
            counts[stream] += 1
            if counts[stream] > most:
                passed.append(line)
        return passed
