"""Rows of faults as a scenario expects them, and what is wrong with those that logscan gives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from logscan.job import Options
from logscan.pipeline import run_report

Fault = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """One row. count: how often it happened, None where that is chance. hit: messages hit, None likewise.

    ongoing: the log does not show its end; None where that is not compared.
    """

    kind: str
    subject: str = ""
    severity: str = "error"
    count: int | None = 1
    hit: int | None = 0
    ongoing: bool | None = None


def faults_of(log: bytes, directory: Path) -> list[Fault]:
    """The rows that logscan reports for a log; none for an empty one. Every line has to be understood."""
    if not log:
        return []
    path = directory / "log"
    path.write_bytes(log)
    doc = run_report(Options(logs=[str(path)]), warn=lambda text: None).doc
    assert doc["input"]["not_understood"] == {"opendkim": 0, "postfix": 0}, log
    faults: list[Fault] = doc["faults"]
    return faults


def differences(faults: Iterable[Fault], rows: Iterable[Row]) -> list[str]:
    """Every row that is missing, one too many, or has other numbers.

    Rows of severity info say what happened on the way: they are compared only where a Row names their kind.
    """
    rows = list(rows)
    wanted = {(row.kind, row.subject): row for row in rows}
    named = {row.kind for row in rows}
    found = [fault for fault in faults if fault["severity"] != "info" or fault["kind"] in named]
    seen = Counter((fault["kind"], fault["subject"]) for fault in found)
    wrong = [f"no {row}" for key, row in wanted.items() if key not in seen]
    wrong += [f"{key} is there {count} times" for key, count in seen.items() if count > 1]
    for fault in found:
        row = wanted.get((fault["kind"], fault["subject"]))
        if row is None:
            wrong.append(f"unexpected {fault['severity']} {fault['kind']} {fault['subject']!r}: {fault['lines']}")
            continue
        compared = (("severity", "severity"), ("count", "count"), ("hit", "messages_hit"), ("ongoing", "ongoing"))
        for name, key in compared:
            value = getattr(row, name)
            if value is not None and fault[key] != value:
                wrong.append(f"{row.kind} {row.subject!r}: {key} {fault[key]}, not {value}: {fault['lines']}")
    for fault in found:
        if not fault["meaning"] or not fault["fix"]:
            wrong.append(f"{fault['kind']}: no meaning or fix")
        hit = fault["messages_hit"]
        if hit and f" {hit:,} message" not in fault["meaning"]:
            wrong.append(f"{fault['kind']}: what became of {hit} messages is not in its meaning")
    return wrong
