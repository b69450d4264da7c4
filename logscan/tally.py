"""Counts of finished messages, and the oldest problems: what a report needs, and no more the longer the log.

Messages are counted by (hour, Case). A case whose verdict is final is folded into small tables when the cases
become many; the others wait for what the rest of the input teaches. Tallies add up: `merge` is associative and
`Tally()` is its identity.
"""

from __future__ import annotations

import heapq
from typing import Any, Final

from logscan.correlate.state import Leg
from logscan.findings import Case, Knowledge, Verdict, is_final, resolve
from logscan.why import Why

FOLD_AT: Final = 20_000
KEEP: Final = 2_000
UNSETTLED: Final = 2_000

TABLES: Final = ("verdicts", "hours", "by_domain", "by_host", "absent", "signatures")
NOTHING: Final = Knowledge(set(), [], set())

Problem = tuple[int, int, Case, list[Leg]]


class Count:
    """How many messages came to one case."""

    __slots__ = ("case", "messages")

    def __init__(self, case: Case) -> None:
        self.case = case
        self.messages = 0


class Tally:
    """Counters of one run. domains: envelope domains that outgoing mail is limited to; empty for all."""

    def __init__(self, domains: frozenset[bytes] = frozenset()) -> None:
        self.domains = domains
        self._cases: dict[tuple[int, Case], int] = {}
        # Of those that no later line can change. Apart, so that when the others are folded hangs on them alone.
        self._sure: dict[tuple[int, Case], int] = {}
        # By hour and the case's identity: a case's hash is worked out anew at every look for it.
        self._recent: dict[int, dict[int, Count]] = {}
        self._of_hour: dict[int, Count] = {}  # those of the hour that was counted last
        self._hour = -1
        self._unsettled = 0  # of all hours
        self.verdicts: dict[tuple[str, str, str | None, str], int] = {}  # direction, outcome, reason, effect
        self.hours: dict[tuple[int, str], int] = {}  # outbound: hour (epoch s of its begin), outcome
        self.by_domain: dict[tuple[bytes, str], int] = {}  # outbound: sender's domain, outcome
        self.by_host: dict[tuple[bytes, str], int] = {}  # outbound: host, outcome
        self.absent: dict[bytes, int] = {}  # host -> outgoing mail that OpenDKIM's settings leave undecided
        self.signatures: dict[tuple[bytes, bytes], int] = {}  # (signing domain, selector)
        self.why = Why()  # outbound: what to change for mail that is unsigned
        self.folded_early = 0  # messages judged before the end, when `ours_then` domains were known as ours
        self.ours_then = 0
        self._fold_at = FOLD_AT
        self._problems: list[Problem] = []  # a heap, newest first (keys negated)
        self._prune_at = KEEP

    def add(self, hour: int, case: Case, legs: list[Leg], known: Knowledge) -> None:
        """Count one message. hour: epoch seconds of the begin of the local hour it came in."""
        count = self._of_hour.get(id(case)) if hour == self._hour else None
        if count is None:
            count = self._counted(hour, case)
        count.messages += 1
        if case.outcome == "signed" or (case.direction is not None and case.direction != "outbound"):
            return
        self._keep(case, legs, known)
        self.why.add(case, legs, known)
        if len(self._cases) + self._unsettled > self._fold_at and len(self.cases) > self._fold_at:
            self.fold(known)

    def _counted(self, hour: int, case: Case) -> Count:
        """The count of a case in an hour, which is the one that is counted now."""
        if self._unsettled >= UNSETTLED:
            self._settle()
        self._hour = hour
        self._of_hour = self._recent.setdefault(hour, {})
        count = self._of_hour.get(id(case))
        if count is None:
            count = self._of_hour[id(case)] = Count(case)
            self._unsettled += 1
        return count

    @property
    def cases(self) -> dict[tuple[int, Case], int]:
        """Messages by (hour, Case) whose answer a later line may change, those that were folded left out."""
        self._settle()
        return self._cases

    def _settle(self) -> None:
        """Add the counts of the last hours to the rest."""
        for hour, counts in self._recent.items():
            for count in counts.values():
                case = count.case
                sure = case.outcome == "signed" or (case.direction is not None and case.direction != "outbound")
                cases = self._sure if sure else self._cases
                key = (hour, case)
                cases[key] = cases.get(key, 0) + count.messages
        self._recent = {}
        self._hour, self._unsettled = -1, 0
        if len(self._sure) > self._fold_at:
            self._fold_sure()

    def add_signatures(self, legs: list[Leg]) -> None:
        """Count every signature of a message."""
        counts = self.signatures
        for leg in legs:
            if leg.signatures is not None:
                for pair in leg.signatures:
                    counts[pair] = counts.get(pair, 0) + 1

    def _keep(self, case: Case, legs: list[Leg], known: Knowledge) -> None:
        """Keep a message that is, or may turn out, a problem: the oldest ones, `KEEP` at most."""
        first = legs[0]
        kept = self._problems
        item = (-first.first, -first.seq, case, legs)
        if len(kept) >= self._prune_at:
            self._prune(known)
        if len(kept) < KEEP:
            heapq.heappush(kept, item)
        elif item[:2] > kept[0][:2]:
            heapq.heapreplace(kept, item)

    def _prune(self, known: Knowledge) -> None:
        """Drop candidates that turned out well, so that a busy relay's inbound mail does not fill the places."""
        kept = [item for item in self._problems if not is_final(item[2], known) or _is_problem(item[2], known)]
        if len(kept) >= KEEP:
            kept = [item for item in kept if _is_problem(item[2], known)]
        heapq.heapify(kept)
        self._problems[:] = kept
        self._prune_at = max(KEEP, len(kept) + KEEP // 2)

    def fold(self, known: Knowledge, *, everything: bool = False) -> None:
        """Resolve the cases that are final (or all) and add them to the small tables."""
        if everything:
            self._settle()
            self._fold_sure()
        waiting: dict[tuple[int, Case], int] = {}
        for (hour, case), count in self.cases.items():
            if everything or is_final(case, known):
                self._count(hour, case, resolve(case, known), count)
            else:
                waiting[hour, case] = count
        self._cases = waiting
        if len(waiting) > FOLD_AT // 2 and not everything:
            # A hostile or a very mixed log: answer with what is known by now rather than grow. It stays the
            # answer unless a domain turns out to be ours later.
            if self.folded_early == 0:
                self.ours_then = len(known.ours)
            self.folded_early += sum(waiting.values())
            self.fold(known, everything=True)

    def _fold_sure(self) -> None:
        for (hour, case), count in self._sure.items():
            self._count(hour, case, resolve(case, NOTHING), count)
        self._sure = {}

    def _count(self, hour: int, case: Case, verdict: Verdict, count: int) -> None:
        direction, outcome, reason, effect = verdict
        if direction == "outbound":
            if self.domains and case.domain not in self.domains:
                return
            _bump(self.hours, (hour, outcome), count)
            _bump(self.by_domain, (case.domain or b"", outcome), count)
            _bump(self.by_host, (case.host, outcome), count)
            if reason == "success-not-logged":
                self.absent[case.host] = self.absent.get(case.host, 0) + count
        _bump(self.verdicts, (direction, outcome, reason, effect), count)

    def problems(self, known: Knowledge, limit: int) -> list[tuple[list[Leg], Verdict]]:
        """The oldest outgoing messages that are not signed, at most `limit`, each with its verdict."""
        rows = []
        for at, seq, case, legs in sorted(self._problems, key=lambda item: (-item[0], -item[1])):
            verdict = resolve(case, known)
            if _is_problem(case, known) and not (self.domains and case.domain not in self.domains):
                rows.append((legs, verdict))
                if len(rows) == limit:
                    break
            del at, seq
        return rows

    def tables(self) -> dict[str, dict[Any, int]]:
        """What was folded, by the names of its tables."""
        return {name: getattr(self, name) for name in TABLES}

    def take(self, tables: dict[str, dict[Any, int]]) -> None:
        """Add what another tally folded."""
        for name, theirs in tables.items():
            mine = getattr(self, name)
            for key, count in theirs.items():
                mine[key] = mine.get(key, 0) + count

    def merge(self, other: Tally) -> None:
        """Add another tally's counts to this one."""
        self._settle()
        other._settle()
        self.take(other.tables())
        self.take({"_cases": other._cases, "_sure": other._sure})
        self.why.merge(other.why)
        self.folded_early += other.folded_early
        merged = heapq.nlargest(KEEP, self._problems + other._problems, key=lambda item: item[:2])
        heapq.heapify(merged)
        self._problems = merged


def _bump(table: dict[Any, int], key: Any, count: int) -> None:
    table[key] = table.get(key, 0) + count


def _is_problem(case: Case, known: Knowledge) -> bool:
    verdict = resolve(case, known)
    return verdict.direction == "outbound" and verdict.outcome != "signed"
