"""A window of a large log is found without reading the rest, and the report is the one of a whole read."""

from __future__ import annotations

import io
import os
import random
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_logs import NOW, Log, epoch

from logscan import job
from logscan.job import Options
from logscan.model import SourceInfo, Window
from logscan.pipeline import run_report
from logscan.sources import seek
from logscan.sources.plan import PlannedSource, plan

BERLIN = ZoneInfo("Europe/Berlin")
HOUR = 3600


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sizes of the tests' logs: ten lines to a look instead of hundreds."""
    monkeypatch.setattr(seek, "SMALL", 0)
    monkeypatch.setattr(seek, "_CHUNK", 1500)


def days(begin: str, hours: int, zone: tzinfo = UTC, *, iso: bool = False, seed: int = 1) -> Log:
    """Mail all day and night: signed, unsigned, waiting in the queue for hours, hit by outages, and inbound."""
    rng = random.Random(seed)
    log = Log(zone=zone, iso=iso)
    first = epoch(begin, zone)
    outage = 0
    at = first
    while at < first + hours * HOUR:
        at += rng.randrange(60, 1200)
        kind = rng.randrange(12)
        sender = f"app@{rng.choice(('example.org', 'example.net'))}"
        if kind == 0:
            log.mail(at, "lab@lab.example.org", signed=False, word="no signing table match for 'lab@lab.example.org'")
        elif kind == 1:
            log.mail(at, sender, end=rng.randrange(HOUR, 9 * HOUR))
        elif kind == 2 or at < outage:
            outage = max(outage, at + rng.randrange(HOUR) if kind == 2 else 0)
            log.mail(at, sender, signed=False, failed="inet:127.0.0.1:8891")
        elif kind < 6:
            log.inbound(at)
        else:
            log.mail(at, sender, end=rng.randrange(1, 300))
    return log


def report(path: Path, since: int | None, until: int | None, zone: str) -> tuple[dict[str, Any], list[str]]:
    """The report of a window, and the warnings."""
    options = Options(
        [str(path)],
        since=None if since is None else f"@{since}",
        until=None if until is None else f"@{until}",
        timezone=zone,
        limit=1000,
    )
    said: list[str] = []
    result = run_report(options, warn=said.append, now=NOW)
    return {**result.doc, "status": result.status}, said


def both(path: Path, since: int | None, until: int | None, zone: str = "UTC") -> dict[str, Any]:
    """The report of a window with the rest skipped; it must be the one of a whole read."""
    found, said = report(path, since, until, zone)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(job, "narrowed", lambda source, window, zone: source)
        whole, whole_said = report(path, since, until, zone)
    lines = found["input"]["lines"]
    assert lines <= whole["input"]["lines"]
    for document in (found, whole):
        for name in ("sources", "lines", "bytes", "foreign_lines", "not_understood"):
            del document["input"][name]
    # One by one, for a message that can be read.
    assert [key for key in whole if found[key] != whole[key]] == []
    assert (found, said) == (whole, whole_said)
    return {**found, "lines": lines}


def source(path: Path, zone: tzinfo = UTC) -> PlannedSource:
    (found,) = plan([str(path)], Window(), now=NOW, zone=zone, stdin=io.BytesIO()).sources
    return found


def kept(path: Path, since: int | None, until: int | None = None, zone: tzinfo = UTC) -> bytes:
    """What is read of a log for a window without margins."""
    info = SourceInfo("log")
    data = b"".join(seek.narrowed(source(path, zone), Window(since, until), zone).open(info))
    assert (info.lines, info.bytes) == (data.count(b"\n"), len(data))
    return data


@pytest.mark.parametrize(
    ("begin", "zone", "iso"),
    [
        ("2026-11-10 00:00", "UTC", False),
        ("2026-11-10 00:00", "UTC", True),
        ("2025-12-29 00:00", "America/New_York", False),  # over New Year, and long before the file's last change
        ("2026-10-23 00:00", "Europe/Berlin", False),  # over the night with two hours of the same name
        ("2026-03-27 00:00", "Europe/Berlin", False),
        ("2024-02-26 00:00", "UTC", False),  # over a 29 February
    ],
)
def test_a_report_of_a_window_is_the_same_whether_the_rest_is_read_or_not(
    begin: str, zone: str, iso: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    log = days(begin, 96, ZoneInfo(zone), iso=iso)
    path = log.write(tmp_path_factory.mktemp("seek") / "maillog")
    edges = [at for at, _ in log.sorted()]
    first, last, skipped = edges[0], edges[-1], 0

    @settings(max_examples=40, deadline=None, database=None, derandomize=True)
    @given(
        st.one_of(st.none(), st.sampled_from(edges), st.integers(first - 9 * HOUR, last + 30 * HOUR)),
        st.one_of(st.none(), st.integers(1, 30 * HOUR), st.sampled_from(edges)),
    )
    def holds(since: int | None, length: int | None) -> None:
        nonlocal skipped
        until = None if length is None else length if length >= first else (since or first) + length
        if (since is None and until is None) or (since is not None and until is not None and since >= until):
            return
        skipped += both(path, since, until, zone)["lines"] < len(edges)

    holds()
    assert skipped > 15


def test_a_whole_day_of_a_busy_log_is_the_same(tmp_path: Path) -> None:
    path = days("2026-11-01 00:00", 20 * 24, seed=4).write(tmp_path / "maillog")
    for hour in range(0, 20 * 24, 37):
        since = epoch("2026-11-01") + hour * HOUR
        found = both(path, since, since + 24 * HOUR)
        assert found["totals"]["outbound"]["messages"] > 20


def test_only_the_window_and_the_line_before_it_are_read(tmp_path: Path) -> None:
    log = Log()
    for minute in range(3000):
        log.add(epoch("2026-11-20") + 60 * minute, "postfix/qmgr[9]", f"{minute + 0xA0000:X}: removed")
    path = log.write(tmp_path / "maillog")
    lines = path.read_bytes().splitlines(keepends=True)
    since, until = epoch("2026-11-20") + 60 * 1000, epoch("2026-11-20") + 60 * 1010
    minutes = seek.SLACK // 60
    assert kept(path, since) == b"".join(lines[1000 - minutes - 1 :])
    assert kept(path, None, until) == b"".join(lines[: 1010 + minutes])
    assert kept(path, since, until) == b"".join(lines[1000 - minutes - 1 : 1010 + minutes])
    assert kept(path, epoch("2026-12-20")) == lines[-1]
    assert kept(path, epoch("2026-10-20"), epoch("2026-12-20")) == b"".join(lines)
    assert kept(path, None, epoch("2026-11-20")) == b"".join(lines[:minutes])


def test_a_file_of_one_second_and_one_of_one_line(tmp_path: Path) -> None:
    at = epoch("2026-11-20")
    for count in (1, 500):
        log = Log()
        for number in range(count):
            log.add(at, "postfix/qmgr[9]", f"{number + 0xA0000:X}: removed")
        path = log.write(tmp_path / f"maillog{count}")
        whole = path.read_bytes()
        assert kept(path, at - 1) == kept(path, at) == whole
        assert kept(path, at + 2 * seek.SLACK) == whole.splitlines(keepends=True)[-1]


def test_a_year_is_inferred_as_by_a_whole_read(tmp_path: Path) -> None:
    log = days("2025-12-20 00:00", 20 * 24)
    path = log.write(tmp_path / "maillog")
    os.utime(path, (NOW, NOW))  # copied: the time of change allows the next December too
    for text in ("2025-12-24", "2025-12-31", "2026-01-01", "2026-01-04"):
        found = both(path, epoch(text), epoch(text) + 86400)
        assert found["window"]["first"].startswith(text)
        assert found["lines"] < len(log.lines)


def test_a_year_that_only_the_files_end_tells(tmp_path: Path) -> None:
    path = days("2025-11-15 00:00", 20 * 24).write(tmp_path / "maillog")
    os.utime(path, (NOW, NOW))  # so late that its November could be this one
    found = both(path, epoch("2025-11-18"), epoch("2025-11-19"))
    assert found["window"]["first"].startswith("2025-11-18")
    assert found["totals"]["outbound"]["messages"] > 50


@pytest.mark.parametrize("night", ["2026-10-25", "2026-03-29"])
def test_nothing_is_lost_in_the_night_that_changes_the_clocks(night: str, tmp_path: Path) -> None:
    log = Log(zone=BERLIN)
    begin = epoch(night, BERLIN)
    for second in range(-86400, 86400, 30):
        log.add(begin + second, "postfix/qmgr[9]", f"{second + 0xA0000:X}: removed")
    path = log.write(tmp_path / "maillog")
    lines = log.sorted()
    for at in range(begin - 4 * HOUR, begin + 8 * HOUR, 1000):
        got = kept(path, at, None, BERLIN).decode().splitlines()
        assert len(got) < len(lines) - 500
        assert set(got) >= {line for written, line in lines if written >= at}
        got = kept(path, None, at, BERLIN).decode().splitlines()
        assert len(got) < len(lines) - 500
        assert set(got) >= {line for written, line in lines if written < at}


def test_a_log_of_many_years_is_read_whole(tmp_path: Path) -> None:
    log = Log()
    for day in range(0, 800, 5):
        log.mail(epoch("2024-06-01") + 86400 * day, end=2)
    path = log.write(tmp_path / "maillog")
    assert kept(path, epoch("2026-07-01")) == path.read_bytes()


def test_half_a_year_of_silence_leaves_the_year_open(tmp_path: Path) -> None:
    log = Log()
    for month in ("01", "02", "10", "11"):
        for day in range(1, 20):
            log.mail(f"2026-{month}-{day:02} 10:00:00")
    path = log.write(tmp_path / "maillog")
    assert kept(path, epoch("2026-11-10")) == path.read_bytes()


def test_a_log_out_of_order_is_read_whole(tmp_path: Path) -> None:
    one = days("2026-11-10 00:00", 48).write(tmp_path / "one").read_bytes()
    two = days("2026-11-10 00:00", 48, seed=2).write(tmp_path / "two").read_bytes()
    path = tmp_path / "maillog"
    path.write_bytes(one + two)
    os.utime(path, (NOW, NOW))
    assert kept(path, epoch("2026-11-11 20:00")) == one + two
    both(path, epoch("2026-11-11 20:00"), None)


def test_older_lines_in_the_midst_of_the_window_have_the_log_read_whole(tmp_path: Path) -> None:
    log = days("2026-11-10 00:00", 96)
    lines = [f"{line}\n".encode() for _, line in log.sorted()]
    old, near = len(lines) // 4, len(lines) * 7 // 8
    # A piece of an older day once more, as a syslog writes that was cut off from its host.
    late = b"".join(lines[old : old + 100])
    data = b"".join(lines[:near]) + late + b"".join(lines[near:])
    path = tmp_path / "maillog"
    path.write_bytes(data)
    os.utime(path, (NOW, NOW))
    assert kept(path, epoch("2026-11-13")) == data


def test_lines_that_come_late_by_minutes_are_read(tmp_path: Path) -> None:
    at = epoch("2026-11-20")
    log = Log()
    for number in range(3000):
        log.add(at + 60 * number - (500 if number % 7 == 0 else 0), "postfix/qmgr[9]", f"{number + 0xA0000:X}: removed")
    path = tmp_path / "maillog"
    path.write_text("".join(f"{line}\n" for _, line in log.lines))
    os.utime(path, (NOW, NOW))
    for since in range(at + 60 * 1500, at + 60 * 1530, 30):
        got = kept(path, since).decode().splitlines()
        assert len(got) < 2000
        assert set(got) >= {line for written, line in log.lines if written >= since}


def test_lines_without_a_stamp_belong_to_the_one_before(tmp_path: Path) -> None:
    log = days("2026-11-10 00:00", 60)
    path = tmp_path / "maillog"
    path.write_text("".join(f"{line}\r\n  continued\r\n\r\n" for _, line in log.sorted()))
    os.utime(path, (NOW, NOW))
    assert both(path, epoch("2026-11-11 20:00"), None)["lines"] < 2 * len(log.lines)


def test_long_stretches_of_garbage_have_the_log_read_whole(tmp_path: Path) -> None:
    log = days("2026-11-10 00:00", 60)
    lines = [f"{line}\n".encode() for _, line in log.sorted()]
    hole = b"\0" * 1_000_000
    path = tmp_path / "maillog"
    for filling in (hole, hole + b"\n", b"nothing\n" * 100_000):
        path.write_bytes(b"".join(lines[: len(lines) // 2]) + filling + b"".join(lines[len(lines) // 2 :]))
        os.utime(path, (NOW, NOW))
        both(path, epoch("2026-11-12 06:00"), None)


def test_a_quiet_end_of_a_mail_log_is_no_error(tmp_path: Path) -> None:
    log = days("2026-11-10 00:00", 24)
    for minute in range(2000):
        log.add(epoch("2026-11-12") + 60 * minute, "dovecot", "imap-login: Login: user=<ann>")
    path = log.write(tmp_path / "maillog")
    found, said = report(path, epoch("2026-11-13 06:00"), None, "UTC")
    assert (found["status"], said) == (0, [])
    assert found["input"]["lines"] < 1000


def test_another_programs_log_is_an_error_all_the_same(tmp_path: Path) -> None:
    log = Log()
    for minute in range(2000):
        log.add(epoch("2026-11-12") + 60 * minute, "dovecot", "imap-login: Login: user=<ann>")
    path = log.write(tmp_path / "maillog")
    assert both(path, epoch("2026-11-13 06:00"), None)["status"] == 2


def test_what_the_input_holds_is_said_of_the_whole_file(tmp_path: Path) -> None:
    path = days("2026-11-10 00:00", 60).write(tmp_path / "maillog")
    _, said = report(path, epoch("2026-11-14"), None, "UTC")
    (warning,) = said
    assert warning.startswith("nothing was logged since 2026-11-14 00:00:00; the input holds 2026-11-10 00:")
    both(path, epoch("2026-11-14"), None)


def test_logs_that_overlap_are_each_cut(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 2)):
        (tmp_path / name).mkdir()
        log = days("2025-12-28 00:00", 120, seed=seed)
        log.lines = [(at, line.replace(" mx ", f" {name} ")) for at, line in log.lines]
        os.utime(log.write(tmp_path / name / "maillog"), (NOW, NOW))
    options = Options(
        [str(tmp_path / "a"), str(tmp_path / "b")], since="2025-12-31", until="2026-01-01", timezone="UTC"
    )
    docs = []
    for small in (0, 1 << 40):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(seek, "SMALL", small)
            docs.append(run_report(options, warn=pytest.fail, now=NOW).doc)
    lines = [document.pop("input")["lines"] for document in docs]
    assert docs[0] == docs[1]
    assert docs[0]["totals"]["outbound"]["messages"] > 50
    assert lines[0] < lines[1]


def test_rotated_files_are_each_cut(tmp_path: Path) -> None:
    log = days("2025-12-25 00:00", 12 * 24, seed=3)
    log.write(tmp_path / "maillog.1", until="2025-12-31 06:00")
    path = log.write(tmp_path / "maillog", since="2025-12-31 06:00")
    for hour in range(0, 11 * 24, 17):
        since = epoch("2025-12-25 08:00") + hour * HOUR
        found = both(path, since, since + 5 * HOUR)
        assert found["lines"] < len(log.lines) * 2 // 3
        assert found["totals"]["outbound"]["messages"] > 5


def test_a_file_that_goes_away_is_for_the_reader_to_find(tmp_path: Path) -> None:
    path = days("2026-11-10 00:00", 60).write(tmp_path / "maillog")
    planned = source(path)
    path.unlink()
    assert seek.narrowed(planned, Window(epoch("2026-11-12")), UTC) is planned


def test_a_large_log_costs_a_few_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log()
    for second in range(0, 200_000, 4):
        log.add(epoch("2026-11-20") + second, "postfix/qmgr[9]", f"{second + 0xA0000:X}: removed")
    path = log.write(tmp_path / "maillog")
    planned = source(path)
    monkeypatch.setattr(seek, "_CHUNK", 16384)
    taken = []
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda *args: taken.append(args[1]) or pread(*args))
    assert seek.narrowed(planned, Window(epoch("2026-11-21")), UTC).part is not None
    assert 0 < len(taken) < 250


def test_the_part_tells_what_is_read(tmp_path: Path) -> None:
    path = days("2026-11-10 00:00", 60).write(tmp_path / "maillog")
    planned = source(path)
    cut = seek.narrowed(planned, Window(epoch("2026-11-12")), UTC)
    info = SourceInfo("log")
    data = b"".join(cut.open(info))
    assert cut.part == len(data) == info.bytes
    assert (cut.first, cut.last, cut.size) == (planned.first, planned.last, planned.size)
    assert cut.begins is not None and cut.begins < epoch("2026-11-12")
    assert data.startswith(datetime.fromtimestamp(cut.begins, UTC).strftime("%b %e %H:%M:%S").encode())


def test_progress_comes_to_its_end(tmp_path: Path) -> None:
    path = days("2026-11-10 00:00", 60).write(tmp_path / "maillog")
    seen: list[tuple[int, int | None]] = []
    options = Options([str(path)], since="2026-11-12", timezone="UTC")
    run_report(options, warn=pytest.fail, progress=lambda done, total: seen.append((done, total)), now=NOW)
    assert seen[-1][0] == seen[-1][1] < path.stat().st_size
