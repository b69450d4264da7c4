"""The messages of a trace → `logscan.trace/1`, as plain dicts and lists. Same input, same document."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from logscan.advice import Setup, change, explain, explain_message
from logscan.correlate.gather import Line
from logscan.correlate.state import (
    AGED,
    BOUNCED,
    DISCARDED,
    LOST,
    MADE,
    OPEN,
    PICKUP,
    PROBE,
    REFUSED,
    REMOVED,
    REPLACED,
    REQUEUED,
    SMTPD,
    VANISHED,
    Leg,
    State,
    text,
)
from logscan.findings import Case, Knowledge, Verdict, effect_of, resolve
from logscan.message_fields import build_message
from logscan.model import SEVERITIES, Fault
from logscan.remedies import advise
from logscan.render.message import fault_dict, iso, message_dict
from logscan.reports.document import Facts, input_dict, window_dict
from logscan.why import cause_of

SCHEMA = "logscan.trace/1"
FAULTS = 5  # of a message, beside those that the engine tied to it
# An outage is as wide as its lines: mail is hit before the first and after the last one too.
NEAR = 60
# OpenDKIM's own life has one line for hours of trouble.
EARLIER = 3600

ENDS = {
    OPEN: "open", REMOVED: "removed", REFUSED: "refused", DISCARDED: "discarded", VANISHED: "client-gone",
    PROBE: "probe", REQUEUED: "requeued", BOUNCED: "bounced", REPLACED: "end-lost", AGED: "let-go",
}  # fmt: skip
ORIGINS = {SMTPD: "smtpd", PICKUP: "pickup", MADE: "cleanup", LOST: None}

_OUTAGES = frozenset({"milter-unreachable", "milter-timeout", "milter-lost", "milter-protocol"})


@dataclass(frozen=True, slots=True)
class Found:
    """A message of a trace: its legs, first leg first; its case, None when it never became mail; its lines with
    the leg that each belongs to, in the order of the log, and how many of them were not kept."""

    legs: list[Leg]
    case: Case | None
    lines: list[tuple[Leg, Line]]
    left_out: int


def document(
    asked: str,
    found: Iterable[Found],
    matches: int,
    state: State,
    known: Knowledge,
    facts: Facts,
    setup: Setup,
) -> dict[str, Any]:
    """The trace. found: oldest first. matches: how many there are in all. setup: for the lines to change."""
    return {
        "schema": SCHEMA,
        "query": asked,
        "window": window_dict(facts),
        "input": input_dict(state, facts),
        "matches": matches,
        "messages": [_message(one, state, known, facts, setup) for one in found],
    }


def _message(found: Found, state: State, known: Knowledge, facts: Facts, setup: Setup) -> dict[str, Any]:
    """The contract's message, and beside it legs, steps, faults, what it means and what to do."""
    zone, legs = facts.zone, found.legs
    if found.case is None:
        verdict = Verdict("unknown", "undecided", None, effect_of(legs))
    else:
        verdict = resolve(found.case, known)
    message = build_message(legs, verdict)
    fields = message_dict(message, zone)
    meaning = fix = ""
    faults: list[Fault] = []
    if found.case is None:
        # An address probe, or a client that left before the mail was complete: there is nothing to judge.
        fields |= {"direction": None, "outcome": None, "reason": None, "detail": None, "effect": None}
    else:
        meaning = explain(message.direction, message.outcome, message.reason)[0]
        fix = explain_message(message)
        if message.outcome == "unsigned":
            meaning, fix = _line(found.case, legs, setup)
        faults = _faults(legs, verdict, state)
    return {
        **fields,
        "meaning": meaning,
        "fix": fix,
        "legs": [_leg(leg, legs, facts) for leg in legs],
        "steps": _steps(found, facts),
        "steps_left_out": found.left_out,
        "faults": [fault_dict(fault, zone) for fault in faults],
    }


def _line(case: Case, legs: list[Leg], setup: Setup) -> tuple[str, str]:
    """What the report's `why` says, for this message alone."""
    cause, _ = cause_of(case, legs)
    told = change(cause.kind, [text(cause.subject)], setup)
    line = f"{told.file}: `{told.lines[0]}`. " if told.lines[0] else ""
    return told.meaning, f"{line}{told.fix}"


def _leg(leg: Leg, legs: list[Leg], facts: Facts) -> dict[str, Any]:
    parent = next((place for place, other in enumerate(legs) if other is leg.parent), None)
    return {
        "queue_id": text(leg.queue_id) or None,
        "instance": text(leg.space.instance),
        "origin": ORIGINS[leg.kind],
        "parent": parent,
        "first": iso(leg.first, facts.zone),
        "last": iso(leg.last, facts.zone),
        "end": ENDS[leg.end],
    }


def _steps(found: Found, facts: Facts) -> list[dict[str, Any]]:
    """The lines in the order of the log; `gap` is the seconds since the step before."""
    places = {id(leg): place for place, leg in enumerate(found.legs)}
    steps: list[dict[str, Any]] = []
    before: int | None = None
    for leg, line in found.lines:
        steps.append(
            {
                "at": iso(line.at, facts.zone),
                "gap": None if before is None else line.at - before,
                "leg": places[id(leg)],
                "program": text(line.program),
                "pid": text(line.pid) or None,
                "text": text(line.payload[:4000]),
                "line": text(line.line),
            }
        )
        before = line.at
    return steps


def _faults(legs: list[Leg], verdict: Verdict, state: State) -> list[Fault]:
    """The faults that the engine tied to the message, then those of its host at its time that explain it."""
    tied = [leg.failure.fault for leg in legs if leg.failure is not None]
    tied += [leg.fault for leg in legs if leg.fault is not None]
    faults = list({id(fault): fault for fault in tied}.values())
    if verdict.outcome in ("milter-error", "undecided") or verdict.reason == "silent":
        host = text(legs[0].space.host.name)
        first, last = legs[0].first, max(leg.last for leg in legs)
        endpoints = {leg.failure.endpoint for leg in legs if leg.failure is not None}
        near = [
            fault
            for (_, _, subject), fault in state.faults.items()
            if fault.host == host
            and fault.count
            and fault.severity != "info"
            and all(fault is not other for other in faults)
            and _at_that_time(fault, first, last)
            and (fault.kind not in _OUTAGES or not endpoints or subject in endpoints)
        ]
        near.sort(key=lambda f: (SEVERITIES.index(f.severity), f.first, f.kind, f.subject))
        faults += near[:FAULTS]
    for fault in faults:
        fault.meaning, fault.fix = advise(fault)
    return faults


def _at_that_time(fault: Fault, first: int, last: int) -> bool:
    after = fault.ongoing or fault.last + (NEAR if fault.kind in _OUTAGES else EARLIER) >= first
    return after and fault.first - NEAR <= last
