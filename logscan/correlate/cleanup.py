"""The lines of cleanup: message-ids, and the milter's answers at the end of the message."""

from __future__ import annotations

from logscan.correlate import life, milters
from logscan.correlate.common import known, other_host
from logscan.correlate.queue import delivered
from logscan.correlate.state import (
    BOUNCED,
    DISCARDED,
    MADE,
    NOBODY,
    OPEN,
    PICKUP,
    REFUSED,
    VANISHED,
    WORD_CAP,
    Handler,
    Leg,
    Origin,
    Refusal,
    State,
    payload_of,
    word,
)
from logscan.correlate.transit import end_leg, open_leg, retried, wait_for_retry
from logscan.parse.postfix import (
    SIGNATURE_HEADER,
    milter_action,
)


class Cleanup(Handler):
    """Message-ids, and the milter's answers at the end of the message."""

    def take(self, state: State, origin: Origin, queue_id: bytes, rest: bytes | None, line: bytes, /) -> None:
        if rest is not None and rest.startswith(b"message-id="):
            space = origin.space
            assert space is not None
            leg = space.legs.get(queue_id)
            if leg is None or leg.active is not None or origin.failure is not None:
                leg = _named(state, origin, queue_id)
            if leg is None:
                state.strange("postfix")
                return
            if leg.message_id is None:
                leg.message_id = rest[11:]
                if (space.retry_ids or space.retries) and leg.kind == PICKUP and leg.parent is None and leg.end == OPEN:
                    retried(leg)
            origin.leg = leg
            state.owner = leg
            return
        payload = payload_of(queue_id, rest)
        if queue_id == b"warning":
            if milters.warning(state, origin, payload, line):
                return
            known(state, origin, payload)
        elif queue_id in (b"fatal", b"panic", b"error") or not rest:
            if not milters.stops(state, origin, payload, line):
                known(state, origin, payload)
        elif rest.startswith(b"milter-"):
            leg = _named(state, origin, queue_id)
            if leg is None:
                state.strange("postfix")
            else:
                origin.leg = leg
                state.owner = leg
                milter_said(state, origin, leg, rest)
        elif rest.startswith(b"to=<"):
            delivered(state, origin, queue_id, rest)
            space = origin.space
            leg = space.legs.get(queue_id) if space is not None else None
            if leg is not None and leg.kind == PICKUP and leg.active is None:
                end_leg(state, leg, BOUNCED)
        else:
            _cleanup_other(state, origin, queue_id, rest, payload)


def _named(state: State, origin: Origin, queue_id: bytes) -> Leg | None:
    """The leg that cleanup names now. Bounces and forwards begin with cleanup's line and nothing before it."""
    space = origin.space
    assert space is not None
    leg = space.legs.get(queue_id)
    if leg is None:
        leg = space.closed.get(queue_id)
        # cleanup may name a leg after smtpd gave it up: refused by the milter, or left by its client.
        gone = leg is not None and leg.end in (REFUSED, VANISHED, DISCARDED)
        if leg is None or not gone or leg.active is not None or leg.message_id is not None:
            leg = other_host(state, space, queue_id, named=False)
            if leg is None:
                leg = open_leg(state, space, queue_id, MADE, b"", origin.program)
    elif leg.active is not None:
        # cleanup has finished with a queued leg for good, so the ID has come back and the end was lost.
        leg = open_leg(state, space, queue_id, MADE, b"", origin.program)
    if leg is not None and origin.failure is not None:
        milters.hit(leg, origin.failure)
        origin.failure = None
    return leg


def _cleanup_other(state: State, origin: Origin, queue_id: bytes, rest: bytes, payload: bytes) -> None:
    space = origin.space
    assert space is not None
    leg = space.legs.get(queue_id)
    state.owner = leg
    if rest.startswith(b"removed"):
        if leg is not None:
            end_leg(state, leg, DISCARDED if rest == b"removed (discarded)" else VANISHED)
    elif rest.startswith((b"reject: ", b"discard: ", b"hold: ")):
        if leg is None:
            return
        if rest.startswith(b"hold: "):
            leg.held = True
        else:
            end_leg(state, leg, VANISHED if rest.startswith(b"reject") else DISCARDED)
    elif rest.startswith((b"resent-message-id=", b"warning: ", b"info: ", b"replace: ", b"prepend: ", b"filter: ")):
        state.owner = NOBODY
    else:
        state.owner = None
        known(state, origin, payload)


def milter_said(state: State, origin: Origin, leg: Leg, rest: bytes) -> None:
    """`milter-reject`, `milter-hold`, `milter-discard` and the `milter-header-…` lines of a leg."""
    if rest.startswith(b"milter-header-"):
        found = SIGNATURE_HEADER.match(rest)
        if found is not None:
            # milter_header_checks with INFO: Postfix itself saw the header that the milter added.
            if leg.signatures is None:
                leg.signatures = []
            run = leg.space.host.run
            state.wide = state.wide or not run.success
            run.success = run.seen = True
            if leg.words is None:
                leg.words = []
            if len(leg.words) < WORD_CAP:
                leg.words.append(word("header-proof", None, rest))
        return
    action = milter_action(rest)
    if action is None:
        return
    if action["action"] == b"hold":
        leg.held = True
        if action["sender"] is not None:
            # A held mail has no line of qmgr: this is where its sender and first recipient stand.
            leg.refusal = Refusal(action["stage"], action["text"], action["sender"], action["recipient"])
    elif action["action"] == b"discard":
        end_leg(state, leg, DISCARDED)
    elif action["stage"] != b"RCPT":
        leg.refusal = Refusal(action["stage"], action["text"], action["sender"], action["recipient"])
        if leg.active is None and leg.end == OPEN:
            if origin.host.refusing is not None:
                life.tell_refusal(state, origin.host, leg)
            end_leg(state, leg, REFUSED)
            if leg.kind == PICKUP:
                if leg.message_id is None and leg.parent is None:
                    retried(leg)
                if action["text"][:1] == b"4":
                    wait_for_retry(leg)
