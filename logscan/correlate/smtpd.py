"""The lines of the daemons that take mail in and open its legs: smtpd with its sessions, pickup, qmqpd."""

from __future__ import annotations

from typing import Final

from logscan.correlate import milters
from logscan.correlate.cleanup import milter_said
from logscan.correlate.common import TLS, known, note, partition
from logscan.correlate.state import (
    DISCARDED,
    NOBODY,
    OPEN,
    PICKUP,
    REFUSED,
    REQUEUED,
    SMTPD,
    VANISHED,
    Handler,
    Leg,
    Origin,
    Refusal,
    Session,
    State,
    payload_of,
)
from logscan.correlate.transit import end_leg, find_leg, join, open_leg
from logscan.parse.postfix import (
    EVERYDAY_WARNING,
    QUEUED_AS,
    is_local_client,
    milter_action,
    requeued_from,
)

# First words of lines that say nothing about a message: left after one look.
_SMTPD_NOISE: Final = frozenset(
    {*TLS, b"statistics:", b"improper", b"discarding", b"setting", b"initializing", b"table"}
)


class Smtpd(Handler):
    """Sessions, and the legs that they open."""

    def take(self, state: State, origin: Origin, start: bytes, rest: bytes | None, line: bytes, /) -> None:
        if start.startswith(b"connect "):
            # The session's state is dropped here and not at `disconnect`: one look for a session without mail.
            if origin.leg is not None or origin.used:
                new_session(state, origin)
            origin.connected = True
            state.owner = NOBODY
            return
        if start.startswith(b"disconnect "):
            if origin.refused is not None:
                _close_refused(state, origin)
            elif origin.connected:
                state.owner = NOBODY
            return
        if rest is not None and rest.startswith(b"client="):
            # Most of what is left: looked for before anything is cut.
            if start == b"NOQUEUE":
                origin.noqueue = rest
                origin.used = True
                return
            if _client(state, origin, start, rest):
                return
        word, blank, _ = partition(start, b" ")
        if blank or rest is None:
            if word in _SMTPD_NOISE:
                state.owner = NOBODY
            elif word == b"lost" or word == b"timeout" or word == b"too":
                _vanished(state, origin, payload_of(start, rest))
            else:
                known(state, origin, payload_of(start, rest))
        elif rest.startswith(b"client="):
            state.strange("postfix")
        elif start == b"NOQUEUE":
            if rest.startswith(b"milter-"):
                _noqueue_milter(state, origin, rest)
            elif rest.startswith((b"lost connection", b"timeout", b"too many")):
                _vanished(state, origin, rest)
            elif rest.startswith((b"reject", b"abort:", b"filter:", b"warn:", b"hold:", b"discard:", b"redirect:")):
                state.owner = NOBODY
            else:
                known(state, origin, payload_of(start, rest))
        elif start == b"warning":
            payload = payload_of(start, rest)
            if EVERYDAY_WARNING.match(rest):
                state.owner = NOBODY
            elif not milters.warning(state, origin, payload, line):
                known(state, origin, payload)
        elif start == b"fatal" or start == b"panic":
            payload = payload_of(start, rest)
            if not milters.stops(state, origin, payload, line):
                known(state, origin, payload)
        elif start == b"proxy-accept":
            _proxy_accept(origin, rest)
        else:
            _smtpd_leg(state, origin, start, rest)


def new_session(state: State, origin: Origin) -> None:
    """Forget what went before in this process."""
    origin.leg = None
    origin.session = None
    origin.failure = None
    if origin.used:
        if origin.refused is not None:
            _close_refused(state, origin)
        origin.used = False
        origin.held = False
        origin.noqueue = None


def _client(state: State, origin: Origin, queue_id: bytes, rest: bytes) -> bool:
    """`<queue_id>: client=…` opens a leg of this session; False when the text is no queue ID."""
    space = origin.space
    assert space is not None
    leg = open_leg(state, space, queue_id, SMTPD, rest, origin.program)
    if leg is None:
        return False
    origin.leg = leg
    state.owner = leg
    if origin.used:
        leg.failure = origin.failure
        leg.held = origin.held
    if state.sifting is not None:
        _in_part(origin, leg)
    # A login name is the user's own text, and filters do not log in.
    if partition(rest, b", orig_")[1] and not rest.partition(b", sasl_username=")[1]:
        place = rest.rfind(b", orig_queue_id=")
        if place > 0:
            parent = find_leg(space.host, rest[place + 16 :].partition(b",")[0])
            if parent is not None and parent is not leg:
                join(parent, leg)
            else:
                leg.tainted = True
    return True


def _in_part(origin: Origin, leg: Leg) -> None:
    """In a part of a log: what this mail's session was like has to be known from its begin."""
    if not origin.connected or origin.used:
        leg.tainted = True
    if origin.connected:
        if origin.session is None:
            origin.session = Session()
        leg.session = origin.session


def _smtpd_leg(state: State, origin: Origin, queue_id: bytes, rest: bytes) -> None:
    """smtpd's other lines that begin with a queue ID."""
    space = origin.space
    assert space is not None
    leg = space.legs.get(queue_id)
    state.owner = leg
    if rest.startswith(b"milter-"):
        if leg is not None:
            milter_said(state, origin, leg, rest)
    elif rest.startswith((b"lost connection", b"timeout", b"too many")):
        _vanished(state, origin, rest)
    elif not rest.startswith((b"reject", b"hold:", b"warn:", b"filter:", b"redirect:", b"discard:", b"bcc:")):
        known(state, origin, payload_of(queue_id, rest))
    elif leg is not None and rest.startswith(b"hold:"):
        leg.held = True
    elif leg is not None and rest.startswith(b"discard:") and leg.deliveries is None:
        end_leg(state, leg, DISCARDED)


def _vanished(state: State, origin: Origin, payload: bytes) -> None:
    """The client went away. After END-OF-MESSAGE the mail may be safe: then qmgr's line says so."""
    leg = origin.leg
    state.owner = NOBODY if origin.connected else None
    if leg is None or leg.end != OPEN or leg.active is not None or leg.held:
        return
    if b"after END-OF-MESSAGE" not in payload:
        state.owner = leg
        end_leg(state, leg, VANISHED)


def _noqueue_milter(state: State, origin: Origin, rest: bytes) -> None:
    """A milter's word before there is a queue ID. CONNECT and EHLO lines are echoes; MAIL or RCPT is one mail."""
    if rest.startswith(b"milter-hold"):
        origin.held = origin.used = True
        return
    action = milter_action(rest)
    if action is None or action["action"] != b"reject":
        return
    stage, sender, told = action["stage"], action["sender"], action["text"]
    if sender is None or not milters.refused_by_failure(origin.failure, told):
        # A milter's own decision on an envelope is like smtpd's own `reject`: no mail came of it.
        if sender is not None:
            state.not_mail += 1
        return
    refused = origin.refused
    same = refused is not None and refused.refusal is not None and refused.refusal.sender == sender
    if refused is None or not (stage == b"RCPT" and same):
        if refused is not None:
            _close_refused(state, origin)
        state.seq += 1
        space = origin.space
        assert space is not None
        refused = Leg(space, b"", state.now, state.seq, SMTPD, b"client=" + action["client"], origin.program)
        if action["user"]:
            refused.opened += b", sasl_username=" + action["user"]
        refused.failure = origin.failure
        refused.refusal = Refusal(stage, told, sender, action["recipient"])
        origin.refused = refused
        origin.used = True
    if action["recipient"] is not None:
        note(refused, action["recipient"], (b"smtpd", b"none", b"refused", False))


def _close_refused(state: State, origin: Origin) -> None:
    leg = origin.refused
    origin.refused = None
    state.wide = True
    if leg is not None:
        leg.end = REFUSED
        leg.last = state.now
        state.sink([leg])


def _proxy_accept(origin: Origin, rest: bytes) -> None:
    """The front smtpd of a before-queue filter names the leg that the filter's mail became."""
    found = QUEUED_AS.search(rest.partition(b"; from=<")[0])
    if found is None or origin.noqueue is None:
        return
    leg = find_leg(origin.host, found[1])
    if leg is not None and leg.kind == SMTPD and is_local_client(leg.opened, origin.host.name):
        leg.tainted = True
        leg.proxy = (origin.noqueue, origin.program)
        if origin.failure is not None:
            milters.hit(leg, origin.failure)
    origin.noqueue = None


class Pickup(Handler):
    """`<queue_id>: uid=<n> from=<…>`: local mail, or a requeued leg (`orig_id=`)."""

    def take(self, state: State, origin: Origin, queue_id: bytes, rest: bytes | None, line: bytes, /) -> None:
        if rest is None or not rest.startswith(b"uid="):
            if queue_id != b"warning":
                known(state, origin, payload_of(queue_id, rest))
            return
        space = origin.space
        assert space is not None
        leg = open_leg(state, space, queue_id, PICKUP, rest, origin.program)
        if leg is None:
            state.strange("postfix")
            return
        state.owner = leg
        requeued = requeued_from(rest)
        if requeued:
            leg.tainted = True
            old = find_leg(space.host, requeued)
            if old is not None and old is not leg:
                join(old, leg)
                end_leg(state, old, REQUEUED)


class Qmqpd(Handler):
    """QMQP clients open legs as SMTP ones do."""

    def take(self, state: State, origin: Origin, queue_id: bytes, rest: bytes | None, line: bytes, /) -> None:
        if rest is None or not rest.startswith(b"client=") or queue_id == b"NOQUEUE":
            return
        if not _client(state, origin, queue_id, rest):
            state.strange("postfix")
