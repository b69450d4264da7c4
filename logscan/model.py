"""The values that move between the stages: no I/O, no rules.

Words are the contract's. `at` is seconds since the epoch, UTC, as a whole number: the log has many lines in
a second, and their order in the file is their order in time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Direction = Literal["outbound", "inbound", "bounce", "unknown"]
Severity = Literal["error", "warning", "info"]

OUTBOUND_OUTCOMES = ("signed", "unsigned", "milter-error", "undecided")
# Reasons of undecided mail that last as long as the settings: no fraction is given where nothing else is known.
CANNOT_TELL = ("success-not-logged", "opendkim-absent")
INBOUND_OUTCOMES = ("pass", "fail", "none", "unchecked", "milter-error")
SEVERITIES = ("error", "warning", "info")


@dataclass(frozen=True, slots=True)
class Window:
    """A half-open span of time, [since, until), in epoch seconds; None is open on that side."""

    since: int | None = None
    until: int | None = None

    def holds(self, at: int) -> bool:
        """True when the instant is in the window."""
        return (self.since is None or at >= self.since) and (self.until is None or at < self.until)


@dataclass(slots=True)
class Message:
    """One judged mail: the `message` of the contract (§4), field by field.

    first, last: epoch seconds of its first and last line. envelope_sender: "" is the null sender, None is
    unknown. signatures: (signing_domain, selector) pairs. verified: (signing_domain, selector, result).
    """

    host: str
    queue_ids: list[str]
    first: int
    last: int
    direction: Direction
    origin: str | None
    client: str | None
    sasl_username: str | None
    envelope_sender: str | None
    envelope_recipients: list[str]
    message_id: str | None
    outcome: str
    reason: str | None
    effect: str
    signatures: list[tuple[str, str]]
    verified: list[tuple[str | None, str | None, str]]
    milter: str | None
    detail: str | None


@dataclass(slots=True)
class Fault:
    """Something wrong with a daemon (contract §2): one row for equal (host, kind, subject).

    first, last: epoch seconds. ongoing: no line proved that it ended. lines: the first two and the last, as logged.

    What meaning and fix are made of, beside: effects, how many of the messages hit were sent, deferred, … (contract
    §1); spells, how many outages with an end between them; cause, OpenDKIM's own fault behind an outage, and its
    line; by_absence, an outage that such a fault can be behind; foreign, the milter is not OpenDKIM.
    """

    kind: str
    severity: Severity
    host: str
    subject: str
    first: int
    last: int
    count: int = 0
    messages_hit: int = 0
    ongoing: bool = False
    meaning: str = ""
    fix: str = ""
    lines: list[bytes] = field(default_factory=list)
    effects: dict[str, int] = field(default_factory=dict)
    spells: int = 0
    cause: tuple[Fault, bytes] | None = None
    by_absence: bool = False
    foreign: bool = False

    def hit(self, effect: str) -> None:
        """One more message was hit."""
        self.messages_hit += 1
        self.effects[effect] = self.effects.get(effect, 0) + 1


@dataclass(slots=True)
class SourceInfo:
    """What was read from one input: filled while it is read, shown as `input.sources`.

    split: who reads the blocks splits them into lines anyway, and counts them.
    """

    name: str
    lines: int = 0
    bytes: int = 0
    first: int | None = None
    last: int | None = None
    cut_lines: int = 0
    ends_early: str | None = None
    split: bool = False
