"""What goes wrong with a Dask cluster: workers that die, differ, or have other files."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from host_logs import NOW, host_logs

from logscan.cli import main
from logscan.errors import UsageError
from logscan.job import Options
from logscan.jobs import fleet
from logscan.pipeline import report_of

distributed = pytest.importorskip("distributed")

# Runs in each worker before its first part. A file `kill-N` has the worker that is given the N-th part of all die at
# it; `other-build` has workers say that they are one.
PRELOAD = """
import os, signal
from pathlib import Path
from logscan.jobs import fleet
from logscan.jobs.sift import work  # not the fleet's: Dask runs this twice

folder, code = Path({folder!r}), f"{{fleet.__version__}} {{fleet._build()}}"

def work_or_die(task):
    number = len(list(folder.glob("part-*")))
    (folder / f"part-{{number}}-{{os.getpid()}}").touch()
    for order in folder.glob("kill-*"):
        if number >= int(order.name.removeprefix("kill-")):
            try:
                order.unlink()
            except FileNotFoundError:
                continue
            os.kill(os.getpid(), signal.SIGKILL)
    if (folder / "kill").exists():
        os.kill(os.getpid(), signal.SIGKILL)
    return work(task)

fleet.work = work_or_die
fleet.code = lambda: "0.0.9 abc" if (folder / "other-build").exists() else code
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the tests tell the workers what to do."""
    return tmp_path_factory.mktemp("orders")


@pytest.fixture(scope="module")
def scheduler(folder: Path) -> Iterator[str]:
    """The address of a cluster of two workers."""
    preload = folder / "preload.py"
    preload.write_text(PRELOAD.format(folder=str(folder)))
    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        silence_logs=60,
        preload=[str(preload)],
        preload_nanny=[],
    ) as cluster:
        yield cluster.scheduler_address


@pytest.fixture
def orders(folder: Path) -> Iterator[Path]:
    """The folder, and no orders left in it."""
    for path in folder.glob("part-*"):
        path.unlink()
    yield folder
    for path in [*folder.glob("kill*"), *folder.glob("other-build")]:
        path.unlink()


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A log of each of four hosts, over the same time."""
    return host_logs(tmp_path_factory.mktemp("hosts"), ["traditional", "rfc3339"] * 2, seed=80)


def report(logs: list[Any], scheduler: str | None = None, **options: Any) -> tuple[str, list[str]]:
    said: list[str] = []
    asked = Options([str(log) for log in logs], timezone="UTC", limit=200, jobs=1, scheduler=scheduler, **options)
    _, doc = report_of(asked, warn=said.append, now=NOW)
    return json.dumps(doc, default=str), said


def pids(orders: Path) -> set[str]:
    """Which processes were given parts."""
    return {path.name.rpartition("-")[2] for path in orders.glob("part-*")}


def test_the_report_is_that_of_one_process_with_a_worker_killed_in_the_middle(
    scheduler: str, orders: Path, hosts: list[Path]
) -> None:
    (orders / "kill-2").touch()
    assert report(hosts, scheduler) == report(hosts)
    assert not (orders / "kill-2").exists()
    assert len(list(orders.glob("part-*"))) > len(hosts)
    assert str(os.getpid()) not in pids(orders)


def test_relative_paths_are_those_of_this_process(
    scheduler: str, orders: Path, hosts: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(hosts[0].parent)
    assert report(["maillog"], scheduler) == report(["maillog"])
    assert pids(orders)


def test_what_a_worker_has_another_file_for_is_read_here(
    scheduler: str, orders: Path, hosts: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = fleet._opening

    def other(path: Path, length: int) -> tuple[bytes, int]:
        return (b"of another machine", 7) if path == hosts[1] else real(path, length)

    monkeypatch.setattr(fleet, "_opening", other)
    found, said = report(hosts, scheduler)
    assert found == report(hosts)[0]
    assert said == [f"note: {hosts[1]}: read here, for a worker could not open it"]


def test_a_part_that_kills_every_worker_is_an_error(scheduler: str, orders: Path, hosts: list[Path]) -> None:
    (orders / "kill").touch()
    with pytest.raises(UsageError, match="several workers died over the same part of a log"):
        report(hosts[:1], scheduler)


def test_another_build_on_the_workers_is_an_error(scheduler: str, orders: Path, hosts: list[Path]) -> None:
    (orders / "other-build").touch()
    with pytest.raises(UsageError, match=r"the worker at \S+ has logscan 0\.0\.9, this is .*; install the same on all"):
        report(hosts, scheduler)


def test_a_worker_that_comes_later_is_asked_with_each_part() -> None:
    task: Any = None  # not looked at
    assert fleet.sift_sealed(task, fleet.Seal("0.0.9 abc", "", b"", 0)) == fleet.code()


def test_a_part_that_is_done_when_the_wait_for_it_ends_is_taken() -> None:
    class JustDone:
        status = "pending"

        def result(self, timeout: float) -> str:
            if self.status == "pending":
                self.status = "finished"
                raise TimeoutError(f"timed out after {timeout} s.")
            return "digest"

    waiting: Any = SimpleNamespace(_client=SimpleNamespace(status="running", nthreads=lambda: {"worker": 1}))
    assert fleet.Fleet._awaited(waiting, JustDone()) == "digest"


def test_a_cluster_without_workers_is_an_error(hosts: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "_WORKERLESS", 0.2)
    with (
        distributed.LocalCluster(
            n_workers=0, processes=True, host="127.0.0.1", dashboard_address="127.0.0.1:0", silence_logs=60
        ) as cluster,
        pytest.raises(UsageError, match=r"has no workers, and none came in 0\.2 seconds"),
    ):
        report(hosts, cluster.scheduler_address)


def test_no_cluster_is_one_line_and_status_2(hosts: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{closed.getsockname()[1]}"
        assert main(["report", str(hosts[0]), "--scheduler", address]) == 2
    assert capsys.readouterr() == (
        "",
        f"logscan: --scheduler: no cluster at {address}: connection refused\n",
    )
    for address, why in (("nonsense", "missing port number"), ("foo://x:1", "unknown address scheme")):
        assert main(["report", str(hosts[0]), "--scheduler", address]) == 2
        out, err = capsys.readouterr()
        assert (out, len(err.splitlines())) == ("", 1)
        assert err.startswith(f"logscan: --scheduler: no cluster at {address}: {why}")


def test_a_server_that_is_no_scheduler_is_one_line_and_status_2(
    hosts: list[Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet, "_PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        assert main(["report", str(hosts[0]), "--scheduler", address]) == 2
    err = f"logscan: --scheduler: no cluster at {address}: what listens there is no Dask scheduler\n"
    assert capsys.readouterr() == ("", err)


def test_without_dask_the_line_says_what_to_install(hosts: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UsageError, match=r"needs Dask; pip install 'mail-logscan\[fleet\]'"):
        report(hosts, "tcp://127.0.0.1:8786")


def test_a_zone_without_a_name_has_to_be_named(
    scheduler: str, hosts: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from importlib.resources import files

    (tmp_path / "localtime").write_bytes(files("tzdata.zoneinfo.Europe").joinpath("Berlin").read_bytes())
    monkeypatch.setenv("TZ", str(tmp_path / "localtime"))
    with pytest.raises(UsageError, match="give --timezone"):
        report_of(Options([str(hosts[0])], scheduler=scheduler), warn=print, now=NOW)
