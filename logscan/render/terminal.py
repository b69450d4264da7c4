"""The report for a terminal: what text.py says, in letters of any script, with colour where it helps."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterable

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from logscan.render.escape import visible
from logscan.render.layout import MARKS, page
from logscan.render.lines import NARROWEST, NARROWEST_TEXT, Line, Paper, lines
from logscan.render.page import ROWS, TONES, Doc

_STYLES = {
    "good": "green",
    "bad": "red",
    "unsure": "yellow",
    "quiet": "dim",
    "strong": "bold",
    "title": "bold",
    "head": "dim",
    "good verdict": "bold green",
    "bad verdict": "bold red",
    "unsure verdict": "bold yellow",
}


def report(doc: Doc, *, width: int, color: bool, by: Collection[str] = (), limit: int = ROWS) -> str:
    """The report in lines of at most `width` columns (tables: 60 at least); escape sequences in it are ours alone.

    by, limit: as of `--by` and `--limit`, see `layout.page`.
    """
    made = lines(page(doc, by=by, limit=limit), paper(width))
    return painted(made, width=width, color=color)


def paper(width: int) -> Paper:
    """What a screen is laid out on."""
    return Paper(max(width, NARROWEST), visible, cell_len, max(width, NARROWEST_TEXT))


def painted(made: Iterable[Line], *, width: int, color: bool) -> str:
    """Lines as text for a terminal, none of them wider than the paper."""
    out = io.StringIO()
    console = Console(
        file=out,
        width=max(width, NARROWEST),
        force_terminal=color,
        color_system="standard" if color else None,
        no_color=not color,
        legacy_windows=False,
        markup=False,
        emoji=False,
        highlight=False,
        _environ={},
    )
    for line in made:
        console.print(_text(line), no_wrap=True, overflow="crop", soft_wrap=False)
    return out.getvalue()


def _text(line: Line) -> Text:
    text = Text(no_wrap=True)
    for piece, tone in line:
        if tone == "bar":
            for char in piece:
                text.append(char, _BAR_STYLES.get(char, ""))
        else:
            text.append(piece, _STYLES.get(tone, ""))
    return text


_BAR_STYLES = {mark: _STYLES.get(TONES[outcome], "") for outcome, mark in MARKS.items()}
