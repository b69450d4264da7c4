"""OpenDKIM's lines: its words about messages, and its own life.

One pid writes about all mail, so the queue ID is the only key. The text before the first colon may also be a
key's name or a path; texts are recognised first, then the prefix is tested (`opendkim_lines`).
"""

from __future__ import annotations

import re
from typing import Final

from logscan.correlate import life, milters, resolver
from logscan.correlate.state import (
    LOST,
    MADE,
    NOBODY,
    OK,
    WORD_CAP,
    Handler,
    Host,
    Leg,
    Origin,
    Sifting,
    State,
    Word,
    payload_of,
    word,
)
from logscan.correlate.transit import QUEUE_ID, find_leg, first_of, open_leg
from logscan.model import Fault
from logscan.parse.opendkim_lines import LINES

# "header" up to 2.8.2. Both ends are anchored: a line that breaks off is no signature.
ADDED: Final = re.compile(rb"DKIM-Signature (?:field|header) added \(s=([^ ,()]+), d=([^ ,()]+)\)")

# What a program of another name has to write before it is taken for an OpenDKIM (SyslogName, since 2.11).
RENAMED: Final = re.compile(
    rb"(?:[0-9A-Za-z]{6,40}: DKIM-Signature (?:field|header) added \(s=[^ ,()]+, d=[^ ,()]+\)"
    rb"|OpenDKIM Filter v[0-9.]+[^ ]* starting(?: \(.*\))?)\Z"
)


# What is said the same way of every message. Senders cannot write these: the whole text is compared.
_SAID: Final = {
    b"DKIM verification successful": word("verify-ok", None, b""),
    b"no signature data": word("verify-none", None, b""),
    b"bad signature data": word("verify-fail", "bad-signature", b"bad signature data"),
    b"not authenticated": word("unsigned-reason", "not-internal", b": not authenticated"),
}
_EXTERNAL: Final = word("external", None, b"")
# `DKIM-Signature field added (…)` -> (signing domain, selector): a host has few keys, and says the same all day.
_signatures: Final[dict[bytes, tuple[bytes, bytes]]] = {}
SIGNATURES_KEPT: Final = 1_000


class OpenDKIM(Handler):
    """Any line of OpenDKIM."""

    def take(self, state: State, origin: Origin, queue_id: bytes, rest: bytes | None, line: bytes, /) -> None:
        host = origin.host
        run = host.run
        if host.gap_from is not None and state.now > host.gap_from:
            # A limit lets no line through until it is over, and only the next one says so ("lost"), if any does.
            host.gap_to, host.gap_from = state.now, None
            state.wide = True
        said = rest or b""
        if said.startswith(b"DKIM-Signature"):
            pair = _signatures.get(said) or _signature(said)
            if pair is not None:
                _added(state, origin, queue_id, pair)
                return
        if said.startswith(b"s=") and (said.endswith(b" SSL ") or said[-4:] == b" SSL"):
            # The empty tail is no error, and comes with good signatures too.
            state.owner = NOBODY
            sifting = state.sifting
            state.wide = state.wide or not run.ssl_lines or (sifting is not None and host.name not in sifting.works)
            run.seen = run.ssl_lines = True
            return
        known = _EXTERNAL if said.endswith(b"] not internal") else _SAID.get(said)
        if known is None:
            payload = payload_of(queue_id, rest)
            if said.startswith(b"no signing table match for "):
                _word(state, origin, queue_id, _no_match(payload))
            else:
                _slow(state, origin, payload, line)
            return
        if known.bits == OK:
            if not run.success:
                run.success = state.wide = True
            _answered(state, host)
        space = host.only
        leg = space.legs.get(queue_id) if space is not None else None
        if leg is None or host.outages or not run.seen:
            _word(state, origin, queue_id, known)
            return
        state.owner = leg
        if leg.words is None:
            leg.words = [known]
        elif len(leg.words) < WORD_CAP:
            leg.words.append(known)
        if state.sifting is not None:
            _works_here(state, state.sifting, leg)


OPENDKIM: Final = OpenDKIM()


def _signature(said: bytes) -> tuple[bytes, bytes] | None:
    """Signing domain and selector of `DKIM-Signature field added (…)`, remembered; None for any other text."""
    added = ADDED.fullmatch(said)
    if added is None:
        return None
    if len(_signatures) >= SIGNATURES_KEPT:
        _signatures.clear()
    pair = _signatures[said] = (added[2], added[1])
    return pair


def _no_match(payload: bytes) -> Word:
    return word("unsigned-reason", "no-signing-table-match", payload)


def _answered(state: State, host: Host) -> None:
    """The DNS gave an answer about a key."""
    sifting = state.sifting
    if sifting is not None and host.name not in sifting.answers:
        sifting.answers.add(host.name)
        state.wide = True
    if host.unanswered:
        state.wide = True
        resolver.answered(state, host)


def _works_here(state: State, sifting: Sifting, leg: Leg) -> None:
    """In a part of a log: what went on before it, an outage or a gap, is over with the first such line."""
    name = leg.space.host.name
    if name in sifting.works:
        return
    state.wide = True
    # A tainted leg's session may have lost its milter before the part, or it may be another one's word. One that was
    # not seen to begin may be older than the part.
    sound = leg.kind != LOST and leg.kind != MADE and leg.failure is None and not leg.tainted
    if sound and leg.first > sifting.begin:
        sifting.works.add(name)
        sifting.proofs.add(leg.queue_id)


def _added(state: State, origin: Origin, queue_id: bytes, pair: tuple[bytes, bytes]) -> None:
    """`DKIM-Signature field added (s=<selector>, d=<signing domain>)`. pair: (signing domain, selector)."""
    host = origin.host
    space = host.only
    leg = space.legs.get(queue_id) if space is not None else None
    if leg is None:
        leg = _leg(state, origin, queue_id)
        if leg is None:
            host.nameless = host.nameless or queue_id == b"(unknown-jobid)"
            host.run.seen = True
            return
    state.owner = leg
    if leg.signatures is None:
        leg.signatures = [pair]
    elif len(leg.signatures) < WORD_CAP:
        leg.signatures.append(pair)
    run = host.run
    if not run.success:
        run.success = run.seen = state.wide = True
    if state.sifting is not None:
        _works_here(state, state.sifting, leg)
    failure = leg.failure
    if failure is not None and leg.active is None and failure.text.startswith(b"warning: connect to Milter service "):
        # OpenDKIM signed a mail whose session never reached that endpoint, so that is another milter. A
        # conversation that broke off proves nothing: OpenDKIM's line may come late, after its own death.
        state.foreign_endpoints.add(failure.endpoint)
    if pair[0] not in state.ours:
        state.wide = True
        state.ours.add(pair[0].lower())
    if host.outages:
        milters.works(state, origin, leg)


def _slow(state: State, origin: Origin, payload: bytes, line: bytes) -> None:
    """Everything that the table has to tell."""
    host = origin.host
    match = LINES.lookup(payload)
    if match is None or match.shape.kind == "generic":
        state.strange("opendkim")
        if QUEUE_ID.fullmatch(payload.partition(b": ")[0]) is not None:
            host.run.seen = True
        return
    shape = match.shape
    queue_id = match.fields.get("queue_id")
    state.wide = state.wide or queue_id is None or shape.fault is not None or shape.message_fault
    if shape.kind == "restart":
        life.ended(state, host)  # AutoRestart says itself that the child is gone
    if shape.name.startswith("started"):
        life.started(state, host, line)
    elif shape.name == "terminating":
        life.stopped(state, origin, match, line)
    elif shape.name == "reloaded":
        life.reloaded(state, host)
    if shape.kind in ("startup", "shutdown", "reload") and shape.name != "reload-ignored":
        return
    fault = life.note(state, origin, match, payload, line) if shape.fault is not None else None
    if queue_id is None:
        # A start that fails, or a reload, does not show a daemon at work.
        if shape.kind == "refused":
            life.refuses(state, host, payload)
        elif fault is not None and shape.reason is not None:
            host.key_trouble.append((payload, fault))
        return
    leg = _word(state, origin, queue_id, word(shape.kind, shape.reason, payload))
    if shape.name in resolver.NO_ANSWER:
        state.wide = True
        resolver.unanswered(state, host, match.fields.get("domain", b""), line)
    elif shape.name in ("key-retrieval-notfound", "bad-signature", "key-revoked"):
        _answered(state, host)
    if not shape.message_fault:
        return
    if fault is None:
        key_name = match.fields.get("key_name", b"")
        fault = _partner(origin, key_name, payload)
        if fault is None:
            fault = state.fault(host, "key-other", key_name, "error", line)
        fault.severity = "error"
    if leg is not None:
        leg.fault = fault


def _partner(origin: Origin, key_name: bytes, payload: bytes) -> Fault | None:
    """The line without a queue ID that came just before `error loading key` and says what is wrong with it."""
    trouble = origin.host.key_trouble
    for said, fault in reversed(trouble):
        if key_name and key_name in said:
            trouble.clear()
            return fault
    if trouble:
        fault = trouble[-1][1]
        trouble.clear()
        return fault
    return None


def _leg(state: State, origin: Origin, queue_id: bytes) -> Leg | None:
    """The leg that OpenDKIM speaks of. Its host name may differ from Postfix's when files are merged."""
    if origin.host.only is None:
        # Two instances may hold the same ID: a milter only ever speaks of the mail that is not queued yet.
        spaces = origin.host.spaces.values()
        leg = first_of([leg for space in spaces if (leg := space.legs.get(queue_id)) and leg.active is None])
        if leg is not None:
            return leg
    leg = find_leg(origin.host, queue_id)
    if leg is not None:
        return leg
    if QUEUE_ID.fullmatch(queue_id) is None:
        return None
    sifting = state.sifting
    if sifting is not None:
        sifting.unplaced.add(queue_id)
    if not origin.host.spaces:
        if sifting is not None:
            # What another host's leg has to do with it only the whole log tells.
            sifting.early.add(origin.host.name)
            sifting.astray = sifting.astray or any(queue_id in space.legs for space in state.spaces)
            return None
        found = [
            space.legs[queue_id]
            for host in state.hosts.values()
            for space in host.spaces.values()
            if queue_id in space.legs
        ]
        if found:
            return found[0] if len(found) == 1 else None
        state.space(origin.host, b"postfix")  # the log begins with this line
    space = next(iter(origin.host.spaces.values()))
    return open_leg(state, space, queue_id, LOST, b"", origin.program)


def _word(state: State, origin: Origin, queue_id: bytes, said: Word) -> Leg | None:
    """Note a line about a message."""
    host = origin.host
    if not host.run.seen:
        host.run.seen = state.wide = True
    leg = _leg(state, origin, queue_id)
    if leg is None:
        return None
    state.owner = leg
    if state.sifting is not None:
        _works_here(state, state.sifting, leg)
    if leg.words is None:
        leg.words = [said]
    elif len(leg.words) < WORD_CAP:
        leg.words.append(said)
    if host.outages:
        milters.works(state, origin, leg)
    return leg
