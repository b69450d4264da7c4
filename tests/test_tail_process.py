"""`logscan tail` as a process: signals, pipes and terminals."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyte
import pytest
from builder import Log

COMMAND = [sys.executable, "-m", "logscan.cli", "tail"]
PATIENCE = 30
MAIL = Log().mail("4F2A91C0301", "+").wait(60)
MAIL.mail("4F2A91C0302", "no signing table match for 'a@example.org'").wait(60)
ENVIRONMENT = {"PATH": os.environ["PATH"], "TERM": "xterm-256color", "LANG": "C.UTF-8", "TZ": "UTC"}


@pytest.fixture
def maillog(tmp_path: Path) -> Path:
    path = tmp_path / "maillog"
    path.write_bytes(MAIL.syslog())
    os.utime(path, (1, 1))  # nothing was written for long, so what ended last is told at once
    return path


@contextmanager
def running(*words: str, **options: object) -> Iterator[subprocess.Popen[bytes]]:
    """A tail that is ended, whatever happens."""
    made: dict[str, object] = {"bufsize": 0}  # what was read is what select knows of
    made |= {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": ENVIRONMENT}
    process = subprocess.Popen([*COMMAND, *words], **(made | options))  # type: ignore[call-overload]
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def line(process: subprocess.Popen[bytes]) -> str:
    """Its next line, when it has come."""
    assert process.stdout is not None
    assert select.select([process.stdout], [], [], PATIENCE)[0], "nothing comes"
    return process.stdout.readline().decode().rstrip("\n")


def more_mail(path: Path, qid: str) -> None:
    with path.open("ab") as out:
        out.write(Log(at=MAIL.at + 60).mail(qid, "+").wait(60).say("postfix/qmgr", "x").syslog())


# --- ends -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_a_signal_ends_it_with_a_summary(maillog: Path, number: int, status: int) -> None:
    with running(str(maillog)) as process:
        assert " signed  " in line(process)
        assert " unsigned  " in line(process)
        more_mail(maillog, "4F2A91C0303")
        assert " signed        4F2A91C0303 " in line(process)
        process.send_signal(number)
        out, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == status
        assert out.decode().count("\n") == 1 and "1 signed; 100.0 % signed" in out.decode()
        assert err == b""


def test_a_signal_ends_it_while_it_waits_for_a_file(tmp_path: Path) -> None:
    with running(str(tmp_path / "later" / "maillog")) as process:
        assert process.stderr is not None
        assert process.stderr.readline().endswith(b"maillog: no such file; waiting for it\n")
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 130 and b"no mail" in out


def test_objects_end_with_a_summary_object(maillog: Path) -> None:
    with running(str(maillog), "--format", "json") as process:
        assert json.loads(line(process))["outcome"] == "signed"
        assert json.loads(line(process))["outcome"] == "unsigned"
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=PATIENCE)
        assert json.loads(out)["event"] == "summary"


def test_a_stream_is_read_to_its_end() -> None:
    with running("-", stdin=subprocess.PIPE) as process:
        out, err = process.communicate(MAIL.syslog(), timeout=PATIENCE)
    told = out.decode().splitlines()
    assert process.returncode == 0 and err == b"" and len(told) == 3
    assert told[0].startswith("2026-11-24 08:00:00 signed ")
    assert "1 signed, 1 unsigned; 50.0 % signed" in told[2]


@pytest.mark.parametrize("text", [b"", b"Nov 24 08:00:00 mx sshd[1]: Connection closed\n"])
def test_a_stream_without_mail_is_status_2(text: bytes) -> None:
    with running("-", stdin=subprocess.PIPE) as process:
        _, err = process.communicate(text, timeout=PATIENCE)
    assert process.returncode == 2
    assert err.decode() == "logscan: standard input: no line of Postfix or OpenDKIM in it\n"


@pytest.mark.parametrize("words", [["/"], ["--timezone", "Mars/Base", "x"], ["--only", "sent"], ["-n", "-1"]])
def test_what_cannot_be_followed_is_status_2_and_one_line(words: list[str]) -> None:
    with running(*words) as process:
        out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2
    assert err.decode().startswith("logscan: ") and err.count(b"\n") == 1
    assert out == b"" or words == ["/"]


def test_a_reader_that_goes_away_ends_it_quietly_though_nothing_is_logged(maillog: Path) -> None:
    with running(str(maillog)) as process:
        assert " signed " in line(process)  # as `| head -1` does
        assert process.stdout is not None
        process.stdout.close()
        process.stdout = None
        process.wait(PATIENCE)
        assert process.stderr is not None
        assert (process.returncode, process.stderr.read()) == (0, b"")


# --- what is shown ------------------------------------------------------------------------------------------------------


def test_only_chooses_messages(maillog: Path) -> None:
    with running(str(maillog), "--only", "unsigned", "--only", "fail") as process:
        assert " unsigned " in line(process)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=PATIENCE)[0].count(b"\n") == 1


def test_n_says_how_much_of_the_past_is_shown(maillog: Path) -> None:
    with running(str(maillog), "-n", "1") as process:
        assert " 4F2A91C0302 " in line(process)
        more_mail(maillog, "4F2A91C0303")
        assert " 4F2A91C0303 " in line(process)
    with running(str(maillog), "-n", "0") as process:
        for number in range(PATIENCE):
            more_mail(maillog, f"4F2A91C04{number:02X}")
            assert process.stdout is not None
            if select.select([process.stdout], [], [], 1)[0]:
                break
        assert " 4F2A91C04" in line(process)


def test_it_never_loads_pandas_and_little_else() -> None:
    code = (
        "import sys\nfrom logscan.cli import main\n"
        "main(['tail', '-'])\n"
        "print([m for m in ('pandas', 'numpy', 'rich', 'pyarrow', 'anyio') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], input=MAIL.syslog(), capture_output=True, check=True)
    assert done.stdout.splitlines()[-1] == b"[]"


# --- on a terminal ------------------------------------------------------------------------------------------------------


class Terminal:
    """A tail on a pseudo-terminal, and the screen that it makes."""

    def __init__(self, columns: int, *words: str) -> None:
        self.master, slave = pty.openpty()
        self.slave = slave
        self.screen = pyte.HistoryScreen(columns, 24)
        self.stream = pyte.ByteStream(self.screen)
        self.size(columns)
        self.process = subprocess.Popen(
            [*COMMAND, *words], stdin=subprocess.DEVNULL, stdout=slave, stderr=slave, env=ENVIRONMENT, start_new_session=True
        )

    def size(self, columns: int) -> None:
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.screen.resize(24, columns)

    def resize(self, columns: int) -> None:
        self.size(columns)
        self.process.send_signal(signal.SIGWINCH)

    def lines(self) -> list[str]:
        return [text.rstrip() for text in self.screen.display if text.strip()]

    def until(self, what: Callable[[list[str]], bool]) -> list[str]:
        """Read until the screen is so."""
        deadline = time.monotonic() + PATIENCE
        while not what(self.lines()):
            assert time.monotonic() < deadline, self.lines()
            if select.select([self.master], [], [], 0.1)[0]:
                try:
                    self.stream.feed(os.read(self.master, 65536))
                except OSError:
                    break  # Linux: the other side is closed
        return self.lines()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def terminal() -> Iterator[Callable[..., Terminal]]:
    made: list[Terminal] = []

    def start(columns: int, *words: str) -> Terminal:
        made.append(Terminal(columns, *words))
        return made[-1]

    yield start
    for one in made:
        one.close()


SIGNED = "08:00:00 signed        4F2A91C0301  app@example.org \u2192 friend@example.net  s=k1"


def test_the_status_line_at_80_and_at_40_columns(maillog: Path, terminal: Callable[..., Terminal]) -> None:
    shown = terminal(80, str(maillog))
    idle = "1 min: no mail | session: no mail | - % signed | milter ok"
    lines = shown.until(lambda lines: lines[-1:] == [idle])
    assert lines == [
        "2026-11-24",
        SIGNED,
        "08:01:00 unsigned      4F2A91C0302  app@example.org \u2192 friend@example.net",
        "                       no-signing-table-match",
        idle,
    ]
    more_mail(maillog, "4F2A91C0303")
    one = "1 min: 1 signed | session: 1 signed | 100.0 % signed | milter ok"
    lines = shown.until(lambda lines: lines[-1:] == [one])
    assert lines[-2] == SIGNED.replace("08:00:00", "08:03:00").replace("C0301", "C0303")
    assert lines.count(idle) == 0, "the status line is never left behind"
    shown.resize(40)
    shown.until(lambda lines: lines[-1:] == ["1m 1S | 1S | 100.0% | milter ok"])
    more_mail(maillog, "4F2A91C0304")
    lines = shown.until(lambda lines: lines[-1:] == ["1m 2S | 2S | 100.0% | milter ok"])
    assert lines[-4:-1] == [
        "08:03:00 signed        4F2A91C0304",
        "  app@example.org \u2192 friend@example.net",
        "  example.org/k1",
    ]
    shown.resize(80)
    shown.until(lambda lines: lines[-1:] == [one.replace("1 signed", "2 signed")])
    shown.process.send_signal(signal.SIGINT)
    lines = shown.until(lambda lines: "2 signed; 100.0 % signed" in lines[-1])
    assert shown.process.wait(PATIENCE) == 130
    assert not any("milter ok" in text for text in lines), "nothing of it is left"


def test_a_terminal_of_40_columns_from_the_start(maillog: Path, terminal: Callable[..., Terminal]) -> None:
    shown = terminal(40, str(maillog))
    lines = shown.until(lambda lines: lines[-1:] == ["1m 0 | 0 | -% | milter ok"])
    assert lines[1:3] == ["08:00:00 signed        4F2A91C0301", "  app@example.org \u2192 friend@example.net"]


def test_a_note_does_not_tear_the_status_line(maillog: Path, terminal: Callable[..., Terminal]) -> None:
    shown = terminal(100, str(maillog))
    shown.until(lambda lines: lines[-1:] != [] and lines[-1].endswith("milter ok"))
    maillog.rename(maillog.with_name("maillog.1"))
    more_mail(maillog, "4F2A91C0303")
    lines = shown.until(lambda lines: lines[-1].startswith("1 min: 1 signed"))
    (note,) = [text for text in lines if text.startswith("logscan: ")]
    assert "maillog" in note and sum(text.endswith("milter ok") for text in lines) == 1


def test_colour_by_verdict(maillog: Path, terminal: Callable[..., Terminal]) -> None:
    shown = terminal(80, str(maillog))
    shown.until(lambda lines: lines[-1:] != [] and lines[-1].endswith("milter ok"))
    colours = {shown.screen.buffer[row][9].data: shown.screen.buffer[row][9].fg for row in (1, 2)}
    assert colours == {"s": "green", "u": "red"}
