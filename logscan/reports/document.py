"""A finished run → the report of the contract (§4), as plain dicts and lists. Same input, same document."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any

from logscan.correlate.state import State, text
from logscan.findings import Knowledge
from logscan.message_fields import build_message
from logscan.model import CANNOT_TELL, INBOUND_OUTCOMES, OUTBOUND_OUTCOMES, SEVERITIES, Fault, SourceInfo, Window
from logscan.opendkim_conf import OpenDkimConf
from logscan.remedies import advise
from logscan.render.message import fault_dict, iso, message_dict
from logscan.reports.why import setup_of, why
from logscan.tally import Tally

SCHEMA = "logscan.report/1"
HOUR = 3600
# Hours without mail are filled in up to eleven years; a longer span is a clock that was not set.
_HOURS = 100_000


@dataclass(frozen=True, slots=True)
class Facts:
    """About the input, beside what was counted.

    sources: what was read, in order. seen: first and last instant in the window at which a line was logged.
    read: the same of all lines that were read, the margins included. hosts: the report's, empty for all.
    missing: rotated files that should be there. conf: OpenDKIM's configuration, if one was named.
    """

    window: Window
    zone: tzinfo
    sources: list[SourceInfo]
    seen: tuple[int | None, int | None]
    read: tuple[int | None, int | None]
    hosts: frozenset[bytes]
    missing: list[str]
    conf: OpenDkimConf | None = None


def document(state: State, tally: Tally, known: Knowledge, facts: Facts, *, limit: int) -> dict[str, Any]:
    """The report. tally: all of it folded. limit: how many problem messages are listed at most."""
    zone = facts.zone
    outbound = _outcomes(tally, "outbound", OUTBOUND_OUTCOMES)
    hosts = _hosts(state, facts)
    doc: dict[str, Any] = {
        "schema": SCHEMA,
        "hosts": hosts,
        "window": window_dict(facts),
        "input": input_dict(state, facts),
        "totals": {
            "outbound": outbound,
            "inbound": _outcomes(tally, "inbound", INBOUND_OUTCOMES),
            "bounce": {"messages": _count(tally, "bounce")},
            "unknown": {"messages": _count(tally, "unknown")},
            "signatures": sum(tally.signatures.values()),
        },
        "signed_fraction": _fraction(outbound, tally),
    }
    by_host = getattr(tally, "by_host", None)
    if by_host is not None:
        doc["by_host"] = _by_outcome("host", by_host)
    doc |= {
        "by_domain": _by_outcome("domain", tally.by_domain),
        "by_signature": [
            {"signing_domain": text(domain), "selector": text(selector), "signatures": count}
            for (domain, selector), count in sorted(tally.signatures.items())
        ],
        "by_reason": _by_reason(tally),
        "by_hour": _by_hour(tally, facts),
        "messages": [
            message_dict(build_message(legs, verdict), zone) for legs, verdict in tally.problems(known, limit)
        ]
        if limit > 0
        else [],
        "messages_total": outbound["unsigned"] + outbound["milter_error"] + outbound["undecided"],
        "faults": [fault_dict(fault, zone) for fault in _faults(state, tally, facts, hosts)],
    }
    senders = (domain for domain, outcome in tally.by_domain if outcome == "signed")
    # Each signing domain is ours, whoever the report is about.
    setup = setup_of(tally.signatures, senders, facts.conf, nothing_signed=not known.ours)
    doc["why"] = why(tally.why.causes(known, tally.domains), setup)
    doc["why_others"] = max(0, outbound["unsigned"] - sum(block["messages"] for block in doc["why"]))
    return doc


def counted(tally: Tally) -> dict[str, Any]:
    """The part of a report that a tally tells by itself, all of it folded: for comparing it with another."""
    outbound = _outcomes(tally, "outbound", OUTBOUND_OUTCOMES)
    return {
        "outbound": outbound,
        "inbound": _outcomes(tally, "inbound", INBOUND_OUTCOMES),
        "signed_fraction": _fraction(outbound, tally),
        "by_domain": _by_outcome("domain", tally.by_domain),
        "by_reason": _by_reason(tally),
    }


def _iso(at: int | None, zone: tzinfo) -> str | None:
    return None if at is None else iso(at, zone)


def _hosts(state: State, facts: Facts) -> list[str]:
    """The hosts that Postfix or OpenDKIM wrote about, as far as the report is about them."""
    spoke = {span.host for span in state.runs if span.seen}
    spoke |= {name for name, host in state.hosts.items() if host.spaces}
    spoke |= {name for name, _, _ in state.faults}
    return sorted(text(name) for name in spoke if not facts.hosts or name in facts.hosts)


def window_dict(facts: Facts) -> dict[str, Any]:
    """What was asked for, and the first and last line that were read in it."""
    zone = facts.zone
    return {
        "since": _iso(facts.window.since, zone),
        "until": _iso(facts.window.until, zone),
        "first": _iso(facts.seen[0], zone),
        "last": _iso(facts.seen[1], zone),
    }


def input_dict(state: State, facts: Facts) -> dict[str, Any]:
    """What was read."""
    return {
        "sources": [
            {
                "name": info.name,
                "lines": info.lines,
                "bytes": info.bytes,
                "first": _iso(info.first, facts.zone),
                "last": _iso(info.last, facts.zone),
            }
            for info in facts.sources
        ],
        "lines": sum(info.lines for info in facts.sources),
        "bytes": sum(info.bytes for info in facts.sources),
        "foreign_lines": state.foreign_lines,
        "not_mail": state.not_mail,
        "not_understood": {name: state.not_understood[name] for name in ("opendkim", "postfix")},
    }


def _count(tally: Tally, direction: str, outcome: str | None = None) -> int:
    return sum(
        count
        for (its_direction, its_outcome, _, _), count in tally.verdicts.items()
        if its_direction == direction and outcome in (None, its_outcome)
    )


def _outcomes(tally: Tally, direction: str, outcomes: Iterable[str]) -> dict[str, int]:
    counts = {outcome.replace("-", "_"): _count(tally, direction, outcome) for outcome in outcomes}
    return {"messages": _count(tally, direction), **counts}


def _fraction(outbound: Mapping[str, int], tally: Tally) -> float | None:
    return signed_fraction(
        outbound, (reason for direction, _, reason, _ in tally.verdicts if direction == "outbound")
    )


def signed_fraction(outbound: Mapping[str, int], reasons: Iterable[str | None]) -> float | None:
    """signed / (signed + unsigned + milter_error); None where that says nothing; never a 0 unknown.

    outbound: counts by outcome. reasons: those that occur among them.
    """
    signed = outbound.get("signed", 0)
    decided = signed + outbound.get("unsigned", 0) + outbound.get("milter_error", 0)
    if not decided or (not signed and any(reason in CANNOT_TELL for reason in reasons)):
        return None
    return signed / decided


def _row(counts: Mapping[str, int]) -> dict[str, int]:
    return {outcome.replace("-", "_"): counts.get(outcome, 0) for outcome in OUTBOUND_OUTCOMES}


def _by_outcome(key: str, table: Mapping[tuple[bytes, str], int]) -> list[dict[str, Any]]:
    """Rows by name, those with the most messages first."""
    found: dict[bytes, dict[str, int]] = {}
    for (name, outcome), count in table.items():
        found.setdefault(name, {})[outcome] = count
    rows = [(-sum(counts.values()), text(name), counts) for name, counts in found.items()]
    rows.sort(key=lambda row: row[:2])
    return [{key: name, **_row(counts)} for _, name, counts in rows]


def _by_reason(tally: Tally) -> list[dict[str, Any]]:
    found: dict[tuple[str, str, str], int] = {}
    for (direction, outcome, reason, _), count in tally.verdicts.items():
        if reason is not None:
            key = direction, outcome, reason
            found[key] = found.get(key, 0) + count
    return [
        {"direction": direction, "outcome": outcome, "reason": reason, "messages": count}
        for (direction, outcome, reason), count in sorted(found.items())
    ]


# --- hours ---


def _by_hour(tally: Tally, facts: Facts) -> list[dict[str, Any]]:
    counts: dict[int, dict[str, int]] = {}
    for (hour, outcome), count in tally.hours.items():
        counts.setdefault(hour, {})[outcome] = count
    hours = sorted(set(_span(facts)) | counts.keys())
    return [{"hour": iso(hour, facts.zone), **_row(counts.get(hour, {}))} for hour in hours]


def _span(facts: Facts) -> list[int]:
    """The local hours that the report covers: the window's, as far as the input reaches.

    Steps are of one hour of real time, so that a day has 23 or 25 of them when the clocks change.
    """
    first, last = facts.seen
    if first is None or last is None:
        return []
    window, (begin, end) = facts.window, facts.read
    if window.since is not None and begin is not None and begin <= window.since:
        first = window.since
    if window.until is not None and end is not None and end >= window.until:
        last = window.until - 1
    if last - first > _HOURS * HOUR:
        return []
    hours = []
    at = _hour(first, facts.zone)
    while at <= last:
        hours.append(at)
        # Where clocks go back by half an hour, the hour after may begin with the same label.
        at = max(_hour(at + HOUR, facts.zone), at + HOUR // 2)
    return hours


def _hour(at: int, zone: tzinfo) -> int:
    """The begin of the local hour of an instant."""
    local = datetime.fromtimestamp(at, zone)
    return at - local.minute * 60 - local.second


# --- faults ---


def _faults(state: State, tally: Tally, facts: Facts, hosts: list[str]) -> list[Fault]:
    """Faults of the window, errors first, then by time."""
    faults = [
        fault
        for (host, _, _), fault in state.faults.items()
        if fault.count and (not facts.hosts or host in facts.hosts)
    ]
    faults += _not_logging(state, tally, facts)
    faults += _missing_files(facts, hosts)
    faults.sort(key=lambda f: (SEVERITIES.index(f.severity), f.first, f.host, f.kind, f.subject))
    foreign = {text(endpoint) for endpoint in state.foreign_endpoints}
    for fault in faults:
        fault.foreign = fault.kind.startswith("milter-") and fault.subject in foreign
        fault.meaning, fault.fix = advise(fault)
    return faults


def _not_logging(state: State, tally: Tally, facts: Facts) -> list[Fault]:
    """Hosts whose OpenDKIM runs but logs no signature: known only once the whole input was read."""
    first, last = facts.seen
    if first is None or last is None:
        return []
    return [
        Fault(
            "not-logging", "warning", text(host), "opendkim", first, last, count=count,
            ongoing=host in state.hosts and not state.hosts[host].run.success,
        )
        for host, count in sorted(tally.absent.items())
        if host not in state.hosts or not state.hosts[host].nameless  # it logs them, but not of which mail
    ]  # fmt: skip


def _missing_files(facts: Facts, hosts: list[str]) -> list[Fault]:
    """A rotated file that is not there, between others that are, is a gap in the log."""
    first, last = facts.seen
    if first is None or last is None:
        return []
    host = hosts[0] if len(hosts) == 1 else ""
    return [Fault("log-gap", "warning", host, name, first, last, count=1) for name in facts.missing]
