"""The report as one HTML file: no script, nothing from elsewhere, light and dark, readable on a phone."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from logscan.model import OUTBOUND_OUTCOMES
from logscan.render.chart import Span
from logscan.render.escape import html_text
from logscan.render.layout import page
from logscan.render.page import ROWS, TONES, Cell, Column, Doc, Entry, Page, Section, Table

# Mail programs know less CSS than browsers: plain rules without variables, dark ones last, and where a mail
# program shows no drawing, the table of hours tells the same.
_STYLE = """
:root { color-scheme: light dark; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 62rem; background: #fff; color: #1c1e21;
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; overflow-wrap: anywhere; }
h1 { margin: .4rem 0 .8rem; font-size: 1.3rem; line-height: 1.3; }
h2 { margin: 1.8rem 0 .4rem; font-size: 1.05rem; }
p { margin: .3rem 0; }
code, pre { font-family: ui-monospace, Menlo, Consolas, monospace; }
code { font-size: .9em; }
pre { margin: .3rem 0; white-space: pre-wrap; font-size: .8rem; line-height: 1.4; }
.good { color: #1f7a49; }
.bad { color: #b3202f; }
.unsure { color: #8a5a00; }
.quiet, .zero, th, .axis, .legend { color: #5f6470; }
.whole { white-space: nowrap; }
.table { overflow-x: auto; margin: .2rem 0 .8rem; }
table { border-collapse: collapse; font-size: .9rem; }
th, td { padding: .2rem .9rem .2rem 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid #d8dce2; overflow-wrap: normal; }
th:last-child, td:last-child { padding-right: 0; }
th { font-weight: 500; white-space: nowrap; }
td { max-width: 24rem; white-space: nowrap; }
td.long { white-space: normal; overflow-wrap: anywhere; min-width: 12rem; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.fault { margin: .6rem 0; padding: .5rem .8rem; background: #f4f6f8; color: inherit;
  border-left: 4px solid #d8dce2; }
.fault.bad { border-color: #b3202f; color: inherit; }
.fault.unsure { border-color: #c77700; color: inherit; }
figure { margin: 1.2rem 0; }
figcaption { font-size: .9rem; }
svg { display: block; width: 100%; height: 8rem; margin: .3rem 0; border-bottom: 1px solid #d8dce2; }
.axis { display: flex; justify-content: space-between; font-size: .8rem; }
.each span { flex: 1; text-align: center; }
.legend { font-size: .85rem; margin: .4rem 0 0; }
.legend span { margin-right: 1rem; white-space: nowrap; }
.legend i { display: inline-block; width: .7rem; height: .7rem; margin-right: .3rem; }
.grid { stroke: #d8dce2; stroke-width: 1; vector-effect: non-scaling-stroke; }
.signed { fill: #2f8f5b; background: #2f8f5b; }
.unsigned { fill: #d98200; background: #d98200; }
.milter-error { fill: #c6283d; background: #c6283d; }
.undecided { fill: #8a8fa0; background: #8a8fa0; }
@media (prefers-color-scheme: dark) {
body { background: #16181c; color: #e6e8eb; }
.good { color: #62c48f; }
.bad { color: #ff7b88; }
.unsure { color: #e8b45a; }
.quiet, .zero, th, .axis, .legend { color: #9aa3b0; }
th, td, svg { border-bottom-color: #343942; }
.fault { background: #1f2329; border-color: #343942; }
.fault.bad { border-color: #f0616f; }
.fault.unsure { border-color: #e8a33d; }
.grid { stroke: #343942; }
.signed { fill: #4fb37d; background: #4fb37d; }
.unsigned { fill: #e8a33d; background: #e8a33d; }
.milter-error { fill: #f0616f; background: #f0616f; }
.undecided { fill: #7f8696; background: #7f8696; }
}
@media (max-width: 30rem) {
table { font-size: .82rem; }
th, td { padding-right: .6rem; }
}
@media print { .table { overflow: visible; } .fault, figure { break-inside: avoid; } }
""".strip()

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"

_HEIGHT = 100
_LOWEST = 2.5
# So few spans are all named below the drawing.
_EACH = 4

# A value longer than this may break inside a word, so that a table stays on the screen.
_LONG = 32


def report(doc: Doc, *, by: Collection[str] = (), limit: int = ROWS) -> str:
    """A complete document, UTF-8.

    by, limit: as of `--by` and `--limit`, see `layout.page`.
    """
    made = page(doc, by=by, limit=limit)
    body = [f'<h1 class="{made.tone}">{_prose(made.verdict)}</h1>']
    body += [f"<p>{_prose(text)}</p>" for text in made.advice]
    body += _chart(made)
    for section in made.sections:
        body += _section(section)
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            # Were an escape ever missing, the browser still loads and runs nothing.
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            f"<title>{html_text(made.verdict)}</title>",
            f"<style>\n{_STYLE}\n</style>",
            "</head>",
            "<body>",
            *body,
            "</body>",
            "</html>",
            "",
        ]
    )


def _section(section: Section) -> list[str]:
    out = [f'<section id="{html_text(section.key)}">', f"<h2>{html_text(section.title)}</h2>"]
    for part in section.body:
        if isinstance(part, str):
            out.append(f"<p>{_prose(part)}</p>")
        elif isinstance(part, Table):
            out += _table(part)
        else:
            out += _entry(part)
    return [*out, "</section>"]


def _entry(entry: Entry) -> list[str]:
    out = [f'<div class="fault {TONES.get(entry.severity, "")}">']
    out.append(f"<p>{_word(entry.severity)} <strong>{html_text(entry.head)}</strong></p>")
    out.append(f'<p class="quiet">{html_text(entry.facts)}</p>')
    for name, text in entry.notes:
        out.append(f"<p>{_prose(f'{name}: {text}' if name else text)}</p>")
    out += [f"<pre>{html_text(quote)}</pre>" for quote in entry.quotes]
    return [*out, "</div>"]


def _prose(text: str) -> str:
    """A sentence: what stands in backquotes is code; dates, options, and numbers with their percent sign stay
    whole."""
    # After escaping there is no tag in it, so that a pair can enclose none.
    made = re.sub("`([^`]+)`", r"<code>\1</code>", html_text(text)).replace(" %", "&nbsp;%")
    made = re.sub(r"\b\d{4}-\d\d-\d\d\b|(?<= )--?\w[\w-]*", r'<span class="whole">\g<0></span>', made)
    return re.sub(r"\A(Fix|Seen):", r"<strong>\1:</strong>", made)


def _table(table: Table) -> list[str]:
    shown = table.worded()
    out = ['<div class="table"><table>', "<thead><tr>"]
    for column in (table.columns[at] for at in shown):
        kind = ' class="number"' if column.right else ""
        out.append(f'<th scope="col"{kind}>{html_text(column.title)}</th>')
    out += ["</tr></thead>", "<tbody>"]
    for row in table.rows:
        out.append(f"<tr>{''.join(_cell(row[at], table.columns[at]) for at in shown)}</tr>")
    out.append("</tbody></table></div>")
    return [*out, f'<p class="quiet">{html_text(table.more)}</p>'] if table.more else out


def _cell(cell: Cell, column: Column) -> str:
    if isinstance(cell, int):
        kind = f"number {column.tone if cell else 'zero'}" if column.tone else "number"
        return f'<td class="{kind}">{cell:,}</td>'
    text = cell if isinstance(cell, str) else ""
    if column.right:
        return f'<td class="number">{html_text(text)}</td>'
    kind = ' class="long"' if len(text) > _LONG else ""
    return f"<td{kind}>{_word(text)}</td>"


def _word(text: str) -> str:
    tone = TONES.get(text)
    return f'<span class="{tone}">{html_text(text)}</span>' if tone else html_text(text)


def _chart(made: Page) -> list[str]:
    """Stacked bars, a span each. Letters stand outside of the drawing, which is stretched to the screen."""
    spans = made.hours
    top = max((span.total for span in spans), default=0)
    if not top:
        return []
    used = [outcome for outcome in OUTBOUND_OUTCOMES if any(span.counts[outcome] for span in spans)]
    label = html_text(f"Outgoing messages by {spans[0].unit}, at most {top:,}")
    each = len(spans) <= _EACH
    ticks = list(range(len(spans))) if each else _ticks(spans)
    grid = " ".join(f"M{at * 10} 0V{_HEIGHT}" for at in ticks[1:-1] if not each)
    width = len(spans) * 10
    return [
        "<figure>",
        f'<figcaption class="quiet">{label}</figcaption>',
        f'<svg viewBox="0 0 {width} {_HEIGHT}" preserveAspectRatio="none" role="img" aria-label="{label}">',
        *([f'<path class="grid" d="{grid}"/>'] if grid else []),
        *(_bar(span, at, top, used) for at, span in enumerate(spans) if span.total),
        "</svg>",
        f'<div class="axis{" each" if each else ""}">',
        *(f"<span>{html_text(spans[at].label)}</span>" for at in ticks),
        "</div>",
        '<p class="legend">',
        *(
            f'<span><i class="{outcome}"></i>{sum(span.counts[outcome] for span in spans):,} {outcome}</span>'
            for outcome in used
        ),
        "</p>",
        "</figure>",
    ]


def _bar(span: Span, at: int, top: int, used: Sequence[str]) -> str:
    told = ", ".join(f"{span.counts[outcome]:,} {outcome}" for outcome in used if span.counts[outcome])
    heights = {outcome: span.counts[outcome] * _HEIGHT / top for outcome in used if span.counts[outcome]}
    # One unsigned message among a thousand has to be seen. The tallest part makes room for it.
    heights = {outcome: max(height, _LOWEST) for outcome, height in heights.items()}
    heights[max(heights, key=heights.__getitem__)] -= max(0, sum(heights.values()) - _HEIGHT)
    parts = []
    below = 0.0
    for outcome, height in heights.items():
        below += height
        parts.append(
            f'<rect class="{outcome}" x="{at * 10 + 1}" y="{_HEIGHT - below:.2f}" width="8"'
            f' height="{height:.2f}"/>'
        )
    return f"<g><title>{html_text(f'{span.label}: {told}')}</title>{''.join(parts)}</g>"


def _ticks(spans: Sequence[Span]) -> list[int]:
    """The spans named below the drawing: first, last and, where labels are short, each quarter."""
    number = len(spans)
    parts = (4 if len(spans[0].label) <= 5 else 2) if number >= 12 else 2
    return sorted({*(number * part // parts for part in range(parts)), number - 1})
