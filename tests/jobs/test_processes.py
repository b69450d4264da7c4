"""Reading with other processes: logs of several hosts, logs that cannot be read apart, processes that die."""

from __future__ import annotations

import gzip
import json
import os
import sys
from collections.abc import Callable, Generator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from host_logs import NOW, host_logs

from logscan.job import Options
from logscan.jobs import merging, parts, pool, reading
from logscan.jobs.digest import Digest, Task
from logscan.jobs.sift import sift
from logscan.model import SourceInfo
from logscan.pipeline import report_of


def report(logs: list[Path], jobs: int, warnings: list[str] | None = None) -> str:
    options = Options([str(log) for log in logs], timezone="UTC", jobs=jobs, limit=200)
    _, doc = report_of(options, warn=(warnings if warnings is not None else []).append, now=NOW)
    return json.dumps(doc, default=str)


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A log of each of three hosts, over the same time."""
    return host_logs(tmp_path_factory.mktemp("hosts"), ["traditional", "rfc3339", "traditional"], seed=60)


class Here(pool.Workers):
    """Sifts in this process."""

    digests: ClassVar[list[Digest]] = []
    largest: ClassVar[int] = 1 << 20

    def __init__(self, workers: int, parts_ahead: int) -> None:
        self.parts_ahead = parts_ahead
        self.most = Here.largest

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


@pytest.mark.parametrize("several", [True, False])
def test_a_packed_log_of_which_much_may_be_kept_is_read_by_this_process(
    hosts: list[Path], several: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = tmp_path / "maillog.gz"
    packed.write_bytes(gzip.compress(hosts[0].read_bytes()))
    os.utime(packed, (NOW, NOW))
    logs = [packed, *hosts[1:]] if several else [packed]
    whole = report(logs, 1)
    monkeypatch.setattr(pool, "Pool", Here)
    monkeypatch.setattr(pool, "shares", lambda jobs: parts.Shares(jobs - 1, 0))
    for most, sifted in ((packed.stat().st_size - 1, False), (1 << 20, True)):
        monkeypatch.setattr(Here, "largest", most)
        Here.digests = []
        assert report(logs, 2) == whole
        assert bool(Here.digests) is sifted


TROUBLE = """\
Nov 20 {at} mx postfix/smtpd[9]: connect from app.example.org[192.0.2.7]
Nov 20 {at} mx postfix/smtpd[9]: warning: connect to Milter service inet:127.0.0.1:8891: Connection refused
Nov 20 {at} mx postfix/smtpd[9]: {id}: client=app.example.org[192.0.2.7]
Nov 20 {at} mx postfix/cleanup[7]: {id}: message-id=<{id}@example.org>
Nov 20 {at} mx postfix/qmgr[5]: {id}: from=<ann@example.org>, size=900, nrcpt=1 (queue active)
Nov 20 {at} mx postfix/smtp[6]: {id}: to=<bob@example.net>, relay=mx.example.net[203.0.113.9]:25, delay=0.1,\
 delays=0.1/0/0/0, dsn=2.0.0, status=sent (250 ok)
Nov 20 {at} mx postfix/qmgr[5]: {id}: removed
Nov 20 {at} mx postfix/smtpd[9]: disconnect from app.example.org[192.0.2.7] ehlo=1 mail=1 rcpt=1 data=1 quit=1
"""


def test_sifting_ends_where_too_much_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "maillog"
    times = [datetime.fromtimestamp(second, UTC).strftime("%H:%M:%S") for second in range(12_000)]
    log.write_text("".join(TROUBLE.format(at=at, id=f"{number:010X}") for number, at in enumerate(times)))
    os.utime(log, (NOW, NOW))
    whole = report([log], 1)
    assert json.loads(whole)["totals"]["unknown"]["messages"] == len(times)
    monkeypatch.setattr(pool, "Pool", Here)
    monkeypatch.setattr(pool, "shares", lambda jobs: parts.Shares(jobs - 1, 0))
    monkeypatch.setattr(reading, "SMALLEST", 1 << 30)  # one part
    for most, good in ((100_000, False), (1 << 30, True)):
        monkeypatch.setattr(Here, "largest", most)
        Here.digests = []
        assert report([log], 2) == whole
        assert [digest.good for digest in Here.digests] == [good]
        assert bool(Here.digests[0].lines) is good
