"""The legs of one message and its verdict → the `Message` of the contract, with every field cut out."""

from __future__ import annotations

import re

from logscan.correlate.state import MADE, PICKUP, SMTPD, Leg, text
from logscan.findings import Verdict, last_try, sender_of
from logscan.model import Message
from logscan.parse.postfix import client_fields

ORIGINS = {SMTPD: "smtpd", PICKUP: "pickup"}
_RESULT = re.compile(rb'signature=\S+ domain=(\S+) selector=(\S+) result="([^"]*)"')


def build_message(legs: list[Leg], verdict: Verdict) -> Message:
    """Cut the fields of a finished message. legs: first leg first."""
    first = legs[0]
    client = user = None
    opened = first.proxy[0] if first.proxy is not None else first.opened
    if opened.startswith(b"client="):
        client, user, orig = client_fields(opened)
        client = orig or client
    sender = sender_of(legs)
    origin = ORIGINS.get(first.kind)
    if first.kind == MADE:
        origin = "bounce" if verdict.direction == "bounce" else "forward"
    message_id = next((leg.message_id for leg in legs if leg.message_id), None)
    judged = last_try(legs)
    signed = legs if verdict.outcome == "signed" else judged  # what a refused try was given did not leave
    return Message(
        host=text(first.space.host.name),
        queue_ids=list(dict.fromkeys(text(leg.queue_id) for leg in legs if leg.queue_id)),
        first=first.first,
        last=max(leg.last for leg in legs),
        direction=verdict.direction,  # type: ignore[arg-type]
        origin=origin,
        client=None if client is None else text(client),
        sasl_username=None if user is None else text(user),
        envelope_sender=None if sender is None else text(sender),
        envelope_recipients=_recipients(legs),
        message_id=None if message_id is None else text(message_id.removeprefix(b"<").removesuffix(b">")),
        outcome=verdict.outcome,
        reason=verdict.reason,
        effect=verdict.effect,
        signatures=[(text(d), text(s)) for leg in signed for d, s in leg.signatures or ()],
        verified=_verified(legs),
        milter=_milter(judged, verdict),
        detail=_detail(judged, verdict),
    )


def _recipients(legs: list[Leg]) -> list[str]:
    """Recipients in the order of the log; those that a filter or an alias was given come once."""
    seen: dict[str, None] = {}
    for leg in legs:
        for recipient in leg.deliveries or ():
            if recipient:
                seen[text(recipient)] = None
        if leg.deliveries is None and leg.refusal is not None and leg.refusal.recipient:
            seen[text(leg.refusal.recipient)] = None
    return list(seen)


def _verified(legs: list[Leg]) -> list[tuple[str | None, str | None, str]]:
    rows: list[tuple[str | None, str | None, str]] = []
    for leg in legs:
        for word in leg.words or ():
            found = _RESULT.findall(word.payload) if b" result=" in word.payload else []
            rows += [(text(d), text(s), text(r)) for d, s, r in found]
    if rows:
        return rows[:20]
    if any(w.kind == "verify-ok" for leg in legs for w in leg.words or ()):
        rows.append((None, None, "pass"))
    return rows


def _milter(legs: list[Leg], verdict: Verdict) -> str | None:
    if verdict.outcome != "milter-error":
        return None
    return next((text(leg.failure.endpoint) for leg in legs if leg.failure and leg.failure.endpoint), None)


def _detail(legs: list[Leg], verdict: Verdict) -> str | None:
    """The line of the log that decided, or what would have told."""
    if verdict.outcome in ("signed", "pass", "none", "unchecked"):
        return None
    words = [w for leg in legs for w in leg.words or ()]
    refusal = next((leg.refusal for leg in reversed(legs) if leg.refusal is not None), None)
    failure = next((leg.failure for leg in legs if leg.failure is not None), None)
    if verdict.outcome == "milter-error":
        if verdict.reason in ("key", "internal"):
            chosen = [w.payload for w in words if w.reason == verdict.reason]
            if chosen:
                return text(chosen[0].partition(b": ")[2])
        if failure is not None:
            return text(failure.text.removeprefix(b"warning: "))
        return None if refusal is None else text(refusal.text)
    for word in words:
        if word.reason == verdict.reason and word.reason is not None:
            return text(word.payload.partition(b": ")[2])
    return HINTS.get(verdict.reason or "")


HINTS = {
    "silent": "OpenDKIM logs its signatures, and logged none here; LogWhy yes in opendkim.conf tells why",
    "success-not-logged": "SyslogSuccess yes in opendkim.conf tells",
    "opendkim-absent": "no line of OpenDKIM here at that time; is its log in another file?",
    "log-gap": "lines of this message are missing from the input",
    "in-transit": "the log ends before its end",
}
