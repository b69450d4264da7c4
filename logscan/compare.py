"""`report --compare`: the time just before the window, counted in the same pass into a tally of its own.

Both windows share the correlator and what it learns, so that a domain which was signed before is known as ours
after it no longer is.
"""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo

from logscan import timespan
from logscan.correlate.state import Leg
from logscan.errors import UsageError
from logscan.findings import Case
from logscan.model import Window
from logscan.run import Run
from logscan.tally import Tally


def earlier(window: Window, now: int, zone: tzinfo) -> Window:
    """The window of the same length just before: as many calendar days if it is of whole days, else seconds.

    Without an end it ends now. Raises UsageError when it has no beginning, or that is not before its end.
    """
    since, until = window.since, now if window.until is None else window.until
    if since is None:
        raise UsageError(
            "--compare", "the window has no beginning, so no length", "add --since, as in --since yesterday"
        )
    if until <= since:
        raise UsageError("--compare", "--since is not before now, so the window has no length")
    first, last = datetime.fromtimestamp(since, zone), datetime.fromtimestamp(until, zone)
    if window.until is not None and first.time() == last.time() == first.min.time():
        # A day has 23 or 25 hours when the clocks change, and is to be compared with a day.
        day = first.date() - (last.date() - first.date())
        return Window(timespan.day_window(day, zone).since, since)
    return Window(max(0, since - (until - since)), since)


def is_whole(window: Window, begins: int | None) -> bool:
    """True when the input reaches back to the window's beginning; an hour's silence there is no shortfall."""
    assert window.since is not None
    return begins is not None and begins <= window.since + int(timedelta(hours=1).total_seconds())


class _Earlier(Run):
    """Judges and counts as the run itself does, but leaves the report's own numbers alone."""

    def hit(self, legs: list[Leg], case: Case) -> None:
        """The faults are the window's."""


def count_earlier(run: Run, window: Window, tally: Tally) -> None:
    """Before the run reads: have the messages that began in an earlier window counted in this tally."""
    before = _Earlier(window, run.zone, tally=tally, hosts=run.hosts, domains=run.domains)
    state = before.state = run.state
    before.known = run.known
    before.feeds = run.feeds
    finished = state.sink

    def sink(legs: list[Leg]) -> None:
        if not window.holds(legs[0].first):
            finished(legs)
            return
        not_mail = state.not_mail
        before.finished(legs)
        state.not_mail = not_mail

    state.sink = sink
