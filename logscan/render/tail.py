"""What `tail` says: news as lines or JSON, the status line, and how they share a terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, tzinfo
from typing import Any, Protocol, TextIO

from logscan.model import INBOUND_OUTCOMES, OUTBOUND_OUTCOMES, Message
from logscan.news import FaultNews, MessageNews, News, Standing
from logscan.render import json, words
from logscan.render.escape import ascii_only, visible
from logscan.render.lines import Line, Paper, prose
from logscan.render.message import fault_dict, message_dict
from logscan.render.page import TONES

# So narrow a screen gets two lines a message.
NARROW = 76
# A pipe has no width; what is longer than this was made to be.
ENDLESS = 4000
_ADDRESS = 12
# Told in one line, whatever has to be cut for that.
_WELL = frozenset(("signed", "pass", "none"))
_OUTCOME = 12
_LETTERS = {"signed": "S", "unsigned": "U", "milter-error": "E", "undecided": "?"}
_SGR = {"good": "32", "bad": "31", "unsure": "33", "quiet": "2", "strong": "1"}

_MILTER = {None: "milter: no word yet", "": "milter ok", "stopped": "OpenDKIM stopped"}


class Sink(Protocol):
    """Where news goes."""

    def news(self, news: Iterable[News]) -> None:
        """Tell these, at once."""

    def notice(self, text: str) -> None:
        """One line on standard error."""

    def standing(self, standing: Standing) -> None:
        """Show how things stand, where that can be shown."""

    def end(self, standing: Standing, in_transit: int) -> None:
        """The last word."""


class Json:
    """One object a line, each written out at once."""

    def __init__(self, out: TextIO, zone: tzinfo, notice: Callable[[str], None]) -> None:
        self._out = out
        self._zone = zone
        self.notice = notice

    def news(self, news: Iterable[News]) -> None:
        """See `Sink`."""
        text = "".join(json.line(news_dict(one, self._zone)) for one in news)
        if text:
            self._out.write(text)
            self._out.flush()

    def standing(self, standing: Standing) -> None:
        """Nothing: programs count for themselves."""

    def end(self, standing: Standing, in_transit: int) -> None:
        """See `Sink`."""
        self._out.write(json.line(summary_dict(standing, in_transit)))
        self._out.flush()


class Text:
    """Lines for people: on a terminal in colour and above a status line, else plain ASCII with whole dates.

    terminal: draw the status line. width: asked before each writing, for windows are resized; None for no limit.
    """

    def __init__(
        self,
        out: TextIO,
        zone: tzinfo,
        notice: Callable[[str], None],
        *,
        terminal: bool = False,
        color: bool = False,
        width: Callable[[], int] | None = None,
    ) -> None:
        self._out = out
        self._zone = zone
        self._notice = notice
        self._terminal = terminal
        self._color = color
        self._width = width
        self._day = ""
        self._shown: tuple[str, int] | None = None  # the status line as it is drawn, and for which width
        self._status = ""
        unicode = terminal and (out.encoding or "").lower().replace("-", "") == "utf8"
        self._escape = visible if unicode else ascii_only
        self._arrow = "\u2192" if unicode else "->"

    def news(self, news: Iterable[News]) -> None:
        """See `Sink`. Everything in one writing: a terminal never shows half of it."""
        paper = self._paper()
        lines: list[Line] = []
        for one in news:
            if self._terminal:
                self._new_day(one, lines)
            if isinstance(one, MessageNews):
                lines += message_lines(one, paper, self._stamp, self._arrow)
            else:
                lines += fault_lines(one, paper, self._stamp)
        if lines:
            self._write("".join(self._painted(line) + "\n" for line in lines))

    def _new_day(self, news: News, lines: list[Line]) -> None:
        day = f"{datetime.fromtimestamp(_moment(news), self._zone):%Y-%m-%d}"
        if day != self._day:
            self._day = day
            lines.append([(day, "quiet")])

    def notice(self, text: str) -> None:
        """See `Sink`."""
        if self._shown is not None:
            self._clear()
        self._notice(text)
        self._draw()

    def standing(self, standing: Standing) -> None:
        """See `Sink`. Nothing is written while nothing changes."""
        if self._terminal:
            width = self._paper().width
            self._status = self._painted(status_line(standing, width - 1))
            if self._shown != (self._status, width):
                self._draw()

    def end(self, standing: Standing, in_transit: int) -> None:
        """See `Sink`."""
        self._status = ""
        self._write(self._painted([(summary(standing, in_transit), "strong")]) + "\n")

    def _stamp(self, at: int) -> str:
        moment = datetime.fromtimestamp(at, self._zone)
        return f"{moment:%H:%M:%S}" if self._terminal else f"{moment:%Y-%m-%d %H:%M:%S}"

    def _paper(self) -> Paper:
        if self._width is None:
            return Paper(ENDLESS, self._escape)
        if self._escape is ascii_only:
            return Paper(max(20, self._width()), self._escape)
        from rich.cells import cell_len

        return Paper(max(20, self._width()), self._escape, cell_len)

    def _painted(self, line: Line) -> str:
        if not self._color:
            return "".join(text for text, _ in line).rstrip()
        return "".join(f"\x1b[{_SGR[tone]}m{text}\x1b[0m" if tone in _SGR else text for text, tone in line)

    def _write(self, text: str) -> None:
        """Lines above the status line. It is one writing, so nothing flickers and no line is ever half there.

        The cursor waits at the beginning of the status line: a terminal that wraps anew when it becomes narrower
        keeps it there, and what is erased from there on is the status line and nothing else.
        """
        before = "\r\x1b[J" if self._shown is not None else ""
        after = f"{self._status}\r" if self._status else ""
        self._out.write(f"{before}{text}{after}")
        self._out.flush()
        self._shown = (self._status, self._paper().width) if self._status else None

    def _draw(self) -> None:
        if self._status:
            width = self._paper().width
            same = self._shown is not None and self._shown[1] == width
            before, after = ("\r", "\x1b[K\r") if same else ("\r\x1b[J", "\r")
            self._out.write(f"{before}{self._status}{after}")
            self._out.flush()
            self._shown = (self._status, width)

    def _clear(self) -> None:
        self._out.write("\r\x1b[J")
        self._out.flush()
        self._shown = None


# --- lines --------------------------------------------------------------------------------------------------------


def message_lines(news: MessageNews, paper: Paper, stamp: Callable[[int], str], arrow: str = "->") -> list[Line]:
    """A message as one line: time, verdict, queue ID, sender and recipient, what signed it or why nothing did, and
    what became of it unless it was sent. Where that does not fit, what is wrong gets a line of its own, and on a
    narrow screen the addresses too."""
    message = news.message
    tone = TONES.get(message.outcome, "")
    queue_id = paper.escape(message.queue_ids[0]) if message.queue_ids else "-"
    head: Line = [(f"{stamp(_moment(news))} ", "quiet"), (f"{message.outcome:<{_OUTCOME}}", tone)]
    head.append((f"  {queue_id:<11}", ""))
    used = sum(paper.measure(text) for text, _ in head)
    sender, recipient, more = _addresses(message, paper)
    whole = f"  {sender} {arrow} {recipient}{more}"
    about = _told(_about(news), paper)
    if used + paper.measure(whole + about) <= paper.width:
        return [[*head, (whole, ""), (about, tone)]]
    if paper.width < NARROW:
        room = paper.width - paper.measure(f"   {arrow} {more}")
        sender, recipient = _fitted(sender, recipient, room, paper)
        lines: list[Line] = [head, [(f"  {sender} {arrow} {recipient}{more}", "")]]
        return [*lines, [(paper.cut(about, paper.width), tone)]] if about else lines
    room = paper.width - used - paper.measure(f"   {arrow} {more}")
    if message.outcome in _WELL and news.was is None:
        about = _told(_about(news, short=True), paper)
        about = paper.cut(about, max(8, room - 2 * _ADDRESS))
        sender, recipient = _fitted(sender, recipient, room - paper.measure(about), paper)
        return [[*head, (f"  {sender} {arrow} {recipient}{more}", ""), (about, tone)]]
    sender, recipient = _fitted(sender, recipient, room, paper)
    indent = " " * (used - 11 - 2)
    return [
        [*head, (f"  {sender} {arrow} {recipient}{more}", "")],
        [(indent, ""), (paper.cut(about, paper.width - len(indent)), tone)],
    ]


def _told(about: list[str], paper: Paper) -> str:
    return "".join(f"  {paper.escape(text)}" for text in about)


def _addresses(message: Message, paper: Paper) -> tuple[str, str, str]:
    sender = "?" if message.envelope_sender is None else message.envelope_sender or "<>"
    recipients = message.envelope_recipients
    more = f" +{len(recipients) - 1}" if len(recipients) > 1 else ""
    return paper.escape(sender), paper.escape(recipients[0]) if recipients else "-", more


def _fitted(sender: str, recipient: str, room: int, paper: Paper) -> tuple[str, str]:
    """Both addresses in so many columns; the shorter one leaves what it does not need to the other."""
    room = max(room, 2 * _ADDRESS)
    half = room // 2
    first = max(half, room - paper.measure(recipient))
    sender = paper.cut(sender, first)
    return sender, paper.cut(recipient, max(half, room - paper.measure(sender)))


def _about(news: MessageNews, *, short: bool = False) -> list[str]:
    """What signed it, or the reason; and what else is not as usual. short: the selector alone tells the key."""
    message = news.message
    told: list[str] = []
    if message.outcome == "signed":
        told = [f"s={selector}" if short else f"{domain}/{selector}" for domain, selector in message.signatures[:3]]
    elif message.outcome == "pass":
        told = [f"{domain}/{selector}" for domain, selector, _ in message.verified[:3] if domain is not None]
    if message.reason is not None:
        told.append(message.reason + (f" {message.milter}" if message.milter else ""))
    if message.direction == "bounce":
        told.append("bounce")
    elif message.direction == "unknown":
        told.append("direction unknown")
    elif message.direction == "inbound" and message.outcome == "milter-error":
        told.append("incoming")
    if message.effect != "sent" and message.effect != message.reason:
        told.append(message.effect)
    if news.was is not None:
        direction, outcome, reason = news.was
        if direction != message.direction and direction != "unknown":
            outcome = f"{words.direction(direction)} {outcome}"
        told.append(f"(was {outcome}{', ' + reason if reason else ''})")
    return told


def fault_lines(news: FaultNews, paper: Paper, stamp: Callable[[int], str]) -> list[Line]:
    """A fault: what and where, and when it begins what it means and what to do."""
    fault = news.fault
    when = stamp(news.at)
    over = news.phase == "end"
    word = "over" if over else fault.severity
    head = fault.kind + (f": {fault.subject}" if fault.subject else "") + (f" on {fault.host}" if fault.host else "")
    if over:
        facts = [f"after {span(max(0, news.at - fault.first))}"] if news.at > fault.first else []
        facts += [words.counted(fault.messages_hit, "message") + " hit"] if fault.messages_hit else []
        head += "".join(f", {fact}" for fact in facts)
    elif news.phase == "again" or fault.count > 1:
        head += f", {words.counted(fault.count, 'time')}"
        head += f" since {stamp(fault.first)}" if news.phase == "again" else ""
    indent = "  " if paper.width < NARROW else " " * (len(when) + _OUTCOME + 3)
    first, *rest = paper.wrap(head, indent)
    tone = "good" if over else TONES.get(fault.severity, "")
    out: list[Line] = [[(f"{when} ", "quiet"), (f"{word:<{_OUTCOME + 2}}", tone)]]
    if paper.width < NARROW:
        out.append([(first, "strong")])
    else:
        out[0].append((first[len(indent) :], "strong"))
    out += [[(line, "strong")] for line in rest]
    if news.phase == "begin" and fault.severity != "info":
        for text in (fault.meaning, f"Fix: {fault.fix}" if fault.fix else ""):
            out += [[(line, "")] for line in prose(text, indent, paper)] if text else []
    return out


def _moment(news: News) -> int:
    """The time of a message is that of its first line, and of a change when it was known."""
    return news.message.first if isinstance(news, MessageNews) and news.was is None else news.at


def span(seconds: int) -> str:
    """So many seconds in words: ``45 s``, ``12 min 41 s``, ``3 h 5 min``, ``2 d 4 h``.

    >>> span(761), span(7200), span(187200)
    ('12 min 41 s', '2 h', '2 d 4 h')
    """
    for size, name, smaller, rest in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= size:
            second = seconds % size // smaller
            return f"{seconds // size} {name}" + (f" {second} {rest}" if second else "")
    return f"{seconds} s"


# --- how things stand ---------------------------------------------------------------------------------------------


def status_line(standing: Standing, width: int) -> Line:
    """Outgoing mail of the last minute and of the session, the fraction signed and the milter, in `width` columns.

    Where room is short the outcomes are letters (S, U, E for milter error, ?), then the minute is left out.
    """
    session = {outcome: standing.count("outbound", outcome) for outcome in OUTBOUND_OUTCOMES}
    minute = standing.minute
    share = "- %" if standing.fraction is None else words.percent(standing.fraction)
    milter = _MILTER.get(standing.milter, f"milter {standing.milter}")
    tone = "good" if standing.milter == "" else "quiet" if standing.milter is None else "bad"
    tight = share.replace(" ", "")
    forms = (
        f"1 min: {_named(minute)} | session: {_named(session)} | {share} signed | ",
        f"1 min: {_lettered(minute)} | session: {_lettered(session)} | {share} signed | ",
        f"1m {_lettered(minute)} | {_lettered(session)} | {tight} | ",
        f"{_lettered(session)} | {tight} | ",
        f"{tight} | ",
        "",
    )
    for form in forms:
        if len(form) + len(milter) <= width:
            return [(form, "quiet"), (milter, tone)]
    return [(milter[: max(0, width)], tone)]


def _named(counts: Mapping[str, int]) -> str:
    told = [f"{counts[outcome]:,} {outcome}" for outcome in OUTBOUND_OUTCOMES if counts.get(outcome)]
    return ", ".join(told) or "no mail"


def _lettered(counts: Mapping[str, int]) -> str:
    told = [f"{counts[outcome]}{_LETTERS[outcome]}" for outcome in OUTBOUND_OUTCOMES if counts.get(outcome)]
    return " ".join(told) or "0"


def summary(standing: Standing, in_transit: int) -> str:
    """The last line."""
    outbound = {outcome: standing.count("outbound", outcome) for outcome in OUTBOUND_OUTCOMES}
    named = _named(outbound)
    others = [("inbound", "incoming", "incoming"), ("bounce", "bounce", "bounces")]
    others.append(("unknown", "of unknown direction", "of unknown direction"))
    if not any(outbound.values()) and any(standing.count(direction) for direction, _, _ in others):
        named = "no outgoing mail"
    parts = [f"{span(standing.seconds)}: {named}"]
    if standing.fraction is not None:
        parts.append(f"{words.percent(standing.fraction)} signed")
    for direction, one, many in others:
        if count := standing.count(direction):
            parts.append(words.counted(count, one, many))
    if in_transit:
        parts.append(f"{in_transit:,} still in transit")
    return "; ".join(parts)


def summary_dict(standing: Standing, in_transit: int) -> dict[str, Any]:
    """The last object: counts since the start as in the report's `totals`."""
    totals: dict[str, Any] = {}
    for direction, outcomes in (("outbound", OUTBOUND_OUTCOMES), ("inbound", INBOUND_OUTCOMES)):
        totals[direction] = {"messages": standing.count(direction)}
        totals[direction] |= {name.replace("-", "_"): standing.count(direction, name) for name in outcomes}
    totals |= {name: {"messages": standing.count(name)} for name in ("bounce", "unknown")}
    return {
        "event": "summary",
        "seconds": standing.seconds,
        "totals": totals,
        "signed_fraction": standing.fraction,
        "in_transit": in_transit,
    }


def news_dict(news: News, zone: tzinfo) -> dict[str, Any]:
    """The contract's `message` or fault, with `event` first: message, changed (and what it `was`) or fault (and
    its `phase`)."""
    if isinstance(news, FaultNews):
        return {"event": "fault", "phase": news.phase, **fault_dict(news.fault, zone)}
    if news.was is None:
        return {"event": "message", **message_dict(news.message, zone)}
    was = dict(zip(("direction", "outcome", "reason"), news.was, strict=True))
    return {"event": "changed", "was": was, **message_dict(news.message, zone)}


# --- where to -----------------------------------------------------------------------------------------------------


def columns(out: TextIO) -> int:
    """The terminal's width now. COLUMNS is not asked: a shell does not keep it up to date for us."""
    try:
        return os.get_terminal_size(out.fileno()).columns or 80
    except OSError:
        return 80


def sink_for(format: str, color: str, zone: tzinfo) -> Sink:
    """The sink for standard output as it is now. format: text or json. color: auto, always or never."""
    from logscan.render import screen

    out = sys.stdout
    # Lone bytes of the log are escaped before; this is for terminals that cannot show what remains.
    if hasattr(out, "reconfigure"):
        out.reconfigure(errors="backslashreplace")
    if format == "json":
        return Json(out, zone, screen.notice)
    terminal = out.isatty() and os.environ.get("TERM") != "dumb"
    width = (lambda: columns(out)) if terminal else None
    return Text(out, zone, screen.notice, terminal=terminal, color=screen.colored(color), width=width)
