"""The rules: the legs of one message → what can be said of it. Pure; the contract's §1 in code.

A verdict has two steps, because a log tells some things late: which domains are ours is known once OpenDKIM has
signed for them, and whether silence means "unsigned" once it has logged any signature. `examine` takes from
the legs what matters and settles what no later line can change; `resolve` answers the rest with what the whole
input taught. A Case is hashable, so messages are counted by Case and resolved once per kind, not once each.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

from logscan.correlate.milters import refused_by_failure
from logscan.correlate.state import (
    BOUNCED,
    CONSULTED,
    DISCARDED,
    EXTERNAL,
    FAIL,
    LOST,
    MADE,
    NONE,
    OK,
    OPEN,
    PICKUP,
    PROBE,
    REASON,
    REFUSED,
    REFUSED_IT,
    SMTPD,
    TROUBLE,
    VERIFIED,
    Failure,
    Leg,
    Run,
    Word,
)
from logscan.correlate.state import (
    DNS as DNS_FAILED,
)
from logscan.parse.postfix import (
    active_sender,
    client_fields,
    is_loopback,
    is_private,
    pickup_sender,
    relay_of,
    requeued_from,
)

SUBMISSION: Final = frozenset({b"submission", b"submissions", b"smtps"})
LOCAL_DAEMONS: Final = frozenset({b"local", b"virtual", b"lmtp", b"pipe"})
FRESH: Final = 600  # a mail whose headers came this short before the log's end is still on its way in
MAX_DOMAINS: Final = 8

# What OpenDKIM itself tells a client, whole: another milter's answer may hold a stranger's words. A signature's own
# reporting record may put text before "bad". Source: opendkim/opendkim.c, dkimf_libstatus().
_FAILED: Final = re.compile(rb"(?:\d{3} )?[45]\.\d\.\d (?:resource unavailable|(?:internal DKIM|DKIM signing) error)\Z")
_BY_POLICY: Final = re.compile(
    rb"(?:\d{3} )?[45]\.\d\.\d (?:(?:.* )?bad DKIM signature data|no DKIM signature data"
    rb"|DKIM signature (?:syntax error|processing failed)|DKIM key retrieval failed)\Z"
)


class Case(NamedTuple):
    """What decides a verdict. Fields that no longer matter hold their default, so that equal cases are equal."""

    host: bytes
    domain: bytes | None  # the envelope sender's, lower case
    direction: str | None  # None: rules 5 to 9 wait for the domains that are ours
    effect: str
    outcome: str | None = None  # if outbound; None: silent, so it depends on the run
    reason: str | None = None
    run: int = -1
    endpoint: bytes = b""  # of the milter that failed while the mail went on without a signature
    checked: str = ""  # outcome if inbound
    checked_reason: str | None = None
    relayed: tuple[bytes, ...] = ()  # recipients' domains that it was passed on to
    near: bool = False  # the client is this host or has a private address
    seen: bool = False  # OpenDKIM verified it, or called its client not internal
    local: bool = False  # every delivery was local
    refused: bool = False  # by a milter, before any delivery


# Making a case anew costs more than finding the one that said the same.
case_of = lru_cache(10_000)(Case)


class Verdict(NamedTuple):
    """The contract's words for one message."""

    direction: str
    outcome: str
    reason: str | None
    effect: str


class Knowledge:
    """What the whole input taught. All of it only grows, so an answer that holds now holds at the end."""

    def __init__(self, ours: set[bytes], runs: list[Run], foreign: set[bytes]) -> None:
        self.ours = ours
        self.runs = runs
        self.foreign = foreign  # endpoints of milters that are not OpenDKIM


def is_mail(legs: list[Leg], now: int) -> bool:
    """False for address probes and for legs that never became mail (contract §1)."""
    for leg in legs:
        if leg.end == PROBE:
            return False
        if leg.active is not None or leg.held or leg.deliveries is not None or leg.end in (REFUSED, BOUNCED, DISCARDED):
            return True
        if leg.end == OPEN and leg.message_id is not None and leg.kind != LOST and now - leg.last <= FRESH:
            return True
    return False


def sender_of(legs: list[Leg]) -> bytes | None:
    """The envelope sender; b"" is the null sender, None is unknown."""
    for leg in legs:
        if leg.active is not None:
            return active_sender(leg.active)
    for leg in legs:
        if leg.refusal is not None and leg.refusal.sender is not None:
            return leg.refusal.sender
        if leg.kind == PICKUP:
            return pickup_sender(leg.opened)
    return None


def examine(legs: list[Leg]) -> Case:
    """What the legs of one message say, first leg first."""
    ordinary = _ordinary(legs)
    return at_length(legs) if ordinary is None else ordinary


def at_length(legs: list[Leg]) -> Case:
    """`examine` by the long way, which goes for all legs."""
    first = legs[0]
    host = first.space.host.name
    sender = sender_of(legs)
    domain = sender.rpartition(b"@")[2].lower() if sender else None
    effect = effect_of(legs)
    judged = last_try(legs)
    signed = False
    failure: Failure | None = None
    said = 0
    for leg in judged:
        if leg.signatures is not None:
            signed = True
        if failure is None:
            failure = leg.failure
        if leg.words is not None:
            for word in leg.words:
                said |= word.bits
    if sender == b"" or (first.kind == MADE and sender is not None and sender.startswith(b"double-bounce@")):
        return case_of(host, None, "bounce", effect, "signed" if signed else "unchecked")
    opened, service = first.proxy or (first.opened, first.service)
    if signed or _submitted(first, opened, service):
        outcome, reason, run, endpoint = _outbound(judged, signed, failure, said)
        return case_of(host, domain, "outbound", effect, outcome, reason, run, endpoint)
    checked, checked_reason = _inbound(legs, failure, said)
    # Behind a filter before the queue OpenDKIM sees loopback, so what it makes of the client says nothing.
    heard = 0
    if first.words is not None and first.proxy is None:
        for word in first.words:
            heard |= word.bits
    seen = bool(heard & (VERIFIED | EXTERNAL))
    local, relayed = _deliveries(legs)
    if seen and local:
        return case_of(host, None, "inbound", effect, None, None, -1, b"", checked, checked_reason)
    outcome, reason, run, endpoint = _outbound(judged, signed, failure, said)
    if heard & CONSULTED:
        return case_of(host, domain, "outbound", effect, outcome, reason, run, endpoint)
    client, _, orig = client_fields(opened)
    client = orig or client
    near = client is not None and is_private(client, host)
    nobody = first.refusal is not None and not relayed and not local
    if not relayed and not (nobody and near):
        if seen or local:
            return case_of(host, None, "inbound", effect, None, None, -1, b"", checked, checked_reason)
        outcome, reason = _unknown(outcome, reason)
        return case_of(host, None, "unknown", effect, outcome, reason)
    return case_of(
        host, domain, None, effect, outcome, reason, run, endpoint, checked, checked_reason,
        relayed, near, seen, local, first.end == REFUSED,
    )  # fmt: skip


def _ordinary(legs: list[Leg]) -> Case | None:
    """The commonest messages of all, by the shortest way: sent, and nothing odd about any leg.

    Signed, or come in and delivered here, or a bounce. The same answer as of the long way, for nearly all of a healthy
    log's mail; None leaves it to that.
    """
    first = legs[0]
    signed = sent = False
    here = True
    for leg in legs:
        deliveries = leg.deliveries
        if leg.active is None or deliveries is None or leg.refusal is not None or leg.fault is not None:
            return None
        if leg.end == DISCARDED or leg.kind == MADE or (leg.kind == PICKUP and leg is not first):
            return None
        for daemon, _, status, linked in deliveries.values():
            if status != b"sent" or daemon == b"discard":
                return None
            if not linked:
                sent = True
                if daemon not in LOCAL_DAEMONS:
                    here = False
        if leg.signatures is not None:
            signed = True
    if not sent:
        return None
    sender = active_sender(first.active or b"")
    host = first.space.host.name
    if not sender:
        return case_of(host, None, "bounce", "sent", "signed" if signed else "unchecked")
    if signed:
        return case_of(host, sender.rpartition(b"@")[2].lower(), "outbound", "sent", "signed")
    return _come_in(legs) if here else None


def _come_in(legs: list[Leg]) -> Case | None:
    """Mail that came in and was delivered here, unless a milter was in trouble. legs: none of local mail."""
    first = legs[0]
    if first.kind != SMTPD or first.proxy is not None:
        return None
    said = 0
    for leg in legs:
        if leg.failure is not None:
            return None
        if leg.words is not None:
            for word in leg.words:
                # What comes back from a filter is this host's to OpenDKIM, so it asks its tables, whoever sent it.
                if word.bits & (TROUBLE | REFUSED_IT) or (word.bits & CONSULTED and leg is first):
                    return None
                said |= word.bits
    if _submitted(first, first.opened, first.service):
        return None
    checked, reason = _inbound(legs, None, said)
    return case_of(first.space.host.name, None, "inbound", "sent", None, None, -1, b"", checked, reason)


def resolve(case: Case, known: Knowledge) -> Verdict:
    """The verdict on a case, with what is known by now."""
    direction = case.direction or _direction(case, known.ours)
    if direction == "inbound":
        return Verdict(direction, case.checked, case.checked_reason, case.effect)
    if direction == "bounce":
        return Verdict(direction, case.outcome or "unchecked", None, case.effect)
    outcome, reason = case.outcome, case.reason
    if outcome == "milter-error" and case.endpoint and case.endpoint in known.foreign:
        # Another milter failed and the mail went on: what OpenDKIM did is told by its silence.
        outcome = None
    if outcome is None:
        outcome, reason = _silence(case.run, known)
    if direction == "unknown":
        outcome, reason = _unknown(outcome, reason)
    return Verdict(direction, outcome, reason, case.effect)


def is_final(case: Case, known: Knowledge) -> bool:
    """True when no later line can change `resolve(case, known)`."""
    if case.direction is None:
        return False
    if case.outcome is None and case.direction == "outbound":
        return known.runs[case.run].success
    return not case.endpoint


def _direction(case: Case, ours: set[bytes]) -> str:
    """Rules 5 to 9 of the contract."""
    outside = any(domain not in ours for domain in case.relayed)
    if case.refused and not case.relayed:
        # Refused at MAIL, before any recipient: our own host and a sender of ours is all that can be known.
        if case.near and (not ours or case.domain in ours):
            return "outbound"
    elif (outside and case.domain in ours and not case.refused) or (outside and case.near):
        return "outbound"
    if case.seen or case.local:
        return "inbound"
    return "unknown"


def _silence(run: int, known: Knowledge) -> tuple[str, str | None]:
    """OpenDKIM said nothing of a message that it should have seen."""
    if run < 0:
        return "undecided", "opendkim-absent"
    span = known.runs[run]
    if span.success:
        return "unsigned", "silent"
    if span.seen and not span.down:
        return "undecided", "success-not-logged"
    return "undecided", "opendkim-absent"


def _unknown(outcome: str | None, reason: str | None) -> tuple[str, str | None]:
    """Of mail that may be anybody's only a milter's failure can be told."""
    if outcome == "milter-error":
        return outcome, reason
    return "undecided", reason if reason in ("log-gap", "in-transit") else None


# --- what the legs say --------------------------------------------------------------------------------------------


def _submitted(first: Leg, opened: bytes, service: bytes) -> bool:
    """Rule 2 without the signature: our own machine or an authenticated client handed it in."""
    if first.kind == PICKUP:
        return not requeued_from(opened)
    if opened.partition(b", sasl_username=")[1]:
        return True
    # The commonest service by far is left at one look.
    return first.kind == SMTPD and service != b"postfix/smtpd" and _is_submission(service)


@lru_cache(1024)
def _is_submission(service: bytes) -> bool:
    return any(part in SUBMISSION for part in service.split(b"/")[1:-1])


def last_try(legs: list[Leg]) -> list[Leg]:
    """The legs of local mail from its last try on: those before it were refused, and their troubles with them."""
    if len(legs) == 1 or legs[0].kind != PICKUP:
        return legs
    tries = [place for place, leg in enumerate(legs) if leg.kind == PICKUP and not requeued_from(leg.opened)]
    return legs[tries[-1] :] if tries else legs


def _decisive(legs: list[Leg]) -> Leg:
    """The leg whose refusal is the message's: the last try of local mail, the first leg of all other."""
    if len(legs) == 1 or legs[0].kind != PICKUP:
        return legs[0]
    return [leg for leg in legs if leg.kind == PICKUP][-1]


def _trouble(legs: list[Leg]) -> str | None:
    """What OpenDKIM said of its own first failure on the message: "key" or "internal"."""
    return next((w.reason for leg in legs for w in leg.words or () if w.bits & TROUBLE), None)


def _outbound(
    legs: list[Leg], signed: bool, failed: Failure | None, said: int
) -> tuple[str | None, str | None, int, bytes]:
    """Outcome, reason, run and endpoint of a message, read as outgoing.

    signed: a leg has a signature. failed: the first failure of a milter. said: the bits of all words.
    """
    last = _decisive(legs)
    if last.refusal is not None and last.end == REFUSED:
        told = last.refusal.text
        trouble = _trouble([last])
        if trouble is None and refused_by_failure(last.failure, told):
            return "milter-error", _failure_reason(last.failure, told), -1, b""
        if trouble is not None:
            return "milter-error", trouble, -1, b""
        if signed:
            return "signed", None, -1, b""
        if _BY_POLICY.match(told) is not None or any(w.kind == "refused" for w in last.words or ()):
            return "unsigned", "other", -1, b""  # by a setting of OpenDKIM, which works
        return "milter-error", "internal" if _FAILED.match(told) is not None else "other-milter", -1, b""
    if signed:
        return "signed", None, -1, b""
    if said & TROUBLE:
        return "milter-error", _trouble(legs), -1, b""
    for leg in legs if said & REASON else ():
        for word in leg.words or ():
            # A missed domain alone may have been followed by a signature of its parent's (SubDomains).
            if word.bits & REASON and b": no signing domain match" not in word.payload:
                return "unsigned", word.reason, -1, b""
    if said & VERIFIED:
        # OpenDKIM took it for a stranger's mail: it would have signed nothing, whatever else failed.
        return "unsigned", "other", -1, b""
    if failed is not None:
        return "milter-error", failed.reason, _run(legs), failed.endpoint
    if not any(_asked(leg) for leg in legs):
        return "undecided", "log-gap", -1, b""
    if not any(leg.active is not None or leg.held or leg.end != OPEN for leg in legs):
        return "undecided", "in-transit", -1, b""
    if any(_in_gap(leg) for leg in legs):
        return "undecided", "log-gap", -1, b""
    return None, None, _run(legs), b""


def _failure_reason(failure: Failure | None, told: bytes) -> str:
    if failure is not None:
        return failure.reason
    return "protocol" if b"4.3.5" in told else "connection-lost"


def _asked(leg: Leg) -> bool:
    """Postfix could have asked a milter about this leg, and its beginning is in the log."""
    return leg.kind == SMTPD or (leg.kind == PICKUP and not requeued_from(leg.opened))


def _in_gap(leg: Leg) -> bool:
    """Lines of this host are known to be lost while the leg was handed in."""
    host = leg.space.host
    if host.gap_from is not None and leg.last >= host.gap_from:
        return True
    return host.gap_to >= leg.first


def _run(legs: list[Leg]) -> int:
    for leg in legs:
        if _asked(leg):
            return (leg.run or leg.space.host.run).number
    return legs[0].space.host.run.number


def _inbound(legs: list[Leg], failed: Failure | None, said: int) -> tuple[str, str | None]:
    """Outcome and reason of a message, read as incoming. failed, said: as of `_outbound`."""
    if said & OK:
        return "pass", None
    if said & (FAIL | DNS_FAILED | REFUSED_IT):
        words = [w for leg in legs for w in leg.words or ()]
        return "fail", _fail_reason(legs[0], [w for w in words if w.bits & (FAIL | DNS_FAILED | REFUSED_IT)])
    last = _decisive(legs)
    trouble = _trouble(legs) if said & TROUBLE else None
    if last.refusal is not None and last.end == REFUSED:
        told = last.refusal.text
        if refused_by_failure(last.failure, told) or trouble is not None:
            return "milter-error", trouble or _failure_reason(last.failure, told)
        if _BY_POLICY.match(told) is not None:
            return "fail", "policy"
    if said & NONE:
        return "none", None
    if trouble is not None:
        return "milter-error", trouble
    if failed is not None:
        return "milter-error", failed.reason
    return "unchecked", None


def _fail_reason(first: Leg, failures: list[Word]) -> str:
    if any(w.payload.endswith(b"bad signature data") for w in failures):
        # Builds with libunbound always write the SSL line: with an OpenSSL text when the signature itself is
        # wrong, empty when only the body's hash differs.
        wrong = any(b" SSL error:" in w.payload for w in failures)
        return "bad-signature" if wrong or not (first.run or first.space.host.run).ssl_lines else "body-altered"
    for word in failures:
        if word.reason is not None:
            return word.reason
    return "other"


def _deliveries(legs: list[Leg]) -> tuple[bool, tuple[bytes, ...]]:
    """Were all final deliveries local, and to which domains was it passed on?"""
    local = False
    relayed: list[bytes] = []
    other = False
    for leg in legs:
        for recipient, (daemon, route, _, linked) in (leg.deliveries or {}).items():
            if linked:
                continue
            if daemon in LOCAL_DAEMONS:
                local = True
            elif not recipient:
                # Past the cap of recipients, or a word on the whole leg: whose domain it was is not known.
                other = other or daemon == b"smtp"
            elif daemon == b"smtpd" or (daemon == b"smtp" and not is_loopback(relay_of(route))):
                domain = recipient.rpartition(b"@")[2].lower()
                if domain not in relayed and len(relayed) < MAX_DOMAINS:
                    relayed.append(domain)
            elif daemon != b"cleanup":
                other = True
        refusal = leg.refusal
        if refusal is not None and refusal.recipient and leg.deliveries is None:
            domain = refusal.recipient.rpartition(b"@")[2].lower()
            if domain not in relayed:
                relayed.append(domain)
    return local and not relayed and not other, tuple(sorted(relayed))


def effect_of(legs: list[Leg]) -> str:
    """What became of the mail (contract §1, effect)."""
    sent = discarded = bounced = deferred = False
    for leg in legs:
        if leg.end == DISCARDED:
            discarded = True
        for daemon, _, status, linked in (leg.deliveries or {}).values():
            if linked:
                continue
            if status == b"sent":
                if daemon == b"discard":
                    discarded = True
                else:
                    sent = True
            elif status == b"bounced":
                bounced = True
            elif status == b"deleted":
                discarded = True
            elif status in (b"deferred", b"SOFTBOUNCE"):
                deferred = True
    if sent:
        return "sent"
    last = _decisive(legs)
    if last.end == REFUSED and last.refusal is not None:
        if last.refusal.text[:1] == b"4":
            return "deferred" if last.kind == PICKUP else "tempfailed"
        return "bounced" if last.kind == PICKUP else "rejected"
    if any(leg.held for leg in legs):
        return "held"
    for name, true in (("discarded", discarded), ("bounced", bounced), ("deferred", deferred)):
        if true:
            return name
    return "in-transit"
