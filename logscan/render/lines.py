"""A page as lines of a fixed width, for the painters that write with letters.

A line is a list of pieces (text, tone); what a tone looks like is the painter's business. Texts are escaped
here by the painter's own function, before they are measured, wrapped or cut.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from logscan.render.layout import MARKS
from logscan.render.page import TONES, Bar, Cell, Column, Entry, Page, Table, short
from logscan.render.steps import steps

Piece = tuple[str, str]
Line = list[Piece]

INDENT = "  "
FIX = "Fix: "
GOES_ON = " \\"  # to a shell
GAP = 2
BAR = 32

# How far values are cut: at first where that still tells most of an address, then where it tells something,
# and only where nothing else helps to next to nothing.
SHORT, SHORTER, SHORTEST = 18, 10, 4

# What is longer is cut before anything else is done with it.
LONGEST = 1000

# No table is laid out narrower than this, and no text narrower than that; a narrower screen wraps it.
NARROWEST = 60
NARROWEST_TEXT = 30


@dataclass(frozen=True, slots=True)
class Paper:
    """width: columns of a line. escape: raw text to harmless text. measure: columns that one takes.

    text: columns of a line that is no table's, where that is less; 0 for the same. Long words may still take all.
    """

    width: int
    escape: Callable[[str], str]
    measure: Callable[[str], int] = len
    text: int = 0

    def cut(self, text: str, width: int) -> str:
        """The text with its middle as ``...`` if it is longer than `width` columns."""
        if self.measure(text) <= width:
            return text
        if width <= 3:
            return self.take(text, width)
        head = self.take(text, (width - 3 + 1) // 2)
        tail = self.take(text[::-1], width - 3 - self.measure(head))[::-1]
        return f"{head}...{tail}"

    def take(self, text: str, width: int) -> str:
        """As much of the beginning of the text as `width` columns hold."""
        used = 0
        for at, char in enumerate(text):
            used += self.measure(char)
            if used > width:
                return text[:at]
        return text

    def wrap(self, text: str, indent: str, later: str | None = None) -> list[str]:
        """Text in lines, broken at blanks, too long words cut; `later` indents all lines but the first."""
        later = indent if later is None else later
        width = self.text or self.width
        lines: list[str] = []
        line, empty = indent, True
        for word in self.escape(text).split(" "):
            room = width - self.measure(line) - (0 if empty else 1)
            if not empty and self.measure(word) > room:
                lines.append(line)
                line, empty, room = later, True, width - self.measure(later)
            # A word that is too long for narrow text is left to the screen: it may be a command to copy.
            line += ("" if empty else " ") + self.cut(word, room + self.width - width)
            empty = False
        return [*lines, line]


def prose(text: str, indent: str, paper: Paper, later: str | None = None) -> list[str]:
    """Sentences in lines. A fix has each of its commands on a line of its own, or on several that paste as one."""
    if not text.startswith(FIX):
        return paper.wrap(text, indent, later)
    out: list[str] = []
    deep = indent + " " * len(FIX)
    for part, command in steps(text.removeprefix(FIX)):
        first = deep if out else indent + FIX
        out += _command(part, first, deep, paper) if command else paper.wrap(part, first, deep)
    return out


def _command(text: str, indent: str, later: str, paper: Paper) -> list[str]:
    """A command in lines, each but the last with the backslash that makes the shell read on."""
    out = []
    line = indent
    for number, word in enumerate(paper.escape(text).split(" ")):
        room = (paper.text or paper.width) - paper.measure(line) - len(" ") - len(GOES_ON)
        if number and paper.measure(word) > room:
            out.append(paper.cut(line, paper.width - len(GOES_ON)) + GOES_ON)
            line = f"{later}  {word}"
        else:
            line += word if line == indent else f" {word}"
    return [*out, paper.cut(line, paper.width)]


def lines(page: Page, paper: Paper) -> list[Line]:
    """The page top to bottom; every line is at most `paper.width` columns wide."""
    out: list[Line] = [[(text, f"{page.tone} verdict")] for text in paper.wrap(page.verdict, "", INDENT)]
    for text in page.advice:
        out += [[(line, "")] for line in paper.wrap(text, INDENT)]
    for section in page.sections:
        out += [[], *([(line, "title")] for line in paper.wrap(section.title, ""))]
        for at, part in enumerate(section.body):
            if at and isinstance(part, Table) and isinstance(section.body[at - 1], Table):
                out.append([])
            if isinstance(part, str):
                out += [[(line, "")] for line in prose(part, INDENT, paper)]
            elif isinstance(part, Table):
                out += _table(part, paper)
            else:
                out += entry_lines(part, paper)
    return out


def entry_lines(entry: Entry, paper: Paper) -> list[Line]:
    """A fault: severity and headline, facts, notes, quotes."""
    deep = INDENT + " " * 9
    first, *rest = paper.wrap(entry.head, deep)
    label = f"{INDENT}{entry.severity:<9}"
    out: list[Line] = [[(label, TONES.get(entry.severity, "")), (first[len(deep) :], "strong")]]
    out += [[(line, "strong")] for line in rest]
    out += [[(line, "")] for line in paper.wrap(entry.facts, deep)]
    for name, text in entry.notes:
        out += [[(line, "")] for line in prose(f"{name}: {text}" if name else text, deep, paper)]
    room = (paper.text or paper.width) - len(deep) - 2
    out += [
        [(f"{deep}| {paper.cut(paper.escape(short(quote, LONGEST)), room)}", "quiet")]
        for quote in entry.quotes
    ]
    return out


def _table(table: Table, paper: Paper) -> list[Line]:
    texts = [
        [_text(cell, column, paper) for cell, column in zip(row, table.columns, strict=True)]
        for row in table.rows
    ]
    widths = _fit(table, texts, paper)
    shown = [at for at, width in enumerate(widths) if width]
    head = [
        (_pad(paper, table.columns[at].title, widths[at], table.columns[at].right), "head") for at in shown
    ]
    out = [_line(head)]
    for row, cells in zip(texts, table.rows, strict=True):
        pieces: Line = []
        for at in shown:
            cell, column = cells[at], table.columns[at]
            if isinstance(cell, Bar):
                pieces.append((_bar(cell, widths[at]), "bar"))
            else:
                pieces.append((_pad(paper, row[at], widths[at], column.right), _tone(cell, column)))
        out.append(_line(pieces))
    if len(table.worded()) < len(table.columns):
        marks = ", ".join(f"{MARKS[c.title]} {c.title}" for c in table.columns if c.title in MARKS)
        out.append([(f"{INDENT}bars: {marks}", "quiet")])
    if table.more:
        out.append([(f"{INDENT}{table.more}", "quiet")])
    return out


def _line(cells: Line) -> Line:
    """Cells side by side, indented, nothing after the last."""
    line: Line = [(INDENT, "")]
    for at, (text, tone) in enumerate(cells):
        line += [(" " * GAP, ""), (text, tone)] if at else [(text, tone)]
    while line and not line[-1][0].strip(" "):
        line.pop()
    if line:
        line[-1] = (line[-1][0].rstrip(" "), line[-1][1])
    return line


def _text(cell: Cell, column: Column, paper: Paper) -> str:
    if isinstance(cell, Bar):
        return ""
    if isinstance(cell, int):
        return f"{cell:,}" if cell or not column.tone else "-"
    return paper.escape(short(cell, LONGEST))


def _tone(cell: Cell, column: Column) -> str:
    if isinstance(cell, int):
        return column.tone if cell else ("quiet" if column.tone else "")
    return TONES.get(cell, "") if isinstance(cell, str) else ""


def _pad(paper: Paper, text: str, width: int, right: bool) -> str:
    text = paper.cut(text, width)
    blanks = " " * (width - paper.measure(text))
    return f"{blanks}{text}" if right else f"{text}{blanks}"


def _fit(table: Table, texts: Sequence[Sequence[str]], paper: Paper) -> list[int]:
    """A width for each column so that the row fits; 0 leaves a column out.

    The widest of those that may be cut gives way first. Numbers are never cut.
    """
    columns = table.columns
    widths = [
        min(paper.width, max([len(columns[at].title), *(paper.measure(row[at]) for row in texts)]))
        for at in range(len(columns))
    ]
    for at in range(len(columns)):
        if any(isinstance(row[at], Bar) for row in table.rows):
            widths[at] = BAR

    def over() -> int:
        used = [width for width in widths if width]
        return len(INDENT) + sum(used) + GAP * (len(used) - 1) - paper.width

    cuttable = [at for at, column in enumerate(columns) if not column.right]
    loose = [at for at in cuttable if not columns[at].keep]
    _shrink(widths, loose, SHORT, over())
    for at in [at for at in loose if columns[at].optional]:
        if over() > 0:
            widths[at] = 0
            _grow(widths, [i for i in loose if widths[i]], texts, paper, -over())
    _shrink(widths, [at for at in loose if widths[at]], SHORTER, over())
    _shrink(widths, [at for at in cuttable if widths[at]], SHORTEST, over())
    return widths


def _shrink(widths: list[int], among: Sequence[int], floor: int, too_much: int) -> None:
    """Take columns from the widest of `among`, none below `floor`, until `too_much` is gone."""
    while too_much > 0 and among:
        widest = max(among, key=lambda at: widths[at])
        if widths[widest] <= floor:
            return
        widths[widest] -= 1
        too_much -= 1


def _grow(
    widths: list[int], among: Sequence[int], texts: Sequence[Sequence[str]], paper: Paper, room: int
) -> None:
    """Give columns back, up to what their values need, where leaving one out made room."""
    for at in among:
        need = max(paper.measure(row[at]) for row in texts)
        more = max(0, min(room, need - widths[at]))
        widths[at] += more
        room -= more


def _bar(bar: Bar, width: int) -> str:
    """The counts as letters; whatever happened at all gets at least one."""
    scale = max(1, bar.scale)
    text = "".join(
        MARKS[outcome] * (max(1, number * min(width, BAR) // scale) if number else 0)
        for outcome, number in bar.parts
    )
    # The ones that were rounded up take their room from the longest run, the signed.
    return text if len(text) <= width else text[len(text) - width :]
