"""logscan from Python: `logscan.messages` and `logscan.report`, with DataFrames for tables.

Errors are LogscanError, with the words of the command line. An input that cannot be read or that holds no
mail is an error here, since nobody looks at a status; all lesser trouble, a truncated archive too, is a
warning (`LogscanWarning`).
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from datetime import date, tzinfo
from functools import cached_property
from typing import TYPE_CHECKING, Any

from logscan.job import Job, Options
from logscan.pipeline import collected, report_of

if TYPE_CHECKING:
    import pandas as pd

Log = str | os.PathLike[str]
Time = str | date


class LogscanWarning(UserWarning):
    """What the command line says after `warning:`."""


class Report:
    """A report: its tables as DataFrames (dtypes: `logscan.frames`), and the whole of it as a dict.

    totals: the dict of the contract. signed_fraction: None where the log cannot tell.
    """

    def __init__(self, doc: dict[str, Any], zone: tzinfo) -> None:
        self._doc = doc
        self._zone = zone
        self.totals: dict[str, Any] = doc["totals"]
        self.signed_fraction: float | None = doc["signed_fraction"]

    @cached_property
    def by_host(self) -> pd.DataFrame:
        """Outgoing messages by host: host, signed, unsigned, milter_error, undecided."""
        return self._table("by_host")

    @cached_property
    def by_domain(self) -> pd.DataFrame:
        """Outgoing messages by the sender's domain: domain, signed, unsigned, milter_error, undecided."""
        return self._table("by_domain")

    @cached_property
    def by_signature(self) -> pd.DataFrame:
        """Signatures added: signing_domain, selector, signatures."""
        return self._table("by_signature")

    @cached_property
    def by_reason(self) -> pd.DataFrame:
        """Messages that have a reason: direction, outcome, reason, messages."""
        return self._table("by_reason")

    @cached_property
    def by_hour(self) -> pd.DataFrame:
        """Outgoing messages by local hour and outcome, hours without mail included."""
        return self._table("by_hour")

    @cached_property
    def messages(self) -> pd.DataFrame:
        """The outgoing messages that are not signed, oldest first, at most `limit` of them."""
        return self._table("messages")

    @cached_property
    def faults(self) -> pd.DataFrame:
        """What is wrong with the daemons, errors first."""
        return self._table("faults")

    def to_dict(self) -> dict[str, Any]:
        """The object that `logscan report --format json` prints."""
        return self._doc

    def __repr__(self) -> str:
        out = self.totals["outbound"]
        counts = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in out.items())
        return f"<logscan.Report: outbound {counts}>"

    def _table(self, name: str) -> pd.DataFrame:
        from logscan import frames

        return frames.table(name, self._doc, self._zone)


def messages(
    *paths: Log,
    since: Time | None = None,
    until: Time | None = None,
    hosts: Sequence[str] = (),
    domains: Sequence[str] = (),
    our_domains: Sequence[str] = (),
    opendkim_conf: Log | None = None,
    timezone: str | None = None,
) -> pd.DataFrame:
    """Every message in the window as a row; the columns are those of `logscan export`.

    paths: as LOG on the command line; none for the system's mail log. since, until: words as there, or dates
    and datetimes, local where they name no zone. hosts, domains: only these. our_domains, opendkim_conf:
    which domains are ours. timezone: of the result and of stamps without one; default: the machine's.
    Times are datetime64 with the zone, lists are Python lists.
    Raises LogscanError.
    """
    from logscan import frames
    from logscan.render.message import message_dict

    options = _options(paths, since, until, hosts, domains, our_domains, opendkim_conf, timezone)
    said: list[str] = []
    with collected(options, warn=said.append) as (job, found):
        _conclude(job, said)
        return frames.messages((message_dict(message, job.zone) for message in found), job.zone)


def report(
    *paths: Log,
    since: Time | None = None,
    until: Time | None = None,
    hosts: Sequence[str] = (),
    domains: Sequence[str] = (),
    our_domains: Sequence[str] = (),
    opendkim_conf: Log | None = None,
    timezone: str | None = None,
    limit: int = 20,
    compare: bool = False,
) -> Report:
    """Count as `logscan report` does. limit: problem messages to list; other arguments as of `messages`.
    compare: tell in `to_dict()["changes"]` what changed since the time of the same length before `since`.

    Raises LogscanError.
    """
    options = _options(paths, since, until, hosts, domains, our_domains, opendkim_conf, timezone)
    options.limit = limit
    options.compare = compare
    said: list[str] = []
    job, doc = report_of(options, warn=said.append)
    _conclude(job, said)
    return Report(doc, job.zone)


def _options(
    paths: Sequence[Log],
    since: Time | None,
    until: Time | None,
    hosts: Sequence[str],
    domains: Sequence[str],
    our_domains: Sequence[str],
    opendkim_conf: Log | None,
    timezone: str | None,
) -> Options:
    return Options(
        logs=[os.fspath(path) for path in paths],
        since=_time(since),
        until=_time(until),
        hosts=_words(hosts),
        domains=_words(domains),
        our_domains=_words(our_domains),
        opendkim_conf=None if opendkim_conf is None else os.fspath(opendkim_conf),
        timezone=timezone,
    )


def _words(value: Sequence[str]) -> list[str]:
    # One name instead of a list of one is a slip that would silently match nothing.
    return [value] if isinstance(value, str) else list(value)


def _time(value: Time | None) -> str | None:
    return value.isoformat() if isinstance(value, date) else value


def _conclude(job: Job, said: list[str]) -> None:
    """Raise the first of the input's problems; where there is none, pass the warnings on."""
    if job.problems:
        raise job.problems[0]
    for text in said:
        if not text.startswith("note: "):
            warnings.warn(text, LogscanWarning, stacklevel=3)
