"""Reading with the workers of a real Dask cluster on this machine."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from host_logs import NOW, host_logs

from logscan.cli import main
from logscan.errors import UsageError
from logscan.job import Options
from logscan.jobs import fleet, merging, parts, reading
from logscan.model import SourceInfo
from logscan.pipeline import report_of

distributed = pytest.importorskip("distributed")
cloudpickle = pytest.importorskip("cloudpickle")


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a cluster of two worker processes."""
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1", silence_logs=50
    ) as cluster:
        # The workers cannot import this module, so they get its functions themselves.
        cloudpickle.register_pickle_by_value(sys.modules[__name__])
        yield cluster.scheduler_address
        cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A log of each of three hosts, over the same time."""
    return host_logs(tmp_path_factory.mktemp("hosts"), ["rfc3339"] * 3, seed=80, lines=4_000)


def report(logs: list[str], warnings: list[str] | None = None, **options: Any) -> str:
    asked = Options(logs, timezone="UTC", **options)
    _, doc = report_of(asked, warn=pytest.fail if warnings is None else warnings.append, now=NOW)
    return json.dumps(doc, default=str)


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of some hundred lines."""
    for module in (reading, merging):
        monkeypatch.setattr(module, "SMALLEST", 60_000)
        monkeypatch.setattr(module, "LARGEST", 60_000)
    monkeypatch.setattr(merging, "CRUMB", 0)


@pytest.mark.usefixtures("small_parts")
def test_a_fleet_gives_the_report_of_one_process(cluster: str, hosts: list[Path]) -> None:
    every = [str(path) for path in hosts]
    for logs in (every, every[:1], [f"file://{path}" for path in hosts]):
        assert report(logs, scheduler=cluster) == report(logs, jobs=1)


def _dying_once(
    marker: str, parent: int, inner: Callable[[SourceInfo], Generator[bytes, None, None]], info: SourceInfo
) -> Generator[bytes, None, None]:
    """Kills the first process that opens a part, when it has read a block of it."""
    blocks = inner(info)
    yield next(blocks)
    try:
        os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        yield from blocks
        return
    assert os.getpid() != parent
    os._exit(9)


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("count", [3, 1])
def test_a_worker_that_is_killed_in_the_middle_changes_nothing(
    cluster: str, hosts: list[Path], count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs = [str(path) for path in hosts[:count]]
    whole = report(logs, jobs=1)
    marker = tmp_path / "killed"
    cut = parts.cut

    def killing(*args: Any) -> Iterator[parts.Part]:
        for number, part in enumerate(cut(*args)):
            if number == 2:
                opened = partial(_dying_once, str(marker), os.getpid(), part.task.open)
                part = replace(part, task=replace(part.task, open=opened))
            yield part

    monkeypatch.setattr(merging, "cut", killing)
    monkeypatch.setattr(reading, "cut", killing)
    assert report(logs, scheduler=cluster) == whole
    assert marker.exists()


def test_what_only_this_machine_can_open_is_read_here(
    cluster: str, hosts: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    logs = [str(path) for path in hosts]
    cut = parts.cut

    def elsewhere(*args: Any) -> Iterator[parts.Part]:
        for part in cut(*args):
            yield replace(part, task=replace(part.task, open=partial(_only_here, os.getpid(), part.task.open)))

    monkeypatch.setattr(merging, "cut", elsewhere)
    said: list[str] = []
    assert report(logs, said, scheduler=cluster) == report(logs, jobs=1)
    assert sorted(said) == [f"note: {log}: read here, for a worker could not open it" for log in logs]


def _only_here(
    parent: int, inner: Callable[[SourceInfo], Generator[bytes, None, None]], info: SourceInfo
) -> Generator[bytes, None, None]:
    from logscan.errors import SourceError

    if os.getpid() != parent:
        raise SourceError(info.name, "no such file")
    yield from inner(info)


def test_a_cluster_that_is_not_there_is_one_line(
    hosts: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(fleet, "_PATIENCE", 1)
    assert main(["report", str(hosts[0]), "--scheduler", "tcp://127.0.0.1:9"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("logscan: --scheduler: no cluster at tcp://127.0.0.1:9: ")


def test_a_worker_with_another_logscan_is_refused(cluster: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "__version__", "9.9.9")
    with pytest.raises(UsageError, match=r"--scheduler: the worker at tcp://127\.0\.0\.1:\d+ has logscan 0\.\S+, this is 9"):
        fleet.Fleet(cluster)


def test_a_cluster_that_is_not_used_is_a_note(cluster: str, hosts: list[Path], tmp_path: Path) -> None:
    said: list[str] = []
    report([str(hosts[0])], said, scheduler=cluster, compare=True, since="-30d")
    assert said[0] == "note: --scheduler: not used for --compare, which reads with one process"
    again = tmp_path / "mail.warn"
    again.write_bytes(hosts[0].read_bytes())
    os.utime(again, (NOW, NOW))
    said = []
    assert report([str(hosts[0]), str(again)], said, scheduler=cluster) == report([str(hosts[0]), str(again)])
    assert said == ["note: --scheduler: not used for logs that overlap in time and cannot be read apart (is a host in several?)"]
