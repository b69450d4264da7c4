"""What a report says and in which order, once for all painters (text, terminal, Markdown, HTML).

The words of a page are raw: log text in it is not yet escaped, each painter does that in its own way.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence

from logscan.model import CANNOT_TELL, OUTBOUND_OUTCOMES
from logscan.render import words
from logscan.render.chart import Span, spans
from logscan.render.page import ROWS, TONES, Bar, Cell, Column, Doc, Entry, Page, Section, Table, short
from logscan.render.verdict import advice, tone, verdict

# The tables that `--by` chooses from, and those shown when it does not; `host` too where there are several.
BY = ("direction", "host", "domain", "signature", "reason", "hour")
DEFAULT_BY = ("direction", "domain", "signature", "reason", "hour")

_COUNTS = tuple((outcome, outcome.replace("-", "_")) for outcome in OUTBOUND_OUTCOMES)


def page(doc: Doc, *, by: Collection[str] = (), limit: int = ROWS) -> Page:
    """Lay the report out: verdict, faults, problem messages, tables of `by` (default: the usual ones), input.

    limit: as of `--limit`; the messages in `doc` are already cut to it.
    """
    chosen = by or (*DEFAULT_BY, *(("host",) if len(doc.get("by_host") or ()) > 1 else ()))
    shown = max(limit, ROWS)
    unsigned, *others = _problems(doc)
    sections = [_changes(doc, shown), _faults(doc, shown), unsigned, *_why(doc, shown), *others]
    sections += [_TABLES[key](doc, shown) for key in _ORDER if key in chosen]
    sections += [_events(doc, shown), _input(doc, shown)]
    return Page(
        verdict=verdict(doc),
        tone=tone(doc),
        advice=advice(doc),
        sections=[section for section in sections if section is not None],
        hours=spans(doc["by_hour"]),
    )


def _changes(doc: Doc, limit: int) -> Section | None:
    """What is not as it was in the time before; nothing where all is."""
    told = doc.get("changes")
    if not told or not told["outbound"]["messages"]:
        return None
    was, now = told["signed_fraction"], doc["signed_fraction"]
    body: list[str | Table | Entry] = []
    columns = [Column("domain"), Column("now", keep=True)]
    columns += [Column(title, right=True) for title in ("signed", "before", "unsigned", "before")]
    rows: list[list[Cell]] = [
        [row["domain"], _became(row, key), row["signed"], row["signed_before"], row["unsigned"], row["unsigned_before"]]
        for key in ("unsigned", "signed")
        for row in told[key]
    ]
    left = told["unsigned_total"] + told["signed_total"] - min(limit, len(rows))
    if rows:
        body.append(Table(columns, rows[:limit], f"and {words.count(left)} more" if left > 0 else ""))
    new = [
        [row["outcome"], row["reason"], row["messages"], words.REASONS.get((row["outcome"], row["reason"]), "")]
        for row in told["new_reasons"]
    ]
    titles = [Column("outcome", keep=True), Column("new reason", keep=True)]
    titles += [Column("messages", right=True), Column("meaning")]
    if new:
        body.append(_table(titles, new, limit))
    shares = [None if share is None else words.percent(share) for share in (was, now)]
    if not body and shares[0] == shares[1]:
        return None
    before = words.counted(told["outbound"]["messages"], "outgoing message")
    days = words.days({**told["window"], "first": None, "last": None})
    part = "" if told["window"]["whole"] else ", which the input has a part of"
    said = f"Signed: {shares[1] or 'cannot tell'}, before {shares[0] or 'cannot tell'} ({before}, {days}{part})."
    body.insert(0, said)
    return Section("changes", "Changes", body)


def _became(row: Doc, key: str) -> str:
    """`unsigned`, or `partly unsigned` if some of it is signed still; `signed`."""
    return "partly unsigned" if key == "unsigned" and row["signed"] else key


def _faults(doc: Doc, limit: int) -> Section | None:
    wrong = [
        fault for severity in ("error", "warning") for fault in doc["faults"] if fault["severity"] == severity
    ]
    body: list[str | Table | Entry] = [fault_entry(fault) for fault in wrong[:limit]]
    if len(wrong) > limit:
        body.append(f"and {words.count(len(wrong) - limit)} more")
    return Section("faults", "Faults", body) if wrong else None


def fault_entry(fault: Doc) -> Entry:
    """A fault of the document, in words."""
    facts = [words.between(fault["first"], fault["last"])]
    if fault["kind"] == "not-logging":
        # No event, and seen in no line: what is counted are messages, and an end would be in the log.
        facts.append(f"{words.counted(fault['count'], 'message')} undecided")
    elif fault["count"] > 1:
        facts.append(words.counted(fault["count"], "time"))
    if fault["messages_hit"]:
        facts.append(f"{words.counted(fault['messages_hit'], 'message')} hit")
    if fault["ongoing"] and fault["kind"] != "not-logging":
        facts.append("no end of it in the log")
    notes = [("", fault["meaning"]), ("Fix", fault["fix"])]
    return Entry(
        severity=fault["severity"],
        head=_head(fault),
        facts=", ".join(facts),
        notes=[(label, text) for label, text in notes if text],
        quotes=_different(fault["lines"]),
    )


def _different(lines: Sequence[str]) -> list[str]:
    """Lines of a log that differ in more than numbers: the time and the pid."""
    return list({re.sub(r"\d+", "0", line): line for line in reversed(lines)}.values())[::-1]


def _head(fault: Doc) -> str:
    """Kind, subject and host; some faults have no subject, and a missing file belongs to no host."""
    subject = f": {short(fault['subject'], 300)}" if fault["subject"] else ""
    host = f" on {short(fault['host'], 100)}" if fault["host"] else ""
    return f"{fault['kind']}{subject}{host}"


def _events(doc: Doc, limit: int) -> Section | None:
    rows = [
        [words.stamp(fault["last"]), fault["kind"], fault["host"], fault["subject"], fault["count"]]
        for fault in sorted(doc["faults"], key=lambda fault: str(fault["last"]))
        if fault["severity"] == "info"
    ]
    columns = [
        Column("time", keep=True),
        Column("event"),
        Column("host"),
        Column("subject"),
        Column("times", right=True),
    ]
    return _section("events", "Events", columns, rows, limit)


def _problems(doc: Doc) -> list[Section | None]:
    """The problem messages by outcome, but not those of a setting that keeps the log from telling."""
    totals = doc["totals"]["outbound"]
    seen = (doc["window"]["first"], doc["window"]["last"])
    dates = {message["first"][:10] for message in doc["messages"]} | {at[:10] for at in seen if at}
    sections: list[Section | None] = []
    for outcome, title in (
        ("unsigned", "Unsigned messages"),
        ("milter-error", "Messages hit by a milter error"),
        ("undecided", "Messages the log cannot judge"),
    ):
        every = [message for message in doc["messages"] if message["outcome"] == outcome]
        listed = [m for m in every if m["reason"] not in CANNOT_TELL]
        if not listed:
            sections.append(None)
            continue
        left = totals[outcome.replace("-", "_")] - len(listed)
        more = f"and {words.count(left)} more" if left > 0 else ""
        sections.append(Section(outcome, title, _problem_table(listed, more, one_day=len(dates) == 1)))
    return sections


def _problem_table(messages: Sequence[Doc], more: str, *, one_day: bool) -> list[str | Table | Entry]:
    """One row a message; what all of them share is said once above, which leaves room for the addresses."""
    columns = [Column("time", keep=True), Column("queue id", keep=True)]
    cells: list[list[Cell]] = [
        [words.stamp(m["first"])[11 if one_day else 5 :], m["queue_ids"][0] if m["queue_ids"] else "?"]
        for m in messages
    ]
    shared = []
    for key in ("reason", "effect"):
        values = [m[key] or "?" for m in messages]
        if len(set(values)) == 1:
            shared.append(f"{key}: {values[0]}")
        else:
            columns.append(Column(key, keep=True))
            for row, value in zip(cells, values, strict=True):
                row.append(value)
    columns += [Column("sender"), Column("recipient", optional=True)]
    for row, message in zip(cells, messages, strict=True):
        row += [_sender(message), _recipient(message)]
    table = Table(columns, cells, more)
    return [f"{', '.join(shared).capitalize()}.", table] if shared else [table]


def _why(doc: Doc, limit: int) -> list[Section]:
    """What to change for the unsigned mail: a section a cause, most mail first."""
    several = len(doc.get("hosts") or ()) > 1
    sections = [_cause(at, block, limit, several=several) for at, block in enumerate(doc.get("why") or (), 1)]
    if sections and doc.get("why_others"):
        more = f"And {words.counted(doc['why_others'], 'message')} of other causes."
        sections.append(Section("why-others", "Why unsigned: others", [more]))
    return sections


def _cause(at: int, block: Doc, limit: int, *, several: bool) -> Section:
    """A cause: what it means, the lines to write and for whom, and how to put them into effect.

    at: its place among them. several: the report is of several hosts.
    """
    rows = block["lines"]
    lines = {row["line"] for row in rows}
    seen = [", ".join(short(text, 60) for text in row["examples"]) or row["subject"] or "?" for row in rows]
    body: list[str | Table | Entry] = [block["meaning"]]
    if len(lines) == 1 and rows[0]["line"]:
        body.append(f"{block['file']}: `{rows[0]['line']}`")
    if len(rows) == 1:
        where = f" on {short(', '.join(rows[0]['hosts']), 200)}" if several else ""
        body.append(f"Seen: {seen[0]}{where}.")
    else:
        columns = [Column("messages", right=True), Column("seen")]
        cells: list[list[Cell]] = [[row["messages"], text] for row, text in zip(rows, seen, strict=True)]
        if len(lines) > 1:
            columns = [columns[0], Column(f"add to {block['file']}", keep=True), Column("seen", optional=True)]
            cells = [[row["messages"], row["line"] or "?", text] for row, text in zip(rows, seen, strict=True)]
        if several:
            columns.append(Column("host", optional=True))
            for cell, row in zip(cells, rows, strict=True):
                cell.append(", ".join(row["hosts"]))
        left = block["lines_total"] - min(limit, len(rows))
        body.append(Table(columns, cells[:limit], f"and {words.count(left)} more" if left > 0 else ""))
    if block["fix"]:
        body.append(f"Fix: {block['fix'].rstrip('.')}.")
    cause = block["reason"] if block["cause"] == block["reason"] else f"{block['reason']}, {block['cause']}"
    title = f"Why unsigned: {words.counted(block['messages'], 'message')}, {cause}"
    return Section(f"why-{at}", title, body)


def _sender(message: Doc) -> str:
    sender = message["envelope_sender"]
    return "?" if sender is None else sender or "<>"


def _recipient(message: Doc) -> str:
    recipients = message["envelope_recipients"]
    others = f" +{len(recipients) - 1:,}" if len(recipients) > 1 else ""
    return f"{recipients[0]}{others}" if recipients else "?"


def _by_direction(doc: Doc, limit: int) -> Section | None:
    totals = doc["totals"]
    rows: list[list[Cell]] = []
    for key, name in words.DIRECTIONS.items():
        counts = dict(totals[key])
        messages = counts.pop("messages")
        if messages or (key == "outbound" and any(totals[name]["messages"] for name in words.DIRECTIONS)):
            told = ", ".join(f"{words.count(n)} {word.replace('_', '-')}" for word, n in counts.items() if n)
            rows.append([name, messages, told])
    columns = [Column("direction"), Column("messages", right=True), Column("of them")]
    return _section("direction", "Mail", columns, rows, limit)


def _by_reason(doc: Doc, limit: int) -> Section | None:
    tables = []
    for direction in ("outbound", "inbound"):
        rows = [
            [
                row["outcome"],
                row["reason"],
                row["messages"],
                words.REASONS.get((row["outcome"], row["reason"]), ""),
            ]
            for row in doc["by_reason"]
            if row["direction"] == direction and row["reason"]
        ]
        columns = [
            Column("outcome", keep=True),
            Column("reason", keep=True),
            Column(words.DIRECTIONS[direction], right=True),
            Column("meaning"),
        ]
        if rows:
            tables.append(_table(columns, rows, limit))
    return Section("reason", "Reasons", tables) if tables else None


def _by_domain(doc: Doc, limit: int) -> Section | None:
    return _outcomes(doc["by_domain"], "domain", "Sender domains", limit)


def _by_host(doc: Doc, limit: int) -> Section | None:
    return _outcomes(doc.get("by_host") or (), "host", "Hosts", limit)


def _outcomes(rows: Sequence[Doc], key: str, title: str, limit: int) -> Section | None:
    """A table of counts per outcome; outcomes that never happened have no column."""
    counts = [
        (o, name) for o, name in _COUNTS if name in ("signed", "unsigned") or any(row[name] for row in rows)
    ]
    columns = [Column(key), *(Column(o, right=True, tone=TONES[o]) for o, _ in counts)]
    cells: list[list[Cell]] = [[row[key], *(row[name] for _, name in counts)] for row in rows]
    return _section(key, title, columns, cells, limit)


def _by_signature(doc: Doc, limit: int) -> Section | None:
    rows = [[row["signing_domain"], row["selector"], row["signatures"]] for row in doc["by_signature"]]
    columns = [Column("signing domain"), Column("selector"), Column("signatures", right=True)]
    return _section("signature", "Signatures", columns, rows, limit)


def _by_hour(doc: Doc, limit: int) -> Section | None:
    every = spans(doc["by_hour"])
    if not any(span.total for span in every):
        return None
    counts = [o for o, _ in _COUNTS if o in ("signed", "unsigned") or any(span.counts[o] for span in every)]
    scale = max(span.total for span in every)
    columns = [
        Column(every[0].unit, keep=True),
        *(Column(o, right=True, tone=TONES[o]) for o in counts),
        Column(""),
    ]
    rows: list[list[Cell]] = []
    for span in _folded(every):
        bar = Bar(tuple((o, span.counts[o]) for o in counts), scale)
        rows.append([span.label, *(span.counts[o] for o in counts), bar])
    return Section("hour", f"Outgoing messages by {every[0].unit}", [Table(columns, rows)])


# One letter an outcome, so that a bar without colour still says it.
MARKS = {"signed": "#", "unsigned": "u", "milter-error": "!", "undecided": "?"}


def _folded(every: Sequence[Span]) -> list[Span]:
    """Two and more empty spans in a row become one."""
    folded: list[Span] = []
    empty: list[Span] = []
    for span in every:
        if not span.total:
            empty.append(span)
            continue
        folded += _fold(empty)
        empty = []
        folded.append(span)
    return [*folded, *_fold(empty)]


def _fold(empty: Sequence[Span]) -> Sequence[Span]:
    if len(empty) < 2:
        return empty
    last = empty[-1].label
    same_day = empty[0].unit == "hour" and empty[0].label[:-5] == last[:-5]
    joint = f"-{last[-5:]}" if same_day else f" to {last}"
    return [Span(f"{empty[0].label}{joint}", empty[0].unit, empty[0].counts)]


def _input(doc: Doc, limit: int) -> Section | None:
    window, read = doc["window"], doc["input"]
    facts = []
    if window["since"] or window["until"]:
        since = words.stamp(window["since"]) if window["since"] else "the beginning"
        until = words.stamp(window["until"]) if window["until"] else "the end"
        facts.append(f"Asked for: {since} to {until}.")
    if window["first"] and window["last"]:
        facts.append(f"Seen: {words.between(window['first'], window['last'])}.")
    told = [f"{words.counted(read['lines'], 'line')} ({words.size(read['bytes'])})"]
    if read["foreign_lines"]:
        told.append(f"{words.count(read['foreign_lines'])} of other programs")
    if read["not_mail"]:
        told.append(f"{words.counted(read['not_mail'], 'attempt')} that became no mail")
    facts.append(f"Read: {', '.join(told)}.")
    missed = [
        words.counted(number, f"{name} line")
        for name, number in (
            ("OpenDKIM", read["not_understood"]["opendkim"]),
            ("Postfix", read["not_understood"]["postfix"]),
        )
        if number
    ]
    if missed:
        facts.append(f"Not understood: {' and '.join(missed)}.")
    columns = [
        Column("source"),
        Column("lines", right=True),
        Column("size", right=True),
        Column("first"),
        Column("last"),
    ]
    rows: list[list[Cell]] = [
        [
            source["name"],
            source["lines"],
            words.size(source["bytes"]),
            words.stamp(source["first"]) if source["first"] else "",
            words.stamp(source["last"]) if source["last"] else "",
        ]
        for source in read["sources"]
    ]
    table = [_table(columns, rows, limit)] if rows else []
    return Section("input", "Input", [*facts, *table])


def _table(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], limit: int) -> Table:
    left = len(rows) - limit
    return Table(columns, rows[:limit], f"and {words.count(left)} more" if left > 0 else "")


def _section(
    key: str, title: str, columns: Sequence[Column], rows: Sequence[Sequence[Cell]], limit: int
) -> Section | None:
    return Section(key, title, [_table(columns, rows, limit)]) if rows else None


_TABLES: dict[str, Callable[[Doc, int], Section | None]] = {
    "direction": _by_direction,
    "host": _by_host,
    "domain": _by_domain,
    "signature": _by_signature,
    "reason": _by_reason,
    "hour": _by_hour,
}

# Reasons first: they belong to the problems above them.
_ORDER = ("reason", "direction", "host", "domain", "signature", "hour")
