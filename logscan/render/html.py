"""The report as one HTML file: no script, nothing from elsewhere, light and dark, readable on a phone."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from logscan.model import OUTBOUND_OUTCOMES
from logscan.render.chart import Span
from logscan.render.escape import html_text
from logscan.render.layout import ROWS, TONES, Cell, Column, Doc, Entry, Page, Section, Table, page

_STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1c1e21; --soft: #667;
  --line: #d8dce2; --box: #f4f6f8;
  --signed: #2f8f5b; --unsigned: #c77700; --milter-error: #c6283d; --undecided: #8a8fa0;
  --good: #1f7a49; --bad: #b3202f; --unsure: #8a5a00; }
@media (prefers-color-scheme: dark) { :root { --paper: #16181c; --ink: #e6e8eb; --soft: #9aa3b0;
  --line: #343942; --box: #1f2329;
  --signed: #4fb37d; --unsigned: #e8a33d; --milter-error: #f0616f; --undecided: #7f8696;
  --good: #62c48f; --bad: #ff7b88; --unsure: #e8b45a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 62rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.3rem; line-height: 1.3; }
h2 { font-size: 1.05rem; margin: 1.8rem 0 .4rem; }
p { margin: .3rem 0; }
.good { color: var(--good); } .bad { color: var(--bad); } .unsure { color: var(--unsure); }
.quiet, .zero { color: var(--soft); }
.table { overflow-x: auto; margin: .2rem 0 .8rem; }
table { border-collapse: collapse; font-size: .9rem; }
th, td { padding: .2rem .9rem .2rem 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--line); overflow-wrap: normal; }
th { color: var(--soft); font-weight: 500; white-space: nowrap; }
td { max-width: 24rem; white-space: nowrap; }
td.long { white-space: normal; overflow-wrap: anywhere; min-width: 12rem; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.fault { margin: .6rem 0; padding: .5rem .8rem; background: var(--box); border-left: 4px solid var(--line); }
.fault.bad { border-color: var(--bad); color: inherit; }
.fault.unsure { border-color: var(--unsure); color: inherit; }
pre { margin: .3rem 0; white-space: pre-wrap; font-size: .8rem; }
figure { margin: 1.2rem 0; }
svg { display: block; width: 100%; height: 8rem; border-bottom: 1px solid var(--line); }
.axis, .legend { display: flex; justify-content: space-between; color: var(--soft); font-size: .8rem; }
.legend { justify-content: flex-start; flex-wrap: wrap; gap: 0 1rem; }
.legend i { display: inline-block; width: .7rem; height: .7rem; margin-right: .3rem; }
""".strip()

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"

_HEIGHT = 100

# A value longer than this may break inside a word, so that a table stays on the screen.
_LONG = 32


def report(doc: Doc, *, by: Collection[str] = (), limit: int = ROWS) -> str:
    """A complete document, UTF-8.

    by, limit: as of `--by` and `--limit`, see `layout.page`.
    """
    made = page(doc, by=by, limit=limit)
    body = [f'<h1 class="{made.tone}">{html_text(made.verdict)}</h1>']
    body += [f"<p>{html_text(text)}</p>" for text in made.advice]
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
            out.append(f"<p>{html_text(part)}</p>")
        elif isinstance(part, Table):
            out += _table(part)
        else:
            out += _entry(part)
    return [*out, "</section>"]


def _entry(entry: Entry) -> list[str]:
    out = [f'<div class="fault {TONES.get(entry.severity, "")}">']
    out.append(f"<p>{_word(entry.severity)} <strong>{html_text(entry.head)}</strong></p>")
    out.append(f'<p class="quiet">{html_text(entry.facts)}</p>')
    out += [f"<p>{html_text(f'{name}: {text}' if name else text)}</p>" for name, text in entry.notes]
    out += [f"<pre>{html_text(quote)}</pre>" for quote in entry.quotes]
    return [*out, "</div>"]


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
    return [
        "<figure>",
        f'<div class="axis"><span>{label}</span></div>',
        f'<svg viewBox="0 0 {len(spans) * 10} {_HEIGHT}" preserveAspectRatio="none"'
        f' role="img" aria-label="{label}">',
        *(_bar(span, at, top, used) for at, span in enumerate(spans) if span.total),
        "</svg>",
        f'<div class="axis">{"".join(f"<span>{html_text(text)}</span>" for text in _axis(spans))}</div>',
        '<div class="legend">',
        *(f'<span><i style="background: var(--{outcome})"></i>{outcome}</span>' for outcome in used),
        "</div>",
        "</figure>",
    ]


def _bar(span: Span, at: int, top: int, used: Sequence[str]) -> str:
    told = ", ".join(f"{span.counts[outcome]:,} {outcome}" for outcome in used if span.counts[outcome])
    parts = []
    below = 0.0
    for outcome in used:
        height = span.counts[outcome] * _HEIGHT / top
        below += height
        if height:
            parts.append(
                f'<rect x="{at * 10 + 1}" y="{_HEIGHT - below:.2f}" width="8" height="{height:.2f}"'
                f' fill="var(--{outcome})"/>'
            )
    return f"<g><title>{html_text(f'{span.label}: {told}')}</title>{''.join(parts)}</g>"


def _axis(spans: Sequence[Span]) -> list[str]:
    if len(spans) < 3:
        return [span.label for span in spans]
    return [spans[0].label, spans[len(spans) // 2].label, spans[-1].label]
