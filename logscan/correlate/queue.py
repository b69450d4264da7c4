"""The lines of qmgr, the delivery agents and the queue's caretakers: what becomes of a leg that is mail.

Fields are cut from both fixed ends of a payload, because senders, clients and remote servers write into the
middle (catalogue of Postfix, section g).
"""

from __future__ import annotations

from typing import Final

from logscan.correlate.common import TLS, known, note, other_host, partition
from logscan.correlate.state import (
    LOST,
    MADE,
    NOBODY,
    PROBE,
    RELAYS_KEPT,
    REMOVED,
    SMTPD,
    Handler,
    Host,
    Leg,
    Origin,
    State,
    payload_of,
)
from logscan.correlate.transit import close, end_leg, find_leg, join, open_leg
from logscan.parse.postfix import (
    DELIVERY,
    DELIVERY_INTERNAL,
    QUEUED_AS,
    is_local_client,
    is_local_relay,
    relay_of,
)

QUOTE: Final = 0x22
SENT: Final = b"sent"

# First words of lines that say nothing about a message: left after one look.
_SMTP_TALK: Final = (b"host ", b"lost connection with ", b"conversation with ", b"passing <", b"enabling ")
_SMTP_NOISE: Final = frozenset({*TLS, b"connect", b"TLSRPT:", b"table", b"setting", b"initializing", b"discarding"})


class Qmgr(Handler):
    """`(queue active)` proves that a leg is mail; `removed` ends it."""

    def take(self, state: State, origin: Origin, queue_id: bytes, rest: bytes | None, line: bytes, /) -> None:
        space = origin.space
        assert space is not None
        if rest is None:
            known(state, origin, queue_id)
        elif rest == b"removed":
            leg = space.legs.pop(queue_id, None)
            if leg is not None:
                state.open_legs -= 1
                leg.end = REMOVED
                leg.last = state.now
                if leg.chain is not None:
                    leg.chain.open -= 1
                close(state, space, leg)
            state.owner = leg
        elif rest.endswith(b" (queue active)"):
            leg = space.legs.get(queue_id)
            if leg is None:
                leg = _lost_beginning(state, origin, queue_id)
                if leg is None:
                    return
            if leg.active is None:
                leg.active = rest
                leg.run = space.host.run
                leg.held = False
            leg.last = state.now
            state.owner = leg
        elif rest.startswith(b"to=<"):
            delivered(state, origin, queue_id, rest)
        elif rest.startswith(b"from=<"):
            leg = space.legs.get(queue_id)
            state.owner = leg
            if leg is not None and rest.endswith(b", returned to sender"):
                note(leg, b"", (b"qmgr", b"none", b"bounced", False))
        elif rest.startswith((b"skipped, ", b"status=deferred (")):
            state.owner = NOBODY
        else:
            known(state, origin, payload_of(queue_id, rest))


def _lost_beginning(state: State, origin: Origin, queue_id: bytes) -> Leg | None:
    """A leg that was there before the log began, or whose first lines were lost."""
    space = origin.space
    assert space is not None
    leg = other_host(state, space, queue_id, named=True)
    if leg is not None:
        return leg
    leg = open_leg(state, space, queue_id, LOST, b"", origin.program)
    if leg is None:
        state.strange("postfix")
    return leg


class Delivers(Handler):
    """smtp, lmtp, local, virtual, pipe, error, discard: the word on each recipient."""

    def take(self, state: State, origin: Origin, start: bytes, rest: bytes | None, line: bytes, /) -> None:
        if rest is not None and rest.startswith(b"to=<"):
            delivered(state, origin, start, rest)
            return
        payload = payload_of(start, rest)
        word, _, text = payload.partition(b" ")
        if word == b"warning:":
            known(state, origin, payload)
        elif word in _SMTP_NOISE or word[-1:] != b":" or text.startswith(_SMTP_TALK) or QUEUED_AS.search(text):
            state.owner = NOBODY
        else:
            known(state, origin, payload)


def delivered(state: State, origin: Origin, queue_id: bytes, rest: bytes) -> None:
    """`to=<…>, relay=…, …, status=<word> (<text>)`: the recipient and the text are strangers' words."""
    space = origin.space
    assert space is not None
    leg = space.legs.get(queue_id)
    if leg is None:
        leg = space.closed.get(queue_id) or _lost_beginning(state, origin, queue_id)
        if leg is None:
            return
    state.owner = leg
    # Cut by partition, at the first blank: it is the quickest of all ways to look for something in bytes.
    to, _, tail = partition(rest, b" ")
    route, found, told = partition(tail, b", status=")
    recipient: bytes
    status: bytes
    if not (found and route.startswith(b"relay=") and to.endswith(b">,")) or to[4] == QUOTE:
        # An alias (`orig_to=`) or an odd address, which is quoted as a whole: the whole form is compared.
        match = DELIVERY.match(rest) or DELIVERY_INTERNAL.match(rest)
        if match is None:
            state.strange("postfix")
            leg.tainted = True  # without it the line would open one
            return
        recipient, route, status = match[1], match[2], match[3]
        told = rest[match.end() :]
    else:
        recipient = to[4:-2]
        if told.startswith(b"sent "):
            status, told = SENT, told[5:]
        else:
            status, _, told = told.partition(b" ")
    leg.last = state.now
    linked = False
    if status == SENT:
        if partition(told, b"ed as ")[1]:
            linked = _follow(origin, leg, route, told)
    elif status[:7] == b"deliver" or status[:7] == b"undeliv":
        end_leg(state, leg, PROBE)
        return
    if leg.deliveries is None:
        leg.deliveries = {recipient: (origin.daemon, route, status, linked)}
    else:
        note(leg, recipient, (origin.daemon, route, status, linked))


def _is_local(host: Host, route: bytes) -> bool:
    """True when a delivery went to this host or a private address: perhaps a filter. route: of a Delivery."""
    name = partition(route, b",")[0]
    local = host.relays.get(name)
    if local is None:
        if len(host.relays) >= RELAYS_KEPT:
            host.relays.clear()
        local = host.relays[name] = is_local_relay(relay_of(name), host.name)
    return local


def _follow(origin: Origin, leg: Leg, route: bytes, told: bytes) -> bool:
    """Link the leg to the one that a filter or a forward made of it. told: the text from `(` on.

    A remote server answers `queued as <id>` too, and may answer anything: only a leg that is there, opened
    after this one began, by a local client or by cleanup for a forward, is followed.
    """
    host = origin.host
    if not _is_local(host, route):
        return False
    if relay_of(route) == b"local":
        if not told.startswith(b"(forwarded as "):
            return False
        child = find_leg(host, told[14:-1])
        if child is None or child is leg:
            return False
        leg.tainted = child.tainted = leg.tainted or child.tainted or leg.kind == LOST
        if child.kind != MADE or child.first < leg.first:
            return False
        join(leg, child)
        return True
    # A filter that passes Postfix's answer on says it twice (amavis); the last one is the queue ID.
    found = QUEUED_AS.findall(told)
    child = find_leg(host, found[-1]) if found else None
    if child is None or child is leg:
        return False
    leg.tainted = child.tainted = leg.tainted or child.tainted or leg.kind == LOST
    if child.kind != SMTPD or child.first < leg.first or not is_local_client(child.opened, host.name):
        return False
    join(leg, child)
    return True


class Bounce(Handler):
    """`<parent>: sender non-delivery notification: <child>`: the child is a message of its own."""

    def take(self, state: State, origin: Origin, start: bytes, rest: bytes | None, line: bytes, /) -> None:
        payload = payload_of(start, rest)
        if b"notification: " in payload.partition(b" ")[2]:
            state.owner = NOBODY
        else:
            known(state, origin, payload)


class Postsuper(Handler):
    """What an administrator did to single legs; `-d ALL` and `-r ALL` log only sums."""

    def take(self, state: State, origin: Origin, queue_id: bytes, rest: bytes | None, line: bytes, /) -> None:
        space = origin.space
        assert space is not None
        leg = space.legs.get(queue_id)
        if leg is None:
            if not rest or queue_id not in (b"Deleted", b"Requeued", b"Placed on hold", b"Released from hold"):
                known(state, origin, payload_of(queue_id, rest))
            state.owner = None
            return
        state.owner = leg
        state.wide = True
        if rest == b"removed":
            leg.held = False
            note(leg, b"", (b"postsuper", b"none", b"deleted", False))
            end_leg(state, leg, REMOVED)
        elif rest == b"placed on hold":
            leg.held = True
        elif rest == b"released from hold":
            leg.held = False
