"""Postfix's word on its milters: which failures hit which messages, and the outages they add up to.

The warnings carry no queue ID. smtpd serves one session at a time and cleanup one message at a time, so the
pid and the order of lines attribute them exactly (catalogue of Postfix, section 1.2).
"""

from __future__ import annotations

from typing import Final

from logscan.correlate import life
from logscan.correlate.state import LOST, MADE, OUTAGE_CAP, Failure, Leg, Origin, State
from logscan.parse.lines import Match
from logscan.parse.postfix_lines import FAULT_OF_REASON, LINES, milter_reason

# The milter was asked about the message itself, so cleanup's warning belongs to the message-id it logged last.
MESSAGE_EVENTS: Final = frozenset({b"SMFIC_DATA", b"SMFIC_HEADER", b"SMFIC_EOH", b"SMFIC_BODY", b"SMFIC_BODYEOB"})
# smtpd has opened the queue file by then, so its newest leg is hit too.
LEG_EVENTS: Final = MESSAGE_EVENTS | {b"SMFIC_RCPT", b"SMFIC_UNKNOWN"}

# Lines without an event that come while cleanup gets ready for a message that it has not named yet.
BEFORE_MESSAGE: Final = frozenset({"milter-connect-failed", "milter-handshake-write", "milter-handshake-read"})


def warning(state: State, origin: Origin, payload: bytes, line: bytes) -> bool:
    """Take a `warning: …` of smtpd or cleanup that speaks of a milter; False when it does not."""
    if b"ilter" not in payload:
        return False
    match = LINES.lookup(payload)
    if match is None:
        return False
    kind = match.shape.kind
    if kind == "milter-echo":
        return True
    if kind != "milter-failure":
        return _setting(state, origin, match, line)
    reason = match.shape.reason or milter_reason(payload)
    endpoint = match.fields.get(match.shape.subject or "", b"")
    event = match.fields.get("event", b"")
    leg = origin.leg
    if leg is not None and leg.active is not None:
        leg = None  # that mail was through before
    if origin.daemon != b"cleanup":
        if event == b"SMFIC_MAIL" and b"Broken pipe" in payload and _lost_before(origin, endpoint):
            # cleanup lost the milter on the mail before, over the same socket: one outage, two lines.
            assert origin.leg is not None
            origin.failure = origin.leg.failure
            origin.used = True
            return True
        origin.used = True
        failure = origin.failure = _event(state, origin, reason, endpoint, line, payload)
        if leg is not None and event in LEG_EVENTS:
            hit(leg, failure)
        return True
    failure = _event(state, origin, reason, endpoint, line, payload)
    about_last = event in MESSAGE_EVENTS or (not event and match.shape.name not in BEFORE_MESSAGE)
    if about_last and leg is not None:
        hit(leg, failure)
    else:
        origin.failure = failure
    return True


def stops(state: State, origin: Origin, payload: bytes, line: bytes) -> bool:
    """Take a `fatal: …` or `panic: …` that a milter brought on smtpd or cleanup: the process ends, and its session."""
    match = LINES.lookup(payload)
    if match is None:
        return False
    if match.shape.kind == "milter-failure":
        _event(state, origin, "protocol", match.fields.get(match.shape.subject or "", b""), line, payload)
        return True
    return _setting(state, origin, match, line)


def _setting(state: State, origin: Origin, match: Match, line: bytes) -> bool:
    """A setting of main.cf, or the queue file, that keeps Postfix from asking its milters."""
    shape = match.shape
    if shape.fault is None:
        return False
    subject = match.fields.get(shape.subject or "", b"")
    if not subject and shape.fault == "config":
        subject = b"main.cf"
    state.fault(origin.host, shape.fault, subject, life.SEVERITY[shape.severity], line)
    return True


def hit(leg: Leg, failure: Failure) -> None:
    """A milter failed on this leg. The first failure tells the cause; later ones follow from it."""
    if leg.failure is None:
        leg.failure = failure


def works(state: State, origin: Origin, leg: Leg | None) -> None:
    """OpenDKIM spoke of a message: an outage that began before this message is over.

    Postfix asks every milter at the start of a session, so a session without a warning proves all of them.
    """
    outages = origin.host.outages
    if leg is None or leg.failure is not None:
        return
    if state.sifting is not None:
        state.wide = True
        if leg.tainted or leg.kind == LOST or leg.kind == MADE:
            return  # it may have begun before the part, and before the outage
        state.sifting.proofs.add(leg.queue_id)
    for endpoint, fault in list(outages.items()):
        if leg.first >= fault.last:
            if fault.ongoing and state.window.holds(state.now):
                fault.last = state.now
            fault.ongoing = False
            del outages[endpoint]


def _lost_before(origin: Origin, endpoint: bytes) -> bool:
    leg = origin.leg
    return leg is not None and leg.failure is not None and leg.failure.endpoint == endpoint


def _event(state: State, origin: Origin, reason: str, endpoint: bytes, line: bytes, payload: bytes) -> Failure:
    host = origin.host
    fault = state.fault(host, FAULT_OF_REASON[reason], endpoint, "error", line)
    key = endpoint + b"\0" + fault.kind.encode()
    # Another outage, after the window, does not make the one in it go on.
    if state.window.holds(state.now):
        if key not in host.outages or not fault.ongoing:
            fault.spells += 1
            life.explain(state, host, fault, endpoint, reason)
        elif reason not in life.ABSENCE:
            fault.by_absence, fault.cause = False, None  # it is there again, with another trouble
        fault.ongoing = True
    if len(host.outages) < OUTAGE_CAP or key in host.outages:
        host.outages[key] = fault
    run = host.run
    run.troubled = True
    if run.unclean and reason == "connection-lost":
        run.unclean = False
        life.trouble(state, host, state.fault(host, "opendkim-crashed", b"", "error", line), line)
    return Failure(reason, endpoint, fault, payload)


def refused_by_failure(leg_failure: Failure | None, text: bytes) -> bool:
    """True when a refusal came from a milter that failed, not from a milter's own decision.

    `4.7.1 Service unavailable - try again later` is both: only a warning before it tells. The other texts of
    milter_default_action prove a failure by themselves.
    """
    if leg_failure is not None:
        return True
    return text.startswith((b"550 5.5.0 Service unavailable", b"5.5.0 Service unavailable", b"421 4.7.1 ")) or (
        b"4.3.5 Server configuration" in text
    )
