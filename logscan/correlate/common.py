"""What the handlers of several Postfix daemons share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from logscan.correlate.state import (
    LOST,
    NOBODY,
    RECIPIENT_CAP,
    Delivery,
    Leg,
    Origin,
    Space,
    State,
    text,
)
from logscan.parse.postfix_lines import LINES

# What lines are cut with. Compiled, a method is looked up anew at each call of it, which is a thirtieth of all time.
partition: Final[Callable[[bytes, bytes], tuple[bytes, bytes, bytes]]] = bytes.partition
split: Final[Callable[[bytes, bytes, int], list[bytes]]] = bytes.split

MOVED_WITHIN: Final = 600  # seconds

# First words of what several daemons say of TLS.
TLS: Final = (b"Anonymous", b"Untrusted", b"Trusted", b"Verified", b"SSL_accept", b"SSL_connect", b"certificate")


def known(state: State, origin: Origin, payload: bytes) -> None:
    """Ask the table of lines about a payload that no handler wanted, and count it if nobody knows it.

    A `warning:` of unknown text fits only a generic row, which says no more than its first word.
    """
    match = LINES.lookup(payload, text(origin.daemon))
    if match is None or match.shape.kind == "generic":
        state.strange("postfix")
    else:
        state.owner = NOBODY


def note(leg: Leg, recipient: bytes, word: Delivery) -> None:
    deliveries = leg.deliveries
    if deliveries is None:
        leg.deliveries = {recipient: word}
    elif len(deliveries) < RECIPIENT_CAP or recipient in deliveries:
        deliveries[recipient] = word
    else:
        # Past the cap only the best news counts: one sent copy makes the mail sent, and one that left tells most.
        old = deliveries.get(b"")
        left = word[0] == b"smtp" and word[2] == b"sent" and not word[3]
        if old is None or old[2] != b"sent" or left:
            deliveries[b""] = word


def other_host(state: State, space: Space, queue_id: bytes, *, named: bool) -> Leg | None:
    """`maillog_file` writes myhostname, which a service may set anew: the same queue under another host name.

    A leg that another name of the same instance opened within the last minutes, and that waits for just this
    line (named: its message-id has come), is the one. It moves to the space where its way goes on.
    """
    found = None
    for host in state.hosts.values() if len(state.hosts) > 1 else ():
        other = host.spaces.get(space.instance)
        leg = other.legs.get(queue_id) if other is not None and other is not space else None
        if leg is None or leg.kind == LOST or state.now - leg.first > MOVED_WITHIN:
            continue
        if leg.active is None and (leg.message_id is not None) == named:
            if found is not None:
                return None
            found = leg
    if found is not None:
        del found.space.legs[queue_id]
        found.space = space
        found.tainted = True
        space.legs[queue_id] = found
    return found
