"""The rig, started once for all live tests; without the daemons they are skipped by name."""

from __future__ import annotations

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
