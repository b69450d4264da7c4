"""However a log is cut in parts, the report is the one of a single process, byte for byte."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))
sys.path.insert(0, str(Path(__file__).parent))

import generate
from hard_log import START, hard_log

from logscan.job import Job, Options
from logscan.jobs import reading
from logscan.jobs.digest import Digest
from logscan.jobs.parts import Part, Shares
from logscan.jobs.sift import sift
from logscan.pipeline import report_of
from logscan.sources.plan import PlannedSource

NOW = max(START, generate.START) + 3 * 86400


class Cuts(Shares):
    """Parts of given sizes, and one of what is left. own: which of them the reader reads itself."""

    def __init__(self, sizes: list[int], own: set[int]) -> None:
        super().__init__(0, 0, crumb=0)
        object.__setattr__(self, "sizes", sizes)
        object.__setattr__(self, "mine", own)

    __slots__ = ("mine", "sizes")

    def rounds(self, size: int) -> Iterator[tuple[int, bool]]:
        for number, part in enumerate([*self.sizes, 1 << 40]):  # type: ignore[attr-defined]
            yield part, number in self.mine  # type: ignore[attr-defined]


class Here:
    """Sifts in this process, and counts."""

    parts_ahead = 1
    most = 1 << 30

    def __init__(self) -> None:
        self.lines = self.kept = self.parts = self.fitting = 0

    def ahead(self, parts: Iterator[Part]) -> Iterator[tuple[Part, Digest | None]]:
        for part in parts:
            digest = None if part.own else sift(part.task)
            if digest is not None:
                self.lines += digest.info.lines
                self.kept += len(digest.where)
            yield part, digest

    def fits(self, *args: Any) -> bool:
        self.parts += 1
        fits = FITS(*args)
        self.fitting += fits
        return fits


FITS = reading.fits


def whole(path: Path, **options: Any) -> str:
    """The report of one process."""
    return report(path, options)


def report(path: Path, options: dict[str, Any]) -> str:
    _, doc = report_of(Options([str(path)], timezone="UTC", jobs=1, **options), warn=lambda _: None, now=NOW)
    return json.dumps(doc, default=str)


def in_parts(path: Path, sizes: list[int], own: set[int] = frozenset(), **options: Any) -> tuple[str, Here]:  # type: ignore[assignment]
    """The report from parts of these sizes, and what was done for it."""
    here = Here()

    def in_a_row(job: Job, sources: list[PlannedSource]) -> None:
        reading.read(job, sources, here, Cuts(sizes, own))  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Job, "_in_a_row", in_a_row)
        patch.setattr(reading, "fits", here.fits)
        return report(path, options), here


def write(path: Path, lines: list[bytes]) -> Path:
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    os.utime(path, (NOW, NOW))
    return path


@pytest.fixture(scope="module")
def hard(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[bytes], str]:
    """The hard log, its lines and its report."""
    lines = hard_log()
    path = write(tmp_path_factory.mktemp("hard") / "maillog", lines)
    return path, lines, whole(path)


def test_the_hard_log_is_hard(hard: tuple[Path, list[bytes], str]) -> None:
    _, lines, told = hard
    doc = json.loads(told)
    assert len(lines) > 2000
    assert min(doc["totals"]["outbound"][word] for word in ("signed", "unsigned", "milter_error", "undecided")) >= 10
    assert min(doc["totals"]["inbound"][word] for word in ("pass", "fail", "none", "unchecked")) >= 2
    assert len(doc["faults"]) > 15


@pytest.mark.parametrize("eighth", range(8))
def test_a_cut_at_any_line_changes_nothing(hard: tuple[Path, list[bytes], str], eighth: int) -> None:
    path, lines, told = hard
    ends = [0]
    for line in lines:
        ends.append(ends[-1] + len(line) + 1)
    kept = of = 0
    for end in ends[1 + eighth : -1 : 8]:
        cut, here = in_parts(path, [end])
        assert cut == told, f"cut at byte {end}"
        kept, of = kept + here.kept, of + here.lines
    assert kept < 0.9 * of  # else nothing was left out, and nothing tested


def test_several_cuts_change_nothing(hard: tuple[Path, list[bytes], str]) -> None:
    path, _, told = hard
    size = path.stat().st_size

    @settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.integers(1, size // 2), min_size=2, max_size=8), st.sets(st.integers(0, 8), max_size=4))
    def check(sizes: list[int], own: set[int]) -> None:
        assert in_parts(path, sizes, own)[0] == told

    check()


@pytest.mark.parametrize(
    ("form", "hosts", "long_ids", "per_day", "seed"),
    [("traditional", 1, False, 60_000, 31), ("rfc3339", 3, True, 40_000, 32), ("traditional", 4, False, 2_000_000, 33)],
)
def test_parts_of_any_sizes_change_nothing(
    tmp_path_factory: pytest.TempPathFactory, form: str, hosts: int, long_ids: bool, per_day: int, seed: int
) -> None:
    path = tmp_path_factory.mktemp("made") / "maillog"
    with path.open("wb") as output:
        generate.generate(
            output, lines=4_000, seed=seed, form=form, long_ids=long_ids, hosts=hosts, per_day=per_day
        )
    os.utime(path, (NOW, NOW))
    size = path.stat().st_size
    told = whole(path)
    kept, of, fitting, parts = 0, 0, 0, 0

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        st.lists(st.integers(1, size // 2), min_size=1, max_size=6),
        st.sets(st.integers(0, 6), max_size=3),
    )
    def check(sizes: list[int], own: set[int]) -> None:
        nonlocal kept, of, fitting, parts
        cut, here = in_parts(path, sizes, own)
        assert cut == told
        kept, of = kept + here.kept, of + here.lines
        fitting, parts = fitting + here.fitting, parts + here.parts

    check()
    assert kept < 0.7 * of
    assert fitting > 0.5 * parts
