"""Logs that overlap in time become one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logscan.sources import merge as merging
from logscan.sources.merge import Run, merge, runs


def stamp(line: bytes) -> int | None:
    """A stand-in for the header's: digits before the first blank."""
    first = line.split(b" ", 1)[0]
    return int(first) if first.isdigit() else None


def merged(*logs: bytes, block: int = 1 << 20) -> list[bytes]:
    def blocks(log: bytes) -> Iterator[bytes]:
        lines = log.splitlines(keepends=True)
        for start in range(0, len(lines), block):
            yield b"".join(lines[start : start + block])

    out = list(merge([runs(blocks(log), stamp) for log in logs]))
    assert all(part.endswith(b"\n") for part in out)
    return b"".join(out).split(b"\n")[:-1]


def test_runs_share_a_second_and_never_go_back() -> None:
    found = list(runs(iter([b"5 a\n5 b\n7 c\n", b"6 late\nno stamp\n7 d\n8 e\n"]), stamp))
    assert found == [
        (5, [b"5 a", b"5 b"]),
        (7, [b"7 c"]),
        (7, [b"6 late", b"no stamp", b"7 d"]),
        (8, [b"8 e"]),
    ]


def test_lines_are_cut_at_newlines_only() -> None:
    line = b"5 a\x85b\xe2\x80\xa8c\rd\x0b"
    assert list(runs(iter([line + b"\n"]), stamp)) == [(5, [line])]


def test_two_logs_are_interleaved_by_time() -> None:
    assert merged(b"1 a\n4 d\n", b"2 b\n3 c\n5 e\n") == [b"1 a", b"2 b", b"3 c", b"4 d", b"5 e"]


def test_equal_times_go_in_the_order_of_the_streams() -> None:
    assert merged(b"1 b\n1 a\n", b"1 c\n") == [b"1 b", b"1 a", b"1 c"]


def test_nothing_merges_to_nothing() -> None:
    assert merged() == []
    assert merged(b"", b"") == []
    assert merged(b"", b"1 a\n") == [b"1 a"]


@pytest.mark.parametrize("block", [1, 2, 100])
def test_a_line_in_two_files_counts_once_and_repeats_stay(block: int) -> None:
    log = b"1 x\n1 w\n1 w\n2 y\n2 w\n"
    warnings = b"1 w\n1 w\n1 w\n2 w\n"
    found = merged(log, warnings, block=block)
    assert Counter(found) == Counter([b"1 x", b"1 w", b"1 w", b"1 w", b"2 y", b"2 w"])
    assert Counter(merged(warnings, log, block=block)) == Counter(found)


def test_a_repeat_within_one_file_is_no_copy() -> None:
    assert merged(b"1 w\n1 w\n1 w\n", b"9 z\n") == [b"1 w", b"1 w", b"1 w", b"9 z"]


def test_a_line_that_came_late_is_still_known() -> None:
    # The first file's running maximum is 5 when the warning comes, the second file holds nothing else.
    assert merged(b"1 a\n5 b\n3 w\n", b"3 w\n") .count(b"3 w") == 1


def test_the_same_text_a_long_time_later_is_another_line() -> None:
    logs = b"1 a\nw\n100 b\n", b"100 b\nw\n"
    assert merged(*logs).count(b"w") == 2


def test_a_flood_is_merged_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merging, "_REMEMBERED", 10)
    flood = b"".join(b"1 %d\n" % number for number in range(1000))
    seen = merging._Seen(2)
    passed = [seen.new(1, 0, [line]) for line in flood.split(b"\n")]
    assert len(passed) == 1001
    assert len(seen._recent) + len(seen._older) <= 20
    assert len(merged(flood, b"2 z\n")) == 1001


ROWS = st.lists(st.tuples(st.integers(0, 30), st.sampled_from(b"abc")), max_size=30).map(sorted)


@given(st.lists(ROWS, min_size=1, max_size=4), st.integers(1, 5))
def test_each_line_is_passed_as_often_as_in_the_log_that_has_it_most(
    logs: list[list[tuple[int, int]]], block: int
) -> None:
    texts = [[b"%d %c" % row for row in rows] for rows in logs]
    found = merged(*(b"".join(line + b"\n" for line in text) for text in texts), block=block)
    expected: Counter[bytes] = Counter()
    for text in texts:
        expected |= Counter(text)
    assert Counter(found) == expected
    times = [stamp(line) or 0 for line in found]
    assert times == sorted(times)


def test_a_stream_is_read_only_as_far_as_needed() -> None:
    taken: list[int] = []

    def stream() -> Iterator[Run]:
        for at in range(10_000):
            taken.append(at)
            yield at, [b"%d" % at]

    next(merge([stream()]))
    assert len(taken) < 3000
