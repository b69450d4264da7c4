"""One pass over an input: lines in, finished messages judged and counted. The sources are `job.py`'s."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, tzinfo

from logscan.correlate.feed import Feed
from logscan.correlate.state import LOST, REMOVED, Leg, State
from logscan.correlate.transit import close_all
from logscan.correlate.writers import Writers
from logscan.findings import Case, Knowledge, examine, is_mail, sender_of
from logscan.model import SourceInfo, Window
from logscan.parse.stamps import Clock
from logscan.tally import Tally


class Run:
    """One pass over an input: the state, what finished messages are counted in, and who else wants them."""

    def __init__(
        self,
        window: Window,
        zone: tzinfo,
        *,
        tally: Tally | None = None,
        keep: Callable[[list[Leg], Case], None] | None = None,
        hosts: frozenset[bytes] = frozenset(),
        domains: frozenset[bytes] = frozenset(),
    ) -> None:
        self.window = window
        self.bounded = window.since is not None or window.until is not None
        self.zone = zone
        self.tally = tally
        self.keep = keep
        self.hosts = hosts
        self.domains = domains
        self.state = State(self.finished, window)
        self.known = Knowledge(self.state.ours, self.state.runs, self.state.foreign_endpoints)
        self.writers = Writers()
        self.feeds: list[Feed] = []
        self._quarter = -1_000_000  # the last that was asked for; no stamp is of so long before 1970
        self._hour = 0

    def finished(self, legs: list[Leg]) -> None:
        """A message is complete: judge it and count it."""
        case = self.case(legs)
        if case is not None:
            self.count(legs, case)

    def case(self, legs: list[Leg]) -> Case | None:
        """What can be said of a message, None when it is not wanted or no mail."""
        state = self.state
        first = legs[0]
        if first.chain is not None:
            # Leg and chain point at each other, and the collector is off: a message must not outlive its end.
            first.chain.legs = []
        if self.bounded and (not self.window.holds(first.first) or (first.kind == LOST and self._is_older(first))):
            return None
        if self.hosts and first.space.host.name not in self.hosts:
            return None
        if (first.end != REMOVED or first.active is None) and not is_mail(legs, state.now):
            state.not_mail += 1
            return None
        if self.domains and (sender_of(legs) or b"").rpartition(b"@")[2].lower() not in self.domains:
            return None
        return examine(legs)

    def count(self, legs: list[Leg], case: Case) -> None:
        """Count a message."""
        if case.outcome != "signed":
            self.hit(legs, case)
        if self.tally is not None:
            self.tally.add(self.hour(legs[0].first), case, legs, self.known)
            if case.outcome == "signed":
                self.tally.add_signatures(legs)
        if self.keep is not None:
            self.keep(legs, case)

    def hit(self, legs: list[Leg], case: Case) -> None:
        """Count the message for the first fault that touched it."""
        for leg in legs:
            fault = leg.failure.fault if leg.failure is not None else leg.fault
            if fault is not None:
                fault.hit(case.effect)
                break

    def _is_older(self, leg: Leg) -> bool:
        """A leg whose opening line is not in the input, though the input begins before the window and no line
        is known to be lost: mail that has waited in the queue since before that."""
        since, host = self.window.since, leg.space.host
        if since is None or host.gap_from is not None or host.gap_to >= leg.first:
            return False
        return any(feed.first is not None and feed.first < since for feed in self.feeds)

    def hour(self, at: int) -> int:
        """The begin of the local hour, in epoch seconds. Zones are off by quarters of an hour at most."""
        quarter = at // 900
        if quarter != self._quarter:
            local = datetime.fromtimestamp(at, self.zone)
            self._quarter, self._hour = quarter, at - local.minute * 60 - local.second
        return self._hour

    def feed(self, blocks: Iterator[bytes], clock: Clock, info: SourceInfo | None = None) -> Feed:
        """Read blocks of whole lines to their end. info: their lines are counted into it."""
        with self.feeding(clock) as feed:
            feed.blocks(blocks, info)
        return feed

    @contextmanager
    def feeding(self, clock: Clock) -> Iterator[Feed]:
        """A feed for one source, whose stamps the clock reads."""
        feed = Feed(self.state, clock, self.writers)
        self.feeds.append(feed)
        state = self.state
        # No instant: so that the feed notes its first line even when the one before ended in the same second.
        now, state.now = state.now, -1
        try:
            with no_collector():
                yield feed
        finally:
            # Also when the source cannot be read: what others told is to be judged at their time.
            if feed.first is None:
                state.now = now

    def read(
        self, blocks: Iterator[bytes], reference: int, info: SourceInfo, year_hint: int | None = None
    ) -> Feed:
        """Feed one source. reference, year_hint: as for a Clock."""
        info.split = True
        feed = self.feed(blocks, Clock(self.zone, reference, year_hint), info)
        info.first, info.last = feed.first, feed.last
        return feed

    def finish(self) -> None:
        """The input is at its end."""
        close_all(self.state)

    def seen(self) -> tuple[int | None, int | None]:
        """The first and the last instant in the window at which a line was logged."""
        firsts = [feed.window_first for feed in self.feeds if feed.window_first is not None]
        # Without a window a feed keeps no account of it.
        lasts = [feed.last if feed.everything else feed.window_last for feed in self.feeds]
        return min(firsts, default=None), max((last for last in lasts if last is not None), default=None)

    def mail_seen(self) -> bool:
        """True when any line was Postfix's or OpenDKIM's."""
        return bool(self.state.spaces or self.state.faults) or any(span.seen for span in self.state.runs)


@contextmanager
def no_collector() -> Iterator[None]:
    """The collector off: it only gets in the way, since nothing in the loop leaves cycles behind."""
    if not gc.isenabled():
        yield
        return
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()
