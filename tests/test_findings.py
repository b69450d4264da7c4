"""The rules: what is settled at a message's end, what waits for the rest of the input, and in which words."""

from __future__ import annotations

from collections import Counter
from datetime import UTC
from pathlib import Path

import pytest
from builder import HERE, LATER, NOW, OPENDKIM, OTHER, STRANGER, Log, judge
from hypothesis import given, settings
from hypothesis import strategies as st

from logscan import findings
from logscan.correlate.state import (
    LOST,
    MADE,
    PICKUP,
    REMOVED,
    SMTPD,
    Failure,
    Host,
    Leg,
    Refusal,
    Space,
    word,
)
from logscan.correlate.state import Run as Span
from logscan.findings import Case, Knowledge, Verdict, at_length, examine, is_final, resolve
from logscan.model import INBOUND_OUTCOMES, OUTBOUND_OUTCOMES, Fault, SourceInfo, Window
from logscan.run import Run

SITUATIONS = sorted((Path(__file__).parent / "data" / "situations").glob("*.log"))
REASONS = {
    "unsigned": {
        "no-signing-table-match", "no-signing-domain", "not-internal", "bad-from", "silent", "other",
    },
    "milter-error": {
        "connect-refused", "connect-timeout", "socket-missing", "permission-denied", "reply-timeout",
        "connection-lost", "protocol", "key", "internal", "other-milter",
    },
    "fail": {"bad-signature", "body-altered", "key-not-found", "key-unusable", "policy", "other"},
    "undecided": {"success-not-logged", "opendkim-absent", "log-gap", "in-transit", None},
}  # fmt: skip
EFFECTS = {"sent", "deferred", "bounced", "tempfailed", "rejected", "held", "discarded", "in-transit"}

situations = pytest.mark.parametrize("path", SITUATIONS, ids=lambda path: path.stem)


@situations
def test_only_the_contracts_words(path: Path) -> None:
    for m in judge(path.read_bytes()).messages:
        assert m.reason in REASONS.get(m.outcome, {None})
        assert m.effect in EFFECTS
        if m.direction == "outbound":
            assert m.outcome in OUTBOUND_OUTCOMES
            assert m.outcome != "undecided" or m.reason is not None
        if m.direction == "inbound":
            assert m.outcome in INBOUND_OUTCOMES
            assert m.signatures == []
        assert m.milter is None or m.outcome == "milter-error"
        assert m.detail is None or "\n" not in m.detail
        assert m.first <= m.last


@situations
def test_a_final_verdict_is_the_verdict(path: Path) -> None:
    """What is_final says at a message's end must hold at the log's end."""
    settled: list[tuple[Case, Verdict]] = []
    run = Run(Window(), UTC, keep=lambda legs, case: note(case))

    def note(case: Case) -> None:
        if is_final(case, run.known):
            settled.append((case, resolve(case, run.known)))

    run.read(iter(path.read_bytes().splitlines(keepends=True)), NOW, SourceInfo("test"))
    run.finish()
    for case, verdict in settled:
        assert resolve(case, run.known) == verdict


@situations
def test_the_short_way_says_what_the_long_way_says(path: Path) -> None:
    rows: list[list[Leg]] = []
    run = Run(Window(), UTC, keep=lambda legs, case: rows.append(legs))
    run.read(iter([path.read_bytes()]), NOW, SourceInfo("test"))
    run.finish()
    for legs in rows:
        assert examine(legs) == at_length(legs)


# --- legs of any sort, whether the log can hold them or not ---------------------------------------------------------

FAULT = Fault("milter-unreachable", "error", "mx", "inet:127.0.0.1:8891", 0, 0)
WORDS = [
    word(kind, reason, payload)
    for kind in ("verify-ok", "verify-none", "verify-fail", "dns", "external", "refused", "unsigned-reason", "header-proof", "error", "info")
    for reason in (None, "no-signing-table-match", "no-signing-domain", "not-internal", "bad-from", "key", "internal", "bad-signature")
    for payload in (b"", b"4F2A91C0301: no signing domain match for 'example.net'", b"bad signature data")
]  # fmt: skip
TOLD = [
    b"", b"4.7.1 Service unavailable - try again later", b"5.5.0 Service unavailable", b"5.7.1 Command rejected",
    b"5.7.0 bad DKIM signature data", b"4.7.0 internal DKIM error", b"451 4.3.5 Server configuration problem",
]  # fmt: skip
ADDRESSES = [b"", b"a@example.org", b"A@Example.ORG", b"double-bounce@mx.example.org", b'"a>, size=1"@example.net', b"root"]
OPENED = [
    b"client=localhost[127.0.0.1]", b"client=client.example.com[198.51.100.7]", b"client=mx.example.org[192.0.2.1]",
    b"client=x[10.0.0.9]", b"client=x[198.51.100.7], sasl_method=PLAIN, sasl_username=ann", b"",
    b"client=x[127.0.0.1], orig_client=y[198.51.100.7]", b"uid=0 from=<root@example.org>", b"uid=0 from=<>",
    b"uid=0 from=<root@example.org> orig_id=4F2A91C0300", b'uid=0 from=<"> orig_id=4F2A91C0300"@example.org>',
]  # fmt: skip
SERVICES = [b"postfix/smtpd", b"postfix/submission/smtpd", b"postfix/smtps/smtpd", b"postfix/pickup", b"postfix"]
ROUTES = [b"none", b"relay=virtual", b"relay=127.0.0.1[127.0.0.1]:10024, delay=1", b"relay=mx.example.net[203.0.113.25]:25, delay=1"]
DAEMONS = [b"smtp", b"lmtp", b"virtual", b"local", b"pipe", b"discard", b"error", b"qmgr", b"postsuper", b"smtpd", b"cleanup"]
HEARD = [
    None, [word("verify-ok", None, b"")], [word("verify-none", None, b"")],
    [word("verify-fail", None, b"4F2A91C0301: bad signature data")],
    [word("unsigned-reason", "no-signing-table-match", b"")], [word("unsigned-reason", "not-internal", b"")],
]  # fmt: skip
actives = st.sampled_from(ADDRESSES).map(lambda a: b"from=<" + a + b">, size=387, nrcpt=1 (queue active)")
likely = st.sampled_from


addresses, routes = likely(ADDRESSES), likely(ROUTES)
statuses = likely([b"sent", b"sent", b"bounced", b"deferred", b"deleted", b"SOFTBOUNCE"])
refusals = st.builds(Refusal, st.just(b"END-OF-MESSAGE"), likely(TOLD), addresses, st.none() | addresses)
FIELDS = {
    "kind": likely([SMTPD, PICKUP, MADE, LOST]),
    "opened": likely(OPENED),
    "service": likely(SERVICES),
    "active": st.none() | actives | likely([b"garbage (queue active)", b"from=<a (queue active)"]),
    "signatures": likely([None, [(b"example.org", b"k1")], []]),
    "words": st.none() | st.lists(likely(WORDS), max_size=3),
    "failure": st.just(Failure("connect-refused", b"inet:127.0.0.1:8891", FAULT, b"warning: connect to Milter service x")),
    "fault": st.just(FAULT),
    "refusal": refusals,
    "proxy": st.tuples(likely(OPENED), likely(SERVICES)),
    "held": st.just(True),
    "end": st.integers(0, 9),
    "deliveries": st.dictionaries(addresses, st.tuples(likely(DAEMONS), routes, statuses, st.booleans()), max_size=3),
}  # fmt: skip


@st.composite
def any_leg(draw: st.DrawFn) -> Leg:
    """A leg of an ordinary mail, signed or come in, in which up to four fields are anything."""
    span = Span(b"mx.example.org", 0, down=draw(st.booleans()))
    span.seen, span.success, span.ssl_lines = draw(st.booleans()), draw(st.booleans()), draw(st.booleans())
    host = Host(b"mx.example.org", span)
    host.gap_to = draw(likely([-1, 5, 50]))
    ours = draw(st.booleans())
    leg = Leg(Space(host, b"postfix"), b"4F2A91C0301", 10, 1, SMTPD, OPENED[0 if ours else 1], SERVICES[0])
    leg.last = 20
    leg.end = REMOVED
    leg.active = b"from=<a@example.org>, size=387, nrcpt=1 (queue active)"
    leg.signatures = [(b"example.org", b"k1")] if ours else None
    leg.words = None if ours else draw(likely(HEARD))
    leg.deliveries = {b"b@example.net": (b"smtp" if ours else b"virtual", ROUTES[-1 if ours else 1], b"sent", False)}
    for name in sorted(draw(st.sets(likely(sorted(FIELDS)), max_size=4))):
        setattr(leg, name, draw(FIELDS[name]))
    leg.deliveries = leg.deliveries or None
    return leg


any_legs = st.lists(any_leg(), min_size=1, max_size=3)


@given(any_legs)
@settings(max_examples=2_500)
def test_the_short_way_is_the_long_way_on_any_legs(legs: list[Leg]) -> None:
    assert examine(legs) == at_length(legs)


def test_legs_of_any_sort_reach_the_short_way() -> None:
    """Else the test above would hold for nothing."""
    taken: Counter[tuple[str | None, bool] | None] = Counter()
    failed: Counter[bool] = Counter()

    @given(any_legs)
    @settings(max_examples=1_000, database=None)
    def count(legs: list[Leg]) -> None:
        case = findings._ordinary(legs)
        taken[case and (case.direction, len(legs) > 1)] += 1
        failed[case is not None and case.checked == "fail"] += 1

    count()
    assert taken["outbound", False] > 20
    assert taken["outbound", True] > 20
    assert taken["inbound", False] > 20
    assert taken["inbound", True] > 10
    assert taken["bounce", False] > 0
    assert failed[True] > 0


def knowledge(*ours: bytes, success: bool = False, seen: bool = True, down: bool = False) -> Knowledge:
    """One span of OpenDKIM, number 0."""
    span = Span(b"mx", 0, down=down)
    span.success, span.seen = success, seen
    return Knowledge(set(ours), [span], set())


SILENT = Case(b"mx", b"example.org", "outbound", "sent", run=0)


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (knowledge(success=True), ("unsigned", "silent")),
        (knowledge(), ("undecided", "success-not-logged")),
        (knowledge(seen=False), ("undecided", "opendkim-absent")),
        (knowledge(down=True), ("undecided", "opendkim-absent")),
        (knowledge(success=True, down=True), ("unsigned", "silent")),
    ],
)
def test_silence_means_what_the_run_lets_it_mean(known: Knowledge, expected: tuple[str, str]) -> None:
    verdict = resolve(SILENT, known)
    assert (verdict.outcome, verdict.reason) == expected


def test_silence_waits_until_success_is_known() -> None:
    assert not is_final(SILENT, knowledge())
    assert is_final(SILENT, knowledge(success=True))


def test_direction_waits_for_the_domains_that_are_ours() -> None:
    case = Case(
        b"mx",
        b"example.org",
        None,
        "sent",
        "unsigned",
        "other",
        relayed=(b"example.net",),
        checked="unchecked",
    )
    assert resolve(case, knowledge()).direction == "unknown"
    assert resolve(case, knowledge(b"example.org")) == ("outbound", "unsigned", "other", "sent")
    assert resolve(case, knowledge(b"example.org", b"example.net")).direction == "unknown"
    assert not is_final(case, knowledge(b"example.org"))


def test_equal_messages_are_one_case() -> None:
    """Or the counters would grow with the mail."""
    log = Log().started()
    for n in range(50):
        log.mail(f"{n:05X}C0301", "+", sasl=f"user{n}", to=f"x{n}@example.net").wait(7)
        log.mail(
            f"{n:05X}C0302", "no signing table match for 'a@example.org'", sender=f"user{n}@example.org"
        ).wait(7)
    judged = judge(log).tally
    assert len({case for _, case in [*judged.cases, *judged._sure]}) == 2


def test_a_held_mail_that_is_deleted_is_no_longer_held() -> None:
    log = Log().started().connect().client("4F2A91C0301", sasl="ann").cleanup(
        "4F2A91C0301: milter-hold: END-OF-MESSAGE from localhost[127.0.0.1]: milter triggers HOLD action;"
        " from=<app@example.org> to=<friend@example.net> proto=ESMTP helo=<x>"
    )
    assert judge(log).one().effect == "held"
    assert judge(log.wait(60).say("postsuper", "4F2A91C0301: removed")).one().effect == "discarded"


def test_what_opendkim_verified_it_would_not_have_signed() -> None:
    """A second milter is away; OpenDKIM takes a user of ours for a stranger."""
    log = Log().started().connect(STRANGER)
    log.smtpd(f"warning: connect to Milter service {OTHER}: Connection refused")
    log.client("4F2A91C0301", STRANGER, "ann").named("4F2A91C0301").words("4F2A91C0301", "no signature data")
    message = judge(log.queued("4F2A91C0301").sent("4F2A91C0301").removed("4F2A91C0301")).one()
    assert (message.direction, message.outcome, message.reason) == ("outbound", "unsigned", "other")
    assert message.milter is None


def test_a_signature_of_a_refused_try_is_not_on_the_mail_that_left() -> None:
    """Another milter defers the first try, and OpenDKIM says nothing of the second."""
    a, b, who = "4F2A91C0301", "4F2A91C0302", "m@app.example.org"
    log = Log().started().mail("4F2A91C0300", "+").wait(9).pickup(a).named(a, who).added(a)
    log.cleanup(f"{a}: milter-reject: END-OF-MESSAGE from {HERE}: 4.7.1 Greylisted; from=<root@example.org>").wait(60)
    log.pickup(b).named(b, who).queued(b, "root@example.org").sent(b).removed(b)
    message = judge(log).of(b)
    assert message.queue_ids == [a, b]
    assert (message.outcome, message.reason, message.signatures) == ("unsigned", "silent", [])
    message = judge(log.words(b, "no signing table match for 'root@example.org'")).of(b)
    assert message.detail == "no signing table match for 'root@example.org'"


def test_the_milter_that_failed_is_that_of_the_last_try() -> None:
    a, b, who = "4F2A91C0301", "4F2A91C0302", "m@app.example.org"
    log = Log().started().mail("4F2A91C0300", "+").wait(9)
    for qid, endpoint in ((a, OTHER), (b, OPENDKIM)):
        log.pickup(qid).named(qid, who)
        log.cleanup(f"warning: milter {endpoint}: can't read SMFIC_BODYEOB reply packet header: Application error")
        log.cleanup(f"{qid}: milter-reject: END-OF-MESSAGE from {HERE}: {LATER}; from=<root@example.org>").wait(60)
    message = judge(log).of(b)
    assert (message.outcome, message.reason, message.milter) == ("milter-error", "connection-lost", OPENDKIM)
    assert OPENDKIM in (message.detail or "")
