"""A trace for a reader: each message with its verdict, what to do, its legs, and every line with its gap.

Log text is escaped by the painter's own function before it is measured or broken; nothing of a line is cut away
unless it is longer than `LONGEST`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from logscan.render import words
from logscan.render.layout import fault_entry
from logscan.render.lines import INDENT, Line, Paper, entry_lines, prose
from logscan.render.page import TONES, short

Doc = Mapping[str, Any]

LONGEST = 2_000
RECIPIENTS = 5
# A step that came so many seconds after the one before is what an administrator looks for.
LATE = 60

# Why a leg is there that no daemon took in from outside.
_ORIGINS = {"smtpd": "smtpd", "pickup": "pickup", "cleanup": "made by Postfix", None: "beginning not in the log"}


def lines(doc: Doc, paper: Paper) -> list[Line]:
    """The trace top to bottom, newest message last; every line is at most `paper.width` columns wide."""
    shown = doc["messages"]
    out: list[Line] = []
    left = doc["matches"] - len(shown)
    said = f"{short(doc['query'], 200)}: {words.counted(doc['matches'], 'message')}"
    if left > 0:
        said += f", the newest {words.count(len(shown))} here and {words.count(left)} more (--limit, --since, --until)"
    out += [[(text, "strong")] for text in paper.wrap(said, "", INDENT)]
    for message in shown:
        out += [[], *_message(message, paper)]
    return out


def _message(message: Doc, paper: Paper) -> list[Line]:
    tone = TONES.get(message["outcome"] or "", "")
    out: list[Line] = [[(text, f"{tone} verdict")] for text in paper.wrap(_verdict(message), "", INDENT)]
    for text in _facts(message):
        out += [[(line, "")] for line in paper.wrap(text, INDENT, INDENT * 2)]
    # A fault says the same and more: it knows the endpoint, or the key.
    explained = message["outcome"] == "milter-error" and message["faults"]
    for label, text in (("", message["meaning"]), ("Fix: ", message["fix"])):
        if text and not explained:
            out += [[(line, "strong" if label else "")] for line in prose(f"{label}{text}", INDENT, paper)]
    for fault in message["faults"]:
        # The lines that hit this message are among its own.
        out += entry_lines(fault_entry({**fault, "lines": []}), paper)
    if len(message["legs"]) > 1:
        out += [_leg(place, leg, paper) for place, leg in enumerate(message["legs"], 1)]
    return [*out, *_steps(message, paper)]


def _verdict(message: Doc) -> str:
    """`2026-11-23 09:00:02 mx 7AA7C20C4C1: unsigned, no-signing-table-match (outgoing, sent)`"""
    ids = message["queue_ids"]
    where = f"{words.stamp(message['first'])} {short(message['host'], 100)} {ids[0] if ids else 'no queue ID'}"
    if message["outcome"] is None:
        return f"{where}: became no mail ({message['legs'][-1]['end']})"
    said = ", ".join(part for part in (message["outcome"], message["reason"]) if part)
    direction = words.direction(message["direction"])
    return f"{where}: {said} ({direction}, {message['effect']})"


def _facts(message: Doc) -> list[str]:
    recipients = [short(address, 200) for address in message["envelope_recipients"]]
    to = ", ".join(f"<{address}>" for address in recipients[:RECIPIENTS]) or "?"
    if len(recipients) > RECIPIENTS:
        to += f" and {words.count(len(recipients) - RECIPIENTS)} more"
    address = message["envelope_sender"]
    facts = [f"From: {'?' if address is None else f'<{short(address, 200)}>'}", f"To: {to}"]
    if message["message_id"] is not None:
        facts.append(f"Message-ID: <{short(message['message_id'], 300)}>")
    if message["client"] is not None:
        user = message["sasl_username"]
        login = f", logged in as {short(user, 100)}" if user is not None else ""
        facts.append(f"Client: {short(message['client'], 200)}{login}")
    signed = [f"d={row['signing_domain']} s={row['selector']}" for row in message["signatures"]]
    if signed:
        facts.append(f"Signed: {short(', '.join(signed), 400)}")
    checked = [
        " ".join([row["result"], *(f"{key}={row[name]}" for key, name in _CHECKED if row[name] is not None)])
        for row in message["verified"]
    ]
    if checked:
        facts.append(f"Verified: {short(', '.join(checked), 400)}")
    if message["detail"]:
        facts.append(f"Detail: {short(message['detail'], 400)}")
    return facts


_CHECKED = (("d", "signing_domain"), ("s", "selector"))


def _leg(place: int, leg: Doc, paper: Paper) -> Line:
    came = _ORIGINS[leg["origin"]] if leg["parent"] is None else f"from leg {leg['parent'] + 1}"
    span = words.between(leg["first"], leg["last"])
    text = f"{INDENT}leg {place}: {paper.escape(leg['queue_id'] or 'no queue ID')}, {came}, {span}, {leg['end']}"
    return [(paper.cut(text, paper.width), "quiet")]


def _steps(message: Doc, paper: Paper) -> list[Line]:
    """One step a line or more: time, seconds since the step before, leg if there are several, tag, text."""
    steps = message["steps"]
    several = len(message["legs"]) > 1
    gaps = [_gap(step["gap"]) for step in steps]
    width = max(map(len, gaps), default=0)
    out: list[Line] = []
    day = message["first"][:10]  # as the headline says
    for step, gap in zip(steps, gaps, strict=True):
        if step["at"][:10] != day:
            day = step["at"][:10]
            out.append([(f"{INDENT}{day}", "quiet")])
        head = f"{INDENT}{words.stamp(step['at'])[11:]}  "
        tone = "unsure" if (step["gap"] or 0) >= LATE else "quiet"
        leg = f"  {step['leg'] + 1}" if several else ""
        first = len(head) + width + len(leg) + 2
        tag = f"{short(step['program'], 60)}[{step['pid']}]" if step["pid"] else short(step["program"], 60)
        told = paper.escape(short(f"{tag}: {step['text']}", LONGEST))
        rows = _broken(told, paper, paper.width - first)
        out.append([(head, "quiet"), (gap.rjust(width), tone), (f"{leg}  ", "quiet"), (rows[0], "")])
        out += [[(" " * (first + 2) + row, "")] for row in rows[1:]]
    if message["steps_left_out"]:
        left = words.counted(message["steps_left_out"], "line of the middle is", "lines of the middle are")
        out.append([(f"{INDENT}{left} left out", "quiet")])
    return out


def _gap(seconds: int | None) -> str:
    """`+3 s`, `+5 min`, `+2 h`, `+1 d`; "" for none, and for the same second."""
    if not seconds:
        return ""
    sign, seconds = ("+" if seconds > 0 else "-"), abs(seconds)
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size or seconds == size:
            return f"{sign}{seconds // size} {unit}"
    return f"{sign}{seconds} s"


def _broken(text: str, paper: Paper, width: int) -> list[str]:
    """The text in rows, broken at blanks; a word that is longer than a row is broken anywhere.

    The first row has `width` columns, the others two less. Nothing is lost but the blank at a break.
    """
    rows: list[str] = []
    room = width
    while paper.measure(text) > room:
        taken = paper.take(text, room)
        blank = len(taken) if text[len(taken)] == " " else taken.rfind(" ")
        if blank > 0 and paper.measure(text[blank + 1 :].partition(" ")[0]) <= width - 2:
            rows.append(text[:blank])
            text = text[blank + 1 :]
        else:
            rows.append(taken)
            text = text[len(taken) :]
        room = width - 2
    return [*rows, text]


def text(doc: Doc, *, width: int = 80) -> str:
    """The trace as plain ASCII of at most `width` columns (60 at least), for pipes and files."""
    from logscan.render import text as plain

    return plain.painted(lines(doc, plain.paper(width)), width)


def terminal(doc: Doc, *, width: int, color: bool) -> str:
    """The trace for a terminal; escape sequences in it are ours alone."""
    from logscan.render import terminal as screen

    return screen.painted(lines(doc, screen.paper(width)), width=width, color=color)


def not_found(doc: Doc) -> str:
    """One line for standard error: what was looked for, and in what."""
    names = ", ".join(source["name"] for source in doc["input"]["sources"][:3])
    others = len(doc["input"]["sources"]) - 3
    where = f"{names} and {words.count(others)} more" if others > 0 else names
    window = doc["window"]
    span = f", {words.between(window['first'], window['last'])}" if window["first"] and window["last"] else ""
    older = "" if window["since"] else "; with --since the rotated logs that reach back to it are read too"
    return f"{short(doc['query'], 200)}: not found in {where}{span}{older}"
