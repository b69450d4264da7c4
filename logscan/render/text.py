"""The report as plain ASCII of a fixed width: for mail, files and pipes."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from logscan.render.escape import ascii_only
from logscan.render.layout import page
from logscan.render.lines import NARROWEST, Line, Paper, lines
from logscan.render.page import ROWS, Doc
from logscan.render.verdict import subject


def report(doc: Doc, *, width: int = 80, by: Collection[str] = (), limit: int = ROWS) -> str:
    """The report in lines of at most `width` columns (60 at least), the verdict first, no control characters.

    by, limit: as of `--by` and `--limit`, see `layout.page`.
    """
    return painted(lines(page(doc, by=by, limit=limit), paper(width)), width)


def mail(doc: Doc, *, width: int = 80, limit: int = ROWS) -> str:
    """The same for a mail: the first line is whole and fit for its subject; a verdict too long for it follows."""
    made = page(doc, limit=limit)
    first = Paper(width - 2, ascii_only).cut(ascii_only(subject(doc, width - 2)), width - 2)
    if first != ascii_only(made.verdict):
        made = replace(made, verdict=first, advice=[made.verdict, *made.advice])
    return painted(lines(made, paper(width)), width)


def paper(width: int) -> Paper:
    """What plain text is laid out on."""
    return Paper(max(width, NARROWEST), ascii_only)


def painted(made: Iterable[Line], width: int) -> str:
    """Lines as text, none of them wider than the paper."""
    width = max(width, NARROWEST)
    return "".join(f"{''.join(text for text, _ in line)[:width].rstrip()}\n" for line in made)
