"""`logscan daily`: one calendar day, from midnight to midnight, and whether the log tells all of it."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import datetime, timedelta

from logscan import timespan
from logscan.errors import UsageError
from logscan.job import FAILED, Job, Options, Progress, Warn
from logscan.pipeline import ReportResult, report_of
from logscan.reach import Reach


class DayJob(Job):
    """A report's job, but that its input reaches over the day is asked for, and so judged by `reach`."""

    def judge_span(self) -> None:
        """Nothing is said here."""


def run_daily(
    options: Options,
    *,
    date: str | None = None,
    warn: Warn,
    progress: Progress | None = None,
    now: int | None = None,
) -> ReportResult:
    """Report on the calendar day before a date (contract §3).

    options: its window is not looked at. date: words of `--date`, None for today. Other arguments are those of
    `run_report`. The report's `window` has the day's date as `day`, besides.
    The status is 2 when the input is not what it should be, or does not tell of the whole day.
    Raises TimeError and UsageError for options that cannot be followed.
    """
    now = int(time.time()) if now is None else now
    zone = timespan.zone(options.timezone)
    today = timespan.parse_date("today" if date is None else date, datetime.fromtimestamp(now, zone))
    day = today - timedelta(days=1)
    window = timespan.day_window(day, zone)
    assert window.since is not None
    if not 0 <= window.since <= now:
        raise UsageError(f"--date {date!r}", f"the day before it is {day}", "no log can tell of that day")
    asked = replace(options, since=f"@{window.since}", until=f"@{window.until}")
    job, doc = report_of(asked, warn=warn, progress=progress, now=now, kind=DayJob)
    doc["window"]["day"] = day.isoformat()
    shortfalls = Reach(job, now).shortfalls()
    for problem in shortfalls:
        warn(f"error: {problem}")
    hosts = {name.decode("utf-8", "surrogateescape") for name in job.run.state.hosts}
    short = shortfalls or job.plan.missing or any(host not in hosts for host in options.hosts)
    return ReportResult(doc, FAILED if short else job.status)
