"""Counts that add up, whatever is folded, merged or left out."""

from __future__ import annotations

from typing import Any

import pytest
from builder import START, STRANGER, Log, judge
from hypothesis import given
from hypothesis import strategies as st

from logscan.findings import Knowledge
from logscan.tally import Tally

TABLES = ("cases", "verdicts", "hours", "by_domain", "by_host", "absent", "signatures")
NO_MATCH = "no signing table match for 'x@example.org'"


def day(n: int) -> Log:
    """A log with mail of several kinds, whose hosts and hours are those of n."""
    log = Log(host=f"mx{n}", at=START + 3600 * n).started().mail(f"4F2A91C0{n}0", "+")
    log.wait(60).mail(f"4F2A91C0{n}1", NO_MATCH).wait(60).mail(
        f"4F2A91C0{n}2", sender=f"a@d{n}.example", sasl="a"
    )
    log.wait(60).mail(f"4F2A91C0{n}3", client=STRANGER, to="boss@example.org", local=True)
    return log.wait(3600).mail(f"4F2A91C0{n}4", "+", "DKIM-Signature field added (s=k2, d=example.net)")


def folded(n: int) -> Tally:
    judged = judge(day(n))
    judged.tally.fold(judged.run.known, everything=True)
    return judged.tally


def tables(tally: Tally) -> dict[str, Any]:
    return {name: getattr(tally, name) for name in TABLES if hasattr(tally, name)}


def added(*tallies: Tally) -> Tally:
    total = Tally()
    for tally in tallies:
        total.merge(tally)
    return total


NOTHING = Knowledge(set(), [], set())
DAYS = [folded(n) for n in range(4)]


def test_one_day_by_hand() -> None:
    tally = folded(1)
    assert tally.verdicts == {
        ("outbound", "signed", None, "sent"): 2,
        ("outbound", "unsigned", "no-signing-table-match", "sent"): 1,
        ("outbound", "unsigned", "silent", "sent"): 1,
        ("inbound", "unchecked", None, "sent"): 1,
    }
    hour = START + 3600
    assert tally.hours == {(hour, "signed"): 1, (hour, "unsigned"): 2, (hour + 3600, "signed"): 1}
    assert tally.by_domain == {
        (b"example.org", "signed"): 2,
        (b"example.org", "unsigned"): 1,
        (b"d1.example", "unsigned"): 1,
    }
    assert tally.signatures == {(b"example.org", b"k1"): 2, (b"example.net", b"k2"): 1}
    assert tally.absent == {}


def test_mail_that_the_settings_leave_undecided_is_counted_by_host() -> None:
    judged = judge(Log().started().mail("4F2A91C0300", sasl="ann").wait(9).mail("4F2A91C0301", sasl="ann"))
    judged.tally.fold(judged.run.known, everything=True)
    assert judged.tally.absent == {b"mx": 2}


@given(st.permutations(range(4)))
def test_adding_up_is_associative_in_any_order(order: list[int]) -> None:
    a, b, c, d = (DAYS[n] for n in order)
    left = added(added(added(a, b), c), d)
    right = added(a, added(b, added(c, d)))
    assert tables(left) == tables(right) == tables(added(*DAYS))


def test_an_empty_tally_changes_nothing() -> None:
    assert tables(added(Tally(), DAYS[0], Tally())) == tables(DAYS[0])
    assert tables(added(Tally(), Tally())) == tables(Tally())


def test_adding_leaves_the_other_as_it_was() -> None:
    one, other = folded(0), folded(1)
    one.merge(other)
    assert tables(other) == tables(DAYS[1])


def test_problems_of_two_tallies_come_oldest_first() -> None:
    total = added(DAYS[2], DAYS[0], DAYS[1])
    judged = [judge(day(n)) for n in range(3)]
    runs = [span for one in judged for span in one.run.known.runs]
    found = total.problems(Knowledge({b"example.org"}, runs, set()), 100)
    firsts = [legs[0].first for legs, _ in found]
    assert firsts == sorted(firsts)
    assert len(found) == 6


def test_folding_early_gives_the_same_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = tables(folded(1))
    monkeypatch.setattr("logscan.tally.FOLD_AT", 4)
    assert tables(folded(1)) == expected


def test_counts_that_are_put_away_at_every_case_come_to_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = tables(folded(1))
    monkeypatch.setattr("logscan.tally.UNSETTLED", 1)
    assert tables(folded(1)) == expected


def test_hours_that_alternate_are_counted_apart() -> None:
    judged = judge(Log().started().mail("4F2A91C0301", "+"))
    judged.tally._settle()
    [(hour, case)] = judged.tally._sure
    total = Tally()
    for at in (hour, hour + 3600, hour, hour + 3600, hour):
        total.add(at, case, [], judged.run.known)
    total.fold(judged.run.known, everything=True)
    assert total.hours == {(hour, "signed"): 3, (hour + 3600, "signed"): 2}


def many(log: Log, count: int, *words: str, **more: Any) -> None:
    for n in range(count):
        log.mail(f"{n:05X}C0{log.at % 997:03X}", *words, **more).wait(7)


def test_the_oldest_problems_are_kept_and_all_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("logscan.tally.KEEP", 10)
    log = Log().started()
    many(log, 30, NO_MATCH)
    judged = judge(log)
    found = judged.tally.problems(judged.run.known, 100)
    assert [legs[0].first for legs, _ in found][:10] == [m.first for m in judged.messages[:10]]
    judged.tally.fold(judged.run.known, everything=True)
    assert sum(judged.tally.verdicts.values()) == 30


def test_the_limit_is_kept() -> None:
    log = Log().started()
    many(log, 9, NO_MATCH)
    judged = judge(log)
    found = judged.tally.problems(judged.run.known, 3)
    assert [legs[0].first for legs, _ in found] == [m.first for m in judged.messages[:3]]


@pytest.mark.parametrize("to", ["boss@example.org", "x@example.com"], ids=["delivered here", "sent on"])
def test_other_peoples_mail_does_not_take_the_places_of_problems(
    monkeypatch: pytest.MonkeyPatch, to: str
) -> None:
    """A busy relay's mail comes first, in numbers; whose it is may be known only at the end."""
    monkeypatch.setattr("logscan.tally.KEEP", 10)
    log = Log().started()
    many(log, 100, client=STRANGER, sender="a@example.net", to=to, local=to.startswith("boss"))
    log.mail("4F2A91C0301", NO_MATCH).wait(9).mail("4F2A91C0302", "+")
    judged = judge(log)
    assert [legs[0].queue_id for legs, _ in judged.tally.problems(judged.run.known, 20)] == [b"4F2A91C0301"]


def test_only_the_domains_asked_for() -> None:
    judged = judge(day(1))
    tally = Tally(frozenset([b"d1.example"]))
    tally.merge(judged.tally)
    tally.fold(judged.run.known, everything=True)
    assert tally.by_domain == {(b"d1.example", "unsigned"): 1}
    assert [key[0] for key in tally.verdicts if key[0] == "outbound"] == ["outbound"]
