"""logscan from Python: DataFrames that agree with the commands."""

from __future__ import annotations

import subprocess
import sys
import warnings
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from small_logs import Log, real

from logscan import api, frames
from logscan.errors import LogscanError, SourceError, TimeError
from logscan.job import Options
from logscan.pipeline import run_report
from logscan.render.csv import MESSAGE_COLUMNS


@pytest.fixture
def path(tmp_path: Path) -> Path:
    log = Log(iso=True)
    log.mail("2026-11-22 10:00:00")
    log.mail("2026-11-23 10:01:00", "app@example.net", signed=False)
    log.mail("2026-11-23 12:02:00", signed=False, failed="inet:127.0.0.1:8891")
    log.inbound("2026-11-23 12:03:00")
    return log.write(tmp_path / "maillog")


def test_messages_have_the_columns_of_the_export(path: Path) -> None:
    found = api.messages(path, timezone="Europe/Berlin")
    assert list(found.columns) == list(MESSAGE_COLUMNS)
    assert found["outcome"].tolist() == ["signed", "unsigned", "milter-error", "pass"]
    assert found["first"].dtype == pd.DatetimeTZDtype("ns", ZoneInfo("Europe/Berlin"))
    assert found["first"][0] == pd.Timestamp("2026-11-22 11:00", tz="Europe/Berlin")
    assert found["envelope_recipients"][0] == ["friend@example.net"]
    assert found["signatures"][0] == [{"signing_domain": "example.org", "selector": "mx2026"}]
    assert found["milter"].isna().tolist() == [True, True, False, True]
    assert found.groupby("direction", observed=True).size().to_dict() == {"inbound": 1, "outbound": 3}


def test_messages_in_chunks_are_the_same(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = api.messages(path, timezone="UTC")
    monkeypatch.setattr(frames, "CHUNK", 1)
    parts = api.messages(path, timezone="UTC")
    assert (parts.dtypes.astype(str) == whole.dtypes.astype(str)).all()
    assert parts.astype(object).equals(whole.astype(object))


def test_no_messages_have_the_same_dtypes(path: Path) -> None:
    none = api.messages(path, timezone="UTC", hosts=["mx"], domains=["example.edu"])
    assert len(none) == 0
    assert (
        none.dtypes.astype(str).to_dict() == api.messages(path, timezone="UTC").dtypes.astype(str).to_dict()
    )


def test_the_report_is_the_commands(path: Path) -> None:
    found = api.report(path, timezone="UTC")
    doc = run_report(Options(logs=[str(path)], timezone="UTC"), warn=print).doc
    assert found.to_dict() == doc
    assert found.totals["outbound"]["messages"] == 3
    assert found.signed_fraction == pytest.approx(1 / 3)


def test_tables_are_frames(path: Path) -> None:
    found = api.report(path, timezone="UTC")
    assert found.by_domain.to_dict("records") == found.to_dict()["by_domain"]
    assert found.by_host.to_dict("records") == found.to_dict()["by_host"]
    assert found.by_signature.to_dict("records") == found.to_dict()["by_signature"]
    assert found.by_reason.to_dict("records") == found.to_dict()["by_reason"]
    assert len(found.by_hour) == 27 and found.by_hour["hour"].is_monotonic_increasing
    assert found.by_hour.drop(columns="hour").sum().sum() == 3
    assert found.messages["queue_ids"].tolist() == [row["queue_ids"] for row in found.to_dict()["messages"]]
    assert found.faults["kind"].tolist() == ["milter-unreachable"]
    assert found.faults["messages_hit"].tolist() == [1]
    assert found.faults["ongoing"].dtype == bool
    assert found.by_domain is found.by_domain


def test_tables_of_an_empty_report_have_their_columns(path: Path) -> None:
    with pytest.warns(api.LogscanWarning):
        found = api.report(path, since="2026-11-23 13:00", until="2026-11-23 14:00", timezone="UTC")
    for name, columns in frames.TABLES.items():
        assert list(getattr(found, name).columns) == list(columns)
        assert len(getattr(found, name)) == 0


def test_windows_may_be_dates(path: Path) -> None:
    for since in (
        "2026-11-23",
        date(2026, 11, 23),
        datetime(2026, 11, 23),
        pd.Timestamp("2026-11-23", tz="UTC"),
    ):
        found = api.report(path, since=since, timezone="UTC")
        assert found.totals["outbound"]["messages"] == 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(api.messages(path, since="2026-11-23 12:00", timezone="UTC")) == 2


def test_one_name_is_a_list_of_one(path: Path) -> None:
    assert api.report(path, domains="example.net", timezone="UTC").totals["outbound"]["messages"] == 1


def test_errors(path: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such file"):
        api.report(path, tmp_path / "nothing")
    with pytest.raises(TimeError):
        api.messages(path, since="yesteday")
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(LogscanError, match="empty"):
        api.messages(tmp_path / "empty")


def test_lesser_trouble_is_a_warning(path: Path) -> None:
    with pytest.warns(api.LogscanWarning, match="nothing was logged"):
        api.report(path, since="2026-11-20", until="2026-11-21", timezone="UTC")


def test_names_of_the_package(tmp_path: Path) -> None:
    code = (
        "import sys, logscan; assert 'pandas' not in sys.modules;"
        f"path = {str(real('signed', tmp_path))!r};"
        "print(len(logscan.messages(path)), len(logscan.messages(path)), logscan.report(path))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    said = "<logscan.Report: outbound 7 messages, 7 signed, 0 unsigned, 0 milter error, 0 undecided>"
    assert done.stdout == f"7 7 {said}\n"
