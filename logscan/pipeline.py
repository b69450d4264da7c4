"""What the commands and the API are given: the report, the rows of an export, the messages. `job.py` reads."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import tzinfo
from pathlib import Path
from typing import Any

from logscan import timespan
from logscan.compare import count_earlier, is_whole
from logscan.correlate.state import Leg
from logscan.errors import NotApartError
from logscan.findings import Case, resolve
from logscan.job import OVERLAPPING, Job, Options, Progress, Warn
from logscan.message_fields import build_message
from logscan.model import Message, SourceInfo, Window
from logscan.render.message import message_dict
from logscan.reports.changes import changes
from logscan.reports.document import counted, document
from logscan.run import Run
from logscan.sources.blocks import read_blocks
from logscan.tally import Tally


@dataclass(frozen=True, slots=True)
class ReportResult:
    """doc: the report in the contract's shape. status: 0, or 2 when the input was not what it should be.

    blank: the input does not reach the window, or has nothing of a host, that was asked for: no fault of the
    input by itself, but nothing that a check could call good.
    """

    doc: dict[str, Any]
    status: int
    blank: bool = False


def _once(warn: Warn, before: list[str]) -> Warn:
    """Warnings that were not given before."""

    def new(text: str) -> None:
        if text in before:
            before.remove(text)
        else:
            warn(text)

    return new


def run_report(
    options: Options, *, warn: Warn, progress: Progress | None = None, now: int | None = None
) -> ReportResult:
    """Read the logs and count (contract §4).

    warn: gets each warning as one line; notes begin with ``note: ``, inputs that could not be read as mail
    logs with ``error: ``. progress: gets the bytes that were read, and how many there are or None, at every
    block. now: epoch seconds, for words like "yesterday" and for the year of stamps without one.
    Raises TimeError and UsageError for options that cannot be followed; inputs that cannot be read are
    warnings and status 2.
    """
    job, doc = report_of(options, warn=warn, progress=progress, now=now)
    return ReportResult(doc, job.status, job.blank)


def report_of(
    options: Options,
    *,
    warn: Warn,
    progress: Progress | None = None,
    now: int | None = None,
    kind: type[Job] = Job,
) -> tuple[Job, dict[str, Any]]:
    """The report, and the job (of this kind) that read its input; the rest as of `run_report`."""
    tally = Tally()
    job = kind(options, warn=warn, progress=progress, now=now, tally=tally)
    before = Tally()
    if job.earlier is not None:
        count_earlier(job.run, job.earlier, before)
    try:
        job.read()
    except NotApartError:
        # From the beginning, by one process; what was said is not said again.
        job.note_alone(OVERLAPPING)
        tally = Tally()
        alone = replace(options, jobs=1, scheduler=None)
        job = kind(alone, warn=_once(warn, job.warned), progress=progress, now=now, tally=tally)
        job.read()
    run = job.run
    tally.fold(run.known, everything=True)
    doc = document(run.state, tally, run.known, job.facts(), limit=options.limit)
    if job.earlier is not None:
        before.fold(run.known, everything=True)
        whole = is_whole(job.earlier, job.begins())
        doc["changes"] = changes(doc, counted(before), job.earlier, job.zone, whole=whole)
        if not doc["changes"]["outbound"]["messages"]:
            warn("note: --compare: no outgoing mail was logged in the time before, so nothing can be compared")
        elif not whole:
            warn("note: --compare: the input begins in the time before, so it is compared with a part of that")
    return job, doc


@contextmanager
def collected(
    options: Options, *, warn: Warn, progress: Progress | None = None, now: int | None = None
) -> Iterator[tuple[Job, Iterator[Message]]]:
    """Read the logs and give every message in the window, in the order in which they came to their end.

    Memory does not grow with them: they wait in a temporary file, for verdicts need what the whole input
    taught.
    Arguments and errors are those of `run_report`.
    """
    from logscan.reports.spool import Spool

    with Spool() as spool:
        job = Job(options, warn=warn, progress=progress, now=now, keep=spool.add)
        job.read()
        yield job, spool.messages(job.run.state, job.run.known)


def run_export(
    options: Options,
    *,
    format: str,
    output: str,
    warn: Warn,
    progress: Progress | None = None,
    now: int | None = None,
) -> int:
    """Write every message in the window as a row and return the exit status.

    format: jsonl, csv or parquet. output: a file, which appears whole or not at all, or "-". Other arguments
    and errors are those of `run_report`; UsageError also when the file cannot be written.
    """
    from logscan.reports.export import write_rows, writer_for

    writer = writer_for(format, output)
    with collected(options, warn=warn, progress=progress, now=now) as (job, messages):
        write_rows(writer, (message_dict(message, job.zone) for message in messages), output, job.zone)
        return job.status


def read_messages(path: str | Path, *, zone: tzinfo | None = None) -> list[Message]:
    """All messages of one file, oldest first."""
    rows: list[tuple[list[Leg], Case]] = []
    zone = zone or timespan.zone(None)
    run = Run(Window(), zone, keep=lambda legs, case: rows.append((legs, case)))
    info = SourceInfo(str(path))
    run.read(read_blocks(Path(path), info), int(time.time()), info)
    run.finish()
    rows.sort(key=lambda row: row[0][0].seq)
    return [build_message(legs, resolve(case, run.known)) for legs, case in rows]
