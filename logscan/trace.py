"""One trace: the engine's run over the input, the messages asked for, and all that was logged of them."""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass
from typing import Any

from logscan.correlate.gather import Gatherer, Line
from logscan.correlate.state import Leg
from logscan.findings import Case
from logscan.job import Job, Options, Progress, Warn
from logscan.query import Query
from logscan.reports.trace import Found, document
from logscan.reports.why import setup_of

NAMES = 10_000  # signing domains, selectors and senders' domains that are remembered


@dataclass(frozen=True, slots=True)
class TraceResult:
    """doc: the trace as JSON has it. status: 0, or 2 when the input was not what it should be."""

    doc: dict[str, Any]
    status: int


class _Tracer:
    """Stands between the correlator and the run, and keeps the newest of the messages asked for."""

    def __init__(self, query: Query, limit: int) -> None:
        self.query = query
        self.limit = limit
        self.matches = 0
        self.found: list[tuple[tuple[int, int], Found]] = []
        self.gatherer = Gatherer()
        self.signatures: dict[tuple[bytes, bytes], int] = {}  # (signing domain, selector)
        self.senders: set[bytes] = set()  # domains of senders whose mail was signed
        self._case: Case | None = None

    def keep(self, legs: list[Leg], case: Case) -> None:
        """The run has judged a message. What was signed tells the names for mail that was not."""
        self._case = case
        if case.outcome == "signed" and len(self.signatures) + len(self.senders) < NAMES:
            self.senders.add(case.domain or b"")
            for leg in legs:
                for pair in leg.signatures or ():
                    self.signatures[pair] = self.signatures.get(pair, 0) + 1

    def attach(self, job: Job) -> None:
        """Before the job reads: see every line, and every message that comes to its end."""
        run, state = job.run, job.run.state
        run.writers = self.gatherer.writers()
        finished = state.sink

        def sink(legs: list[Leg]) -> None:
            lines, left_out = self.gatherer.take(legs)
            if not self.query.holds(legs, (line.payload for _, line in lines)):
                finished(legs)
                return
            legs = list(legs)
            self._case, no_mail = None, state.not_mail
            finished(legs)
            if self._case is not None or state.not_mail > no_mail:
                self._found(legs, lines, left_out)

        state.sink = sink

    def _found(self, legs: list[Leg], lines: list[tuple[Leg, Line]], left_out: int) -> None:
        self.matches += 1
        insort(
            self.found,
            ((legs[0].first, legs[0].seq), Found(legs, self._case, lines, left_out)),
            key=lambda pair: pair[0],
        )
        if len(self.found) > self.limit:
            del self.found[0]


def run_trace(
    word: str,
    options: Options,
    *,
    limit: int,
    warn: Warn,
    progress: Progress | None = None,
    now: int | None = None,
) -> TraceResult:
    """Find the messages that a word means, and tell all that was logged of them.

    word: a queue ID, a Message-ID, an address or `@domain` (see `Query`). limit: messages in the document, the
    newest ones. Other arguments and errors as of `pipeline.run_report`.
    """
    tracer = _Tracer(Query(word), limit)
    job = Job(options, warn=warn, progress=progress, now=now, keep=tracer.keep)
    tracer.attach(job)
    job.read()
    run = job.run
    facts = job.facts()
    found = [pair[1] for pair in tracer.found]
    setup = setup_of(tracer.signatures, tracer.senders, job.conf, nothing_signed=not run.known.ours)
    doc = document(tracer.query.text, found, tracer.matches, run.state, run.known, facts, setup)
    return TraceResult(doc, job.status)
