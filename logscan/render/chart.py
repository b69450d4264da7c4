"""The hours of a report as about a screenful of equal spans: hours, or for long reports days or months."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from logscan.model import OUTBOUND_OUTCOMES

MAX_HOURS = 48
MAX_DAYS = 62


@dataclass(frozen=True, slots=True)
class Span:
    """label: ``14:00``, ``11-23 14:00``, ``2026-11-23`` or ``2026-11``. counts: messages by outcome."""

    label: str
    unit: str
    counts: Mapping[str, int]

    @property
    def total(self) -> int:
        """Messages of all outcomes."""
        return sum(self.counts.values())


def spans(by_hour: Sequence[Mapping[str, Any]]) -> list[Span]:
    """The contract's `by_hour` (in order, none missing), summed by the smallest unit that is short enough."""
    days = {row["hour"][:10] for row in by_hour}
    if len(by_hour) <= MAX_HOURS:
        unit = "hour"
        first = 11 if len(days) == 1 else 5
        keys = [row["hour"][first:16].replace("T", " ") for row in by_hour]
    elif len(days) <= MAX_DAYS:
        unit, keys = "day", [row["hour"][:10] for row in by_hour]
    else:
        unit, keys = "month", [row["hour"][:7] for row in by_hour]
    if unit == "hour":
        # Not summed by label: when clocks go back an hour comes twice.
        return [Span(key, unit, _counts(row)) for key, row in zip(keys, by_hour, strict=True)]
    sums: dict[str, dict[str, int]] = {}
    for key, row in zip(keys, by_hour, strict=True):
        into = sums.setdefault(key, dict.fromkeys(OUTBOUND_OUTCOMES, 0))
        for outcome, number in _counts(row).items():
            into[outcome] += number
    return [Span(key, unit, counts) for key, counts in sums.items()]


def _counts(row: Mapping[str, Any]) -> dict[str, int]:
    return {outcome: row[outcome.replace("-", "_")] for outcome in OUTBOUND_OUTCOMES}
