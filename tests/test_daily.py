"""`logscan daily`: which day, which status, what is said; never two days for one."""

from __future__ import annotations

import io
import json
import os
import sys
import types
from datetime import date, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import builder
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_logs import Log, epoch, real

from logscan import daily as module
from logscan.cli import main
from logscan.daily import run_daily
from logscan.errors import TimeError, UsageError
from logscan.job import Options
from logscan.render import text, verdict

sys.path.insert(0, str(Path(__file__).parent / "render"))

import docs

BERLIN = ZoneInfo("Europe/Berlin")
UTC = ZoneInfo("UTC")
MORNING = epoch("2026-11-24 06:15:00")

# A day's mail for logs that have to reach over it.
NIGHT = ("00:00:20", "06:00:00", "12:00:00", "18:00:00", "23:59:00")


def daily(
    *logs: Path | str, now: int = MORNING, day: str | None = None, zone: str = "UTC", **options: Any
) -> tuple[dict[str, Any], int, list[str]]:
    """The document, the status but for findings, and what was said on the way."""
    said: list[str] = []
    asked = Options(logs=[str(log) for log in logs], timezone=zone, **options)
    result = run_daily(asked, date=day, warn=said.append, now=now)
    return result.doc, result.status, said


def outbound(doc: dict[str, Any]) -> tuple[int, int]:
    """signed, unsigned."""
    out = doc["totals"]["outbound"]
    return out["signed"], out["unsigned"]


def days(first: str, last: str, zone: tzinfo = UTC, **fields: Any) -> Log:
    """A log with a signed mail at each hour of NIGHT on each of these days."""
    log = Log(zone=zone, **fields)
    at, end = date.fromisoformat(first), date.fromisoformat(last)
    while at <= end:
        for clock in NIGHT:
            log.mail(f"{at} {clock}")
        at += timedelta(days=1)
    return log


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> types.SimpleNamespace:
    """What the command takes for the time; set `now`."""
    made = types.SimpleNamespace(now=MORNING)
    monkeypatch.setattr(module, "time", types.SimpleNamespace(time=lambda: made.now))
    monkeypatch.setenv("TZ", "UTC")
    return made


# --- what is said, and the status ---


def test_a_good_day_is_passed_over_in_silence(
    tmp_path: Path, clock: types.SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    path = days("2026-11-21", "2026-11-23").write(tmp_path / "maillog")
    assert main(["daily", str(path)]) == 0
    assert capsys.readouterr() == ("", "")


def test_always_prints_the_good_day_too(
    tmp_path: Path, clock: types.SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    path = days("2026-11-21", "2026-11-23").write(tmp_path / "maillog")
    assert main(["daily", "--always", str(path)]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[0] == "mx 2026-11-23: all 5 outgoing messages signed"
    assert err == ""


def bad_day(path: Path) -> Path:
    log = days("2026-11-21", "2026-11-23")
    log.mail(
        "2026-11-23 10:00:00", "news@example.net", signed=False, word="no signing table match for 'news@example.net'"
    )
    return log.write(path)


def test_a_bad_day_is_a_mail_whose_first_line_is_its_subject(
    tmp_path: Path, clock: types.SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["daily", str(bad_day(tmp_path / "maillog"))]) == 1
    out, err = capsys.readouterr()
    assert out.splitlines()[0] == "mx 2026-11-23: 1 unsigned, 83.3 % of 6 signed"
    assert out.isascii() and max(map(len, out.splitlines())) <= 80
    assert "\x1b" not in out and "no-signing-table-match" in out and "news@example.net" in out
    assert err == ""


def silent(path: Path, first: str, last: str, *, runs: bool) -> Path:
    """Unsigned mail of which OpenDKIM logs nothing; it is seen to run, or not."""
    log = Log()
    at, end = date.fromisoformat(first), date.fromisoformat(last)
    while at <= end:
        for clock in NIGHT:
            log.mail(f"{at} {clock}", signed=False)
        if runs:
            log.add(epoch(f"{at} 00:00:10"), "opendkim[21]", "OpenDKIM Filter v2.11.0 starting (args: -f)")
        at += timedelta(days=1)
    log.lines.sort()
    return log.write(path)


@pytest.mark.parametrize(
    ("runs", "setting"), [(True, "SyslogSuccess yes"), (False, "systemctl status opendkim")], ids=["mute", "absent"]
)
def test_a_log_that_cannot_tell_is_no_good_day(
    runs: bool,
    setting: str,
    tmp_path: Path,
    clock: types.SimpleNamespace,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Else who takes OpenDKIM out of main.cf, or its word out of the log, never hears of it."""
    path = silent(tmp_path / "maillog", "2026-11-21", "2026-11-23", runs=runs)
    assert main(["daily", str(path)]) == 1
    out, err = capsys.readouterr()
    assert out.splitlines()[0] == "mx 2026-11-23: cannot tell if 5 outgoing messages were signed"
    assert out.count(setting) == 1 and "unsigned" not in out.split("Sender domains")[0]
    assert err == ""


def test_one_mute_host_is_told_beside_one_that_logs(
    tmp_path: Path, clock: types.SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    good = days("2026-11-21", "2026-11-23", host="mx2")
    (tmp_path / "mx2").mkdir()
    (tmp_path / "mx").mkdir()
    logs = [str(good.write(tmp_path / "mx2" / "maillog"))]
    assert main(["daily", *logs]) == 0
    # A host that only has its own mail, and no OpenDKIM, is none to wake anybody for.
    alone = silent(tmp_path / "mx" / "maillog", "2026-11-21", "2026-11-23", runs=False)
    assert main(["daily", *logs, str(alone)]) == 0
    assert capsys.readouterr() == ("", "")
    mute = silent(tmp_path / "mx" / "maillog", "2026-11-21", "2026-11-23", runs=True)
    assert main(["daily", *logs, str(mute)]) == 1
    assert capsys.readouterr().out.splitlines()[0] == "2 hosts 2026-11-23: 5 undecided, all 5 others signed"


def test_a_mail_on_its_way_wakes_nobody(
    tmp_path: Path, clock: types.SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    log = days("2026-11-21", "2026-11-22")
    log.mail("2026-11-23 23:50:00", signed=False, end=-1)
    log.add(epoch("2026-11-24 06:00:00"), "postfix/anvil[15]", "statistics: max cache size 1 at Nov 24 05:50:00")
    for clock_of_day in NIGHT[:-1]:
        log.add(epoch(f"2026-11-23 {clock_of_day}"), "postfix/anvil[15]", "statistics: max cache size 1")
    log.lines.sort()
    path = log.write(tmp_path / "maillog")
    assert main(["daily", str(path)]) == 0
    assert capsys.readouterr() == ("", "")


def test_what_is_wrong_is_what_report_check_finds(
    tmp_path: Path, clock: types.SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("signed", "down_accept", "success_not_logged", "not_internal_why", "key_unreadable"):
        path = real(name, tmp_path)
        clock.now = epoch("2026-11-25 06:15:00")
        os.utime(path, (clock.now, clock.now))
        window = ["--since", "2026-11-24", "--until", "2026-11-25"]
        checked = main(["report", "--check", *window, str(path)])
        capsys.readouterr()
        found = main(["daily", "--format", "json", str(path)])
        out = capsys.readouterr().out
        # The real logs are of a few minutes, which is no whole day.
        assert found == 2
        assert bool(out) == bool(checked)


def test_the_first_line_is_whole_however_much_there_is_to_say() -> None:
    doc = long_doc()
    first, *rest = text.mail(doc).splitlines()
    assert len(verdict.verdict(doc)) > 80
    assert first == "mail-gateway-01 2026-11-23: 1,204 unsigned, 12,345 milter errors"
    assert "of 1,235,567 signed" in " ".join(rest[:3])
    assert max(map(len, [first, *rest])) <= 80


def long_doc() -> dict[str, Any]:
    doc = docs.healthy()
    doc["hosts"] = ["mail-gateway-01.frankfurt.example.org"]
    doc["totals"]["outbound"] = {
        "messages": 1_235_912, "signed": 1_222_018, "unsigned": 1_204, "milter_error": 12_345, "undecided": 345,
    }  # fmt: skip
    doc["signed_fraction"] = 1_222_018 / 1_235_567
    return doc


def test_the_first_line_keeps_the_fraction_where_it_can() -> None:
    doc = long_doc()
    doc["totals"]["outbound"] |= {"unsigned": 204, "milter_error": 7, "undecided": 0}
    assert text.mail(doc).splitlines()[0] == "mail-gateway-01 2026-11-23: 204 unsigned, 7 milter errors, 98.9 % signed"


@pytest.mark.parametrize("host", ["x" * 300, "\u202e" * 60, "a b\tc", "caf\u00e9" * 20, ""])
def test_the_first_line_is_one_line_of_ascii_whatever_the_hosts_name(host: str) -> None:
    doc = long_doc()
    doc["hosts"] = [host] if host else []
    first = text.mail(doc).splitlines()[0]
    assert len(first) <= 78 and first.isascii() and first.isprintable() and "1,204 unsigned" in first


@pytest.mark.parametrize(
    ("format", "start"),
    [("json", '{\n  "schema": "logscan.report/1"'), ("csv", "table,key1"), ("markdown", "# mx 2026-11-23: 1"),
     ("html", "<!DOCTYPE html>"), ("text", "mx 2026-11-23: 1 unsigned")],
)  # fmt: skip
def test_every_format(
    format: str, start: str, tmp_path: Path, clock: types.SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["daily", "--format", format, str(bad_day(tmp_path / "maillog"))]) == 1
    out = capsys.readouterr().out
    assert out.startswith(start)
    if format == "json":
        window = json.loads(out)["window"]
        assert window["day"] == "2026-11-23"
        assert (window["since"], window["until"]) == ("2026-11-23T00:00:00+00:00", "2026-11-24T00:00:00+00:00")
    good = days("2026-11-21", "2026-11-23").write(tmp_path / "good")
    assert main(["daily", "--format", format, str(good)]) == 0
    assert capsys.readouterr().out == ""


def test_filters_are_those_of_a_report(tmp_path: Path) -> None:
    path = bad_day(tmp_path / "maillog")
    assert outbound(daily(path)[0]) == (5, 1)
    assert outbound(daily(path, domains=["example.org"])[0]) == (5, 0)
    assert outbound(daily(path, hosts=["mx"])[0]) == (5, 1)


def test_a_host_that_the_log_does_not_have_is_no_good_day(tmp_path: Path) -> None:
    _, status, said = daily(bad_day(tmp_path / "maillog"), hosts=["mx2"])
    assert status == 2
    assert said == ["--host mx2: no line of it in the input, which has mx"]


# --- which day ---


@pytest.mark.parametrize(
    ("word", "day"),
    [
        (None, "2026-11-23"),
        ("today", "2026-11-23"),
        ("now", "2026-11-23"),
        ("yesterday", "2026-11-22"),
        ("2 days ago", "2026-11-21"),
        ("tomorrow", "2026-11-24"),
        ("2026-11-24", "2026-11-23"),
        ("2026-11-24 23:59", "2026-11-23"),
        ("20261123", "2026-11-22"),
        ("Nov 22", "2026-11-21"),
        ("Nov 25", "2025-11-24"),
        ("monday", "2026-11-22"),
        ("2026-03-01", "2026-02-28"),
        ("2024-03-01", "2024-02-29"),
        ("2026-01-01", "2025-12-31"),
    ],
)
def test_the_day_before_a_date(word: str | None, day: str, tmp_path: Path) -> None:
    path = days("2026-11-19", "2026-11-24").write(tmp_path / "maillog")
    window = daily(path, day=word)[0]["window"]
    assert (window["day"], window["since"]) == (day, f"{day}T00:00:00+00:00")


def test_words_that_are_no_date(tmp_path: Path) -> None:
    with pytest.raises(TimeError, match="did you mean 'yesterday'"):
        daily(tmp_path, day="yesteday")
    for word in ("2026-11-26", "1970-01-01"):
        with pytest.raises(UsageError, match="the day before it is"):
            daily(tmp_path, day=word)


def test_today_as_far_as_it_has_come(tmp_path: Path) -> None:
    path = days("2026-11-22", "2026-11-23").write(tmp_path / "maillog")
    log = Log()
    log.mail("2026-11-24 06:00:00", signed=False)
    with path.open("ab") as file:
        file.write(log.write(tmp_path / "more").read_bytes())
    doc, status, said = daily(path, day="tomorrow")
    assert (outbound(doc), status, said) == ((0, 1), 0, [])


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns"])
def test_every_minute_around_midnight_is_in_one_day(zone: str, tmp_path: Path) -> None:
    """A mail a minute, each delivered ten minutes later: on the other side of midnight as often as not."""
    log = Log(zone=ZoneInfo(zone))
    midnight = epoch("2026-11-23 00:00:00", ZoneInfo(zone))
    for minute in range(-30, 30):
        log.mail(midnight + 60 * minute, end=600)
    log.mail(midnight - 1, "late@example.net", end=1)
    log.mail(midnight, "early@example.com", end=1)
    log.mail("2026-11-21 12:00:00")
    log.mail("2026-11-23 23:59:00")
    path = log.write(tmp_path / "maillog")
    now = epoch("2026-11-24 06:15:00", ZoneInfo(zone))
    before, status, _ = daily(path, now=now, day="yesterday", zone=zone)
    after, _, _ = daily(path, now=now, zone=zone)
    assert status == 0
    assert (outbound(before), outbound(after)) == ((31, 0), (32, 0))
    assert {row["domain"] for row in before["by_domain"]} == {"example.org", "example.net"}
    assert {row["domain"] for row in after["by_domain"]} == {"example.org", "example.com"}


@pytest.mark.parametrize("minute", range(-5, 6))
def test_the_day_is_right_at_each_minute_that_the_command_is_given(minute: int, tmp_path: Path) -> None:
    path = days("2026-11-21", "2026-11-24").write(tmp_path / "maillog")
    midnight = epoch("2026-11-24 00:00:00", BERLIN)
    doc, _, _ = daily(path, now=midnight + 60 * minute, zone="Europe/Berlin")
    assert doc["window"]["day"] == ("2026-11-22" if minute < 0 else "2026-11-23")


def test_a_message_in_transit_at_midnight_is_judged_by_what_came_after(tmp_path: Path) -> None:
    log = days("2026-11-22", "2026-11-23")
    # Opened before midnight, signed and delivered after.
    log.add(
        epoch("2026-11-23 23:59:59"),
        "postfix/smtpd[11]",
        "ABCDE10A: client=localhost[127.0.0.1], sasl_method=PLAIN, sasl_username=app",
    )
    log.add(epoch("2026-11-24 00:00:01"), "postfix/cleanup[12]", "ABCDE10A: message-id=<1@app.example.org>")
    log.add(epoch("2026-11-24 00:00:01"), "opendkim[21]", "ABCDE10A: DKIM-Signature field added (s=k1, d=example.org)")
    log.add(
        epoch("2026-11-24 00:00:02"),
        "postfix/qmgr[13]",
        "ABCDE10A: from=<app@example.org>, size=387, nrcpt=1 (queue active)",
    )
    log.add(
        epoch("2026-11-24 05:00:02"),
        "postfix/smtp[14]",
        "ABCDE10A: to=<x@example.net>, relay=203.0.113.25[203.0.113.25]:25, delay=1, delays=1/0/0/0, dsn=2.0.0, status=sent (ok)",
    )
    log.add(epoch("2026-11-24 05:00:02"), "postfix/qmgr[13]", "ABCDE10A: removed")
    path = log.write(tmp_path / "maillog")
    assert outbound(daily(path)[0]) == (6, 0)
    assert daily(path)[0]["totals"]["outbound"]["undecided"] == 0
    assert outbound(daily(path, day="tomorrow")[0]) == (0, 0)


@pytest.mark.parametrize(
    ("day", "zone", "hours"),
    [
        ("2026-03-29", "Europe/Berlin", 23),
        ("2026-10-25", "Europe/Berlin", 25),
        ("2026-10-24", "Europe/Berlin", 24),
        ("2026-03-08", "America/New_York", 23),
        ("2026-11-01", "America/New_York", 25),
        # The clocks skip or repeat midnight itself.
        ("2026-04-24", "Africa/Cairo", 23),
        ("2026-04-23", "Africa/Cairo", 24),
        ("2026-10-29", "Africa/Cairo", 25),
        ("2026-10-30", "Africa/Cairo", 24),
    ],
)
@pytest.mark.parametrize("iso", [True, False])
def test_a_day_is_as_long_as_the_clocks_make_it(day: str, zone: str, hours: int, iso: bool, tmp_path: Path) -> None:
    """A mail every quarter of an hour for three days; two days never share one, and none is lost."""
    local = ZoneInfo(zone)
    log = Log(zone=local, iso=iso)
    middle = date.fromisoformat(day)
    start = epoch(f"{middle - timedelta(days=1)} 12:00:00", local)
    end = epoch(f"{middle + timedelta(days=1)} 12:00:00", local)
    for at in range(start, end, 900):
        log.mail(at)
    path = log.write(tmp_path / "maillog")
    doc, status, said = daily(path, now=end, day=str(middle + timedelta(days=1)), zone=zone)
    assert (status, said) == (0, [])
    assert doc["window"]["day"] == day
    assert outbound(doc) == (4 * hours, 0)
    assert len(doc["by_hour"]) == hours
    assert text.mail(doc).startswith(f"mx {day}: all ")


def test_new_years_eve(tmp_path: Path) -> None:
    path = days("2026-12-29", "2027-01-01").write(tmp_path / "maillog", until="2027-01-01 06:00:00")
    doc, status, said = daily(path, now=epoch("2027-01-01 06:15:00"))
    assert (doc["window"]["day"], outbound(doc), status, said) == ("2026-12-31", (5, 0), 0, [])
    doc, _, _ = daily(path, now=epoch("2027-01-01 06:15:00"), day="Jan 1")
    assert doc["window"]["day"] == "2026-12-31"
    doc, _, _ = daily(path, now=epoch("2027-01-02 06:15:00"))
    assert (doc["window"]["day"], outbound(doc)) == ("2027-01-01", (1, 0))


@pytest.mark.parametrize(("today", "day"), [("2028-03-01", "2028-02-29"), ("2028-02-29", "2028-02-28")])
def test_leap_day(today: str, day: str, tmp_path: Path) -> None:
    path = days("2028-02-26", today).write(tmp_path / "maillog", until=f"{today} 06:00:00")
    doc, status, said = daily(path, now=epoch(f"{today} 06:15:00"))
    assert (doc["window"]["day"], outbound(doc), status, said) == (day, (5, 0), 0, [])


@given(
    ats=st.lists(st.integers(0, 4 * 86400 - 1), min_size=1, max_size=30),
    zone=st.sampled_from(["UTC", "Europe/Berlin"]),
)
def test_each_message_is_in_exactly_one_day(ats: list[int], zone: str, tmp_path_factory: Any) -> None:
    log = Log(zone=ZoneInfo(zone))
    start = epoch("2026-10-23 00:00:00", ZoneInfo(zone))
    for at in ats:
        log.mail(start + at)
    path = log.write(tmp_path_factory.mktemp("log") / "maillog")
    now = epoch("2026-10-28 06:00:00", ZoneInfo(zone))
    counts = [daily(path, now=now, day=f"2026-10-{day}", zone=zone)[0] for day in range(23, 29)]
    assert sum(outbound(doc)[0] for doc in counts) == len(ats)


# --- rotated logs ---


def rotated(folder: Path, names: list[str], cuts: list[str], log: Log) -> Path:
    """Write a log cut at these times into files, oldest first; the last one is the live log."""
    for name, since, until in zip(names, ["", *cuts], [*cuts, ""], strict=True):
        log.write(folder / name, since=since, until=until)
    return folder / names[-1]


@pytest.mark.parametrize(
    "names",
    [
        ["maillog.2.gz", "maillog.1", "maillog"],
        ["maillog.2.bz2", "maillog.1.gz", "maillog"],
        ["maillog-20261123", "maillog-20261124", "maillog"],
        ["maillog-20261123.gz", "maillog-20261124.gz", "maillog"],
        ["mail.log.2.gz", "mail.log.1", "mail.log"],
    ],
)
@pytest.mark.parametrize(
    "cuts",
    [
        ["2026-11-23 00:00:00", "2026-11-24 00:00:00"],
        ["2026-11-23 00:00:30", "2026-11-24 00:00:30"],
        ["2026-11-22 06:25:00", "2026-11-23 06:25:00"],
        ["2026-11-15 00:00:00", "2026-11-22 00:00:00"],
    ],
    ids=["midnight", "after midnight", "morning", "weekly"],
)
@pytest.mark.parametrize("iso", [True, False])
def test_rotated_logs(names: list[str], cuts: list[str], iso: bool, tmp_path: Path) -> None:
    log = days("2026-11-10", "2026-11-24", iso=iso)
    log.mail("2026-11-23 06:24:59", "edge@example.net", signed=False)
    log.mail("2026-11-22 09:00:00", "other@example.com", signed=False)
    for at, line in log.lines[:]:
        if at >= MORNING:
            log.lines.remove((at, line))
    live = rotated(tmp_path, names, cuts, log)
    doc, status, said = daily(live)
    assert (outbound(doc), status, said) == ((5, 1), 0, [])
    assert "example.com" not in {row["domain"] for row in doc["by_domain"]}


def test_the_live_log_is_still_empty_after_its_rotation(tmp_path: Path) -> None:
    live = rotated(tmp_path, ["maillog.1", "maillog"], ["2026-11-24 00:00:00"], days("2026-11-20", "2026-11-23"))
    assert live.read_bytes() == b""
    doc, status, said = daily(live, now=epoch("2026-11-24 00:05:00"))
    assert (outbound(doc), status, said) == ((5, 0), 0, [])


def test_a_quiet_host_is_not_told_that_files_are_missing(tmp_path: Path) -> None:
    """Nothing before nine in the morning, and the rotated file ended long before the day: it is there, though."""
    log = Log()
    for day in ("2026-11-20", "2026-11-21", "2026-11-22", "2026-11-23"):
        log.mail(f"{day} 09:00:00")
        log.mail(f"{day} 17:00:00")
    log.mail("2026-11-24 05:00:00")
    kept = [line for line in log.lines if not epoch("2026-11-22 00:00:00") <= line[0] < epoch("2026-11-23 00:00:00")]
    log.lines = kept
    live = rotated(tmp_path, ["maillog.1", "maillog"], ["2026-11-22 00:00:00"], log)
    doc, status, said = daily(live)
    assert (outbound(doc), status, said) == ((2, 0), 0, [])


def test_a_day_without_mail_between_days_with_mail_is_a_good_day(tmp_path: Path) -> None:
    log = days("2026-11-20", "2026-11-21")
    log.mail("2026-11-24 05:00:00")
    doc, status, said = daily(log.write(tmp_path / "maillog"))
    assert (outbound(doc), status, said) == ((0, 0), 0, [])


# --- a log that does not tell ---


def test_a_log_that_is_not_there(
    tmp_path: Path, clock: types.SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["daily", str(tmp_path / "maillog")]) == 2
    assert capsys.readouterr() == ("", f"logscan: {tmp_path}/maillog: no such file\n")


@pytest.mark.parametrize(
    ("data", "words"), [(b"", "empty; is the mail log"), (b"hello\n", "not a log"), (b"\xff\0\n" * 9, "not a log")]
)
def test_a_log_that_is_none(
    data: bytes, words: str, tmp_path: Path, clock: types.SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "maillog").write_bytes(data)
    assert main(["daily", str(tmp_path / "maillog")]) == 2
    out, err = capsys.readouterr()
    assert out == "" and words in err and err.count("\n") == 1


def test_a_log_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = days("2026-11-22", "2026-11-23").write(tmp_path / "maillog")

    def denied(*args: Any, **kwargs: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("logscan.sources.blocks.os.open", denied)
    monkeypatch.setattr("pathlib.Path.open", denied)
    monkeypatch.setattr("builtins.open", denied)
    _, status, said = daily(path)
    assert status == 2
    assert len(said) == 1 and "permission denied" in said[0]


@pytest.mark.parametrize(
    ("first", "last", "line"),
    [
        ("2026-11-18", "2026-11-20", "ends at 2026-11-20 23:59:02, before 2026-11-23; is it still written to?"),
        ("2026-11-24", "2026-11-24", "begins at 2026-11-24 00:00:20, after 2026-11-23; are rotated files missing?"),
    ],
)
def test_a_log_that_does_not_reach_the_day(first: str, last: str, line: str, tmp_path: Path) -> None:
    path = days(first, last).write(tmp_path / "maillog", until="2026-11-24 06:00:00")
    doc, status, said = daily(path)
    assert (outbound(doc), status) == ((0, 0), 2)
    assert said == [f"error: {path}: {line}"]


def test_a_rotated_log_that_does_not_reach_the_day(tmp_path: Path) -> None:
    """The live log is empty and the rotated files are old: the daemon lost its log at the rotation."""
    live = rotated(tmp_path, ["maillog.1.gz", "maillog"], ["2026-11-20 00:00:00"], days("2026-11-15", "2026-11-19"))
    _, status, said = daily(live)
    assert (
        status == 2
        and len(said) == 1
        and said[0].endswith("/maillog.1.gz: ends at 2026-11-19 23:59:02, before 2026-11-23; is it still written to?")
    )


def test_last_years_log_is_not_taken_for_this_years(tmp_path: Path) -> None:
    path = days("2025-11-20", "2025-11-24").write(tmp_path / "maillog")
    doc, status, said = daily(path)
    assert (outbound(doc), status) == ((0, 0), 2)
    assert said == [f"error: {path}: ends at 2025-11-24 23:59:02, before 2026-11-23; is it still written to?"]
    rotated_one = days("2025-11-20", "2025-11-24").write(tmp_path / "copy-20251125.gz")
    os.utime(rotated_one, (MORNING, MORNING))  # copied yesterday: the name tells its year
    doc, status, said = daily(rotated_one)
    assert (outbound(doc), status) == ((0, 0), 2)
    # Lines that would be of the future are of last year, whatever the time of change says.
    later = days("2025-11-20", "2025-12-10").write(tmp_path / "later")
    os.utime(later, (MORNING, MORNING))
    doc, status, said = daily(later)
    assert (outbound(doc), status) == ((0, 0), 2)


def test_a_log_that_stops_in_the_middle_of_the_day(tmp_path: Path) -> None:
    log = days("2026-11-20", "2026-11-23")
    path = log.write(tmp_path / "maillog", until="2026-11-23 19:00:00")
    assert daily(path)[1:] == (0, [])  # this host has pauses of six hours
    busy = Log()
    for at in range(epoch("2026-11-22 00:00:00"), epoch("2026-11-23 14:00:00"), 600):
        busy.mail(at)
    path = busy.write(tmp_path / "busy")
    doc, status, said = daily(path)
    assert (outbound(doc), status) == ((84, 0), 2)
    assert said == [
        f"error: {path}: ends at 2026-11-23 13:50:02, and nothing tells of 2026-11-23 after that;"
        " is it still written to?"
    ]
    # What was wrong before it stopped is told all the same.
    busy.mail("2026-11-23 13:00:00", signed=False)
    assert outbound(daily(busy.write(tmp_path / "bad"))[0]) == (84, 1)


def test_a_log_that_begins_in_the_middle_of_the_day(tmp_path: Path) -> None:
    busy = Log()
    for at in range(epoch("2026-11-23 06:25:00"), epoch("2026-11-24 06:00:00"), 600):
        busy.mail(at)
    path = busy.write(tmp_path / "maillog")
    _, status, said = daily(path)
    assert status == 2
    assert said == [
        f"error: {path}: begins at 2026-11-23 06:25:00, and nothing tells of 2026-11-23 before that;"
        " are rotated files missing?"
    ]


def test_nobody_misses_an_hour_at_either_end(tmp_path: Path) -> None:
    log = Log()
    for at in range(epoch("2026-11-23 00:50:00"), epoch("2026-11-23 23:10:00"), 600):
        log.mail(at)
    assert daily(log.write(tmp_path / "maillog"))[1:] == (0, [])


def test_each_directory_of_a_log_server_has_to_reach(tmp_path: Path) -> None:
    for host in ("mx1", "mx2"):
        (tmp_path / host).mkdir()
    good = days("2026-11-20", "2026-11-24", host="mx1").write(tmp_path / "mx1" / "maillog", until="2026-11-24 06:00:00")
    dead = days("2026-11-20", "2026-11-21", host="mx2").write(tmp_path / "mx2" / "maillog")
    doc, status, said = daily(good, dead)
    assert (outbound(doc), status) == ((5, 0), 2)
    assert said == [f"error: {dead}: ends at 2026-11-21 23:59:02, before 2026-11-23; is it still written to?"]
    # In one directory the log of errors alone is as a rule old or empty.
    errors = days("2026-11-20", "2026-11-20", host="mx1").write(tmp_path / "mx1" / "mail.err")
    assert daily(good, errors)[1:] == (0, [])


def test_a_rotated_file_missing_from_the_middle_is_no_whole_day(tmp_path: Path) -> None:
    log = days("2026-11-20", "2026-11-23")
    cuts = ["2026-11-23 01:00:00", "2026-11-23 12:30:00"]
    live = rotated(tmp_path, ["maillog.3", "maillog.2", "maillog"], cuts, log)
    (tmp_path / "maillog.2").unlink()
    live.rename(tmp_path / "maillog.1")
    (tmp_path / "maillog").write_bytes(b"")
    doc, status, said = daily(tmp_path / "maillog")
    assert status == 2
    assert said == [f"{tmp_path}/maillog.2: missing, though older and younger ones are there; its mail is not counted"]
    assert [fault["kind"] for fault in doc["faults"]] == ["log-gap"]


def test_a_truncated_archive_is_no_whole_day(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = days("2026-11-20", "2026-11-23").write(tmp_path / "maillog.gz")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 3 // 4])
    _, status, said = daily(path)
    assert status == 2 and any("ends early" in line for line in said)


@pytest.mark.parametrize("cut", [False, True])
def test_standard_input(cut: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    until = "2026-11-23 13:00:00" if cut else "2026-11-24 06:00:00"
    data = days("2026-11-21", "2026-11-24").write(tmp_path / "x", until=until).read_bytes()
    monkeypatch.setattr("sys.stdin", types.SimpleNamespace(buffer=io.BytesIO(data)))
    doc, status, said = daily("-")
    assert outbound(doc) == (3 if cut else 5, 0)
    assert (status, len(said)) == ((2, 1) if cut else (0, 0))


@pytest.mark.parametrize(
    ("hours", "counts", "status", "words"),
    [
        ((-30, -14, 2, 20), (2, 0), 0, ""),
        # Quiet until nine, and nothing after five: a journal that answers is there, whatever the hour.
        ((9, 17), (2, 0), 0, ""),
        ((-5, -2), (0, 0), 2, "error: journal: ends at 2026-11-22 22:00:00, before 2026-11-23"),
        ((), (0, 0), 2, "journal:"),
    ],
)
def test_the_journal(
    hours: tuple[int, ...], counts: tuple[int, int], status: int, words: str, tmp_path: Path, monkeypatch: Any
) -> None:
    """Hours are those of the day."""
    log = builder.Log()
    for number, hour in enumerate(hours):
        log.at = epoch("2026-11-23 00:00:00") + 3600 * hour
        log.mail(f"A0000{number}", "+", sasl="app")
    (tmp_path / "lines").write_bytes(log.journal())
    program = tmp_path / "journalctl"
    program.write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/asked\ncat {tmp_path}/lines\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    doc, got, said = daily("journal:")
    assert (outbound(doc), got) == (counts, status)
    assert (len(said), words in "".join(said)) == ((1 if words else 0), True)
    since, until = epoch("2026-11-22 18:00:00"), epoch("2026-11-25 00:00:00")
    assert f"--since=@{since} --until=@{until}" in (tmp_path / "asked").read_text()


def test_findings_are_printed_though_the_log_stops(
    tmp_path: Path, clock: types.SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    log = Log()
    for at in range(epoch("2026-11-22 00:00:00"), epoch("2026-11-23 14:00:00"), 600):
        log.mail(at)
    log.mail("2026-11-23 13:00:00", signed=False)
    assert main(["daily", str(log.write(tmp_path / "maillog"))]) == 2
    out, err = capsys.readouterr()
    assert out.startswith("mx 2026-11-23: 1 unsigned")
    assert err.count("\n") == 1 and "is it still written to?" in err


def test_the_log_that_was_chosen_is_named_only_when_there_is_something_to_say(
    tmp_path: Path,
    clock: types.SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = days("2026-11-21", "2026-11-23").write(tmp_path / "maillog")
    monkeypatch.setattr("logscan.sources.plan.DEFAULT_LOGS", (str(path),))
    assert main(["daily"]) == 0
    assert capsys.readouterr() == ("", "")
    assert main(["daily", "--always"]) == 0
    assert capsys.readouterr().err == f"logscan: reading {path}\n"


def test_the_machines_zone_is_the_days(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    path = days("2026-11-20", "2026-11-24", zone=ZoneInfo("Asia/Tokyo")).write(tmp_path / "maillog")
    result = run_daily(Options(logs=[str(path)]), warn=print, now=epoch("2026-11-23 16:00:00"))
    assert result.doc["window"]["since"] == "2026-11-23T00:00:00+09:00"
    assert datetime.fromisoformat(result.doc["window"]["until"]).isoformat() == "2026-11-24T00:00:00+09:00"
