"""The journal through journalctl, played by small scripts."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from logscan.errors import SourceError
from logscan.model import SourceInfo, Window
from logscan.sources.journal import journal_blocks

LINES = b'{"__REALTIME_TIMESTAMP":"1","MESSAGE":"a"}\n{"__REALTIME_TIMESTAMP":"2","MESSAGE":"b"}\n'


class Runner:
    """Starts a script of ours in place of journalctl, and remembers what was asked for."""

    def __init__(self, script: str) -> None:
        self.script = script
        self.command: list[str] = []
        self.process: subprocess.Popen[bytes] | None = None

    def __call__(self, command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        self.command = self.command or command
        self.process = subprocess.Popen([sys.executable, "-S", "-c", self.script, *command], **options)
        return self.process


def failing(error: OSError) -> Callable[..., Any]:
    def runner(*args: object, **options: object) -> None:
        raise error

    return runner


def read(script: str, window: Window = Window()) -> tuple[bytes, SourceInfo, Runner]:  # noqa: B008 - frozen
    info = SourceInfo("journal:")
    runner = Runner(script)
    return b"".join(journal_blocks(window, info, runner=runner)), info, runner


def test_the_lines_are_passed_as_they_are() -> None:
    data, info, _ = read(f"import os; os.write(1, {LINES!r})")
    assert data == LINES
    assert (info.lines, info.bytes, info.ends_early) == (2, len(LINES), None)


def test_the_window_is_handed_over_in_epoch_seconds() -> None:
    _, _, runner = read("", Window(1_700_000_000, 1_700_003_600))
    assert runner.command[0] == "journalctl"
    assert {"--since=@1700000000", "--until=@1700003600", "--output=json", "--all"} <= set(runner.command)
    assert "SYSLOG_FACILITY=2" in runner.command and "SYSLOG_IDENTIFIER=opendkim" in runner.command
    assert not any(word.startswith(("--since", "--until")) for word in read("")[2].command)


def test_an_empty_journal_is_no_error() -> None:
    data, info, _ = read("")
    assert (data, info.lines) == (b"", 0)


def test_no_journalctl() -> None:
    with pytest.raises(SourceError) as caught:
        list(journal_blocks(Window(), SourceInfo("journal:"), runner=failing(FileNotFoundError())))
    assert str(caught.value) == "journal: journalctl is not installed; name a log file instead"
    denied = failing(PermissionError(13, "Permission denied"))
    with pytest.raises(SourceError, match="journalctl cannot be run: Permission denied"):
        list(journal_blocks(Window(), SourceInfo("journal:"), runner=denied))


def test_a_failure_tells_the_first_line_of_its_complaint() -> None:
    words = "No journal files were opened due to insufficient permissions"
    script = f"import sys; sys.stderr.write('\\n{words}.\\nmore\\n')"
    for status in ("", "; sys.exit(1)"):
        with pytest.raises(SourceError) as caught:
            read(script + status)
        assert caught.value.name == "journal:"
        assert caught.value.problem == words
        assert "group systemd-journal" in caught.value.hint


def test_a_failure_without_a_word_tells_the_status() -> None:
    with pytest.raises(SourceError, match="journalctl ended with status 3"):
        read("import sys; sys.exit(3)")


def test_what_came_before_a_failure_is_kept_and_the_failure_told() -> None:
    words = b"Journal file is truncated"
    data, info, _ = read(f"import os, sys; os.write(1, {LINES!r}); os.write(2, {words!r}); sys.exit(1)")
    assert data == LINES
    assert info.ends_early == "ends early after line 2: Journal file is truncated"


def test_a_machine_without_a_journal_is_sent_to_its_log_files() -> None:
    words = "No journal files were found."
    with pytest.raises(SourceError) as caught:
        read(f"import sys; '--output=json' in sys.argv or sys.stderr.write({words!r})")
    assert (caught.value.problem, caught.value.hint) == (words[:-1], "name a log file instead")


def test_an_empty_answer_because_of_missing_rights_is_found_out() -> None:
    # With JSON output journalctl does not say that it hides something; asked for text it does.
    words = "Hint: You are currently not seeing messages from other users and the system"
    script = f"import sys; '--output=json' in sys.argv or sys.stderr.write({words!r})"
    with pytest.raises(SourceError) as caught:
        read(script)
    assert caught.value.problem == words


def test_a_complaint_about_one_line_among_many_is_no_failure() -> None:
    _, info, _ = read(f"import os; os.write(1, {LINES!r}); os.write(2, b'some notice')")
    assert info.ends_early is None


def test_a_loud_journalctl_does_not_block() -> None:
    data, _, _ = read(f"import os; os.write(2, b'x' * 300000); os.write(1, {LINES!r})")
    assert data == LINES


def test_it_is_stopped_when_nobody_reads_on() -> None:
    runner = Runner(f"import os, time; os.write(1, {LINES!r}); time.sleep(60)")
    blocks = journal_blocks(Window(), SourceInfo("journal:"), runner=runner)
    assert next(iter(blocks)) == LINES
    blocks.close()
    assert runner.process is not None
    assert runner.process.returncode is not None
