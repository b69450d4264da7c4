"""The report's tables and the export's rows as DataFrames. The only module that needs pandas.

Dtypes, the same for an empty table: counts are int64; instants datetime64[ns] in the zone of the run; words
of a fixed list (direction, outcome …) and hosts are categories; other text is `string`, where pd.NA is
unknown and "" is the null sender; lists stay Python lists (object); yes and no are bool.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import tzinfo
from itertools import islice
from typing import Any

import pandas as pd

from logscan.render.csv import MESSAGE_COLUMNS

CHUNK = 50_000

_OUTCOMES = ("signed", "unsigned", "milter_error", "undecided")
_CATEGORIES = frozenset({"host", "direction", "origin", "outcome", "reason", "effect", "kind", "severity"})
_LISTS = frozenset({"queue_ids", "envelope_recipients", "signatures", "verified", "lines"})
_COUNTS = frozenset({*_OUTCOMES, "messages", "messages_hit", "count"})
_TIMES = frozenset({"first", "last", "hour"})
_FLAGS = frozenset({"ongoing"})

# The columns of each table of the report.
TABLES: Mapping[str, tuple[str, ...]] = {
    "by_host": ("host", *_OUTCOMES),
    "by_domain": ("domain", *_OUTCOMES),
    "by_signature": ("signing_domain", "selector", "signatures"),
    "by_reason": ("direction", "outcome", "reason", "messages"),
    "by_hour": ("hour", *_OUTCOMES),
    "messages": MESSAGE_COLUMNS,
    "faults": (
        "kind", "severity", "host", "subject", "first", "last", "count", "messages_hit", "ongoing", "meaning",
        "fix", "lines",
    ),
}  # fmt: skip


def table(name: str, doc: Mapping[str, Any], zone: tzinfo) -> pd.DataFrame:
    """One of TABLES of a report (contract §4), a row per row of it."""
    return _frame(doc[name], TABLES[name], zone, counted={"signatures"} if name == "by_signature" else set())


def messages(rows: Iterable[Mapping[str, Any]], zone: tzinfo) -> pd.DataFrame:
    """Messages (the contract's dicts) as a DataFrame with the export's columns, made in chunks."""
    every = iter(rows)
    frames = []
    while chunk := list(islice(every, CHUNK)):
        frames.append(_frame(chunk, MESSAGE_COLUMNS, zone))
    if not frames:
        return _frame([], MESSAGE_COLUMNS, zone)
    if len(frames) == 1:
        return frames[0]
    joint = pd.concat(frames, ignore_index=True)
    # Chunks with different words have different categories, and joining those gives plain text.
    return joint.astype({name: "category" for name in MESSAGE_COLUMNS if name in _CATEGORIES})


def _frame(
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[str],
    zone: tzinfo,
    counted: Iterable[str] = (),
) -> pd.DataFrame:
    data = {}
    for name in columns:
        values = [row[name] for row in rows]
        if name in _COUNTS or name in counted:
            data[name] = pd.Series(values, dtype="int64")
        elif name in _TIMES:
            instants = pd.to_datetime(pd.Series(values, dtype="object"), utc=True, format="ISO8601")
            data[name] = instants.dt.as_unit("ns").dt.tz_convert(zone)
        elif name in _LISTS:
            data[name] = pd.Series(values, dtype="object")
        elif name in _FLAGS:
            data[name] = pd.Series(values, dtype="bool")
        else:
            data[name] = pd.Series(values, dtype="category" if name in _CATEGORIES else "string")
    return pd.DataFrame(data, columns=list(columns))
