"""The faults that logscan reports, against what was done to the daemons."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from .rows import Row, differences, faults_of
from .scenarios import SCENARIOS
from .truth import Run


@pytest.mark.live
@pytest.mark.parametrize("name", SCENARIOS)
def test_faults(play: Callable[[str], Run], name: str, tmp_path: Path) -> None:
    run = play(name)
    faults = faults_of(run.all_log, tmp_path)
    assert differences(faults, run.rows) == []
    harmed = sum(sent.expect.outcome == "milter-error" and sent.expect.count for sent in run.messages)
    assert sum(fault["messages_hit"] for fault in faults) == harmed


def test_the_comparison_sees_wrong_rows() -> None:
    fault = {"kind": "config", "subject": "x", "severity": "error", "count": 2, "messages_hit": 1, "ongoing": True,
             "meaning": "It is wrong. 1 message: 1 deferred.", "fix": "Mend it.", "lines": []}
    assert differences([fault], [Row("config", "x", count=2, hit=1, ongoing=True)]) == []
    assert differences([fault], [Row("config", "x", count=None, hit=None)]) == []
    assert len(differences([fault], [Row("config", "x", "warning", 1, 0, ongoing=False)])) == 4
    assert len(differences([fault], [])) == 1
    assert len(differences([fault, fault], [Row("config", "x", count=2, hit=1)])) == 1
    assert len(differences([], [Row("config", "x")])) == 1
    assert len(differences([{**fault, "fix": "", "meaning": "It is wrong."}], [Row("config", "x", count=2, hit=1)])) == 2
    info = {**fault, "kind": "opendkim-started", "severity": "info"}
    assert differences([info], []) == []
