"""Logs at URLs: read as files are, and every failure one line."""

from __future__ import annotations

import gzip
import json
import pickle
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from small_logs import NOW, Log, epoch

from logscan.cli import main
from logscan.job import Options
from logscan.model import SourceInfo, Window
from logscan.pipeline import run_report
from logscan.sources import remote
from logscan.sources.plan import plan

fsspec = pytest.importorskip("fsspec")


class Web(ThreadingHTTPServer):
    """A server on loopback. files: what it has, by path. parts: it answers a Range. asked: what it was sent.

    cut: paths whose connection breaks in the middle. status: paths that it answers otherwise. encoded: paths whose
    packing it calls an encoding.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.changed: dict[str, int] = {}
        self.parts = False
        self.cut: set[str] = set()
        self.status: dict[str, int] = {}
        self.encoded: set[str] = set()
        self.asked: list[tuple[str, str, str | None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Web

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        data = self._answer()
        broken = self.path in self.server.cut
        self.wfile.write(data[: len(data) // 2] if broken else data)

    def _answer(self) -> bytes:
        web, path = self.server, self.path
        web.asked.append((self.command, path, self.headers["Range"]))
        data = web.files.get(path, _index(web, path))
        status = web.status.get(path, 200 if data else 404)
        data = data if status == 200 else b""
        span = self.headers["Range"]
        if web.parts and span and data:
            status, (first, last) = 206, map(int, span.removeprefix("bytes=").split("-"))
            data = data[first : last + 1]
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        if path in web.changed:
            self.send_header("Last-Modified", format_datetime(datetime.fromtimestamp(web.changed[path], UTC), True))
        if path in web.encoded:
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        return data

    def log_message(self, *_: object) -> None:
        pass


def _index(web: Web, path: str) -> bytes:
    """A list of what is below, as web servers write one."""
    below = path.rstrip("/") + "/"
    rest = (name.removeprefix(below).split("/") for name in web.files if name.startswith(below))
    names = sorted({f"{first}/" if more else first for first, *more in rest})
    return "".join(f'<a href="{name}">{name}</a>\n' for name in names).encode()


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    monkeypatch.setenv("NO_PROXY", "*")
    with Web() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def memory() -> Iterator[Any]:
    """fsspec's file system in memory, empty before and after."""
    fs = fsspec.filesystem("memory")
    fs.store.clear()
    yield fs
    fs.store.clear()


def days(host: str = "mx", *, iso: bool = False) -> Log:
    """Mails of three days, one of them not signed."""
    log = Log(host, iso=iso)
    for day in ("21", "22", "23"):
        log.mail(f"2026-11-{day} 09:00:00")
        log.mail(f"2026-11-{day} 11:00:00", signed=day != "22")
    return log


def text(log: Log, since: str = "", until: str = "") -> bytes:
    low, high = epoch(since) if since else 0, epoch(until) if until else 1 << 40
    return "".join(f"{line}\n" for at, line in log.sorted() if low <= at < high).encode()


def report(*logs: str | Path, **options: Any) -> tuple[dict[str, Any], int, list[str]]:
    said: list[str] = []
    asked = Options(logs=[str(log) for log in logs], timezone="UTC", **options)
    result = run_report(asked, warn=said.append, now=NOW)
    return result.doc, result.status, said


def unnamed(doc: dict[str, Any]) -> dict[str, Any]:
    """A report without the names of its sources."""
    doc = json.loads(json.dumps(doc))
    for source in doc["input"]["sources"]:
        del source["name"]
    return doc


# --- the same answer as of files ---


@pytest.fixture
def rotated(tmp_path: Path) -> dict[str, bytes]:
    """A host's log with two rotated ones, also as files in tmp_path. Their stamps have no year."""
    log = days()
    files = {
        "maillog": text(log, "2026-11-23"),
        "maillog-20261123": text(log, "2026-11-22", "2026-11-23"),
        "maillog-20261122.gz": gzip.compress(text(log, until="2026-11-22"), mtime=0),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    return files


def test_urls_in_memory_are_read_as_files_are(
    memory: Any, tmp_path: Path, rotated: dict[str, bytes]
) -> None:
    for name, data in rotated.items():
        memory.pipe(f"/logs/mx/{name}", data)
    expected, *_ = report(*(tmp_path / name for name in rotated))
    assert expected["totals"]["outbound"]["messages"] == 6
    found, status, said = report("memory://logs/mx/maillog*")
    assert (unnamed(found), status, said) == (unnamed(expected), 0, [])
    names = [source["name"] for source in found["input"]["sources"]]
    assert names == [f"memory://logs/mx/{name}" for name in ("maillog-20261122.gz", "maillog-20261123", "maillog")]


@pytest.mark.parametrize("parts", [False, True])
def test_urls_of_a_web_server_are_read_as_files_are(
    web: Web, tmp_path: Path, rotated: dict[str, bytes], parts: bool
) -> None:
    web.parts = parts
    web.files = {f"/mx/{name}": data for name, data in rotated.items()}
    expected, *_ = report(*(tmp_path / name for name in rotated))
    for logs in ([f"{web.url}/mx/{name}" for name in rotated], [f"{web.url}/*/maillog*"]):
        found, status, said = report(*logs)
        assert (unnamed(found), status, said) == (unnamed(expected), 0, [])


def test_a_file_url_is_the_file(tmp_path: Path, rotated: dict[str, bytes]) -> None:
    expected = report(*(tmp_path / name for name in rotated))
    assert report(f"file://{tmp_path}/maillog*", tmp_path / "maillog") == expected
    assert report(f"file://localhost{tmp_path}/maillog*") == expected


def test_since_brings_the_rotated_ones_that_are_beside(
    web: Web, memory: Any, tmp_path: Path, rotated: dict[str, bytes]
) -> None:
    web.files = {f"/mx/{name}": data for name, data in rotated.items()}
    for name, data in rotated.items():
        memory.pipe(f"/mx/{name}", data)
    expected, *_ = report(tmp_path / "maillog", since="2026-11-22 10:00")
    assert expected["totals"]["outbound"]["messages"] == 3
    for log in (f"{web.url}/mx/maillog", "memory://mx/maillog"):
        found, status, said = report(log, since="2026-11-22 10:00")
        assert (unnamed(found), status, said) == (unnamed(expected), 0, [])


def test_hosts_that_overlap_are_merged_by_time(memory: Any, tmp_path: Path) -> None:
    for host in ("mx1", "mx2", "mx3"):
        data = text(days(host))
        memory.pipe(f"/logs/{host}/maillog.gz", gzip.compress(data))
        (tmp_path / host).mkdir()
        (tmp_path / host / "maillog.gz").write_bytes(gzip.compress(data))
    expected, *_ = report(f"{tmp_path}/*/maillog.gz")
    found, status, _ = report("memory://logs/*/maillog.gz")
    assert (unnamed(found), status) == (unnamed(expected), 0)
    assert found["totals"]["outbound"]["messages"] == 18


def test_the_year_of_old_stamps_is_that_of_the_last_change(web: Web) -> None:
    web.files["/maillog"] = text(days())
    web.changed["/maillog"] = epoch("2024-11-24 06:25:00")
    found, status, _ = report(f"{web.url}/maillog")
    assert (found["window"]["first"], status) == ("2024-11-21T09:00:00+00:00", 0)


def test_only_the_ends_are_fetched_to_learn_when_a_large_log_was_written(web: Web) -> None:
    web.parts = True
    line = b"Nov 22 10:00:00 mx postfix/qmgr[13]: 4F2A91C03B7: removed\n"
    web.files["/maillog"] = b"Nov 21" + line[6:] + line * 20_000 + b"Nov 23" + line[6:]
    found = plan([f"{web.url}/maillog"], Window(), now=NOW, zone=UTC, stdin=sys.stdin.buffer).sources
    assert [(source.first, source.last) for source in found] == [
        (epoch("2026-11-21 10:00:00"), epoch("2026-11-23 10:00:00"))
    ]
    first, last = next(span for _, _, span in web.asked if span).removeprefix("bytes=").split("-")
    assert int(last) - int(first) < 300_000 < int(first)


def test_a_source_can_be_pickled_and_read_elsewhere(memory: Any) -> None:
    data = text(days())
    memory.pipe("/maillog.gz", gzip.compress(data))
    (source,) = plan(["memory://maillog.gz"], Window(), now=NOW, zone=UTC, stdin=sys.stdin.buffer).sources
    info = SourceInfo(source.name)
    assert b"".join(pickle.loads(pickle.dumps(source)).open(info)) == data
    assert (info.lines, info.bytes, source.packed, source.path) == (data.count(b"\n"), len(data), "gz", None)


def test_what_was_listed_before_is_listed_again(memory: Any) -> None:
    data = text(days())
    memory.pipe("/mx/maillog", data)
    report("memory://mx/maillog*")
    memory.pipe("/mx/maillog", data + data.replace(b"Nov 2", b"Oct 2"))
    found, *_ = report("memory://mx/maillog*")
    assert found["input"]["bytes"] == 2 * len(data)


# --- damage ---


def damaged(packed: bytes) -> bytes:
    middle = len(packed) // 2
    return packed[:middle] + b"\xff" * 40 + packed[middle + 40 :]


@pytest.mark.parametrize("harm", [lambda data: data[: len(data) // 2], damaged], ids=["truncated", "damaged"])
def test_a_broken_archive_gives_what_a_broken_file_does(web: Web, memory: Any, tmp_path: Path, harm: Any) -> None:
    log = Log()
    for minute in range(240):
        log.mail(f"2026-11-23 {9 + minute // 60:02}:{minute % 60:02}:00", f"a{minute * 7919}@example.org")
    broken = harm(gzip.compress(text(log), mtime=0))
    (tmp_path / "maillog.gz").write_bytes(broken)
    web.files["/maillog.gz"] = broken
    memory.pipe("/maillog.gz", broken)
    expected, status, (said,) = report(tmp_path / "maillog.gz")
    assert 0 < expected["totals"]["outbound"]["messages"] < 240
    for url in (f"{web.url}/maillog.gz", "memory://maillog.gz"):
        found = report(url)
        assert (unnamed(found[0]), found[1]) == (unnamed(expected), status)
        assert found[2] == [said.replace(str(tmp_path / "maillog.gz"), url)]


def test_a_truncated_archive_that_is_sent_as_an_encoding_is_read_as_far_as_it_goes(web: Web) -> None:
    packed = gzip.compress(text(days()), mtime=0)
    web.files["/maillog.gz"] = packed[: len(packed) // 2]
    web.encoded.add("/maillog.gz")
    found, status, (said,) = report(f"{web.url}/maillog.gz")
    assert (found["input"]["lines"] > 0, status) == (True, 2)
    assert "ends early after line" in said


def test_a_lost_connection_is_said_and_the_rest_is_read(web: Web) -> None:
    web.files = {f"/{host}": text(days(host, iso=True)) * 200 for host in ("mx1", "mx2")}
    web.cut.add("/mx1")
    found, status, said = report(f"{web.url}/mx1", f"{web.url}/mx2")
    lines = {source["name"]: source["lines"] for source in found["input"]["sources"]}
    whole = web.files["/mx2"].count(b"\n")
    assert lines[f"{web.url}/mx2"] == whole
    early = lines[f"{web.url}/mx1"]
    assert 0 < early < whole
    assert status == 2
    assert f"{web.url}/mx1: ends early after line {early} (connection lost); the report covers what came before" in said


# --- what cannot be read ---


def test_every_failure_is_one_line_and_the_rest_is_read(web: Web, memory: Any) -> None:
    memory.pipe("/mx/maillog", text(days()))
    web.status = {"/denied": 403, "/login": 401, "/busy": 503}
    bad = {
        f"{web.url}/missing": "no such file",
        f"{web.url}/denied": "permission denied",
        f"{web.url}/login": "permission denied",
        f"{web.url}/busy": "the server answers with status 503",
        f"{web.url}/none/*.gz": "no file matches",
        "http://127.0.0.1:1/maillog": "connection refused",
        "memory://mx/missing": "no such file",
        "memory://mx/*.gz": "no file matches",
        "memory://mx": "is a directory; name the logs in it, or a pattern of them",
        "nonsense://mx/maillog": "Protocol not known: nonsense",
    }
    found, status, said = report(*bad, "memory://mx/maillog")
    assert said == [f"error: {url}: {words}" for url, words in bad.items()]
    assert (found["totals"]["outbound"]["messages"], status) == (6, 2)


@pytest.mark.parametrize("url", ["http://", "http://[", "http:///x", "memory://", "memory://\0", "http://127.0.0.1:1/\0\n"])
def test_a_hostile_url_is_one_line(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", url]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("logscan: ")


def test_passwords_and_signatures_of_urls_are_never_shown(web: Web, capsys: pytest.CaptureFixture[str]) -> None:
    server = web.url.removeprefix("http://")
    web.files["/maillog?sig=c2VjcmV0"] = text(days())
    web.status["/denied?sig=c2VjcmV0"] = 403
    web.status["/odd?sig=c2VjcmV0"] = 418
    for path in ("maillog", "denied", "odd", "missing"):
        main(["report", f"http://me:pa55word@{server}/{path}?sig=c2VjcmV0", "--format", "json"])
    main(["report", "http://me:pa55word@[::1/maillog?sig=c2VjcmV0"])
    captured = capsys.readouterr()
    assert f"http://me@{server}/maillog?..." in captured.out
    assert f"http://me@{server}/odd?...: the server answers with status 418" in captured.err
    assert "pa55word" not in captured.out + captured.err
    assert "c2VjcmV0" not in captured.out + captured.err


def test_without_fsspec_the_line_says_what_to_install(
    tmp_path: Path, rotated: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    found, status, said = report("s3://logs/mx/maillog", tmp_path / "maillog")
    hint = "pip install 'mail-logscan[fleet]'"
    assert said == [f"error: s3://logs/mx/maillog: reading URLs needs fsspec; {hint}"]
    assert (found["totals"]["outbound"]["messages"], status) == (2, 2)


def test_tail_says_that_it_does_not_follow_urls(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tail", "s3://logs/mx/maillog"]) == 2
    assert capsys.readouterr().err == (
        "logscan: s3://logs/mx/maillog: cannot be followed; tail is for files of this machine; report reads URLs\n"
    )


def test_a_report_is_not_written_over_the_log_of_a_file_url(
    tmp_path: Path, rotated: dict[str, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "maillog"
    assert main(["report", f"file://{log}", "--output", str(log)]) == 2
    assert log.read_bytes() == rotated["maillog"]
    assert "is also a log to read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("url", "name", "whole"),
    [
        ("sftp://me:pw@mx/logs/*/maillog", "/logs/mx1/maillog", "sftp://me:pw@mx/logs/mx1/maillog"),
        ("s3://logs/*/maillog", "logs/mx1/maillog", "s3://logs/mx1/maillog"),
        ("memory://logs/*/maillog", "/logs/mx1/maillog", "memory://logs/mx1/maillog"),
    ],
)
def test_what_a_pattern_finds_keeps_its_server(
    url: str, name: str, whole: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Listed:
        """A file system that has one file, and, like those of fsspec, calls it without the server."""

        @staticmethod
        def _get_kwargs_from_urls(_: str) -> dict[str, Any]:
            return {}

        @staticmethod
        def _strip_protocol(url: str) -> str:
            return name.replace("mx1", "*") if "*" in url else name

        def invalidate_cache(self) -> None:
            pass

        def glob(self, path: str) -> list[str]:
            return [name]

    monkeypatch.setattr(fsspec, "get_filesystem_class", lambda _: Listed)
    assert remote.expand(url) == [whole]
