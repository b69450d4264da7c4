"""What really became of each mail: told to the client, arrived, or left in a queue. Never read from a log."""

from __future__ import annotations

import email
import email.policy
import re
from dataclasses import asdict, dataclass, field
from typing import Any

from .rows import Row

Words = str | tuple[str, ...]
"""An expected word, or several where the contract leaves the choice."""


@dataclass(frozen=True)
class Expect:
    """What the contract says about a message. None: not compared (reason: really null).

    count: how many messages it is; 0 for what never became mail. partly: signed by Postfix's word alone.
    """

    outcome: Words
    reason: Words | None = None
    direction: Words = "outbound"
    effect: Words = "sent"
    count: int = 1
    partly: bool = False


@dataclass
class Copy:
    """One arrival. place: "outside" or "inside". signatures: (d, s) that the sender's copy did not have."""

    place: str
    recipients: list[str]
    signatures: list[tuple[str, str]]
    authentication_results: list[str]


@dataclass
class Sent:
    """One mail as its sender knows it.

    how: smtp, submission, sendmail, probe, bounce. accepted: accepted, 4xx, 5xx, vanished.
    queue_id: from the reply to the client, else None. own_signatures: (d, s) on the sender's copy.
    """

    token: str
    message_id: str | None
    envelope_sender: str
    recipients: list[str]
    how: str
    expect: Expect
    accepted: str = "accepted"
    reply: str = ""
    queue_id: str | None = None
    own_signatures: list[tuple[str, str]] = field(default_factory=list)
    copies: list[Copy] = field(default_factory=list)

    def signed(self) -> list[tuple[str, str]]:
        """(d, s) of the signatures added on the way; copies differ only when they went different ways."""
        return max((sorted(copy.signatures) for copy in self.copies), key=len, default=[])


@dataclass
class Run:
    """What a scenario gives: the mail log of its time, the other file, and the truth."""

    name: str
    log: bytes
    messages_log: bytes
    all_log: bytes
    messages: list[Sent]
    rows: list[Row]
    opendkim: dict[str, str] | None
    postfix: dict[str, str]

    def truth(self) -> dict[str, Any]:
        """All but the logs, as JSON takes it."""
        record = asdict(self)
        for name in ("log", "messages_log", "all_log"):
            del record[name]
        return record


def signatures(data: bytes) -> list[tuple[str, str]]:
    """(d, s) of each DKIM-Signature header, topmost first."""
    found = []
    for value in headers(data, "DKIM-Signature"):
        tags = dict(part.strip().split("=", 1) for part in value.split(";") if "=" in part)
        found.append((tags.get("d", "").strip(), tags.get("s", "").strip()))
    return found


def headers(data: bytes, name: str) -> list[str]:
    """Values of a header, unfolded."""
    message = email.message_from_bytes(data, policy=email.policy.compat32)
    return [re.sub(r"\s+", " ", str(value)) for value in message.get_all(name, [])]


def new_signatures(data: bytes, own: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The signatures that were not on the sender's copy (equal ones cancel out once each)."""
    rest = list(own)
    added = []
    for pair in reversed(signatures(data)):
        if pair in rest:
            rest.remove(pair)
        else:
            added.append(pair)
    return added[::-1]


def token_of(data: bytes) -> str | None:
    """The X-Token header."""
    values = headers(data, "X-Token")
    return values[0].strip() if values else None


def bounced_token(data: bytes) -> str | None:
    """The token of the mail that a notice returns, or None."""
    found = re.search(rb"^X-Token: *(\S+)", data, re.MULTILINE)
    return found[1].decode() if found else None
