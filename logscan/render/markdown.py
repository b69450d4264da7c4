"""The report as GitHub Markdown: for a ticket, a wiki or a merge request."""

from __future__ import annotations

from collections.abc import Collection

from logscan.render.escape import markdown_cell
from logscan.render.layout import page
from logscan.render.page import ROWS, Cell, Doc, Entry, Table


def report(doc: Doc, *, by: Collection[str] = (), limit: int = ROWS) -> str:
    """Headings, lists and tables; log text in it is text, never markup.

    by, limit: as of `--by` and `--limit`, see `layout.page`.
    """
    made = page(doc, by=by, limit=limit)
    blocks = [f"# {markdown_cell(made.verdict)}", *(markdown_cell(text) for text in made.advice)]
    for section in made.sections:
        blocks.append(f"## {markdown_cell(section.title)}")
        for part in section.body:
            if isinstance(part, str):
                blocks.append(markdown_cell(part))
            elif isinstance(part, Table):
                blocks += _table(part)
            else:
                blocks.append(_entry(part))
    return "\n\n".join(blocks) + "\n"


def _entry(entry: Entry) -> str:
    lines = [f"- **{markdown_cell(entry.severity)}** {markdown_cell(entry.head)}"]
    texts = [entry.facts, *(f"{name}: {text}" if name else text for name, text in entry.notes)]
    lines += [f"  {markdown_cell(text)}" for text in texts]
    # <code> and not backticks: entities and backslash escapes work in it, so nothing can end it.
    lines += [f"  <code>{markdown_cell(quote)}</code>" for quote in entry.quotes]
    return "  \n".join(lines)


def _table(table: Table) -> list[str]:
    shown = table.worded()
    lines = [
        _row([markdown_cell(table.columns[at].title) for at in shown]),
        _row(["---:" if table.columns[at].right else "---" for at in shown]),
        *(_row([_cell(row[at]) for at in shown]) for row in table.rows),
    ]
    return ["\n".join(lines), *([markdown_cell(table.more)] if table.more else [])]


def _cell(cell: Cell) -> str:
    return f"{cell:,}" if isinstance(cell, int) else markdown_cell(cell) if isinstance(cell, str) else ""


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
