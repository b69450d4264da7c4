"""The words that the reports share: what a reason means, how a number and a span of time are said."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from logscan import advice

DIRECTIONS = {"outbound": "outgoing", "inbound": "incoming", "bounce": "bounces", "unknown": "unknown"}

# (outcome, reason): what to understand, in at most 30 characters: more is cut at 80 columns.
REASONS = {(outcome, reason): advice.brief(outcome, reason) for outcome, reason in advice.REASONS}

# Undecided for a reason: what that means, and the setting or the input that would tell.
ADVICE = {
    reason: " ".join(advice.explain("outbound", outcome, reason))
    for outcome, reason in advice.REASONS
    if outcome == "undecided"
}


def direction(name: str) -> str:
    """The direction of one mail."""
    return {"bounce": "bounce", "unknown": "direction unknown"}.get(name, DIRECTIONS.get(name, name))


def count(number: int) -> str:
    """A count with thousands separators."""
    return f"{number:,}"


def counted(number: int, one: str, many: str = "") -> str:
    """A count with its noun: ``1 message``, ``1,204 messages``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def percent(fraction: float) -> str:
    """A fraction as percent with one decimal; 100.0 and 0.0 only when it is all or nothing."""
    rounded = f"{fraction * 100:.1f}"
    if rounded == "100.0" and fraction < 1:
        rounded = "99.9"
    if rounded == "0.0" and fraction > 0:
        rounded = "0.1"
    return f"{rounded} %"


def size(number: int) -> str:
    """Bytes as a person says them: ``12.3 MB``."""
    value, unit = float(number), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            break
        value /= 1000
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"


def stamp(iso: str) -> str:
    """An ISO instant without its offset, to the second: ``2026-11-23 14:00:05``."""
    return f"{iso[:10]} {iso[11:19]}"


def between(first: str, last: str) -> str:
    """Two ISO instants as a span, the second's date only if it is another day."""
    if first == last:
        return stamp(first)
    return f"{stamp(first)} to {last[11:19] if first[:10] == last[:10] else stamp(last)}"


def days(window: Mapping[str, Any]) -> str:
    """The window as the verdict names it: ``2026-11-23``, ``2026-11-20 to 2026-11-23``, with times.

    Where the user set no bound, the first or last line read stands in; "" when there is none either. A day
    that was asked for by name (`daily`) is that day, also where the clocks skip its midnight.
    """
    if window.get("day"):
        return str(window["day"])
    start = _edge(window["since"]) or (window["first"] or "")[:10]
    end = _edge(window["until"], exclusive=True) or (window["last"] or "")[:10]
    if not start or not end:
        return start or end
    if len(end) > 10 and end[:10] == start[:10]:
        return f"{start} to {end[11:]}"
    if len(start) > 10 and end == start[:10]:
        return f"from {start}"
    return start if start == end else f"{start} to {end}"


def _edge(iso: str | None, *, exclusive: bool = False) -> str:
    """A bound as a date, or date and minute if not midnight; an end at midnight is the day before."""
    if iso is None:
        return ""
    if iso[11:19] != "00:00:00":
        return f"{iso[:10]} {iso[11:16]}"
    if not exclusive:
        return iso[:10]
    return (date.fromisoformat(iso[:10]) - timedelta(days=1)).isoformat()
