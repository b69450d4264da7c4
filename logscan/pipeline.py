"""Joins the stages for one run: sources → feed → correlator → verdicts → tally, export, messages."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from datetime import datetime, tzinfo
from pathlib import Path

from logscan.correlate.feed import Feed, Writers
from logscan.correlate.state import Leg, State
from logscan.correlate.transit import close_all
from logscan.findings import Case, Knowledge, examine, is_mail, resolve
from logscan.messages import build_message
from logscan.model import Message, SourceInfo, Window
from logscan.parse.stamps import Clock
from logscan.sources.blocks import read_blocks
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
    ) -> None:
        self.window = window
        self.zone = zone
        self.tally = tally
        self.keep = keep
        self.hosts = hosts
        self.state = State(self.finished, window)
        self.known = Knowledge(self.state.ours, self.state.runs, self.state.foreign_endpoints)
        self.writers = Writers()
        self._hours: dict[int, int] = {}

    def finished(self, legs: list[Leg]) -> None:
        """A message is complete: judge it and count it."""
        state = self.state
        first = legs[0]
        if not self.window.holds(first.first):
            return
        if self.hosts and first.space.host.name not in self.hosts:
            return
        if not is_mail(legs, state.now):
            state.not_mail += 1
            return
        case = examine(legs)
        for leg in legs:
            if leg.failure is not None and case.outcome != "signed":
                leg.failure.fault.messages_hit += 1
                break
            if leg.fault is not None:
                leg.fault.messages_hit += 1
                break
        if self.tally is not None:
            self.tally.add(self._hour(first.first), case, legs, self.known)
            if case.outcome == "signed":
                self.tally.add_signatures(legs)
        if self.keep is not None:
            self.keep(legs, case)

    def _hour(self, at: int) -> int:
        """The begin of the local hour. Zones are off by quarters of an hour at most."""
        quarter = at // 900
        hour = self._hours.get(quarter)
        if hour is None:
            local = datetime.fromtimestamp(at, self.zone)
            hour = self._hours[quarter] = at - local.minute * 60 - local.second
        return hour

    def read(self, blocks: Iterator[bytes], reference: int, info: SourceInfo) -> Feed:
        """Feed one source. The collector only gets in the way: nothing here makes cycles that must die early."""
        feed = Feed(self.state, Clock(self.zone, reference), self.writers)
        gc.collect()
        gc.freeze()
        gc.disable()
        try:
            for block in blocks:
                feed.block(block)
        finally:
            gc.enable()
        info.first, info.last = feed.first, feed.last
        return feed

    def finish(self) -> None:
        """The input is at its end."""
        close_all(self.state)


def read_messages(path: str | Path, *, zone: tzinfo | None = None) -> list[Message]:
    """All messages of one file, oldest first."""
    rows: list[tuple[list[Leg], Case]] = []
    zone = zone or datetime.now().astimezone().tzinfo
    assert zone is not None
    run = Run(Window(), zone, keep=lambda legs, case: rows.append((legs, case)))
    info = SourceInfo(str(path))
    run.read(read_blocks(Path(path), info), int(time.time()), info)
    run.finish()
    rows.sort(key=lambda row: row[0][0].seq)
    return [build_message(legs, resolve(case, run.known)) for legs, case in rows]
