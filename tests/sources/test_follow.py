"""A growing log: what `tail -F` survives, step by step, without a clock."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from logscan.errors import SourceError
from logscan.sources import waking
from logscan.sources.blocks import LONGEST_LINE
from logscan.sources.follow import FollowedFile
from logscan.sources.stream import FollowedStream
from logscan.sources.waking import FileWatch, Waker


class Log:
    """A log and who follows it. `lines` is what the follower has given, drained after each step."""

    def __init__(self, path: Path, history: int = 0, size: int = 262144) -> None:
        self.path = path
        self.file = FollowedFile(path, path.name, lambda seconds: None, size=size)
        self.before = b"".join(self.file.history(history))

    def append(self, text: str, path: Path | None = None) -> None:
        with (path or self.path).open("ab") as out:
            out.write(text.encode())

    def drain(self) -> str:
        """All that is there now. Ends: each read gives a line, or nothing."""
        parts = []
        for _ in range(10_000):
            block = self.file.read()
            assert block is not None
            if not block:
                return b"".join(parts).decode()
            assert block.endswith(b"\n")
            parts.append(block)
        raise AssertionError("it never ends")


@pytest.fixture
def log(tmp_path: Path) -> Log:
    path = tmp_path / "maillog"
    path.write_text("old 1\nold 2\n")
    return Log(path)


def test_lines_are_given_once_and_in_order(log: Log) -> None:
    assert log.before == b"" and log.drain() == ""
    log.append("a\nb\n")
    assert log.drain() == "a\nb\n"
    assert log.drain() == ""
    log.append("c\n")
    assert log.drain() == "c\n"
    assert not log.file.lost and log.file.notes == []


def test_a_half_written_line_waits_for_its_end(log: Log) -> None:
    log.append("a\nb")
    assert log.drain() == "a\n"
    assert log.file.half()
    log.append("ig\n")
    assert log.drain() == "big\n"
    assert not log.file.half()


def test_a_line_without_end_is_cut(log: Log) -> None:
    log.append("x" * (3 * LONGEST_LINE))
    assert log.drain() == "x" * LONGEST_LINE + "\n"
    log.append("y\nnext\n")
    assert log.drain() == "next\n"


def test_rename_and_create(log: Log) -> None:
    log.append("a\n")
    old = log.path.rename(log.path.with_name("maillog.1"))
    log.append("b\nc", old)  # the writer has not been told yet
    log.path.touch()
    assert log.drain() == "a\nb\n"
    log.append("d\n", old)
    assert log.drain() == "cd\n"
    log.append("e\n", old)
    log.append("f\n")
    assert log.drain() == "e\nf\n"
    assert log.file.notes == ["maillog: there is a new file of this name; reading on in it"]
    log.append("never read: the writer is here no more\n", old)
    log.append("g\n")
    assert log.drain() == "g\n"
    assert not log.file.lost


def test_a_line_that_the_old_file_never_ends_is_not_glued_to_the_new_one(log: Log) -> None:
    log.append("half")
    log.path.rename(log.path.with_name("maillog.1"))
    log.append("new\n")
    assert log.drain() == "half\nnew\n"


def test_several_rotations_between_two_looks(log: Log) -> None:
    """As after days of being stopped: files came and went that were never the followed one."""
    (log.path.with_name("maillog.9")).write_text("older than all\n")
    os.utime(log.path.with_name("maillog.9"), (1, 1))
    log.append("a\n")
    assert log.drain() == "a\n"
    log.append("b\n")
    os.utime(log.path, (100, 100))
    log.path.rename(log.path.with_name("maillog.3"))
    for number, name in ((200, "maillog.2"), (300, "maillog.1")):
        log.append(f"{number}\n")
        os.utime(log.path, (number, number))
        log.path.rename(log.path.with_name(name))
    log.append("half of the last", log.path.with_name("maillog.1"))
    log.path.with_name("maillog.4.gz").write_bytes(b"\x1f\x8b\x08\0packed")
    os.utime(log.path.with_name("maillog.4.gz"), (99, 99))
    log.append("new\n")
    assert log.drain() == "b\n200\n300\nhalf of the last\nnew\n"
    assert not log.file.lost


def test_what_a_file_held_that_was_packed_before_it_was_read_is_told_as_lost(log: Log) -> None:
    assert log.drain() == ""
    os.utime(log.path, (100, 100))
    log.path.unlink()
    for name, at in (("maillog.2.gz", 100), ("maillog.1.gz", 101)):  # the first is ours, packed
        log.path.with_name(name).write_bytes(b"\x1f\x8b\x08\0packed")
        os.utime(log.path.with_name(name), (at, at))
    log.append("d\n")
    assert log.drain() == "d\n"
    assert log.file.lost
    assert log.file.notes[-1:] == ["warning: maillog.1.gz: was packed before it was read; its lines are lost"]


def copytruncate(log: Log, between: str = "", *, at: int = 0) -> None:
    """As logrotate does. between: written after the copy, before the file is cut. at: when it is, in seconds."""
    for number in (2, 1):
        if (old := log.path.with_name(f"maillog.{number}")).exists():
            old.rename(log.path.with_name(f"maillog.{number + 1}"))
    log.path.with_name("maillog.1").write_bytes(log.path.read_bytes())
    os.utime(log.path.with_name("maillog.1"), (at, at))
    log.append(between)
    os.truncate(log.path, 0)


def test_copytruncate_reads_on_in_the_copy_and_says_that_lines_may_be_lost(log: Log) -> None:
    log.append("a\nb")
    assert log.drain() == "a\n"
    log.append("c\nd\n")
    copytruncate(log, "lost\n")
    log.append("e\n")
    assert log.drain() == "bc\nd\ne\n"
    assert log.file.lost
    assert log.file.notes == ["warning: maillog: was truncated; lines written just then may be lost"]


def test_lines_count_as_lost_only_once_the_copy_is_read(log: Log) -> None:
    log.append("a\n")
    log.drain()
    log.append("b\n")
    copytruncate(log)
    assert log.file.read() == b"b\n" and not log.file.lost
    assert log.file.read() == b"" and log.file.lost


def test_two_copytruncates_between_two_looks(log: Log) -> None:
    log.append("a\n")
    assert log.drain() == "a\n"
    log.append("b\n")
    copytruncate(log, at=100)
    log.append("c\n")
    copytruncate(log, at=200)
    log.append("d\n")
    assert log.drain() == "b\nc\nd\n"
    assert log.file.lost and len(log.file.notes) == 1


def test_a_file_that_was_emptied_again_before_any_of_it_was_read(log: Log) -> None:
    log.append("a\n")
    assert log.drain() == "a\n"
    copytruncate(log, at=100)
    assert log.drain() == ""
    log.append("b\n")
    copytruncate(log, at=200)
    copytruncate(log, at=300)  # of nothing
    log.append("c\n")
    assert log.drain() == "b\nc\n"
    assert log.file.lost and len(log.file.notes) == 2


def test_a_copy_that_is_being_made_is_not_read_twice(log: Log) -> None:
    log.append("a\n")
    assert log.drain() == "a\n"
    log.append("b\n")
    copytruncate(log, at=100)
    log.append("c\nd\n")
    log.path.with_name("maillog.1").rename(log.path.with_name("maillog.2"))
    log.path.with_name("maillog.1").write_text("c\n")
    assert log.drain() == "b\nc\nd\n"
    log.path.with_name("maillog.1").write_text("c\nd\n")
    log.append("e\n")
    assert log.drain() == "e\n"
    os.truncate(log.path, 0)
    log.append("f\n")
    assert log.drain() == "f\n"


def test_a_copy_that_nothing_followed_is_not_told_again(log: Log) -> None:
    log.append("a\n")
    assert log.drain() == "a\n"
    log.append("b\n")
    log.path.with_name("maillog.1").write_bytes(log.path.read_bytes())  # by a logrotate that came to grief
    os.utime(log.path.with_name("maillog.1"), (50, 50))
    log.append("c\n")
    copytruncate(log, at=100)
    log.append("d\n")
    assert log.drain() == "b\nc\nd\n"


def test_a_rotated_file_that_somebody_copies_or_edits_is_not_told_again(tmp_path: Path) -> None:
    (tmp_path / "maillog").touch()
    log = Log(tmp_path / "maillog")
    log.append("Nov 27 10:00:00 mx a: 1\nNov 27 23:59:59 mx a: 2\n")
    assert len(log.drain()) == 48
    copytruncate(log, at=100)
    assert log.drain() == "" and log.file.lost
    log.path.with_name("maillog-20261128").write_bytes(log.path.with_name("maillog.1").read_bytes())
    log.path.with_name("maillog.1").write_text("Nov 27 10:00:00 mx a: -\nNov 27 23:59:59 mx a: -\n")
    assert log.drain() == ""
    log.append("Nov 28 00:00:01 mx a: 3\n")
    assert log.drain() == "Nov 28 00:00:01 mx a: 3\n"
    assert len(log.file.notes) == 1


def test_a_copy_of_the_new_file_is_none_that_was_missed(log: Log) -> None:
    log.append("a\n")
    assert log.drain() == "a\n"
    log.path.rename(log.path.with_name("maillog.2"))
    log.append("b\n")
    log.path.with_name("maillog.1").write_bytes(log.path.read_bytes())
    assert log.drain() == "b\n"


def test_our_file_that_is_being_packed_is_not_lost(log: Log) -> None:
    log.append("a\n")
    log.path.rename(log.path.with_name("maillog.1"))
    log.path.with_name("maillog.1.gz").write_bytes(b"\x1f\x8b\x08\0packed")
    log.append("b\n")
    assert log.drain() == "a\nb\n"
    assert not log.file.lost


def test_a_missed_file_of_the_same_instant_is_read_and_one_that_cannot_be_is_told(log: Log) -> None:
    log.append("a\n")
    assert log.drain() == "a\n"
    log.path.rename(log.path.with_name("maillog.3"))
    log.path.with_name("maillog.2").write_text("b\n")
    for name in ("maillog.3", "maillog.2"):
        os.utime(log.path.with_name(name), (100, 100))
    log.path.with_name("maillog.1").write_text("c\n")
    log.append("d\n")
    opened = os.open

    def refuse(path: Path, *rest: int) -> int:
        if Path(path).name == "maillog.1":
            raise PermissionError(13, "Permission denied")
        return opened(path, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "open", refuse)
        assert log.drain() == "b\nd\n"
    assert log.file.lost
    assert log.file.notes[-1] == "warning: maillog.1: cannot be read; its lines are lost"


def test_an_overlong_line_that_was_emptied_away_takes_no_other_with_it(log: Log) -> None:
    log.append("x" * (LONGEST_LINE + 10))
    assert len(log.drain()) == LONGEST_LINE + 1
    copytruncate(log)
    log.append("a\nb\n")
    assert log.drain() == "a\nb\n"


class Rotations:
    """A writer, logrotate's copytruncate in its single steps, and a follower, each going on when it is told to.

    Each line begins with a letter of its own, as no stretch of a real log is found twice. lost: what was written
    between the copying and the emptying.
    """

    def __init__(self, directory: Path, size: int) -> None:
        (directory / "maillog").write_text(f"the first line {'x' * 60}\n")
        self.log = Log(directory / "maillog", size=size)
        self.written = 0
        self.uncopied: set[int] = set()
        self.lost: set[int] = set()
        self.got: list[str] = []
        self.clock = 1_000
        self.step = self.steps()

    def write(self) -> None:
        self.log.append(f"{chr(0x100 + self.written)} line {self.written} {'x' * 60}\n")
        self.uncopied.add(self.written)
        self.written += 1

    def look(self) -> None:
        block = self.log.file.read()
        assert block is not None
        self.got += block.decode().splitlines(keepends=True)

    def steps(self) -> Iterator[None]:
        path = self.log.path
        while True:
            for number in range(20, 0, -1):
                if (old := path.with_name(f"maillog.{number}")).exists():
                    old.rename(path.with_name(f"maillog.{number + 1}"))
                    yield
            with path.open("rb") as source, path.with_name("maillog.1").open("wb", buffering=0) as copy:
                for size in (100, -1):
                    copy.write(b"".join(source.readlines(size)))
                    self.clock += 1
                    os.utime(copy.fileno(), (self.clock, self.clock))
                    if size < 0:
                        self.uncopied = set()
                    yield
            os.truncate(path, 0)
            self.lost |= self.uncopied
            self.uncopied = set()
            yield


@given(st.text("wlr", max_size=80), st.sampled_from([10, 100, 262144]))
@example("rrwlrrrwrr", 10)  # a line is read after the copying, and not again
@example("rrrrrrwlrrrrwrr", 262144)  # so is all that a copy should have held
@example("rrrrrrrrrrrrrrwrrrwllr", 100)  # a copy that is being made, after some of nothing
@example("rrrrrrrrrrrrrrrrrrrrrwrlrrwlr", 100)
def test_copytruncate_at_any_moment_loses_and_repeats_nothing_else(doing: str, size: int) -> None:
    with TemporaryDirectory() as directory:
        play = Rotations(Path(directory), size)
        for letter in doing:
            {"w": play.write, "l": play.look, "r": lambda: next(play.step)}[letter]()
        play.got += play.log.drain().splitlines(keepends=True)
        play.log.file.close()
        numbers = [int(line.split()[2]) for line in play.got]
        assert numbers == sorted(set(numbers))
        assert set(range(play.written)) - set(numbers) <= play.lost


def test_truncation_is_seen_though_the_file_has_grown_past_the_place(log: Log) -> None:
    log.append("a\n")
    assert log.drain() == "a\n"
    os.truncate(log.path, 0)
    log.append("".join(f"new {number}\n" for number in range(1000)))
    assert log.drain().startswith("new 0\n")
    assert log.file.lost


def test_what_truncation_left_of_a_line_is_no_line(log: Log) -> None:
    log.append("a\nremoved-half")
    assert log.drain() == "a\n"
    os.truncate(log.path, 0)
    log.append("b\n")
    assert log.drain() == "b\n"


def test_the_hole_that_a_writer_leaves_after_truncation(log: Log) -> None:
    log.append("a\n")
    log.drain()
    place = log.path.stat().st_size
    with log.path.open("r+b") as out:
        out.truncate(0)
        out.seek(place + 3 * LONGEST_LINE)
        out.write(b"b\n")
    assert log.drain() == "b\n"
    assert log.file.lost


def test_truncation_of_a_file_that_was_never_read_is_none(log: Log) -> None:
    other = Log(log.path.with_name("empty"))
    other.append("")
    assert other.drain() == ""
    os.truncate(other.path, 0)
    other.append("a\n")
    assert other.drain() == "a\n"
    assert not other.file.lost


def test_deletion_and_return(log: Log) -> None:
    log.append("a\n")
    assert log.drain() == "a\n"
    with log.path.open("ab") as writer:
        log.path.unlink()
        for _ in range(5):
            assert log.drain() == ""
        assert log.file.notes == ["maillog: was removed or renamed; waiting for a new one"]
        writer.write(b"b\n")
        writer.flush()
        assert log.drain() == "b\n"
    log.append("c\n")
    assert log.drain() == "c\n"
    assert log.file.notes[1:] == ["maillog: there is a new file of this name; reading on in it"]
    assert not log.file.lost


def test_a_name_that_comes_back_to_the_same_file(log: Log) -> None:
    aside = log.path.rename(log.path.with_name("aside"))
    for _ in range(5):
        log.drain()
    aside.rename(log.path)
    log.append("a\n")
    assert log.drain() == "a\n"
    log.drain()
    assert log.file.notes[-1] == "maillog: is back"


def test_a_file_and_a_directory_that_come_later(tmp_path: Path) -> None:
    log = Log(tmp_path / "log" / "mail" / "maillog", history=1000)
    assert log.before == b"" and log.drain() == "" and log.drain() == ""
    assert log.file.notes == ["maillog: no such file; waiting for it"]
    log.path.parent.mkdir(parents=True)
    assert log.drain() == ""
    log.append("a\n")
    assert log.drain() == "a\n"
    assert log.file.notes[1:] == ["maillog: is there now"]
    assert not log.file.lost


def test_a_link_that_points_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("a\n")
    (tmp_path / "two").write_text("b\n")
    (tmp_path / "maillog").symlink_to("one")
    log = Log(tmp_path / "maillog", history=1000)
    assert log.before == b"a\n"
    (tmp_path / "maillog").unlink()
    (tmp_path / "maillog").symlink_to("two")
    assert log.drain() == "b\n"


def test_a_new_file_that_may_not_be_read(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    log.append("a\n")
    log.drain()
    log.path.rename(log.path.with_name("maillog.1"))
    log.append("b\n")
    opened = os.open

    def refuse(*_: object, **__: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    assert log.drain() == "" and log.drain() == ""
    assert len(log.file.notes) == 1 and log.file.notes[0].startswith("maillog: permission denied; ")
    monkeypatch.setattr(os, "open", opened)
    assert log.drain() == "b\n"


def test_a_name_that_becomes_a_directory(log: Log) -> None:
    log.drain()
    log.path.unlink()
    log.path.mkdir()
    log.drain()
    assert "maillog: is no file any more; waiting for one" in log.file.notes
    log.path.rmdir()
    log.append("a\n")
    assert log.drain() == "a\n"


@pytest.mark.parametrize("data", [b"\x1f\x8b\x08\0\0\0\0\0", b"BZh91AY", b"\x28\xb5\x2f\xfd\0\0"])
def test_packed_logs_do_not_grow(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "maillog").write_bytes(data)
    with pytest.raises(SourceError, match="does not grow"):
        Log(tmp_path / "maillog")


def test_what_is_no_log_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="is a directory, not a log"):
        Log(tmp_path)


@pytest.mark.parametrize("size", [1, 2, 7, 262144])
def test_history_begins_with_a_whole_line_at_any_size(tmp_path: Path, size: int) -> None:
    path = tmp_path / "maillog"
    lines = [f"line {number}\n" for number in range(12)]
    path.write_text("".join(lines))
    whole = "".join(lines)
    for wanted in range(1, len(whole) + 3):
        log = Log(path, wanted, size)
        got = log.before.decode()
        assert whole.endswith(got) and (got == "" or got in (whole[whole.index(got) :], whole))
        assert got == "" or got.startswith("line ")
        assert len(whole) - wanted <= len(whole) - len(got) or got == whole
        assert len(got) > wanted - len(lines[-1]) - 1
        log.append("")
        assert log.drain() == ""
        log.file.close()


def test_history_goes_back_into_the_rotated_file(tmp_path: Path) -> None:
    (tmp_path / "maillog.2").write_text("z\n")
    (tmp_path / "maillog.1").write_text("a\nb\nc\n")
    os.utime(tmp_path / "maillog.2", (1, 1))
    (tmp_path / "maillog").write_text("d\n")
    assert Log(tmp_path / "maillog", 1000).before == b"a\nb\nc\nd\n"
    assert Log(tmp_path / "maillog", 5).before == b"c\nd\n"
    assert Log(tmp_path / "maillog", 2).before == b"d\n"


def test_history_does_not_begin_with_a_copy_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "maillog").write_text("a\nb\n")
    (tmp_path / "maillog-20261128").write_text("a\n")
    assert Log(tmp_path / "maillog", 1000).before == b"a\nb\n"


def test_history_leaves_a_packed_rotated_file_alone(tmp_path: Path) -> None:
    (tmp_path / "maillog.1.gz").write_bytes(b"\x1f\x8b\x08\0\0\0\0\0")
    (tmp_path / "maillog").write_text("d\n")
    assert Log(tmp_path / "maillog", 1000).before == b"d\n"


def test_history_ends_where_reading_goes_on(tmp_path: Path) -> None:
    (tmp_path / "maillog").write_text("a\nb\nhal")
    log = Log(tmp_path / "maillog", 1000)
    assert log.before == b"a\nb\n"
    log.append("f\n")
    assert log.drain() == "half\n"


# --- streams --------------------------------------------------------------------------------------------------------


def test_a_stream_gives_whole_lines_until_its_end() -> None:
    reading, writing = os.pipe()
    stream = FollowedStream(reading, "standard input", lambda seconds, descriptors: None)
    assert stream.read() == b""
    os.write(writing, b"a\nb")
    assert stream.read() == b"a\n"
    assert stream.read() == b"" and stream.half()
    os.write(writing, b"\nc")
    assert stream.read() == b"b\n"
    os.close(writing)
    assert stream.read() == b"c\n"
    assert stream.read() is None
    assert (stream.info.lines, stream.info.bytes) == (3, 5)
    os.close(reading)


def test_a_fifo_outlives_its_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    reading = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    waits: list[list[int]] = []
    stream = FollowedStream(
        reading, "fifo", lambda seconds, descriptors: waits.append(descriptors), lasting=True
    )
    for text in (b"a\n", b"b\n"):
        assert stream.read() == b""
        stream.wait(1)
        writing = os.open(tmp_path / "fifo", os.O_WRONLY)
        os.write(writing, text)
        assert stream.read() == text
        stream.wait(1)
        os.close(writing)
    assert stream.read() == b""
    # Without a writer it is always ready: waiting for it would be a loop without a pause.
    assert waits[1] == waits[3] == [reading] and waits[2] == []
    os.close(reading)


# --- waiting --------------------------------------------------------------------------------------------------------


@pytest.fixture
def waker() -> Waker:
    return Waker()


def took(wait: Callable[[float], None], seconds: float) -> float:
    start = time.monotonic()
    wait(seconds)
    return time.monotonic() - start


def test_a_poke_ends_the_wait_and_only_one(waker: Waker) -> None:
    waker.poke()
    assert took(waker.wait, 20) < 10
    assert took(waker.wait, 0.01) > 0.005


def test_data_and_a_signals_byte_end_the_wait(waker: Waker) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"x")
    assert took(lambda seconds: waker.wait(seconds, [reading]), 20) < 10
    os.write(waker.descriptor, b"\0")
    assert took(waker.wait, 20) < 10
    for descriptor in (reading, writing):
        os.close(descriptor)
    waker.close()


def test_a_change_of_the_file_ends_the_wait(tmp_path: Path, waker: Waker) -> None:
    path = tmp_path / "maillog"
    path.write_text("a\n")
    watch = FileWatch(path, waker)
    watch.wait(0.001)  # it watches from now on
    assert watch._notify is not None
    for change in (
        lambda: path.write_text("a\nb\n"),
        lambda: path.rename(tmp_path / "maillog.1"),
        lambda: path.touch(),
        lambda: path.unlink(),
    ):
        change()
        assert took(watch.wait, 20) < 10
    watch.close()


def test_a_directory_that_comes_later_is_watched(tmp_path: Path, waker: Waker) -> None:
    path = tmp_path / "log" / "maillog"
    watch = FileWatch(path, waker)
    watch.wait(0.001)
    path.parent.mkdir()
    assert took(watch.wait, 20) < 10
    watch.wait(0.001)
    path.write_text("a\n")
    assert took(watch.wait, 20) < 10
    path.unlink()
    path.parent.rmdir()
    assert took(watch.wait, 20) < 10
    watch.close()


def test_the_directory_of_a_links_target_is_watched(tmp_path: Path, waker: Waker) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "maillog").symlink_to("../real/maillog")
    watch = FileWatch(tmp_path / "links" / "maillog", waker)
    watch.wait(0.001)
    (tmp_path / "real" / "maillog").write_text("a\n")
    assert took(watch.wait, 20) < 10
    watch.close()


def test_a_poke_ends_the_wait_for_a_file(tmp_path: Path, waker: Waker) -> None:
    watch = FileWatch(tmp_path / "maillog", waker)
    watch.wait(0.001)
    waker.poke()
    assert took(watch.wait, 20) < 10
    watch.close()


def test_notifications_that_break_are_no_busy_loop(tmp_path: Path, waker: Waker) -> None:
    class Broken:
        def watch(self, *_: object) -> None:
            raise RuntimeError("the thread died")

    watch = FileWatch(tmp_path / "maillog", waker)
    watch.wait(0.001)
    watch._notify = Broken()
    watch.wait(20)
    assert took(watch.wait, 0.02) >= 0.01
    watch.close()


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("limit")])
def test_where_there_are_no_notifications_the_time_is_waited_for(
    tmp_path: Path, waker: Waker, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    from watchfiles import _rust_notify

    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr(_rust_notify, "RustNotify", refuse)
    watch = FileWatch(tmp_path / "maillog", waker)
    assert waking._notifier([str(tmp_path)]) is None
    watch.wait(20)  # it tries to watch, and says at once that something may have changed
    assert took(watch.wait, 0.02) >= 0.01
    waker.poke()
    assert took(watch.wait, 20) < 10
