"""The rules: what is settled at a message's end, what waits for the rest of the input, and in which words."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path

import pytest
from builder import NOW, Log, judge

from logscan import findings
from logscan.correlate.state import Leg
from logscan.correlate.state import Run as Span
from logscan.findings import Case, Knowledge, Verdict, examine, is_final, resolve
from logscan.model import INBOUND_OUTCOMES, OUTBOUND_OUTCOMES, SourceInfo, Window
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
def test_the_short_way_says_what_the_long_way_says(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[tuple[list[Leg], Case]] = []
    run = Run(Window(), UTC, keep=lambda legs, case: rows.append((legs, case)))
    run.read(iter([path.read_bytes()]), NOW, SourceInfo("test"))
    run.finish()
    monkeypatch.setattr(findings, "_ordinary", lambda leg: None, raising=False)
    for legs, case in rows:
        assert resolve(examine(legs), run.known) == resolve(case, run.known)


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
    assert len({case for _, case in judge(log).tally.cases}) == 2
