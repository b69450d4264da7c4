"""Exported rows: every message once, with the verdict of the report, in each format."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from small_logs import NOW, Log, real

from logscan.errors import UsageError
from logscan.job import Options
from logscan.pipeline import collected, read_messages, run_export, run_report
from logscan.render.csv import MESSAGE_COLUMNS
from logscan.reports import export as exporting
from logscan.reports import spool as spooling


def options(*logs: Path, **more: Any) -> Options:
    return Options(logs=[str(log) for log in logs], **{"timezone": "UTC", **more})


def export(asked: Options, output: Path, format: str = "jsonl") -> int:
    return run_export(asked, format=format, output=str(output), warn=print, now=NOW)


def rows(asked: Options, folder: Path) -> list[dict[str, Any]]:
    assert export(asked, folder / "out.jsonl") == 0
    return [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]


def mixed() -> Log:
    log = Log()
    log.mail("2026-11-23 10:00:00")
    log.mail("2026-11-23 10:01:00", "app@example.net", signed=False)
    log.mail("2026-11-23 10:02:00", signed=False, failed="inet:127.0.0.1:8892")
    log.inbound("2026-11-23 10:03:00")
    log.mail(
        "2026-11-23 10:04:00",
        "app@example.net",
        signed=False,
        word="no signing table match for 'app@example.net'",
    )
    return log


@pytest.mark.parametrize(
    "name", ["signed", "down_accept", "success_not_logged", "key_unreadable", "inbound_results"]
)
def test_rows_add_up_to_the_report(name: str, tmp_path: Path) -> None:
    asked = options(real(name, tmp_path))
    doc = run_report(asked, warn=print, now=NOW).doc
    found = Counter((row["direction"], row["outcome"]) for row in rows(asked, tmp_path))
    for direction in ("outbound", "inbound"):
        for outcome, count in doc["totals"][direction].items():
            if outcome != "messages":
                assert found[direction, outcome.replace("_", "-")] == count
    for direction in ("bounce", "unknown"):
        assert sum(n for (d, _), n in found.items() if d == direction) == doc["totals"][direction]["messages"]


def test_problem_messages_of_the_report_are_rows(tmp_path: Path) -> None:
    asked = options(mixed().write(tmp_path / "maillog"))
    doc = run_report(asked, warn=print, now=NOW).doc
    found = rows(asked, tmp_path)
    assert [row for row in found if row["direction"] == "outbound" and row["outcome"] != "signed"] == doc[
        "messages"
    ]
    assert len(found) == 5
    assert list(found[0]) == list(MESSAGE_COLUMNS)


def test_rows_say_what_only_the_end_of_the_input_taught(tmp_path: Path) -> None:
    log = Log()
    # Silence at first; a signature later shows that this OpenDKIM logs them.
    log.mail("2026-11-23 10:00:00", signed=False, word="")
    log.add(0, "opendkim[21]", "OpenDKIM Filter v2.11.0 starting (args: -x /etc/opendkim.conf)")
    log.lines[-1] = (log.lines[0][0] - 1, "Nov 23 09:59:59 mx " + log.lines[-1][1].partition(" mx ")[2])
    path = log.write(tmp_path / "maillog")
    [row] = rows(options(path), tmp_path)
    assert (row["outcome"], row["reason"]) == ("undecided", "success-not-logged")
    log.mail("2026-11-23 11:00:00")
    row = rows(options(log.write(path)), tmp_path)[0]
    assert (row["outcome"], row["reason"]) == ("unsigned", "silent")
    assert "LogWhy" in row["detail"]


def test_spooled_messages_are_those_that_were_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spooling, "BATCH", 2)
    path = real("inbound_results", tmp_path)
    with collected(options(path), warn=print, now=NOW) as (_, found):
        spooled = sorted(found, key=lambda message: (message.first, message.queue_ids))
    assert spooled == sorted(read_messages(path), key=lambda message: (message.first, message.queue_ids))


def test_csv_has_the_same_rows(tmp_path: Path) -> None:
    asked = options(mixed().write(tmp_path / "maillog"))
    assert export(asked, tmp_path / "out.csv", "csv") == 0
    head, *cells = csv.reader(io.StringIO((tmp_path / "out.csv").read_text()))
    assert head == list(MESSAGE_COLUMNS)
    expected = rows(asked, tmp_path)
    for name in ("first", "direction", "outcome", "effect", "envelope_sender"):
        assert [row[head.index(name)] for row in cells] == [row[name] for row in expected]


def test_parquet_has_the_same_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    monkeypatch.setattr(exporting, "CHUNK", 2)
    asked = options(mixed().write(tmp_path / "maillog"), timezone="Europe/Berlin")
    assert export(asked, tmp_path / "out.parquet", "parquet") == 0
    table = parquet.read_table(tmp_path / "out.parquet")
    assert table.column_names == list(MESSAGE_COLUMNS)
    assert table.schema.field("first").type == pyarrow.timestamp("us", "Europe/Berlin")
    found = table.to_pylist()
    for row in found:
        row["first"], row["last"] = row["first"].isoformat(), row["last"].isoformat()
    assert found == rows(asked, tmp_path)


def test_an_export_without_messages(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    from pyarrow import parquet

    asked = options(mixed().write(tmp_path / "maillog"), domains=["example.edu"])
    assert rows(asked, tmp_path) == []
    assert export(asked, tmp_path / "out.csv", "csv") == 0
    assert (tmp_path / "out.csv").read_text() == ",".join(MESSAGE_COLUMNS) + "\n"
    assert export(asked, tmp_path / "out.parquet", "parquet") == 0
    assert parquet.read_table(tmp_path / "out.parquet").num_rows == 0


def test_filters(tmp_path: Path) -> None:
    path = mixed().write(tmp_path / "maillog")
    assert {row["envelope_sender"] for row in rows(options(path, domains=["example.net"]), tmp_path)} == {
        "app@example.net"
    }
    assert rows(options(path, hosts=["mx2"]), tmp_path) == []
    late = rows(options(path, since="2026-11-23 10:03"), tmp_path)
    assert [row["direction"] for row in late] == ["inbound", "outbound"]


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    asked = options(mixed().write(tmp_path / "maillog"))
    for format in ("jsonl", "csv"):
        export(asked, tmp_path / "one", format)
        export(asked, tmp_path / "two", format)
        assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_standard_output(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    asked = options(mixed().write(tmp_path / "maillog"))
    assert run_export(asked, format="jsonl", output="-", warn=print, now=NOW) == 0
    assert len(capfdbinary.readouterr().out.splitlines()) == 5


def test_missing_input_is_status_2_and_the_rest_is_written(tmp_path: Path) -> None:
    path = mixed().write(tmp_path / "maillog")
    assert export(options(path, tmp_path / "nothing"), tmp_path / "out.jsonl") == 2
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 5


def test_what_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = options(mixed().write(tmp_path / "maillog"))
    with pytest.raises(UsageError, match="no such file"):
        export(asked, tmp_path / "no" / "out.jsonl")
    with pytest.raises(UsageError, match="parquet is not for a stream"):
        export(asked, Path("-"), "parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UsageError, match=r"pip install 'mail-logscan\[parquet\]'"):
        export(asked, tmp_path / "out.parquet", "parquet")


def test_an_export_that_breaks_off_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = options(mixed().write(tmp_path / "maillog"))
    out = tmp_path / "out.jsonl"
    out.write_text("old\n")

    def breaks(row: dict[str, Any]) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(exporting.json, "line", breaks)
    with pytest.raises(KeyboardInterrupt):
        export(asked, out)
    assert out.read_text() == "old\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["maillog", "out.jsonl"]


def test_neither_command_loads_pandas(tmp_path: Path) -> None:
    import subprocess

    path = mixed().write(tmp_path / "maillog")
    code = (
        "import sys; from logscan.cli import main;"
        f"path, out = {str(path)!r}, {str(tmp_path / 'o.csv')!r};"
        "main(['export', path, '--output', out]); main(['report', path]);"
        "print('pandas' in sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == "False"
