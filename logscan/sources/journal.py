"""The systemd journal, read through ``journalctl``, as blocks of its JSON lines."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Generator
from typing import IO, Any

from logscan.errors import SourceError
from logscan.model import SourceInfo, Window
from logscan.sources.blocks import line_blocks

NAME = "journal:"
_ELSEWHERE = "name a log file instead"
_HINT = "members of group systemd-journal may read it, so join it or use sudo"

# Facility mail is Postfix and, as a rule, OpenDKIM; what OpenDKIM says before it has opened its log, and what
# systemd and journald say about both, comes under other names. "+" is "or".
_MATCHES = (
    "SYSLOG_FACILITY=2", "+",
    "SYSLOG_IDENTIFIER=opendkim", "+",
    "_SYSTEMD_UNIT=opendkim.service", "_SYSTEMD_UNIT=postfix.service", "_SYSTEMD_UNIT=postfix@-.service", "+",
    "UNIT=opendkim.service", "UNIT=postfix.service", "UNIT=postfix@-.service", "+",
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
    # --all: without it journalctl writes null for a message of more than 4 KiB.
    command = ["journalctl", "--output=json", "--all", "--no-pager"]
    if window.since is not None:
        command.append(f"--since=@{window.since}")
    if window.until is not None:
        command.append(f"--until=@{window.until}")
    # Errors go to a file: a pipe that nobody reads could fill up and stop journalctl.
    with tempfile.TemporaryFile() as errors:
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


def _why_empty(runner: Callable[..., Any]) -> str:
    """What journalctl says when nothing keeps it quiet, "" when the journal is there and may be read.

    JSON output implies --quiet: to a user who may not see the system's messages it gives an empty answer and
    status 0. Source: systemd/src/journal/journalctl.c, parse_argv().
    """
    with tempfile.TemporaryFile() as errors:
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
