"""The report as one long CSV table, and messages as CSV rows for the export.

Report: ``table,key1,key2,key3,column,value``, a row per value. `table` is the name in the JSON report, the
keys say which of its rows. Cells that a spreadsheet could take for a formula begin with an apostrophe.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from logscan.render.escape import csv_cell

HEADER = ("table", "key1", "key2", "key3", "column", "value")

# The rows of these tables are told apart by these columns.
_KEYS: dict[str, tuple[str, ...]] = {
    "by_host": ("host",),
    "by_domain": ("domain",),
    "by_signature": ("signing_domain", "selector"),
    "by_reason": ("direction", "outcome", "reason"),
    "by_hour": ("hour",),
    "faults": ("kind", "host", "subject"),
}

MESSAGE_COLUMNS = (
    "host",
    "queue_ids",
    "first",
    "last",
    "direction",
    "origin",
    "client",
    "sasl_username",
    "envelope_sender",
    "envelope_recipients",
    "message_id",
    "outcome",
    "reason",
    "effect",
    "signatures",
    "verified",
    "milter",
    "detail",
)


def report(doc: Mapping[str, Any]) -> str:
    """The whole report, header first, ``\\n`` after each row."""
    return _table([HEADER, *_report_rows(doc)])


def message_row(message: Mapping[str, Any]) -> list[str]:
    """One message (the contract's dict) as the cells of MESSAGE_COLUMNS.

    Lists are joined by blanks, signatures are ``domain/selector``, verified ones ``domain/selector=result``.
    The null sender is ``<>``; what is unknown is empty.
    """
    return [csv_cell(_cell(name, message[name])) for name in MESSAGE_COLUMNS]


def rows(table: Iterable[Sequence[str]]) -> str:
    """Cells as CSV text, a line a row."""
    return _table(table)


def _table(table: Iterable[Sequence[str]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(table)
    return out.getvalue()


def _report_rows(doc: Mapping[str, Any]) -> Iterator[list[str]]:
    for name, value in doc.items():
        if name in _KEYS:
            for row in value:
                keys = [row[key] for key in _KEYS[name]]
                yield from _cells(name, keys, {key: row[key] for key in row if key not in _KEYS[name]})
        elif name == "messages":
            for message in value:
                keys = [message["host"], " ".join(message["queue_ids"]), message["first"]]
                rest = {key: message[key] for key in message if key not in ("host", "queue_ids", "first")}
                yield from _cells(name, keys, rest)
        elif name == "why":
            for block in value:
                keys = [block["reason"], block["cause"]]
                told = {key: block[key] for key in block if key not in ("reason", "cause", "lines")}
                yield from _cells(name, keys, told)
                for row in block["lines"]:
                    told = {key: row[key] for key in row if key != "subject"}
                    yield from _cells(name, [*keys, row["subject"]], told)
        elif name == "changes":
            plain = {key: inner for key, inner in value.items() if not isinstance(inner, list)}
            yield from _nested(name, plain)
            for change in ("unsigned", "signed"):
                for row in value[change]:
                    yield from _cells(name, [change, row["domain"]], {key: row[key] for key in row if key != "domain"})
            for row in value["new_reasons"]:
                keys = [row["direction"], row["outcome"], row["reason"]]
                yield from _cells(name, keys, {"messages": row["messages"]})
        elif name == "input":
            for source in value["sources"]:
                yield from _cells(
                    "sources", [source["name"]], {key: source[key] for key in source if key != "name"}
                )
            yield from _nested(name, {key: value[key] for key in value if key != "sources"})
        elif isinstance(value, Mapping):
            yield from _nested(name, value)
        else:
            yield from _cells(name, [], {name: value})


def _nested(table: str, value: Mapping[str, Any]) -> Iterator[list[str]]:
    """`totals` and its like: a plain value is a row of its own, a dict one key deeper."""
    for name, inner in value.items():
        if isinstance(inner, Mapping):
            yield from _cells(table, [name], inner)
        else:
            yield from _cells(table, [], {name: inner})


def _cells(table: str, keys: Sequence[Any], values: Mapping[str, Any]) -> Iterator[list[str]]:
    head = [csv_cell(_cell("", key)) for key in (*keys, "", "", "")[:3]]
    for column, value in values.items():
        yield [table, *head, csv_cell(column), csv_cell(_cell(column, value))]


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        joint = " | " if name == "lines" else " "
        return joint.join(_signature(item) if isinstance(item, Mapping) else str(item) for item in value)
    return "<>" if name == "envelope_sender" and value == "" else str(value)


def _signature(item: Mapping[str, Any]) -> str:
    text = f"{item['signing_domain'] or ''}/{item['selector'] or ''}"
    return f"{text}={item['result']}" if "result" in item else text
