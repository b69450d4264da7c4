"""The life of a leg: open, joined to its message, ended, let go. See contract §1 and catalogue of Postfix, section a.

A leg that ended stays reachable for GRACE seconds of log time, because a filter's child is finished before the
parent says `queued as <child>`, and a merged log brings OpenDKIM's line late. Then, when no leg of its chain is
open any more, the message goes to the sink.
"""

from __future__ import annotations

import re
from typing import Final

from logscan.correlate.state import (
    AGED,
    GRACE,
    LEG_CAP,
    MADE,
    OPEN,
    PICKUP,
    QUEUED_AGE,
    REFUSED,
    REPLACED,
    RETRY_AGE,
    SESSION_AGE,
    Chain,
    Host,
    Leg,
    Space,
    State,
    Waiting,
)
from logscan.parse import lines

QUEUE_ID: Final = re.compile(lines.QUEUE_ID)
HEX: Final = b"0123456789ABCDEF"  # of the short form; stripping it is the quickest look at an ID
SWEEP_EVERY: Final = 600
SCAN_GAP: Final = 2  # seconds without a try: pickup's scan of the maildrop is over


def open_leg(state: State, space: Space, queue_id: bytes, kind: int, opened: bytes, service: bytes) -> Leg | None:
    """Begin a leg; None when the text is no queue ID. An open leg of that ID has lost its end."""
    legs = space.legs
    old = legs.get(queue_id)
    if old is not None:
        end_leg(state, old, REPLACED)
    elif (queue_id.strip(HEX) or not 6 <= len(queue_id) <= 21) and QUEUE_ID.fullmatch(queue_id) is None:
        return None
    state.seq += 1
    leg = legs[queue_id] = Leg(space, queue_id, state.now, state.seq, kind, opened, service)
    leg.tainted = old is not None
    state.open_legs += 1
    if state.open_legs > LEG_CAP:
        _shed(state)
    return leg


def end_leg(state: State, leg: Leg, end: int) -> None:
    """End an open leg; its message is finished GRACE seconds later, if no other leg of it is open then."""
    if leg.end != OPEN:
        return
    leg.end = end
    leg.last = state.now
    space = leg.space
    if space.legs.get(leg.queue_id) is leg:
        del space.legs[leg.queue_id]
        state.open_legs -= 1
    if leg.chain is not None:
        leg.chain.open -= 1
    close(state, space, leg)


def close(state: State, space: Space, leg: Leg) -> None:
    """Keep an ended leg reachable for its grace. `closed` is in the order in which the graces end."""
    closed = space.closed
    if leg.queue_id in closed:
        # The ID came back within the grace, or a refused mail is given up: the older leg has had its time.
        _settled(state, closed.pop(leg.queue_id))
        leg.tainted = True
    if state.sifting is not None and leg.last < state.latest:
        # Time went back: those that seem to have ended later keep this one reachable.
        for other in closed.values():
            if other.last > leg.last:
                other.tainted = True
    closed[leg.queue_id] = leg
    if state.due > leg.last + GRACE:
        state.due = leg.last + GRACE


def find_leg(host: Host, queue_id: bytes) -> Leg | None:
    """The leg that a queue ID means on this host now: an open one in any instance, else one that just ended."""
    space = host.only
    if space is not None:
        return space.legs.get(queue_id) or space.closed.get(queue_id)
    found = [leg for space in host.spaces.values() if (leg := space.legs.get(queue_id)) is not None]
    found = found or [leg for space in host.spaces.values() if (leg := space.closed.get(queue_id)) is not None]
    return first_of(found)


def first_of(legs: list[Leg]) -> Leg | None:
    """The leg of the instance that was seen first, of several that an ID may mean; None of none."""
    if len(legs) > 1:
        for leg in legs:
            leg.tainted = True  # where only a part of the log is read, another instance may seem to be the first
    return legs[0] if legs else None


def join(parent: Leg, child: Leg) -> None:
    """Make two legs one message, the parent's legs first. Joining twice, or a leg to itself, changes nothing."""
    ours = parent.chain
    if ours is None:
        ours = parent.chain = Chain(parent)
    theirs = child.chain
    if theirs is ours or ours.done or (theirs is not None and theirs.done):
        return
    if child.parent is None:
        child.parent = parent
    moved = [child] if theirs is None else theirs.legs
    ours.open += (child.end == OPEN) if theirs is None else theirs.open
    for leg in moved:
        leg.chain = ours
    ours.legs += moved
    # A loop back to an older leg must not grow without end, nor must a mail that is retried for days.
    if len(ours.legs) > 64:
        ours.legs[32:-16] = []


def advance(state: State, at: int) -> None:
    """The log came to an instant at which something is due."""
    state.due = at + SWEEP_EVERY
    settle(state, at)
    if at >= state.next_sweep:
        sweep(state)
    state.due = min(state.due, state.next_sweep)


def settle(state: State, at: int) -> None:
    """Finish the legs whose grace is over, and note when the next one's is."""
    before = at - GRACE
    for space in state.spaces:
        closed = space.closed
        over = []
        for leg in closed.values():
            if leg.last > before:
                state.due = min(state.due, leg.last + GRACE)
                break
            over.append(leg)
        for leg in over:
            # One by one: a message is finished with the last of its legs.
            if closed.get(leg.queue_id) is leg:
                del closed[leg.queue_id]
                if leg.chain is None and leg.kind != PICKUP:
                    state.sink([leg])
                else:
                    _settled(state, leg)


def _settled(state: State, leg: Leg) -> None:
    """A leg has ended for good: finish its message, unless another leg of it is still to come or to end."""
    if leg.kind == PICKUP and leg.active is not None and leg.space.retries:
        _scan_is_over(leg, state.now)
    chain = leg.chain
    if chain is None:
        if not (leg.end == REFUSED and leg.kind == PICKUP and _is_waiting(leg)):
            state.sink([leg])
    elif chain.open == 0 and not chain.done:
        tail = chain.legs[-1]
        if tail.end == REFUSED and tail.kind == PICKUP and _is_waiting(tail):
            return
        if not any(other.space.closed.get(other.queue_id) is other for other in chain.legs):
            finish(state, chain)


def finish(state: State, chain: Chain) -> None:
    """Hand a message of several legs to the sink, once."""
    chain.done = True
    state.sink(chain.legs)


# --- local mail that a milter refuses comes back under a new queue ID -------------------------------------------


def _is_waiting(leg: Leg) -> bool:
    """True while a refused local mail is expected to come back from the maildrop."""
    space = leg.space
    if leg.message_id is not None and space.retry_ids.get(leg.message_id) is leg:
        return True
    waiting = space.retries.get(leg.opened)
    return waiting is not None and leg in waiting.legs


def wait_for_retry(leg: Leg) -> None:
    """Remember a local mail that a milter refused for now, so that pickup's next try is known as the same mail.

    A message-id that came with the mail is the same at each try. One that cleanup made holds the queue ID and
    is new each time, and a refusal at CONNECT comes before any: then the uid and the sender have to do.
    """
    space = leg.space
    if leg.message_id is not None and not _generated(leg):
        space.retry_ids[leg.message_id] = leg
        return
    waiting = space.retries.get(leg.opened)
    if waiting is None:
        waiting = space.retries[leg.opened] = Waiting(leg.first)
    waiting.last_try = leg.first
    waiting.legs.append(leg)


def retried(leg: Leg) -> None:
    """Join a leg from pickup to the refused try before it, if there is one."""
    space = leg.space
    own = leg.message_id is not None and not _generated(leg)
    if own:
        earlier = space.retry_ids.pop(leg.message_id or b"", None)
        if earlier is not None:
            join(earlier, leg)
            return
    waiting = space.retries.get(leg.opened)
    if waiting is None:
        return
    leg.tainted = True  # a part of the log cannot do without it, even if it is no try of theirs
    if leg.first - waiting.last_try > SCAN_GAP:
        # A scan of the maildrop tries every file once. What the scan before this one passed over was the same
        # mail as another: a first try and a scan may fall into one second.
        _adopt(waiting, waiting.scan, leg)
        waiting.scan = leg.first
    waiting.last_try = leg.first
    for earlier in waiting.legs:
        if earlier.last < leg.first and not (own and earlier.message_id is not None):
            waiting.legs.remove(earlier)
            join(earlier, leg)
            break
    if not waiting.legs:
        del space.retries[leg.opened]


def _adopt(waiting: Waiting, before: int, leg: Leg) -> None:
    for other in [other for other in waiting.legs if other.last < before]:
        waiting.legs.remove(other)
        join(other, leg)


def _scan_is_over(leg: Leg, now: int) -> None:
    """A local mail got through: a scan that is over has tried all that waited, so the rest is that mail too."""
    waiting = leg.space.retries.get(leg.opened)
    if waiting is not None and now - waiting.last_try > SCAN_GAP:
        _adopt(waiting, leg.first, leg)
        if not waiting.legs:
            del leg.space.retries[leg.opened]


def _generated(leg: Leg) -> bool:
    return leg.message_id is not None and b"." + leg.queue_id + b"@" in leg.message_id


# --- letting go -------------------------------------------------------------------------------------------------


def sweep(state: State) -> None:
    """Let go of what is too old by the log's own time, so that memory follows the mail in transit."""
    now = state.now
    state.next_sweep = now + SWEEP_EVERY
    for host in state.hosts.values():
        for space in host.spaces.values():
            old = [leg for leg in space.legs.values() if leg.last < now - SESSION_AGE and _too_old(leg, now)]
            for leg in old:
                if leg.active is not None or leg.held:
                    state.let_go += 1
                end_leg(state, leg, AGED)
            _drop_retries(state, space, now - RETRY_AGE)


def _too_old(leg: Leg, now: int) -> bool:
    kept = leg.active is not None or leg.held or leg.kind == MADE
    return leg.last < now - (QUEUED_AGE if kept else SESSION_AGE)


def _drop_retries(state: State, space: Space, before: int) -> None:
    late = [leg for leg in space.retry_ids.values() if leg.last < before]
    for leg in late:
        del space.retry_ids[leg.message_id or b""]
    for key in list(space.retries):
        waiting = space.retries[key]
        while waiting.legs and waiting.legs[0].last < before:
            late.append(waiting.legs.popleft())
        if not waiting.legs:
            del space.retries[key]
    for leg in late:
        _settled(state, leg)


def _shed(state: State) -> None:
    """The cap is reached: let go of the oldest tenth, where the most are open, and say so in the count."""
    space = max(state.spaces, key=lambda space: len(space.legs))
    for leg in list(space.legs.values())[: LEG_CAP // 10]:
        state.let_go += 1
        end_leg(state, leg, AGED)


def close_all(state: State) -> None:
    """The input is at its end: what is still open is judged as it stands."""
    settle(state, state.now + GRACE + 1)
    done: set[int] = set()
    left: list[Leg] = []
    for host in state.hosts.values():
        for space in host.spaces.values():
            left += space.legs.values()
            left += space.retry_ids.values()
            for waiting in space.retries.values():
                left += waiting.legs
            space.legs = {}
            space.retry_ids = {}
            space.retries = {}
    left.sort(key=lambda leg: leg.seq)
    for leg in left:
        if leg.chain is not None:
            if not leg.chain.done:
                finish(state, leg.chain)
        elif leg.seq not in done:
            done.add(leg.seq)
            state.sink([leg])
