"""Rotated files: names, order, copies, years, and which hold a window."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import random
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, cast

import pytest
import zstandard

from logscan.model import Window
from logscan.sources import blocks, rotated
from logscan.sources.rotated import (
    LogFile,
    holding,
    in_order,
    look,
    missing,
    place,
    rotation,
    siblings,
    without_twins,
)

NOW = int(datetime(2026, 11, 24, 7, 54, tzinfo=UTC).timestamp())
PACK = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress, ".zst": zstandard.compress}


def epoch(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def lines(*stamps: str) -> bytes:
    return b"".join(b"%s mx postfix/qmgr[9]: 4F2A91C03B7: removed\n" % stamp.encode() for stamp in stamps)


def write(path: Path, *stamps: str, mtime: int | None = None) -> Path:
    data = lines(*stamps)
    path.write_bytes(PACK[path.suffix](data) if path.suffix in PACK else data)
    if mtime is not None:
        os.utime(path, (mtime, mtime))
    return path


def looked(paths: Iterable[Path]) -> list[LogFile]:
    return [look(path, path.name, NOW, UTC) for path in paths]


def placed(directory: Path) -> list[LogFile]:
    files = without_twins(in_order(looked(sorted(directory.iterdir()))))
    place(files, NOW, UTC)
    return files


def spans(files: list[LogFile]) -> list[tuple[str, str, str | None]]:
    def day(at: int | None) -> str | None:
        return None if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")

    return [(file.name, day(file.first) or "", day(file.last)) for file in files]


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("maillog-20261123", "maillog"),
        ("maillog-20261123.gz", "maillog"),
        ("maillog-2026-11-23.gz", "maillog"),
        ("maillog.1", "maillog"),
        ("maillog.2.gz", "maillog"),
        ("maillog.0.bz2", "maillog"),
        ("maillog.20261123-030201.gz", "maillog"),
        ("maillog-2026112303.zst", "maillog"),
        ("maillog-20261123-1795400000", "maillog"),
        ("mail-20261123.xz", "mail"),
        ("mail.1", "mail"),
        ("mail.log.1", "mail.log"),
        ("mail.log.2.gz", "mail.log"),
        ("mail-20261123.log.gz", "mail.log"),
        ("mail.log-20261123", "mail.log"),
    ],
)
def test_names_of_rotated_files_tell_the_live_log(name: str, base: str) -> None:
    found = rotation(name)
    assert found is not None
    assert found.base == base


@pytest.mark.parametrize(
    "name", ["maillog", "mail", "mail.log", "mail.err", "maillog.gz", "maillog-99999999", "maillog.old"]
)
def test_other_names_are_not_rotated_files(name: str) -> None:
    assert rotation(name) is None


def test_siblings_of_mail_are_not_those_of_its_neighbours(tmp_path: Path) -> None:
    for name in (
        "mail", "mail-20261123.xz", "mail.1", "mail.log", "mail.log.1", "mail.err", "mail.err.1", "maillog",
        "maillog-20261123", "mail-20261123.log",
    ):  # fmt: skip
        (tmp_path / name).touch()
    lives = ("mail", "mail.log", "maillog")
    found = {live: {path.name for path in siblings(tmp_path / live)} for live in lives}
    assert found == {
        "mail": {"mail-20261123.xz", "mail.1"},
        "mail.log": {"mail-20261123.log", "mail.log.1"},
        "maillog": {"maillog-20261123"},
    }
    assert siblings(tmp_path / "none" / "maillog") == []


def test_numbers_are_ordered_as_numbers_and_the_live_log_is_last(tmp_path: Path) -> None:
    for number, name in enumerate(("maillog", "maillog.1", "maillog.2.gz", "maillog.10.gz")):
        write(tmp_path / name, f"Nov {20 - number} 03:00:00")
    files = in_order(looked(sorted(tmp_path.iterdir())))
    assert [file.name for file in files] == ["maillog.10.gz", "maillog.2.gz", "maillog.1", "maillog"]


def test_dates_are_ordered_with_their_times(tmp_path: Path) -> None:
    names = ["maillog.20261122-235959.gz", "maillog.20261123-030201.gz", "maillog.20261123-120000", "maillog"]
    for number, name in enumerate(names):
        write(tmp_path / name, f"Nov 22 0{number}:00:00")
    assert [file.name for file in in_order(looked(sorted(tmp_path.iterdir())))] == names


def test_after_a_change_of_rotation_the_kind_written_last_is_younger(tmp_path: Path) -> None:
    write(tmp_path / "maillog.1", "Nov  1 00:00:00", mtime=epoch("2026-11-02"))
    write(tmp_path / "maillog-20261110", "Nov  9 00:00:00", mtime=epoch("2026-11-10"))
    assert [f.name for f in in_order(looked(sorted(tmp_path.iterdir())))] == ["maillog.1", "maillog-20261110"]


def test_a_packed_twin_is_read_once_from_the_plain_file(tmp_path: Path) -> None:
    write(tmp_path / "maillog-20261123", "Nov 22 00:00:00", "Nov 22 01:00:00")
    write(tmp_path / "maillog-20261123.gz", "Nov 22 00:00:00", "Nov 22 01:00:00")
    write(tmp_path / "maillog", "Nov 23 00:00:00")
    assert [file.name for file in placed(tmp_path)] == ["maillog-20261123", "maillog"]


def test_twins_are_told_by_content_not_by_name(tmp_path: Path) -> None:
    write(tmp_path / "maillog.2.gz", "Nov 21 00:00:00")
    write(tmp_path / "maillog.1", "Nov 22 00:00:00")
    write(tmp_path / "maillog.1.gz", "Nov 21 12:00:00")
    write(tmp_path / "maillog.3.xz", "Nov 21 00:00:00")
    assert len(placed(tmp_path)) == 3


def test_years_are_found_though_all_files_changed_at_the_same_time(tmp_path: Path) -> None:
    for name, first, last in (
        ("maillog.4.gz", "Mar  1", "Aug 30"),
        ("maillog.3.gz", "Sep  1", "Jan 10"),
        ("maillog.2.bz2", "Jan 10", "Dec 30"),
        ("maillog.1", "Dec 30", "Oct 30"),
        ("maillog", "Oct 30", "Nov 23"),
    ):
        write(tmp_path / name, f"{first} 03:00:00", f"{last} 03:00:00", mtime=NOW)
    assert spans(placed(tmp_path)) == [
        ("maillog.4.gz", "2024-03-01", None),
        ("maillog.3.gz", "2024-09-01", None),
        ("maillog.2.bz2", "2025-01-10", None),
        ("maillog.1", "2025-12-30", "2026-10-30"),
        ("maillog", "2026-10-30", "2026-11-23"),
    ]


def test_the_name_gives_the_year_though_the_file_was_copied_later(tmp_path: Path) -> None:
    write(tmp_path / "maillog-20210105", "Dec 29 03:00:00", "Jan  4 23:00:00", mtime=NOW)
    assert spans(placed(tmp_path)) == [("maillog-20210105", "2020-12-29", "2021-01-04")]


def test_the_time_of_change_gives_the_year_where_nothing_else_does(tmp_path: Path) -> None:
    write(tmp_path / "maillog", "Dec 29 03:00:00", "Jan  4 23:00:00", mtime=epoch("2022-01-05"))
    assert spans(placed(tmp_path)) == [("maillog", "2021-12-29", "2022-01-04")]


def test_a_time_of_change_from_an_unset_clock_is_ignored(tmp_path: Path) -> None:
    write(tmp_path / "maillog", "Nov 22 03:00:00", "Nov 23 23:00:00", mtime=0)
    assert spans(placed(tmp_path)) == [("maillog", "2026-11-22", "2026-11-23")]


def test_29_february_forces_a_leap_year_on_the_whole_file(tmp_path: Path) -> None:
    write(tmp_path / "maillog", "Feb 29 03:00:00", "Mar  6 23:00:00", mtime=NOW)
    assert spans(placed(tmp_path)) == [("maillog", "2024-02-29", "2024-03-06")]
    write(tmp_path / "maillog", "Feb 20 03:00:00", "Feb 29 23:00:00", mtime=NOW)
    assert spans(placed(tmp_path)) == [("maillog", "2024-02-20", "2024-02-29")]


def test_stamps_with_a_year_need_no_hint(tmp_path: Path) -> None:
    write(tmp_path / "maillog", "2019-01-02T00:00:00Z", "2019-01-03T00:00:00+01:00", mtime=NOW)
    assert spans(placed(tmp_path)) == [("maillog", "2019-01-02", "2019-01-02")]


def test_lines_without_a_stamp_at_either_end_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "maillog"
    path.write_bytes(b"\0\0garbage\n\n" + lines("Nov 22 01:00:00", "Nov 23 01:00:00") + b"half a li")
    assert spans(placed(tmp_path)) == [("maillog", "2026-11-22", "2026-11-23")]


@pytest.fixture
def weekly(tmp_path: Path) -> Path:
    """Weeks whose files all changed just now, so that only their content tells."""
    for name, first, last in (
        ("maillog-20261101.gz", "Oct 25", "Oct 31"),
        ("maillog-20261108.gz", "Nov  1", "Nov  7"),
        ("maillog-20261115", "Nov  8", "Nov 14"),
        ("maillog-20261122", "Nov 15", "Nov 21"),
        ("maillog", "Nov 22", "Nov 23"),
    ):
        write(tmp_path / name, f"{first} 03:00:00", f"{last} 23:00:00", mtime=NOW)
    return tmp_path


@pytest.mark.parametrize(
    ("since", "until", "names"),
    [
        ("2026-11-22T12:00", None, ["maillog"]),
        ("2026-11-15T03:00", "2026-11-16", ["maillog-20261122"]),
        ("2026-11-13", "2026-11-15T03:00", ["maillog-20261115"]),
        ("2026-11-14", "2026-11-15T03:01", ["maillog-20261115", "maillog-20261122"]),
        # The packed file may go on until the next one begins.
        ("2026-11-07T23:30", "2026-11-08", ["maillog-20261108.gz"]),
        (None, "2026-10-26", ["maillog-20261101.gz"]),
        ("2026-12-01", None, []),
    ],
)
def test_files_are_chosen_by_what_they_hold(
    weekly: Path, since: str | None, until: str | None, names: list[str]
) -> None:
    window = Window(epoch(since) if since else None, epoch(until) if until else None)
    assert [file.name for file in holding(placed(weekly), window)] == names


def test_empty_files_hold_nothing_and_files_without_stamps_may_hold_all(tmp_path: Path) -> None:
    (tmp_path / "maillog.1").write_bytes(b"")
    (tmp_path / "maillog.2").write_bytes(b"no stamp\n")
    assert [f.name for f in holding(placed(tmp_path), Window(NOW - 60, NOW))] == ["maillog.2"]


def test_a_number_missing_in_the_middle_is_named(tmp_path: Path) -> None:
    for number, name in enumerate(("maillog", "maillog.1", "maillog.4.gz", "maillog.5.gz")):
        write(tmp_path / name, f"Nov {20 - number} 03:00:00")
    assert missing(placed(tmp_path)) == [str(tmp_path / "maillog.3"), str(tmp_path / "maillog.2")]


def test_a_large_packed_file_is_opened_at_its_beginning_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = random.Random(1)
    text = b"".join(b"Nov 20 00:00:00 mx x: %032x\n" % noise.getrandbits(128) for _ in range(100_000))
    path = tmp_path / "maillog.1.gz"
    path.write_bytes(gzip.compress(text))
    assert path.stat().st_size > 1_500_000
    opened: list[BinaryIO] = []
    read: list[int] = []

    class Counted(io.FileIO):
        def read(self, size: int | None = -1, /) -> bytes:
            data = super().read(size) or b""
            read.append(len(data))
            return data

    def counted(path: Path, name: str) -> BinaryIO:
        opened.append(cast(BinaryIO, Counted(path)))
        return opened[-1]

    monkeypatch.setattr(blocks, "open_source", counted)
    monkeypatch.setattr(rotated, "open_source", counted)
    file = look(path, "maillog.1.gz", NOW, UTC)
    assert file.first_line is not None and file.first_line.startswith(b"Nov 20 00:00:00 mx")
    assert 0 < sum(read) < 150_000
    assert all(stream.closed for stream in opened)
