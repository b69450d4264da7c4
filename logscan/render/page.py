"""The shapes of a page: tables, entries and sections, before any painter writes them.

Their words are raw: log text in them is not yet escaped, each painter does that in its own way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from logscan.render.chart import Span

Tone = Literal["", "good", "bad", "unsure", "quiet"]
Doc = Mapping[str, Any]

# A table for a person ends after so many rows (or --limit, if that is more).
ROWS = 20

TONES: dict[str, Tone] = {
    "signed": "good",
    "pass": "good",
    "unsigned": "bad",
    "fail": "bad",
    "milter-error": "bad",
    "undecided": "unsure",
    "error": "bad",
    "warning": "unsure",
    "info": "quiet",
}



@dataclass(frozen=True, slots=True)
class Bar:
    """Counts by outcome, to be drawn against `scale`, the largest sum of its column."""

    parts: tuple[tuple[str, int], ...]
    scale: int


Cell = str | int | Bar


@dataclass(frozen=True, slots=True)
class Column:
    """How a column is shown.

    right: numbers. tone: of its numbers above zero; zeros step back. Strings get the tone of their own word.
    keep: where room is short, others are cut first. optional: where room is shorter still, it is left out.
    """

    title: str
    right: bool = False
    tone: Tone = ""
    keep: bool = False
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Rows as long as `columns`. more: what was left out, or ""."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    more: str = ""

    def worded(self) -> list[int]:
        """The columns that are no bars: for painters that draw in other ways."""
        return [
            at for at in range(len(self.columns)) if not any(isinstance(row[at], Bar) for row in self.rows)
        ]


@dataclass(frozen=True, slots=True)
class Entry:
    """A fault: its severity, a headline, facts about it, labelled notes, and lines of the log."""

    severity: str
    head: str
    facts: str
    notes: Sequence[tuple[str, str]]
    quotes: Sequence[str]


@dataclass(frozen=True, slots=True)
class Section:
    """key: a word for anchors and tests. body: paragraphs, tables and entries in order."""

    key: str
    title: str
    body: Sequence[str | Table | Entry]


@dataclass(frozen=True, slots=True)
class Page:
    """verdict: the one line that answers. advice: what would make the log tell more. hours: for a drawing."""

    verdict: str
    tone: Tone
    advice: Sequence[str]
    sections: Sequence[Section]
    hours: Sequence[Span] = field(default_factory=tuple)


def short(text: str, width: int) -> str:
    """Cut the middle out of what is longer than `width` characters."""
    if len(text) <= width:
        return text
    head = (width - 3 + 1) // 2
    return f"{text[:head]}...{text[len(text) - (width - 3 - head) :]}"
