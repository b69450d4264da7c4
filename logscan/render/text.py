"""The report as plain ASCII of a fixed width: for mail, files and pipes."""

from __future__ import annotations

from collections.abc import Collection

from logscan.render.escape import ascii_only
from logscan.render.layout import ROWS, Doc, page
from logscan.render.lines import NARROWEST, Paper, lines


def report(doc: Doc, *, width: int = 80, by: Collection[str] = (), limit: int = ROWS) -> str:
    """The report in lines of at most `width` columns (60 at least), the verdict first, no control characters.

    by, limit: as of `--by` and `--limit`, see `layout.page`.
    """
    paper = Paper(max(width, NARROWEST), ascii_only)
    made = lines(page(doc, by=by, limit=limit), paper)
    return "".join(f"{''.join(text for text, _ in line)[: paper.width].rstrip()}\n" for line in made)
