"""Two windows' counts → the report's `changes`: what is not as it was before. Plain dicts and lists."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import tzinfo
from typing import Any

from logscan.model import Window
from logscan.render.message import iso

ROWS = 100

Counts = Mapping[str, int]


def changes(
    doc: Mapping[str, Any], before: Mapping[str, Any], window: Window, zone: tzinfo, *, whole: bool
) -> dict[str, Any]:
    """What changed. doc: the report. before: what was counted in the window before. whole: the input has all of it.

    A domain is in `unsigned` when all of its mail was signed and now not all is, or most was and now most is not;
    in `signed` the other way round. Mail that a milter's failure hit says nothing about either. A reason is new
    when no mail of its direction had it before, though there was some. Lists have `ROWS` rows at most, domains of
    most mail first.
    """
    assert window.since is not None and window.until is not None
    was, now = before["signed_fraction"], doc["signed_fraction"]
    unsigned, signed = _domains({row["domain"]: row for row in before["by_domain"]}, doc["by_domain"])
    return {
        "window": {"since": iso(window.since, zone), "until": iso(window.until, zone), "whole": whole},
        "outbound": before["outbound"],
        "signed_fraction": was,
        "difference": None if was is None or now is None else now - was,
        "unsigned": unsigned[:ROWS],
        "unsigned_total": len(unsigned),
        "signed": signed[:ROWS],
        "signed_total": len(signed),
        "new_reasons": _new_reasons(before, doc["by_reason"]),
    }


def _domains(
    before: Mapping[str, Counts], rows: list[dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Domains that became unsigned, and signed; rows are in the report's order."""
    unsigned: list[dict[str, Any]] = []
    signed: list[dict[str, Any]] = []
    for row in rows:
        old = before.get(row["domain"])
        was, now = (None if old is None else _share(old)), _share(row)
        if old is None or was is None or now is None:
            continue
        change = {
            "domain": row["domain"],
            **{f"{name}_before": old[name] for name in ("signed", "unsigned")},
            **{name: row[name] for name in ("signed", "unsigned")},
        }
        if now < was and (was == 1 or now < 0.5 <= was):
            unsigned.append(change)
        elif now > was and (now == 1 or was < 0.5 <= now):
            signed.append(change)
    return unsigned, signed


def _share(counts: Counts) -> float | None:
    decided = counts["signed"] + counts["unsigned"]
    return counts["signed"] / decided if decided else None


def _new_reasons(before: Mapping[str, Any], rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    old = {(row["direction"], row["outcome"], row["reason"]) for row in before["by_reason"]}
    return [
        row
        for row in rows
        if (row["direction"], row["outcome"], row["reason"]) not in old
        and before.get(row["direction"], {}).get("messages")
    ]
