"""A small log in which everything happens: all situations, one after the other and some at once."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

from logscan.parse.stamps import Clock

SITUATIONS = sorted((Path(__file__).parents[1] / "data" / "situations").glob("*.log"))
START = int(datetime(2026, 11, 20, 6, tzinfo=UTC).timestamp())
# Seconds between the beginnings of two situations; every fifth begins with the one before.
APART = 240
_STAMP = re.compile(rb"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d")
_IDS = re.compile(rb"\b4F2A91C0")


def hard_log() -> list[bytes]:
    """Its lines, in the order of time.

    Most situations get queue IDs of their own, some share them, as short IDs that come back do.
    """
    placed: list[tuple[int, int, bytes]] = []
    begin = START
    for number, path in enumerate(SITUATIONS):
        if number % 5:
            begin += APART
        own = b"%04X91C0" % (number + 0x1000) if number % 4 else b"4F2A91C0"
        clock = Clock(UTC, START + 300 * 86400)
        first: int | None = None
        for line in path.read_bytes().splitlines():
            at = clock.traditional(line[:15])
            if at is None:
                continue  # of another form
            first = at if first is None else first
            moved = begin + at - first
            stamp = datetime.fromtimestamp(moved, UTC).strftime("%b %e %H:%M:%S").encode()
            placed.append((moved, len(placed), stamp + _IDS.sub(own, line[15:])))
    return [line for _, _, line in sorted(placed)]
