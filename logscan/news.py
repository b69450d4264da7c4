"""What `tail` has to tell, as values: a verdict, a fault, and how things stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from logscan.model import Fault, Message

Phase = Literal["begin", "again", "end"]


@dataclass(frozen=True, slots=True)
class MessageNews:
    """The verdict on a message. at: epoch seconds, when it was known.

    was: (direction, outcome, reason) as told before, where that turned out otherwise; None the first time.
    """

    at: int
    message: Message
    was: tuple[str, str, str | None] | None = None


@dataclass(frozen=True, slots=True)
class FaultNews:
    """A fault begins, comes again though it was told, or is over. fault: counts and times since it began."""

    at: int
    phase: Phase
    fault: Fault


News = MessageNews | FaultNews


@dataclass(frozen=True, slots=True)
class Standing:
    """How things stand.

    session: messages by (direction, outcome, reason) since the start. minute: outgoing ones of the last minute by
    outcome. fraction: signed of those decided, None when the log does not tell. milter: what is wrong with it,
    "" when nothing, None while nothing was heard. seconds: since the start.
    """

    session: Mapping[tuple[str, str, str | None], int]
    minute: Mapping[str, int]
    fraction: float | None
    milter: str | None
    seconds: int

    def count(self, direction: str, outcome: str | None = None) -> int:
        """Messages of a direction, and of an outcome if one is given."""
        return sum(
            number
            for (its_direction, its_outcome, _), number in self.session.items()
            if its_direction == direction and outcome in (None, its_outcome)
        )
