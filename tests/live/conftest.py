"""The rig, started once for all live tests; without the daemons they are skipped by name."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .namespace import missing
from .rig import Rig


@pytest.fixture(scope="session")
def rig() -> Iterator[Rig]:
    """A running rig."""
    reason = missing()
    if reason:
        pytest.skip(reason)
    with Rig() as running:
        yield running
