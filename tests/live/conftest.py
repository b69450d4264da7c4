"""The rig, started once for all live tests; without the daemons they are skipped by name.

With LOGSCAN_LIVE=require in the environment they fail instead.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from .namespace import missing
from .rig import Rig
from .scenarios import SCENARIOS
from .truth import Run


@pytest.fixture(scope="session")
def rig() -> Iterator[Rig]:
    """A running rig."""
    reason = missing()
    if reason and os.environ.get("LOGSCAN_LIVE") == "require":
        pytest.fail(f"LOGSCAN_LIVE=require: {reason}", pytrace=False)
    if reason:
        pytest.skip(reason)
    with Rig() as running:
        yield running


@pytest.fixture(scope="session")
def play(rig: Rig) -> Callable[[str], Run]:
    """Play a scenario by name; each is played once, however many tests look at it."""
    runs: dict[str, Run] = {}

    def once(name: str) -> Run:
        if name not in runs:
            runs[name] = rig.run(SCENARIOS[name])
        return runs[name]

    return once
