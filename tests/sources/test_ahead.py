"""Reading ahead in a thread: the same blocks, the same errors, and no thread that stays."""

from __future__ import annotations

import gzip
import threading
import zlib
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_logs import NOW, Log

from logscan.job import Options
from logscan.model import SourceInfo
from logscan.pipeline import run_report
from logscan.sources.ahead import ahead
from logscan.sources.blocks import READ_AHEAD, read_blocks


@pytest.fixture(autouse=True)
def no_thread_stays() -> Generator[None, None, None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) == before


@given(st.lists(st.binary(min_size=1), max_size=20))
def test_chunks_come_as_they_are_and_in_order(chunks: list[bytes]) -> None:
    assert list(ahead(chunk for chunk in chunks)) == chunks


def test_they_are_made_in_another_thread_and_only_a_few_ahead() -> None:
    made: list[int] = []
    makers: set[str] = set()

    def chunks() -> Generator[bytes, None, None]:
        for number in range(100):
            makers.add(threading.current_thread().name)
            made.append(number)
            yield b"%d" % number

    taken = ahead(chunks())
    for number in range(50):
        assert next(taken) == b"%d" % number
        assert len(made) <= number + 5
    taken.close()
    assert makers == {"logscan-unpack"}
    assert len(made) < 60


@pytest.mark.parametrize("taken", range(6))
def test_closed_early_it_ends_the_thread_and_the_source(taken: int) -> None:
    ended = threading.Event()

    def chunks() -> Generator[bytes, None, None]:
        try:
            while True:
                yield b"x"
        finally:
            ended.set()

    blocks = ahead(chunks())
    for _ in range(taken):
        assert next(blocks) == b"x"
    blocks.close()
    assert ended.is_set() == (taken > 0)  # closed before it began, it never started


def test_an_error_comes_after_what_came_before_it() -> None:
    def chunks() -> Generator[bytes, None, None]:
        yield b"one"
        yield b"two"
        raise MemoryError("three")

    blocks = ahead(chunks())
    assert [next(blocks), next(blocks)] == [b"one", b"two"]
    with pytest.raises(MemoryError, match="three"):
        next(blocks)


def numbered(count: int) -> bytes:
    return b"".join(b"Nov 23 14:00:00 mx x: %08X\n" % zlib.crc32(b"%d" % n) for n in range(count))


def test_a_packed_file_is_read_the_same_in_a_thread(tmp_path: Path) -> None:
    data = numbered(200_000)
    assert len(data) > 4 * READ_AHEAD
    whole = gzip.compress(data, 1)
    broken = bytearray(whole)
    broken[len(broken) // 2] ^= 255
    for name, packed in (("whole", whole), ("cut", whole[: len(whole) // 2]), ("broken", bytes(broken))):
        path = tmp_path / name
        path.write_bytes(packed)
        plain, threaded = SourceInfo("log"), SourceInfo("log")
        one = b"".join(read_blocks(path, plain, size=READ_AHEAD))
        assert b"".join(read_blocks(path, threaded, threaded=True)) == one
        assert plain == threaded
        assert (plain.ends_early is None) == (name == "whole")
        assert len(one) > len(data) // 3


def test_a_reader_that_stops_early_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "log.gz"
    path.write_bytes(gzip.compress(numbered(200_000), 1))
    others = threading.active_count()
    blocks = read_blocks(path, SourceInfo("log"), threaded=True)
    assert next(blocks).startswith(b"Nov 23 14:00:00 mx x: ")
    assert threading.active_count() == others + 1
    blocks.close()
    assert threading.active_count() == others


def test_a_report_that_is_interrupted_leaves_no_thread_behind(tmp_path: Path) -> None:
    log = Log()
    for minute in range(8000):
        log.mail(NOW - 600_000 + 60 * minute)
    path = log.write(tmp_path / "maillog.1.gz")
    threads: list[int] = []
    others = threading.active_count()  # of tests before this one

    def interrupted(done: int, total: int | None) -> None:
        threads.append(threading.active_count())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        run_report(Options([str(path)]), warn=pytest.fail, progress=interrupted, now=NOW)
    # The error is still at hand, and with it every frame that was left.
    assert threads == [others + 1]
    assert threading.active_count() == others, caught
    assert run_report(Options([str(path)]), warn=pytest.fail, now=NOW).doc["totals"]["signatures"] == 8000
