"""The first line of a report, what counts as wrong in it, and what would make the log tell more."""

from __future__ import annotations

import re
from collections.abc import Sequence

from logscan.model import CANNOT_TELL
from logscan.render import words
from logscan.render.page import Doc, Tone, short


def verdict(doc: Doc) -> str:
    """The report in one line, what is wrong first; it may be longer than a screen is wide."""
    return _one_line(_hosts(doc), doc, _said(doc))


def subject(doc: Doc, width: int = 78) -> str:
    """The verdict as the subject of a mail: at most so many characters, what matters least left out first."""
    host, said = _hosts(doc), _said(doc)
    label = short(host.partition(".")[0], 20)
    brief = [re.sub(r" % of [\d,]+ signed", " % signed", part) for part in said]
    # The worst is said first, so the end gives way.
    tries = [(host, said), (host, brief), (label, said), (label, brief)]
    tries += [(label, said[:number]) for number in range(len(said) - 1, 0, -1)]
    lines = [_one_line(name, doc, parts) for name, parts in tries]
    return next((line for line in lines if len(line) <= width), short(lines[-1], width))


def _one_line(host: str, doc: Doc, said: Sequence[str]) -> str:
    where = " ".join(part for part in (host, words.days(doc["window"])) if part)
    return f"{where}: {', '.join(said)}" if where else ", ".join(said)


def _said(doc: Doc) -> list[str]:
    """What the verdict says, the worst first."""
    out = doc["totals"]["outbound"]
    faults = sum(fault["severity"] == "error" for fault in doc["faults"])
    parts = [
        f"{words.count(out['unsigned'])} unsigned" if out["unsigned"] else "",
        words.counted(out["milter_error"], "milter error") if out["milter_error"] else "",
        words.counted(faults, "fault") if faults else "",
    ]
    decided = out["messages"] - out["undecided"]
    if not out["messages"]:
        parts.append("no outgoing messages" if doc["window"]["first"] else "nothing logged")
        if doc["totals"]["unknown"]["messages"]:
            parts.append(f"{words.count(doc['totals']['unknown']['messages'])} of unknown direction")
    elif doc["signed_fraction"] is None:
        unknown = out["undecided"] or out["messages"]
        kind = "outgoing message" if unknown == out["messages"] else "other outgoing message"
        parts.append(
            f"cannot tell if {words.counted(unknown, kind)} {'was' if unknown == 1 else 'were'} signed"
        )
    else:
        if out["undecided"]:
            parts.append(f"{words.count(out['undecided'])} undecided")
        if out["signed"] == decided:
            which = "others" if out["undecided"] else "outgoing messages"
            parts.append(f"all {words.count(decided)} {which} signed" if decided > 1 else "1 of 1 signed")
        else:
            parts.append(f"{words.percent(doc['signed_fraction'])} of {words.count(decided)} signed")
    return [part for part in parts if part]


def findings(doc: Doc) -> bool:
    """True when something is wrong, or when the log cannot tell: who sees nothing must not say that all is well."""
    return _wrong(doc) or blind(doc)


def _wrong(doc: Doc) -> bool:
    """Unsigned mail, a milter error, or a fault of severity error."""
    out = doc["totals"]["outbound"]
    return bool(
        out["unsigned"] or out["milter_error"] or any(fault["severity"] == "error" for fault in doc["faults"])
    )


def blind(doc: Doc) -> bool:
    """True when the log tells of no outgoing mail if it was signed, since OpenDKIM logs no signatures or nothing.

    Of several hosts one is enough, where its OpenDKIM is seen to run. Mail on its way and lines that were lost
    are not meant: those are of a few messages, and pass.
    """
    if doc["signed_fraction"] is None and any(
        row["direction"] == "outbound" and row["outcome"] == "undecided" and row["reason"] in CANNOT_TELL
        for row in doc["by_reason"]
    ):
        return True
    mute = {fault["host"] for fault in doc["faults"] if fault["kind"] == "not-logging"}
    return any(row["host"] in mute and not row["signed"] for row in doc.get("by_host") or ())


def _hosts(doc: Doc) -> str:
    """The host's name or how many there are; "" if the report does not list them."""
    hosts = doc.get("hosts") or [row["host"] for row in doc.get("by_host") or ()]
    if not hosts:
        return ""
    return short(str(hosts[0]), 40) if len(hosts) == 1 else f"{len(hosts):,} hosts"


def tone(doc: Doc) -> Tone:
    if _wrong(doc):
        return "bad"
    if doc["signed_fraction"] is None:
        return "unsure"
    return "unsure" if doc["totals"]["outbound"]["undecided"] else "good"


def advice(doc: Doc) -> list[str]:
    reasons = [row["reason"] for row in doc["by_reason"] if row["outcome"] == "undecided"]
    known = [reason for reason in words.ADVICE if reason in reasons]
    if not known and doc["signed_fraction"] is None and doc["totals"]["outbound"]["messages"]:
        known = ["success-not-logged"]
    if any(fault["kind"] == "not-logging" for fault in doc["faults"]):
        # The fault says it, with the host.
        known = [reason for reason in known if reason != "success-not-logged"]
    told = [words.ADVICE[reason] for reason in known]
    if doc["totals"]["unknown"]["messages"] and not doc["totals"]["outbound"]["messages"]:
        told.append("Which mail is outgoing is told by --our-domain (your domain) or --opendkim-conf (a file).")
    if not doc["input"]["lines"] or doc["window"]["first"] is None:
        told.append("No mail was logged in this time, or the log given does not reach it.")
    return told
