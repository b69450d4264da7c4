"""How a scenario file enters its functions, and the expectations that many share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .rig import Lab, Scenario
from .truth import Expect, Words

Play = Callable[[Lab], None]

SIGNED = Expect("signed")
NOT_IN_TABLE = Expect("unsigned", "no-signing-table-match")
SILENT = Expect("unsigned", "silent")
NO_MAIL = Expect("signed", count=0)


def failed(reason: Words, effect: Words = "sent", direction: Words = "outbound", count: int = 1) -> Expect:
    """A milter error."""
    return Expect("milter-error", reason, direction, effect, count)


def register(scenarios: dict[str, Scenario]) -> Callable[..., Callable[[Play], Play]]:
    """A decorator that enters the function under its name; its settings are those of `Scenario`."""

    def scenario(**settings: Any) -> Callable[[Play], Play]:
        def enter(play: Play) -> Play:
            scenarios[play.__name__] = Scenario(play.__name__, play, **settings)
            return play

        return enter

    return scenario
