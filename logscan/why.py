"""Why mail was left unsigned, counted by what has to be changed: a domain's table line, a client's address.

Only outgoing mail that is, or may turn out, unsigned comes here. Keys are what the advice needs and no more, and
they are `KEEP` at most: candidates that turned out well go first, then what comes new is counted as `folded`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from logscan.correlate.state import MADE, PICKUP, Leg
from logscan.findings import Case, Knowledge, case_of, resolve, sender_of
from logscan.parse.postfix import client_fields, is_private

KEEP = 2_000
EXAMPLES = 3
LONGEST = 254  # bytes of a domain or an address

# Both ends are anchored, and a sender cannot write a line end: what is between is the From address.
_LOOKED_FOR = re.compile(rb"[^:]+: no signing (?:table|domain|subdomain) match for '(.*)'\Z", re.DOTALL)

_SENDERS_DOMAIN = frozenset({"no-signing-table-match", "no-signing-domain", "bad-from", "silent"})


class Cause(NamedTuple):
    """What one change would mend.

    kind: the contract's reason, or for `silent`, `not-internal` and `other` which of their causes: `local-mail`,
    `login-not-told`, `forwarded`, `verified`, `exempt`, `dont-sign`. subject: the sender's domain, or the
    client's address where that is what to change; b"" where neither is.
    """

    host: bytes
    reason: str
    kind: str
    subject: bytes


# As `case_of`: a key is found at once when it is the very same.
_cause = lru_cache(KEEP)(Cause)


@dataclass(slots=True)
class Seen:
    """messages: how many. examples: sender addresses, or names of the client, the first ones."""

    messages: int = 0
    examples: list[bytes] = field(default_factory=list)


class Why:
    """Bounded counts of causes. They add up by `merge`."""

    def __init__(self) -> None:
        self.folded = 0
        self._seen: dict[tuple[Case, Cause], Seen] = {}
        # Silence is the commonest: (case, how it began) tells all but the example, and finds its row at once.
        self._silent: dict[tuple[Case, int], Seen] = {}
        self._prune_at = KEEP

    def add(self, case: Case, legs: list[Leg], known: Knowledge) -> None:
        """Count a message that is outgoing or may be, and not signed. Other outcomes are left at one look."""
        if case.outcome != "unsigned" and not (case.outcome is None or case.endpoint):
            return
        silent = (case, legs[0].kind) if case.outcome != "unsigned" or case.reason == "silent" else None
        if silent is not None:
            row = self._silent.get(silent)
            if row is not None and (len(row.examples) >= EXAMPLES or sender_of(legs) in row.examples):
                row.messages += 1
                return
        cause, example = cause_of(case, legs)
        key = (_plain(case, known), cause)
        seen = self._seen.get(key)
        if seen is None:
            if len(self._seen) >= self._prune_at:
                self._prune(known)
            if len(self._seen) >= KEEP:
                self.folded += 1
                return
            seen = self._seen[key] = Seen()
        seen.messages += 1
        if example and len(seen.examples) < EXAMPLES and example not in seen.examples:
            seen.examples.append(example)
        if silent is not None:
            if len(self._silent) >= KEEP:
                self._silent.clear()
            self._silent[silent] = seen

    def causes(self, known: Knowledge, domains: frozenset[bytes] = frozenset()) -> dict[Cause, Seen]:
        """The causes of outgoing mail that is unsigned, with what is known now. domains: only these senders'."""
        found: dict[Cause, Seen] = {}
        for case, cause, seen in self._unsigned(known):
            if domains and case.domain not in domains:
                continue
            total = found.setdefault(cause, Seen())
            total.messages += seen.messages
            total.examples += [e for e in seen.examples if e not in total.examples]
            del total.examples[EXAMPLES:]
        return found

    def merge(self, other: Why) -> None:
        """Add another one's counts."""
        self.folded += other.folded
        for key, seen in other._seen.items():
            mine = self._seen.get(key)
            if mine is None:
                if len(self._seen) >= KEEP:
                    self.folded += seen.messages
                    continue
                mine = self._seen[key] = Seen()
            mine.messages += seen.messages
            mine.examples = [*mine.examples, *(e for e in seen.examples if e not in mine.examples)][:EXAMPLES]

    def _unsigned(self, known: Knowledge) -> Iterator[tuple[Case, Cause, Seen]]:
        for (case, cause), seen in self._seen.items():
            verdict = resolve(case, known)
            if verdict.direction == "outbound" and verdict.outcome == "unsigned":
                yield case, cause, seen

    def _prune(self, known: Knowledge) -> None:
        """Drop what is not outgoing and unsigned by now, as all mail that a relay takes from strangers is not."""
        self._seen = {(case, cause): seen for case, cause, seen in self._unsigned(known)}
        self._silent.clear()
        self._prune_at = max(KEEP, len(self._seen) + KEEP // 2)


def _plain(case: Case, known: Knowledge) -> Case:
    """The case without what no verdict on it needs: one key for all recipients' domains, and for all effects."""
    relayed = case.relayed
    if relayed and not case.refused:
        # Only whether it went to a domain that is not ours is asked; b"" never is.
        relayed = (b"",) if any(domain not in known.ours for domain in relayed) else relayed[:1]
    return case_of(
        case.host, case.domain, case.direction, "", case.outcome, case.reason, case.run, case.endpoint, "", None,
        relayed, case.near, case.seen, case.local, case.refused,
    )  # fmt: skip


def cause_of(case: Case, legs: list[Leg]) -> tuple[Cause, bytes]:
    """What to change for a message that is outgoing and unsigned, and an example for it."""
    first = legs[0]
    reason = case.reason if case.outcome == "unsigned" and case.reason is not None else "silent"
    sender = sender_of(legs) or b""
    words = [word for leg in legs for word in leg.words or ()]
    kind, subject, example = reason, b"", sender
    if reason in _SENDERS_DOMAIN:
        for word in words:
            found = _LOOKED_FOR.match(word.payload) if word.reason == reason else None
            if found is not None:
                # The tables are asked with the From header's address, which is not always the envelope's.
                example = found[1]
                break
        subject = example.rpartition(b"@")[2].lower()
        if reason == "silent" and first.kind == PICKUP:
            kind = "local-mail"
    elif reason == "other":
        kind = _other([word.payload for word in words if word.kind == "unsigned-reason"], words != [])
    if kind in ("not-internal", "verified"):
        example, user, subject = _client(first)
        if user is not None:
            # Not the client's address: it may be anywhere, and the next one too.
            kind, subject, example = ("login-not-told" if kind == "not-internal" else kind), b"", user
        elif any(leg.kind == MADE for leg in legs) and not is_private(example, case.host):
            # An alias passed a stranger's mail on that bears one of our domains: nobody to be trusted.
            kind, subject = "forwarded", b""
    return _cause(case.host, reason, kind, subject[:LONGEST]), example[:LONGEST]


def _client(first: Leg) -> tuple[bytes, bytes | None, bytes]:
    """Client (`name[address]`), login name and address of the session that handed the mail in."""
    if first.kind == PICKUP:
        return b"localhost[127.0.0.1]", None, b"127.0.0.1"
    opened = first.proxy[0] if first.proxy is not None else first.opened
    client, user, orig = client_fields(opened)
    name = orig or client or b""
    return name, user, name.rpartition(b"[")[2].removesuffix(b"]").removeprefix(b"IPv6:")


def _other(reasons: list[bytes], spoke: bool) -> str:
    for payload in reasons:
        if b": skipping signing of mail to '" in payload:
            return "dont-sign"
        if payload.endswith(b"' exempted, accepting"):
            return "exempt"
    return "verified" if spoke and not reasons else "other"
