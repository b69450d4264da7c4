"""Reading with other processes: logs of several hosts, logs that cannot be read apart, processes that die."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Generator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))

import generate

from logscan.jobs import merging, parts, pool, reading
from logscan.jobs.digest import Digest, Task
from logscan.jobs.sift import sift
from logscan.model import SourceInfo
from logscan.pipeline import Options, report_of

NOW = generate.START + 3 * 86400


def report(logs: list[Path], jobs: int, warnings: list[str] | None = None) -> str:
    options = Options([str(log) for log in logs], timezone="UTC", jobs=jobs, limit=200)
    _, doc = report_of(options, warn=(warnings if warnings is not None else []).append, now=NOW)
    return json.dumps(doc, default=str)


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A log of each of three hosts, over the same time; one is packed."""
    made = []
    folder = tmp_path_factory.mktemp("hosts")
    for number, form in enumerate(("traditional", "rfc3339", "traditional")):
        path = folder / f"host{number}" / "maillog"
        path.parent.mkdir()
        with path.open("wb") as output:
            generate.generate(output, lines=3_000, seed=60 + number, form=form, hosts=1, per_day=40_000)
        name = path.read_bytes().split()[3 if form == "traditional" else 1]
        path.write_bytes(path.read_bytes().replace(b" " + name + b" ", b" mail%d " % number))
        os.utime(path, (NOW, NOW))
        made.append(path)
    return made


class Here(pool.Workers):
    """Sifts in this process."""

    digests: ClassVar[list[Digest]] = []

    def __init__(self, workers: int, parts_ahead: int) -> None:
        self.parts_ahead = parts_ahead

    def close(self) -> None:
        pass

    def submit(self, task: Task) -> Callable[[], Digest]:
        def result() -> Digest:
            digest = sift(task)
            Here.digests.append(digest)
            return digest

        return result


@pytest.mark.parametrize("size", [3_000, 20_000, 90_000])
def test_hosts_that_are_sifted_apart_give_the_report_of_one_process(
    hosts: list[Path], size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = report(hosts, 1)
    monkeypatch.setattr(pool, "Pool", Here)
    monkeypatch.setattr(merging, "SMALLEST", size)
    monkeypatch.setattr(merging, "LARGEST", size)
    monkeypatch.setattr(merging, "CRUMB", 0)
    Here.digests = []
    assert report(hosts, 2) == whole
    assert len(Here.digests) >= 6
    assert sum(len(d.where) for d in Here.digests) < (0.8 if size > 10_000 else 1) * sum(d.info.lines for d in Here.digests)


def test_other_processes_give_the_same_report(hosts: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "SMALLEST", 100_000)
    for logs in (hosts, hosts[:1]):
        whole = report(logs, 1)
        for jobs in (2, 3):
            assert report(logs, jobs) == whole


def test_a_host_in_two_logs_has_one_process_read_them(hosts: list[Path], tmp_path: Path) -> None:
    lines = hosts[2].read_bytes().splitlines(keepends=True)
    shared = tmp_path / "maillog"
    # Too late for a look at its first lines.
    late = [line.replace(b" mail2 ", b" mail0 ") if number > 2_000 else line for number, line in enumerate(lines)]
    shared.write_bytes(b"".join(late))
    os.utime(shared, (NOW, NOW))
    logs = [hosts[0], shared, tmp_path / "missing"]
    said: list[str] = []
    whole = report(logs, 1, said)
    again: list[str] = []
    assert report(logs, 2, again) == whole
    assert again == said
    assert len(said) == 1


def test_the_same_lines_in_two_logs_count_once(hosts: list[Path], tmp_path: Path) -> None:
    warn = tmp_path / "mail.warn"
    warn.write_bytes(b"".join(line for line in hosts[0].read_bytes().splitlines(keepends=True) if b"warning" in line))
    os.utime(warn, (NOW, NOW))
    assert report([hosts[0], warn], 3) == report([hosts[0], warn], 1)


def _dying(parent: int, inner: Callable[[SourceInfo], Generator[bytes, None, None]], info: SourceInfo) -> Any:
    if os.getpid() != parent:
        os._exit(9)
    yield from inner(info)


@pytest.mark.parametrize("several", [True, False])
def test_a_process_that_is_killed_costs_only_time(
    hosts: list[Path], several: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs = hosts if several else hosts[:1]
    whole = report(logs, 1)
    cut = parts.cut

    def killing(*args: Any) -> Any:
        for part in cut(*args):
            task = part.task
            yield replace(part, task=replace(task, open=partial(_dying, os.getpid(), task.open)))

    monkeypatch.setattr(merging, "cut", killing)
    monkeypatch.setattr(reading, "cut", killing)
    monkeypatch.setattr(reading, "SMALLEST", 50_000)
    monkeypatch.setattr(reading, "LARGEST", 50_000)
    assert report(logs, 2) == whole
