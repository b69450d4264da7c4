"""The faults that logscan reports, against what was done to the daemons."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .rows import differences, faults_of
from .scenarios import SCENARIOS
from .truth import Run

# Kinds that say what happened on the way, beside what the scenario did.
BESIDE = {"opendkim-started", "opendkim-stopped", "not-logging"}


def fault_differences(faults: list[dict[str, Any]], run: Run) -> list[str]:
    """What the faults reported for a run and what was done disagree about."""
    kinds = {fault["kind"] for fault in faults}
    found = [f"no {wanted}" for wanted in run.faults if not kinds & set(wanted.split("|"))]
    expected = {kind for wanted in run.faults for kind in wanted.split("|")}
    found += [f"unexpected {kind}" for kind in sorted(kinds - expected - BESIDE)]
    hit = sum(fault["messages_hit"] for fault in faults)
    harmed = sum(sent.expect.outcome == "milter-error" and sent.expect.count for sent in run.messages)
    hit_too = SCENARIOS[run.name].hit_too
    if not harmed <= hit <= harmed + hit_too:
        found.append(f"{hit} messages hit, not {harmed}")
    return found


@pytest.mark.live
@pytest.mark.parametrize("name", SCENARIOS)
def test_faults(play: Callable[[str], Run], name: str, tmp_path: Path) -> None:
    run = play(name)
    faults = faults_of(run.all_log, tmp_path)
    rows = SCENARIOS[name].rows
    assert (fault_differences(faults, run) if rows is None else differences(faults, rows)) == []
