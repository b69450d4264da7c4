"""What logscan makes of starts and reloads that go wrong, by each input that an administrator may have."""

from __future__ import annotations

from pathlib import Path

import pytest

from .rig import Rig
from .rows import differences, faults_of
from .starts import STARTS, Start, Starts

INPUTS = ("mail", "messages", "journal")


@pytest.mark.live
@pytest.mark.parametrize("case", STARTS, ids=lambda case: case.name)
def test_a_start(rig: Rig, case: Start, tmp_path: Path) -> None:
    began = Starts(rig).start(case)
    assert began.status == case.status, "the case is not what it says"
    logs = dict(zip(INPUTS, (began.maillog, began.syslog, began.journal), strict=True))
    wrong = {}
    for place, name in enumerate(INPUTS):
        rows = case.rows if place >= INPUTS.index(case.where) else ()
        found = differences(faults_of(logs[name], tmp_path), rows)
        if found:
            wrong[name] = found
    assert wrong == {}


@pytest.mark.live
@pytest.mark.parametrize("case", [case for case in STARTS if case.survives], ids=lambda case: case.name)
def test_a_reload(rig: Rig, case: Start, tmp_path: Path) -> None:
    began = Starts(rig).reload(case)
    assert (b"configuration reloaded from" in began.maillog) == case.reloads, "the case is not what it says"
    rows = case.rows if case.reload is None else case.reload
    assert differences(faults_of(began.maillog, tmp_path), rows) == []
