"""Messages → files of one row each: jsonl, csv, parquet."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, tzinfo
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from logscan.errors import UsageError
from logscan.render import csv, json, screen

CHUNK = 50_000

Rows = Iterable[dict[str, Any]]
Writer = Callable[[Rows, BinaryIO, tzinfo], None]


def writer_for(format: str, output: str) -> Writer:
    """What writes this format. Raises UsageError when it cannot be written here, or not to that output."""
    if format == "parquet":
        if output == "-":
            raise UsageError("--output -", "parquet is not for a stream", "name a file")
        try:
            import pyarrow  # noqa: F401
        except ImportError:
            raise UsageError(
                "--format parquet", "needs pyarrow", "pip install 'mail-logscan[parquet]'"
            ) from None
        return _parquet
    return _csv if format == "csv" else _jsonl


def write_rows(write: Writer, rows: Rows, output: str, zone: tzinfo) -> None:
    """Write rows (the contract's `message`) to a file, whole or not at all, or to "-", standard output.

    Raises UsageError when the file cannot be written.
    """
    if output == "-":
        sys.stdout.flush()
        write(rows, sys.stdout.buffer, zone)
        sys.stdout.buffer.flush()
        return
    try:
        with screen.whole_file(Path(output)) as out:
            write(rows, out, zone)
    except OSError as error:
        what = (error.strerror or str(error)).lower()
        raise UsageError(f"--output {output}", what, "nothing was written there") from error


def _jsonl(rows: Rows, out: BinaryIO, zone: tzinfo) -> None:
    for row in rows:
        out.write(json.line(row).encode("ascii"))


def _csv(rows: Rows, out: BinaryIO, zone: tzinfo) -> None:
    out.write(csv.rows([csv.MESSAGE_COLUMNS]).encode())
    for chunk in _chunks(rows, 1000):
        out.write(csv.rows(csv.message_row(row) for row in chunk).encode("utf-8", "backslashreplace"))


def _parquet(rows: Rows, out: BinaryIO, zone: tzinfo) -> None:
    import pyarrow
    from pyarrow import parquet

    schema = _schema(zone)
    with parquet.ParquetWriter(out, schema) as file:
        for chunk in _chunks(rows, CHUNK):
            for row in chunk:
                row["first"] = datetime.fromisoformat(row["first"])
                row["last"] = datetime.fromisoformat(row["last"])
            file.write_table(pyarrow.Table.from_pylist(chunk, schema))


def _schema(zone: tzinfo) -> Any:
    """Columns as in the contract; times keep the zone where it has a name, and are UTC where it has none."""
    import pyarrow as pa

    signature = [("signing_domain", pa.string()), ("selector", pa.string())]
    instant = pa.timestamp("us", getattr(zone, "key", None) or "UTC")
    kinds = {
        "queue_ids": pa.list_(pa.string()),
        "first": instant,
        "last": instant,
        "envelope_recipients": pa.list_(pa.string()),
        "signatures": pa.list_(pa.struct(signature)),
        "verified": pa.list_(pa.struct([*signature, ("result", pa.string())])),
    }
    return pa.schema([(name, kinds.get(name, pa.string())) for name in csv.MESSAGE_COLUMNS])


def _chunks(rows: Rows, size: int) -> Iterator[list[dict[str, Any]]]:
    every = iter(rows)
    while chunk := list(islice(every, size)):
        yield chunk
