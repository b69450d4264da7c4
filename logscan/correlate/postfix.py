"""What each Postfix daemon's lines do to the open legs. One function per daemon; `HANDLERS` names them.

Fields are cut from both fixed ends of a payload, because senders, clients and remote servers write into the
middle (catalogue of Postfix, section g).
"""

from __future__ import annotations

from typing import Final

from logscan.correlate import life, milters
from logscan.correlate.state import (
    BOUNCED,
    DISCARDED,
    LOST,
    MADE,
    OPEN,
    PICKUP,
    PROBE,
    RECIPIENT_CAP,
    REFUSED,
    REMOVED,
    REQUEUED,
    SMTPD,
    VANISHED,
    WORD_CAP,
    Delivery,
    Handler,
    Leg,
    Origin,
    Refusal,
    Space,
    State,
    text,
    word,
)
from logscan.correlate.transit import close, end_leg, find_leg, join, open_leg, retried, wait_for_retry
from logscan.parse.postfix import (
    DELIVERY,
    DELIVERY_INTERNAL,
    EVERYDAY_WARNING,
    QUEUED_AS,
    SIGNATURE_HEADER,
    is_local_client,
    is_local_relay,
    milter_action,
    relay_of,
    requeued_from,
)
from logscan.parse.postfix_lines import LINES

MOVED_WITHIN: Final = 600  # seconds
QUOTE: Final = 0x22

# First words of lines that say nothing about a message, per daemon: left after one look.
_TLS: Final = (b"Anonymous", b"Untrusted", b"Trusted", b"Verified", b"SSL_accept", b"SSL_connect", b"certificate")
_SMTPD_NOISE: Final = frozenset(
    {*_TLS, b"statistics:", b"improper", b"discarding", b"setting", b"initializing", b"table"}
)
_SMTP_TALK: Final = (b"host ", b"lost connection with ", b"conversation with ", b"passing <", b"enabling ")
_SMTP_NOISE: Final = frozenset({*_TLS, b"connect", b"TLSRPT:", b"table", b"setting", b"initializing", b"discarding"})


def quiet(state: State, origin: Origin, payload: bytes, line: bytes) -> None:
    """A daemon whose lines never speak of one mail's way through the milter (anvil, tlsmgr, postscreen …)."""


def known(state: State, origin: Origin, payload: bytes) -> None:
    """Ask the table of lines about a payload that no handler wanted, and count it if nobody knows it.

    A `warning:` of unknown text fits only a generic row, which says no more than its first word.
    """
    match = LINES.lookup(payload, text(origin.daemon))
    if match is None or match.shape.kind == "generic":
        state.not_understood["postfix"] += 1


# --- smtpd --------------------------------------------------------------------------------------------------------


def smtpd(state: State, origin: Origin, payload: bytes, line: bytes) -> None:
    """Sessions, and the legs that they open."""
    word, _, rest = payload.partition(b" ")
    if word == b"connect":
        # The session's state is dropped here and not at `disconnect`: one look for a session without mail.
        if origin.leg is not None or origin.used:
            _new_session(state, origin)
    elif word == b"disconnect":
        if origin.refused is not None:
            _close_refused(state, origin)
    elif word[-1:] != b":":
        if word in _SMTPD_NOISE:
            return
        if word == b"lost" or word == b"timeout" or word == b"too":
            _vanished(state, origin, payload)
        else:
            known(state, origin, payload)
    elif rest.startswith(b"client="):
        if word == b"NOQUEUE:":
            origin.noqueue = rest
            origin.used = True
        else:
            _client(state, origin, word[:-1], rest)
    elif word == b"NOQUEUE:":
        if rest.startswith(b"milter-"):
            _noqueue_milter(state, origin, rest)
        elif rest.startswith((b"lost connection", b"timeout", b"too many")):
            _vanished(state, origin, rest)
        elif not rest.startswith((b"reject", b"abort:", b"filter:", b"warn:", b"hold:", b"discard:", b"redirect:")):
            known(state, origin, payload)
    elif word == b"warning:":
        if not EVERYDAY_WARNING.match(rest) and not milters.warning(state, origin, payload, line):
            known(state, origin, payload)
    elif word == b"fatal:" or word == b"panic:":
        if not milters.stops(state, origin, payload, line):
            known(state, origin, payload)
    elif word == b"proxy-accept:":
        _proxy_accept(origin, rest)
    else:
        _smtpd_leg(state, origin, word[:-1], rest, payload)


def _new_session(state: State, origin: Origin) -> None:
    if origin.refused is not None:
        _close_refused(state, origin)
    origin.leg = None
    origin.used = False
    origin.failure = None
    origin.held = False
    origin.noqueue = None


def _client(state: State, origin: Origin, queue_id: bytes, rest: bytes) -> None:
    """`<queue_id>: client=…` opens a leg of this session."""
    space = origin.space
    assert space is not None
    leg = open_leg(state, space, queue_id, SMTPD, rest, origin.program)
    if leg is None:
        state.not_understood["postfix"] += 1
        return
    origin.leg = leg
    if origin.used:
        leg.failure = origin.failure
        leg.held = origin.held
    # A login name is the user's own text, and filters do not log in.
    if rest.find(b", orig_") > 0 and rest.find(b", sasl_username=") < 0:
        place = rest.rfind(b", orig_queue_id=")
        if place > 0:
            parent = find_leg(space.host, rest[place + 16 :].partition(b",")[0])
            if parent is not None and parent is not leg:
                join(parent, leg)


def _smtpd_leg(state: State, origin: Origin, queue_id: bytes, rest: bytes, payload: bytes) -> None:
    """smtpd's other lines that begin with a queue ID."""
    space = origin.space
    assert space is not None
    leg = space.legs.get(queue_id)
    if rest.startswith(b"milter-"):
        if leg is not None:
            _milter_action(state, origin, leg, rest)
    elif rest.startswith((b"lost connection", b"timeout", b"too many")):
        _vanished(state, origin, rest)
    elif not rest.startswith((b"reject", b"hold:", b"warn:", b"filter:", b"redirect:", b"discard:", b"bcc:")):
        known(state, origin, payload)
    elif leg is not None and rest.startswith(b"hold:"):
        leg.held = True
    elif leg is not None and rest.startswith(b"discard:") and leg.deliveries is None:
        end_leg(state, leg, DISCARDED)


def _vanished(state: State, origin: Origin, payload: bytes) -> None:
    """The client went away. After END-OF-MESSAGE the mail may be safe: then qmgr's line says so."""
    leg = origin.leg
    if leg is None or leg.end != OPEN or leg.active is not None or leg.held:
        return
    if b"after END-OF-MESSAGE" not in payload:
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
        _note(refused, action["recipient"], (b"smtpd", b"none", b"refused", False))


def _close_refused(state: State, origin: Origin) -> None:
    leg = origin.refused
    origin.refused = None
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
        leg.proxy = (origin.noqueue, origin.program)
        if origin.failure is not None:
            milters.hit(leg, origin.failure)
    origin.noqueue = None


# --- pickup, qmqpd ------------------------------------------------------------------------------------------------


def pickup(state: State, origin: Origin, payload: bytes, line: bytes) -> None:
    """`<queue_id>: uid=<n> from=<…>`: local mail, or a requeued leg (`orig_id=`)."""
    queue_id, _, rest = payload.partition(b": ")
    if not rest.startswith(b"uid="):
        if queue_id != b"warning":
            known(state, origin, payload)
        return
    space = origin.space
    assert space is not None
    leg = open_leg(state, space, queue_id, PICKUP, rest, origin.program)
    if leg is None:
        state.not_understood["postfix"] += 1
        return
    requeued = requeued_from(rest)
    if requeued:
        old = find_leg(space.host, requeued)
        if old is not None and old is not leg:
            join(old, leg)
            end_leg(state, old, REQUEUED)


def qmqpd(state: State, origin: Origin, payload: bytes, line: bytes) -> None:
    """QMQP clients open legs as SMTP ones do."""
    queue_id, _, rest = payload.partition(b": ")
    if rest.startswith(b"client=") and queue_id != b"NOQUEUE":
        _client(state, origin, queue_id, rest)


# --- cleanup ------------------------------------------------------------------------------------------------------


def cleanup(state: State, origin: Origin, payload: bytes, line: bytes) -> None:
    """Message-ids, and the milter's answers at the end of the message."""
    queue_id, _, rest = payload.partition(b": ")
    if rest[:11] == b"message-id=":
        space = origin.space
        assert space is not None
        leg = space.legs.get(queue_id)
        if leg is None or leg.active is not None or origin.failure is not None:
            leg = _named(state, origin, queue_id)
        if leg is None:
            state.not_understood["postfix"] += 1
            return
        if leg.message_id is None:
            leg.message_id = rest[11:]
            if (space.retry_ids or space.retries) and leg.kind == PICKUP and leg.parent is None and leg.end == OPEN:
                retried(leg)
        origin.leg = leg
        return
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
            state.not_understood["postfix"] += 1
        else:
            origin.leg = leg
            _milter_action(state, origin, leg, rest)
    elif rest.startswith(b"to=<"):
        _delivery(state, origin, queue_id, rest, payload)
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
            leg = _other_host(state, space, queue_id, named=False)
            if leg is None:
                leg = open_leg(state, space, queue_id, MADE, b"", origin.program)
    elif leg.active is not None:
        # cleanup has finished with a queued leg for good, so the ID has come back and the end was lost.
        leg = open_leg(state, space, queue_id, MADE, b"", origin.program)
    if leg is not None and origin.failure is not None:
        milters.hit(leg, origin.failure)
        origin.failure = None
    return leg


def _other_host(state: State, space: Space, queue_id: bytes, *, named: bool) -> Leg | None:
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
        space.legs[queue_id] = found
    return found


def _cleanup_other(state: State, origin: Origin, queue_id: bytes, rest: bytes, payload: bytes) -> None:
    space = origin.space
    assert space is not None
    leg = space.legs.get(queue_id)
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
    elif not rest.startswith((b"resent-message-id=", b"warning: ", b"info: ", b"replace: ", b"prepend: ", b"filter: ")):
        known(state, origin, payload)


def _milter_action(state: State, origin: Origin, leg: Leg, rest: bytes) -> None:
    """`milter-reject`, `milter-hold`, `milter-discard` and the `milter-header-…` lines of a leg."""
    if rest.startswith(b"milter-header-"):
        found = SIGNATURE_HEADER.match(rest)
        if found is not None:
            # milter_header_checks with INFO: Postfix itself saw the header that the milter added.
            if leg.signatures is None:
                leg.signatures = []
            run = leg.space.host.run
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


# --- qmgr and the delivery agents ---------------------------------------------------------------------------------


def qmgr(state: State, origin: Origin, payload: bytes, line: bytes) -> None:
    """`(queue active)` proves that a leg is mail; `removed` ends it."""
    queue_id, _, rest = payload.partition(b": ")
    space = origin.space
    assert space is not None
    if rest == b"removed":
        leg = space.legs.pop(queue_id, None)
        if leg is not None:
            state.open_legs -= 1
            leg.end = REMOVED
            leg.last = state.now
            if leg.chain is not None:
                leg.chain.open -= 1
            close(state, space, leg)
    elif rest[-15:] == b" (queue active)":
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
    elif rest.startswith(b"to=<"):
        _delivery(state, origin, queue_id, rest, payload)
    elif rest.startswith(b"from=<"):
        leg = space.legs.get(queue_id)
        if leg is not None and rest.endswith(b", returned to sender"):
            _note(leg, b"", (b"qmgr", b"none", b"bounced", False))
    elif not rest.startswith((b"skipped, ", b"status=deferred (")):
        known(state, origin, payload)


def _lost_beginning(state: State, origin: Origin, queue_id: bytes) -> Leg | None:
    """A leg that was there before the log began, or whose first lines were lost."""
    space = origin.space
    assert space is not None
    leg = _other_host(state, space, queue_id, named=True)
    if leg is not None:
        return leg
    leg = open_leg(state, space, queue_id, LOST, b"", origin.program)
    if leg is None:
        state.not_understood["postfix"] += 1
    return leg


def delivery(state: State, origin: Origin, payload: bytes, line: bytes) -> None:
    """smtp, lmtp, local, virtual, pipe, error, discard: the word on each recipient."""
    queue_id, _, rest = payload.partition(b": ")
    if rest[:4] == b"to=<":
        _delivery(state, origin, queue_id, rest, payload)
        return
    word, _, rest = payload.partition(b" ")
    if word == b"warning:":
        known(state, origin, payload)
    elif word in _SMTP_NOISE or word[-1:] != b":":
        return
    elif not rest.startswith(_SMTP_TALK) and not QUEUED_AS.search(rest):
        known(state, origin, payload)


def _delivery(state: State, origin: Origin, queue_id: bytes, rest: bytes, payload: bytes) -> None:
    """`to=<…>, relay=…, …, status=<word> (<text>)`: the recipient and the text are strangers' words."""
    space = origin.space
    assert space is not None
    leg = space.legs.get(queue_id)
    if leg is None:
        leg = space.closed.get(queue_id) or _lost_beginning(state, origin, queue_id)
        if leg is None:
            return
    # Cut by partition, at the first blank: it is the quickest of all ways to look for something in bytes.
    to, _, tail = rest.partition(b" ")
    route, found, told = tail.partition(b", status=")
    if not found or route[:6] != b"relay=" or to[-2:] != b">," or to[4] == QUOTE:
        # An alias (`orig_to=`) or an odd address, which is quoted as a whole: the whole form is compared.
        match = DELIVERY.match(rest) or DELIVERY_INTERNAL.match(rest)
        if match is None:
            state.not_understood["postfix"] += 1
            return
        recipient, route, status = match[1], match[2], match[3]
        told = rest[match.end() :]
    else:
        recipient = to[4:-2]
        status, _, told = told.partition(b" ")
    leg.last = state.now
    linked = False
    if status == b"sent":
        if told.partition(b"ed as ")[1]:
            linked = _follow(origin, leg, relay_of(route), told)
    elif status[:7] == b"deliver" or status[:7] == b"undeliv":
        end_leg(state, leg, PROBE)
        return
    if leg.deliveries is None:
        leg.deliveries = {recipient: (origin.daemon, route, status, linked)}
    else:
        _note(leg, recipient, (origin.daemon, route, status, linked))


def _note(leg: Leg, recipient: bytes, word: Delivery) -> None:
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


def _follow(origin: Origin, leg: Leg, relay: bytes, told: bytes) -> bool:
    """Link the leg to the one that a filter or a forward made of it. told: the text from `(` on.

    A remote server answers `queued as <id>` too, and may answer anything: only a leg that is there, opened
    after this one began, by a local client or by cleanup for a forward, is followed.
    """
    host = origin.host
    if relay == b"local":
        if not told.startswith(b"(forwarded as "):
            return False
        child = find_leg(host, told[14:-1])
        if child is None or child.kind != MADE or child is leg or child.first < leg.first:
            return False
        join(leg, child)
        return True
    if not is_local_relay(relay, host.name):
        return False
    # A filter that passes Postfix's answer on says it twice (amavis); the last one is the queue ID.
    found = QUEUED_AS.findall(told)
    child = find_leg(host, found[-1]) if found else None
    if child is None or child is leg or child.kind != SMTPD or child.first < leg.first:
        return False
    if not is_local_client(child.opened, host.name):
        return False
    join(leg, child)
    return True


def bounce(state: State, origin: Origin, payload: bytes, line: bytes) -> None:
    """`<parent>: sender non-delivery notification: <child>`: the child is a message of its own."""
    if b"notification: " not in payload.partition(b" ")[2]:
        known(state, origin, payload)


# --- the queue's caretakers ---------------------------------------------------------------------------------------


def postsuper(state: State, origin: Origin, payload: bytes, line: bytes) -> None:
    """What an administrator did to single legs; `-d ALL` and `-r ALL` log only sums."""
    queue_id, _, rest = payload.partition(b": ")
    space = origin.space
    assert space is not None
    leg = space.legs.get(queue_id)
    if leg is None:
        if not rest or queue_id not in (b"Deleted", b"Requeued", b"Placed on hold", b"Released from hold"):
            known(state, origin, payload)
        return
    if rest == b"removed":
        leg.held = False
        _note(leg, b"", (b"postsuper", b"none", b"deleted", False))
        end_leg(state, leg, REMOVED)
    elif rest == b"placed on hold":
        leg.held = True
    elif rest == b"released from hold":
        leg.held = False


def master(state: State, origin: Origin, payload: bytes, line: bytes) -> None:
    """Postfix starts, stops and reloads: the sessions of the instance are over, queued legs live on."""
    known(state, origin, payload)


def other(state: State, origin: Origin, payload: bytes, line: bytes) -> None:
    """A Postfix program that no one here speaks for."""
    known(state, origin, payload)


HANDLERS: Final[dict[bytes, Handler]] = {
    b"smtpd": smtpd,
    b"pickup": pickup,
    b"qmqpd": qmqpd,
    b"cleanup": cleanup,
    b"qmgr": qmgr,
    b"oqmgr": qmgr,
    b"nqmgr": qmgr,
    b"postsuper": postsuper,
    b"master": master,
    b"postfix-script": master,
    **dict.fromkeys((b"smtp", b"lmtp", b"local", b"virtual", b"pipe", b"error", b"retry", b"discard"), delivery),
    **dict.fromkeys((b"bounce", b"defer", b"trace"), bounce),
    **dict.fromkeys((b"anvil", b"tlsmgr", b"postscreen", b"dnsblog", b"tlsproxy", b"scache", b"verify"), quiet),
    **dict.fromkeys((b"flush", b"showq", b"proxymap", b"proxywrite", b"trivial-rewrite", b"spawn"), quiet),
    **dict.fromkeys((b"postlogd", b"sendmail", b"postdrop", b"postqueue", b"postmap", b"postalias"), other),
    **dict.fromkeys((b"postconf", b"postlog", b"postcat", b"postkick", b"postmulti", b"error-filter"), other),
}
