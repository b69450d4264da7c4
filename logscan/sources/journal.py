"""The systemd journal, read through ``journalctl``, as blocks of its JSON lines."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Generator, Iterator
from typing import IO, Any

from logscan.errors import SourceError
from logscan.model import SourceInfo, Window
from logscan.sources.blocks import line_blocks
from logscan.sources.stream import FollowedStream

NAME = "journal:"
# --all: without it journalctl writes null for a message of more than 4 KiB.
_COMMAND = ("journalctl", "--output=json", "--all", "--no-pager")
# Entries are asked for by number. With all their fields they are three times as long, in bytes, but few are needed.
_ENTRY = 500
# So often in a row journalctl may end without having given a line.
_TRIES = 3
_ELSEWHERE = "name a log file instead"
_HINT = "members of group systemd-journal may read it, so join it or use sudo"

# Facility mail is Postfix and, as a rule, OpenDKIM; what OpenDKIM says before it has opened its log, and what
# systemd, its coredump service and journald say about both, comes under other names. Of the kernel only errors are
# asked for: it may log every packet, and an end by a signal is systemd's line as well. "+" is "or".
_MATCHES = (
    "SYSLOG_FACILITY=2", "+",
    "SYSLOG_IDENTIFIER=opendkim", "+",
    "_SYSTEMD_UNIT=opendkim.service", "_SYSTEMD_UNIT=postfix.service", "_SYSTEMD_UNIT=postfix@-.service", "+",
    "UNIT=opendkim.service", "UNIT=postfix.service", "UNIT=postfix@-.service", "+",
    "COREDUMP_UNIT=opendkim.service", "+",
    "_TRANSPORT=kernel", "PRIORITY=0", "PRIORITY=1", "PRIORITY=2", "PRIORITY=3", "+",
    "SYSLOG_IDENTIFIER=systemd-journald",
)  # fmt: skip


def journal_blocks(
    window: Window, info: SourceInfo, *, runner: Callable[..., Any] = subprocess.Popen, size: int = 262144
) -> Generator[bytes, None, None]:
    """Read what the journal holds of Postfix and OpenDKIM in the window, oldest first.

    runner: starts the command, as subprocess.Popen does. Yields blocks of whole lines, one JSON object a line
    (journalctl -o json). Fills `info` as read_blocks does; where journalctl fails after it gave something,
    info.ends_early tells. Raises SourceError when it is missing, or fails and gave nothing.
    """
    command = [*_COMMAND]
    if window.since is not None:
        command.append(f"--since=@{window.since}")
    if window.until is not None:
        command.append(f"--until=@{window.until}")
    yield from _run(command, info, runner, size)


def _run(
    command: list[str], info: SourceInfo, runner: Callable[..., Any], size: int
) -> Generator[bytes, None, None]:
    """The answer of one journalctl that comes to an end. Errors as of journal_blocks."""
    # Errors go to a file: a pipe that nobody reads could fill up and stop journalctl.
    with _scratch() as errors:
        process = _start(runner, [*command, *_MATCHES], errors)
        try:
            yield from line_blocks(iter(lambda: process.stdout.read1(size), b""), info)
            status = process.wait()
        finally:
            _stop(process)
        complaint = _first_line(errors)
    if info.lines:
        if status != 0:
            complaint = complaint or f"journalctl ended with status {status}"
            info.ends_early = f"ends early after line {info.lines}: {complaint}"
        return
    if status != 0 and not complaint:
        complaint = f"journalctl ended with status {status}"
    if complaint := complaint or _why_empty(runner):
        raise SourceError(NAME, complaint, _ELSEWHERE if "files were found" in complaint else _HINT)


class FollowedJournal:
    """The journal as it grows, through `journalctl --follow`; see `follow.Followed`.

    When journalctl ends (journald's files were removed under it, it was killed) another one goes on after the
    last entry that was read. wait: as of a FollowedStream. Raises SourceError when it cannot be run, or ends
    again and again.
    """

    def __init__(
        self, wait: Callable[[float, list[int]], None], *, runner: Callable[..., Any] = subprocess.Popen
    ) -> None:
        self.info = SourceInfo(NAME)
        self.changed: float | None = None
        self.lost = False
        self.notes: list[str] = []
        self._wait = wait
        self._runner = runner
        self._cursor = ""
        self._process: Any = None
        self._errors: IO[bytes] | None = None
        self._stream: FollowedStream | None = None
        self._failures = 0

    def history(self, size: int) -> Iterator[bytes]:
        """The last entries, about `size` bytes of them."""
        command = [*_COMMAND, f"--lines={max(1, size // _ENTRY)}"]
        for block in _run(command, self.info, self._runner, 16384):
            self._mark(block)
            yield block
        self.info.ends_early = None

    def read(self) -> bytes | None:
        """Whole lines that are there now; b"" for none. Never None."""
        if self._stream is None:
            self._begin()
        assert self._stream is not None
        block = self._stream.read()
        if block is None:
            self._again()
            return b""
        if block:
            self._failures = 0
            self._mark(block)
        return block

    def half(self) -> bool:
        """True when the end of the last line is still to come."""
        return self._stream is not None and self._stream.half()

    def wait(self, seconds: float) -> None:
        """Return when there may be something to read, or after the time."""
        if self._stream is None:
            self._wait(seconds, [])
        else:
            self._stream.wait(seconds)

    def close(self) -> None:
        """End journalctl."""
        self._stream = None
        if self._process is not None:
            _stop(self._process)
            self._process = None
        if self._errors is not None:
            self._errors.close()
            self._errors = None

    def _begin(self) -> None:
        # --no-tail: --follow alone begins with the last ten lines, whatever the cursor.
        start = ["--no-tail", f"--after-cursor={self._cursor}"] if self._cursor else ["--lines=0"]
        self._errors = _scratch()
        self._process = _start(self._runner, [*_COMMAND, "--follow", *start, *_MATCHES], self._errors)
        self._stream = FollowedStream(self._process.stdout.fileno(), NAME, self._wait, info=self.info)

    def _again(self) -> None:
        """journalctl ended though nobody ended it."""
        assert self._process is not None and self._errors is not None
        status = self._process.wait()
        complaint = _first_line(self._errors) or f"journalctl ended with status {status}"
        self.close()
        self._failures += 1
        if self._failures >= _TRIES:
            raise SourceError(NAME, complaint, _HINT)
        self.notes.append(f"{NAME} {complaint}; asking again")

    def _mark(self, block: bytes) -> None:
        """Remember the place of the block's last entry."""
        import json

        line = block[block.rfind(b"\n", 0, -1) + 1 :]
        try:
            cursor = json.loads(line).get("__CURSOR")
        except (ValueError, AttributeError, RecursionError):
            return
        if isinstance(cursor, str):
            self._cursor = cursor


def _scratch() -> IO[bytes]:
    # Imported here, like json, for runs that read no journal: they would only wait for it.
    import tempfile

    return tempfile.TemporaryFile()


def _why_empty(runner: Callable[..., Any]) -> str:
    """What journalctl says when nothing keeps it quiet, "" when the journal is there and may be read.

    JSON output implies --quiet: to a user who may not see the system's messages it gives an empty answer and
    status 0. Source: systemd/src/journal/journalctl.c, parse_argv().
    """
    with _scratch() as errors:
        process = _start(runner, ["journalctl", "--output=short", "--no-pager", "--lines=1"], errors)
        try:
            process.stdout.read()
        finally:
            _stop(process)
        return _first_line(errors)


def _start(runner: Callable[..., Any], command: list[str], errors: IO[bytes]) -> Any:
    try:
        return runner(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            env={**os.environ, "LC_ALL": "C"},
        )
    except FileNotFoundError:
        raise SourceError(NAME, "journalctl is not installed", _ELSEWHERE) from None
    except OSError as error:
        raise SourceError(NAME, f"journalctl cannot be run: {error.strerror or error}", _HINT) from None


def _stop(process: Any) -> None:
    """End it, also when the reader stops early and nobody would take the rest."""
    process.stdout.close()
    if process.poll() is None:
        process.terminate()
    process.wait()


def _first_line(errors: IO[bytes]) -> str:
    errors.seek(0)
    lines = errors.read(4096).decode("utf-8", "backslashreplace").splitlines()
    return next((line.strip().rstrip(".") for line in lines if line.strip()), "")
