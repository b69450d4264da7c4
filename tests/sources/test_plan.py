"""From the LOG arguments to what is read, in which order."""

from __future__ import annotations

import grp
import gzip
import io
import os
import pickle
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from logscan.model import SourceInfo, Window
from logscan.sources import plan as planning
from logscan.sources.plan import Plan, chains, plan

NOW = int(datetime(2026, 11, 24, 7, 54, tzinfo=UTC).timestamp())
ALL = Window()


def epoch(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def write(path: Path, *stamps: str, host: str = "mx") -> Path:
    data = "".join(f"{stamp} {host} postfix/qmgr[9]: 4F2A91C03B7: removed\n" for stamp in stamps).encode()
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def planned(*args: str | Path, window: Window = ALL) -> Plan:
    stdin = io.BytesIO(b"from stdin\n")
    return plan([str(arg) for arg in args], window, now=NOW, zone=UTC, stdin=stdin)


def names(result: Plan) -> list[str]:
    return [Path(source.name).name for source in result.sources]


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    write(tmp_path / "maillog", "Nov 22 03:00:00", "Nov 23 23:00:00")
    write(tmp_path / "maillog-20261122.gz", "Nov 15 03:00:00", "Nov 21 23:00:00")
    write(tmp_path / "maillog-20261115.gz", "Nov  8 03:00:00", "Nov 14 23:00:00")
    return tmp_path


def test_files_are_read_oldest_first_whatever_the_order_of_arguments(logs: Path) -> None:
    result = planned(logs / "maillog", logs / "maillog-20261115.gz", logs / "maillog-20261122.gz")
    assert names(result) == ["maillog-20261115.gz", "maillog-20261122.gz", "maillog"]
    assert [len(group) for group in result.groups] == [1, 1, 1]
    assert result.problems == []


def test_a_source_can_be_opened_counted_and_pickled(logs: Path) -> None:
    (source,) = planned(logs / "maillog-20261122.gz").sources
    info = SourceInfo(source.name)
    data = b"".join(pickle.loads(pickle.dumps(source)).open(info))
    assert data.startswith(b"Nov 15 03:00:00 mx")
    assert info.lines == 2
    assert (source.packed, source.first, source.last) == ("gz", epoch("2026-11-15T03:00"), None)


def test_a_live_log_brings_its_siblings_only_with_since(logs: Path) -> None:
    assert names(planned(logs / "maillog")) == ["maillog"]
    since = Window(epoch("2026-11-16"))
    assert names(planned(logs / "maillog", window=since)) == ["maillog-20261122.gz", "maillog"]
    assert names(planned(logs / "maillog-20261122.gz", window=since)) == ["maillog-20261122.gz"]


def test_what_was_named_is_read_though_it_holds_nothing_of_the_window(logs: Path) -> None:
    window = Window(epoch("2026-11-09"), epoch("2026-11-10"))
    result = planned(logs / "maillog", window=window)
    assert names(result) == ["maillog-20261115.gz", "maillog"]
    assert [source.may_hold(window) for source in result.sources] == [True, False]


def test_siblings_of_a_link_are_found_where_the_log_is(logs: Path, tmp_path: Path) -> None:
    link = tmp_path / "elsewhere"
    link.mkdir()
    (link / "maillog").symlink_to(logs / "maillog")
    result = planned(link / "maillog", window=Window(epoch("2026-11-16")))
    assert names(result) == ["maillog-20261122.gz", "maillog"]


def test_one_file_under_many_names_is_read_once(logs: Path) -> None:
    (logs / "soft").symlink_to("maillog")
    os.link(logs / "maillog", logs / "hard")
    result = planned(logs / "maillog", logs / "maillog", logs / "soft", logs / "hard", logs / "maillog*")
    assert names(result) == ["maillog-20261115.gz", "maillog-20261122.gz", "maillog"]


def test_a_packed_twin_is_not_read_again(logs: Path) -> None:
    write(logs / "maillog-20261122", "Nov 15 03:00:00", "Nov 21 23:00:00")
    assert names(planned(logs)) == ["maillog-20261115.gz", "maillog-20261122", "maillog"]


def test_a_glob_is_expanded_and_one_that_matches_nothing_is_a_problem(logs: Path) -> None:
    assert names(planned(logs / "maillog-??????1[15].gz")) == ["maillog-20261115.gz"]
    result = planned(logs / "*.zst")
    assert [str(problem) for problem in result.problems] == [f"{logs}/*.zst: no file matches"]


def test_a_name_with_brackets_is_a_name_first(tmp_path: Path) -> None:
    write(tmp_path / "log[1]", "Nov 22 03:00:00")
    assert names(planned(tmp_path / "log[1]")) == ["log[1]"]


def test_a_directory_gives_its_mail_logs_and_nothing_else(logs: Path) -> None:
    for name in ("messages", "mailman", "mail.old-notes", "maillog.conf"):
        write(logs / name, "Nov 22 03:00:00")
    write(logs / "mail.err", "Nov 23 03:00:00")
    (logs / "mail").mkdir()
    found = set(names(planned(logs)))
    assert found == {"mail.err", "maillog", "maillog-20261115.gz", "maillog-20261122.gz"}


def test_a_directory_without_such_names_gives_what_looks_like_a_log(tmp_path: Path) -> None:
    write(tmp_path / "postfix-nov", "Nov 22 03:00:00")
    (tmp_path / "README").write_bytes(b"These are the logs\n")
    (tmp_path / "core").write_bytes(b"\x7fELF\0\0")
    (tmp_path / "old.zip").write_bytes(b"PK\x03\x04")
    result = planned(tmp_path)
    assert names(result) == ["postfix-nov"]
    assert result.problems == []


def test_bad_inputs_are_one_problem_each_and_the_rest_is_read(logs: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    none = tmp_path / "none"
    result = planned(none, tmp_path / "empty", "/dev/zero", logs / "maillog", none, "a\0b")
    assert [str(problem) for problem in result.problems] == [
        f"{tmp_path}/none: no such file",
        f"{tmp_path}/empty: no mail log in this directory",
        "/dev/zero: is a device, not a log",
        "a\0b: no such file",
    ]
    assert names(result) == ["maillog"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give up a permission")
def test_an_unreadable_file_is_a_problem_and_the_rest_is_read() -> None:
    # Not in tmp_path, which pytest keeps closed to other users.
    with tempfile.TemporaryDirectory() as name:
        logs = Path(name)
        logs.chmod(0o755)
        readable = write(logs / "maillog-20261122.gz", "Nov 15 03:00:00")
        group = write(logs / "maillog", "Nov 22 03:00:00")
        group.chmod(0o640)
        os.chown(group, 0, 1)
        write(logs / "closed" / "maillog", "Nov 22 03:00:00")
        (logs / "closed").chmod(0o700)
        os.seteuid(65534)
        try:
            result = planned(group, readable, logs / "closed" / "maillog", logs / "closed")
        finally:
            os.seteuid(0)
    who = grp.getgrgid(1).gr_name
    assert [(Path(problem.name).name, problem.problem, problem.hint) for problem in result.problems] == [
        ("maillog", "permission denied", f"it is readable for group {who}, so join it or use sudo"),
        ("maillog", "permission denied", "use sudo"),
        ("closed", "permission denied", "only its owner may read it, so use sudo"),
    ]
    assert names(result) == ["maillog-20261122.gz"]


def test_logs_that_overlap_are_one_group_and_others_follow(logs: Path) -> None:
    write(logs / "mail.warn", "Nov 22 12:00:00", "Nov 23 12:00:00")
    result = planned(logs)
    assert [[Path(source.name).name for source in group] for group in result.groups] == [
        ["maillog-20261115.gz"],
        ["maillog-20261122.gz"],
        ["maillog", "mail.warn"],
    ]


def test_files_of_one_family_in_a_group_are_one_chain(logs: Path) -> None:
    write(logs / "mail.warn", "Nov 10 12:00:00", "Nov 23 12:00:00")
    (group,) = planned(logs).groups
    assert [[Path(source.name).name for source in chain] for chain in chains(group)] == [
        ["maillog-20261115.gz", "maillog-20261122.gz", "maillog"],
        ["mail.warn"],
    ]


def test_two_hosts_logs_overlap(tmp_path: Path) -> None:
    one = write(tmp_path / "a" / "maillog", "Nov 22 03:00:00", "Nov 23 03:00:00", host="a")
    two = write(tmp_path / "b" / "maillog", "Nov 22 04:00:00", "Nov 23 02:00:00", host="b")
    three = write(tmp_path / "c" / "maillog", "Nov 23 03:00:01", "Nov 23 05:00:00", host="c")
    assert [len(group) for group in planned(three, one, two).groups] == [2, 1]


def test_an_empty_live_log_keeps_its_place(logs: Path) -> None:
    (logs / "maillog").write_bytes(b"")
    assert names(planned(logs)) == ["maillog-20261115.gz", "maillog-20261122.gz", "maillog"]


def test_a_year_boundary_inside_a_file_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "maillog", "Nov 20 03:00:00", "Feb  3 03:00:00")
    os.utime(path, (epoch("2026-11-23"), epoch("2026-11-23")))
    (source,) = planned(path).sources
    # The time of change alone would allow November 2026.
    assert source.year_hint == 2025
    assert source.last == epoch("2026-02-03T03:00")


def test_rotated_files_bound_each_others_years(tmp_path: Path) -> None:
    write(tmp_path / "maillog.2.gz", "Oct 20 03:00:00", "Jan  3 03:00:00")
    write(tmp_path / "maillog.1.gz", "Jan  3 04:00:00", "Nov  1 00:00:00")
    write(tmp_path / "maillog", "Nov  1 03:00:00", "Jan 10 03:00:00")
    result = planned(tmp_path)
    firsts = [datetime.fromtimestamp(source.first or 0, UTC).year for source in result.sources]
    assert names(result) == ["maillog.2.gz", "maillog.1.gz", "maillog"]
    assert firsts == [2024, 2025, 2025]
    assert result.sources[1].reference == result.sources[2].first


def test_standard_input_and_the_journal_come_last_and_once(logs: Path) -> None:
    result = planned("-", "journal:", logs / "maillog", "-")
    assert names(result) == ["maillog", "-", "journal:"]
    info = SourceInfo("-")
    assert list(result.sources[1].open(info)) == [b"from stdin\n"]


def test_a_fifo_is_not_opened_before_it_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert names(planned(tmp_path / "pipe")) == ["pipe"]


def test_without_arguments_the_first_default_log_is_read(logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "DEFAULT_LOGS", (f"{logs}/none", f"{logs}/maillog", f"{logs}/mail"))
    result = planned()
    assert names(result) == ["maillog"]
    assert result.notes == [f"reading {logs}/maillog"]
    assert names(planned(window=Window(epoch("2026-11-16")))) == ["maillog-20261122.gz", "maillog"]


def test_without_any_default_log_the_journal_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "DEFAULT_LOGS", (f"{tmp_path}/maillog", f"{tmp_path}/mail"))
    result = planned()
    assert names(result) == ["journal:"]
    tried = f"{tmp_path}/maillog, {tmp_path}/mail"
    assert result.notes == [f"reading the journal, for none of these exists: {tried}"]
