"""What all tests share. Being here, this file also makes `builder` importable from every folder of tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from builder import Judged, Log, judge
from hypothesis import HealthCheck, settings

# The same examples in every run, so that a failure in CI is the same at home.
settings.register_profile(
    "logscan", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("logscan")


@pytest.fixture
def log() -> Log:
    """An empty log of host mx."""
    return Log()


@pytest.fixture
def verdict() -> Callable[..., Judged]:
    """The engine's answer to a log."""
    return judge
