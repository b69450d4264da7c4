"""The command line over a stand-in for the engine: flags, statuses, messages, where output goes."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import stat
import subprocess
import sys
import threading
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from logscan.cli import main
from logscan.errors import SourceError, TimeError
from logscan.job import Options

sys.path.insert(0, str(Path(__file__).parent / "render"))

import docs


@dataclass
class Engine:
    """What the stand-in returns or raises, and what it was asked."""

    doc: docs.Doc = field(default_factory=docs.healthy)
    status: int = 0
    blank: bool = False
    error: BaseException | None = None
    warnings: list[str] = field(default_factory=list)
    asked: Any = None
    exported: dict[str, Any] = field(default_factory=dict)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    made = Engine()

    def run_report(options: Options, *, progress: Any, warn: Callable[[str], None]) -> Any:
        made.asked = options
        progress(1, 2)
        for text in made.warnings:
            warn(text)
        if made.error is not None:
            raise made.error
        return types.SimpleNamespace(doc=made.doc, status=made.status, blank=made.blank)

    def run_export(options: Options, *, format: str, output: str, warn: Any, progress: Any) -> int:
        made.asked = options
        made.exported = {"format": format, "output": output}
        if made.error is not None:
            raise made.error
        return made.status

    module = types.ModuleType("logscan.pipeline")
    vars(module).update(run_report=run_report, run_export=run_export)
    monkeypatch.setitem(sys.modules, "logscan.pipeline", module)
    monkeypatch.setattr("logscan.pipeline", module, raising=False)
    return made


def test_without_arguments_the_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    alone = capsys.readouterr()
    assert main(["--help"]) == 0
    assert capsys.readouterr().out == alone.out
    assert "Examples:\n    logscan report\n" in alone.out
    assert alone.err == ""


@pytest.mark.parametrize("words", [["--help"], ["report", "--help"], ["daily", "--help"], ["export", "-h"]])
def test_help_fits_80_columns(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    assert "Examples:" in out


@pytest.mark.parametrize("words", [["report"], ["daily"], ["export"], ["trace"]])
def test_the_usage_says_that_several_logs_may_be_named(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words, "--help"]) == 0
    assert capsys.readouterr().out.splitlines()[0].endswith(" [LOG]...")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("logscan ")


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from logscan.cli import main; main(['--help']);"
        "print([m for m in ('pandas', 'numpy', 'rich.console', 'logscan.job', 'logscan.pipeline') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_piped_report_loads_little() -> None:
    maillog = Path(__file__).parent.parent / "examples" / "maillog"
    heavy = ("pandas", "numpy", "pyarrow", "rich", "pydantic", "dateutil", "html", "json", "pickle", "random", "tempfile")
    code = (
        "import sys; from logscan.cli import main; status = main(sys.argv[1:]);"
        f"print(status, [m for m in {heavy} if m in sys.modules], file=sys.stderr)"
    )
    words = [sys.executable, "-c", code, "report", str(maillog)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert "signed" in done.stdout
    assert done.stderr.splitlines()[-1] == "0 []", "pydantic: typer is newer than pyproject.toml allows, so install again"


def test_the_end_of_the_process_is_not_spent_on_the_collector() -> None:
    code = (
        "import atexit, gc, sys\n"
        "atexit.register(lambda: print(gc.get_freeze_count() > 0))\n"
        "from logscan.__main__ import main\n"
        "from logscan.cli import main as command\n"
        "command(sys.argv[1:]); print(gc.get_freeze_count() > 0)\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code, "--version"], capture_output=True, text=True, check=True)
    # Only for a process that is ours, and only once it ends.
    assert [line for line in done.stdout.splitlines() if "logscan" not in line] == ["False", "True"]


def test_report_passes_every_option_on(engine: Engine) -> None:
    words = "report a.log b.log --since yesterday --until now --host mx1 --host mx2 --domain example.org"
    words += " --by reason --by hour --limit 5 --our-domain example.net --opendkim-conf o.conf"
    words += " --timezone UTC --jobs 2 --scheduler tcp://192.0.2.1:8786"
    assert main(words.split()) == 0
    assert engine.asked == Options(
        logs=["a.log", "b.log"],
        since="yesterday",
        until="now",
        hosts=["mx1", "mx2"],
        domains=["example.org"],
        by=["reason", "hour"],
        limit=5,
        our_domains=["example.net"],
        opendkim_conf="o.conf",
        timezone="UTC",
        jobs=2,
        scheduler="tcp://192.0.2.1:8786",
    )


def test_report_defaults(engine: Engine) -> None:
    assert main(["report"]) == 0
    assert engine.asked == Options([], None, None, [], [], [], 20, [], None, None, None)


def test_report_in_a_pipe_is_plain_text(engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("mx.example.org 2026-11-23: all 972 outgoing messages signed\n")
    assert out.isascii() and "\x1b" not in out
    assert err == ""


@pytest.mark.parametrize(
    ("format", "start"),
    [
        ("json", '{\n  "schema": "logscan.report/1"'),
        ("csv", "table,key1"),
        ("markdown", "# mx.example.org"),
        ("html", "<!DOCTYPE html>"),
    ],
)
def test_report_formats(format: str, start: str, engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--format", format]) == 0
    assert capsys.readouterr().out.startswith(start)


@pytest.mark.parametrize(
    ("doc", "status", "check", "expected"),
    [
        (docs.healthy, 0, True, 0),
        (docs.problems, 0, True, 1),
        (docs.problems, 0, False, 0),
        (docs.problems, 2, True, 2),
        (docs.healthy, 2, False, 2),
        (docs.cannot_tell, 0, True, 1),
        (docs.cannot_tell, 0, False, 0),
        (docs.empty, 0, True, 0),
    ],
)
def test_status(
    doc: Callable[[], docs.Doc],
    status: int,
    check: bool,
    expected: int,
    engine: Engine,
    capsys: pytest.CaptureFixture[str],
) -> None:
    engine.doc, engine.status = doc(), status
    assert main(["report", "--check"] if check else ["report"]) == expected
    assert capsys.readouterr().out


def test_a_check_that_looked_at_nothing_does_not_say_that_all_is_well(engine: Engine) -> None:
    engine.doc, engine.blank = docs.empty(), True
    assert main(["report", "--check"]) == 2
    assert main(["report"]) == 0


def test_a_fault_alone_is_a_finding(engine: Engine) -> None:
    engine.doc["faults"].append(docs.fault())
    assert main(["report", "--check"]) == 1
    engine.doc["faults"] = [docs.fault(severity="warning")]
    assert main(["report", "--check"]) == 0


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            SourceError("maillog", "permission denied", "use sudo"),
            "logscan: maillog: permission denied; use sudo\n",
        ),
        (
            TimeError("--since", "yesteday", "did you mean 'yesterday'?"),
            "logscan: --since 'yesteday': not a time; did you mean 'yesterday'?\n",
        ),
        (SourceError("caf\udce9\x1b[2J", "no such file"), "logscan: caf\\xe9\\x1b[2J: no such file\n"),
    ],
)
@pytest.mark.parametrize("command", [["report"], ["export", "--output", "-"]])
def test_errors_are_one_line_and_status_2(
    command: list[str], error: Exception, line: str, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    engine.error = error
    assert main(command) == 2
    assert capsys.readouterr() == ("", line)


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["report", "--format", "xml"], "--format: 'xml' is not one of"),
        (["report", "--sinse", "now"], "--since"),
        (["report", "--limit", "x"], "--limit"),
        (["report", "--limit", "-1"], "--limit"),
        (["report", "--since"], "--since"),
        (["report", "--by", "moon"], "'moon' is not one of"),
        (["export", "a.log"], "--output"),
        (["bogus"], "bogus"),
        (["--bogus"], "--bogus"),
    ],
)
def test_usage_errors_are_one_line_and_status_2(
    words: list[str], part: str, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("logscan: ") and err.count("\n") == 1 and part in err and "--help" in err


def test_warnings_and_notes_go_to_standard_error(engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    engine.warnings = ["a.gz: ends early after line 7", "note: reading /var/log/mail.log", "x\x1b[2J\ny"]
    assert main(["report"]) == 0
    assert capsys.readouterr().err == (
        "logscan: warning: a.gz: ends early after line 7\n"
        "logscan: reading /var/log/mail.log\n"
        "logscan: warning: x\\x1b[2J\\x0ay\n"
    )


def test_ctrl_c_is_130(engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    engine.error = KeyboardInterrupt()
    assert main(["report"]) == 130
    assert capsys.readouterr() == ("", "")


def test_a_bug_is_not_a_finding(engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    engine.error = ZeroDivisionError("oops")
    assert main(["report"]) == 2
    assert "ZeroDivisionError: oops" in capsys.readouterr().err


def test_output_appears_whole_with_the_usual_rights(engine: Engine, tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    assert main(["report", "--format", "html", "--output", str(target)]) == 0
    assert target.read_text("utf-8").endswith("</html>\n")
    assert stat.S_IMODE(target.stat().st_mode) == 0o666 & ~_umask()
    target.chmod(0o600)
    assert main(["report", "--output", str(target)]) == 0
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [target]


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_output_through_a_link_keeps_the_link(engine: Engine, tmp_path: Path) -> None:
    link, target = tmp_path / "link", tmp_path / "target"
    link.symlink_to(target)
    assert main(["report", "--output", str(link)]) == 0
    assert link.is_symlink() and target.read_text("utf-8")
    assert main(["report", "--output", os.devnull]) == 0


def test_output_that_cannot_be_written_is_one_line(
    engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "missing" / "report"
    assert main(["report", "--output", str(target)]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    assert err.startswith(f"logscan: --output {target}: no such file or directory")


@pytest.mark.parametrize("command", [["report"], ["export", "--format", "csv"]])
def test_a_log_is_never_written_over(
    command: list[str], engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "mail.log"
    log.write_text("precious")
    assert main([*command, str(log), "--output", str(log)]) == 2
    assert log.read_text() == "precious"
    assert "is also a log to read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "format"),
    [
        (["--output", "-"], "jsonl"),
        (["--output", "a.jsonl"], "jsonl"),
        (["--output", "a.CSV"], "csv"),
        (["--output", "a.parquet"], "parquet"),
        (["--output", "a.txt", "--format", "csv"], "csv"),
    ],
)
def test_export_format(words: list[str], format: str, engine: Engine) -> None:
    assert main(["export", "mail.log", *words]) == 0
    assert engine.exported == {"format": format, "output": words[1]}
    assert engine.asked.logs == ["mail.log"]


def test_export_without_a_known_ending_asks_for_the_format(
    engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "--output", "a.txt"]) == 2
    assert "--format" in capsys.readouterr().err


def test_export_status_is_the_engines(engine: Engine) -> None:
    engine.status = 2
    assert main(["export", "--output", "-"]) == 2


@pytest.mark.parametrize(
    ("color", "no_color", "term", "tty", "colored"),
    [
        ("auto", "", "xterm", True, True),
        ("auto", "1", "xterm", True, False),
        ("auto", "", "dumb", True, False),
        ("auto", "", "xterm", False, False),
        ("always", "1", "dumb", False, True),
        ("never", "", "xterm", True, False),
    ],
)
def test_color(
    color: str,
    no_color: str,
    term: str,
    tty: bool,
    colored: bool,
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = _Out(tty)
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setenv("TERM", term)
    assert main(["report", "--color", color]) == 0
    assert ("\x1b[" in out.text()) == colored


class _Out(io.TextIOWrapper):
    def __init__(self, tty: bool, encoding: str = "utf-8") -> None:
        self._tty = tty
        super().__init__(io.BytesIO(), encoding=encoding)

    def isatty(self) -> bool:
        return self._tty

    def text(self) -> str:
        self.flush()
        assert isinstance(self.buffer, io.BytesIO)
        return self.buffer.getvalue().decode()


def test_a_terminal_that_is_not_utf8_gets_escapes(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    engine.doc["hosts"] = ["m\u00fcx"]
    out = _Out(tty=True, encoding="ascii")
    monkeypatch.setattr(sys, "stdout", out)
    assert main(["report", "--color", "never"]) == 0
    assert out.text().startswith("m\\xfcx ")


def test_a_reader_that_goes_away_is_quiet(tmp_path: Path) -> None:
    code = (
        f"import sys, types; sys.path.insert(0, {str(Path(__file__).parent / 'render')!r}); import docs\n"
        "fake = types.ModuleType('logscan.pipeline')\n"
        "doc = docs.hostile(); doc['by_domain'] *= 500\n"
        "fake.run_report = lambda o, **kw: types.SimpleNamespace(doc=doc, status=0, blank=False)\n"
        "sys.modules['logscan.pipeline'] = fake\n"
        "from logscan.cli import main\n"
        "sys.exit(main(['report', '--format', 'json', '--check']))\n"
    )
    script = tmp_path / "run.py"
    script.write_text(code)
    with subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        err = process.stderr.read()
        assert process.wait() == 1
    assert err == b""


LOG = Path(__file__).parent.parent / "examples" / "maillog"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize(
    "words",
    [["report", LOG], ["export", LOG, "--output", "-"], ["trace", "shop@example.org", LOG], ["--help"]],
    ids=lambda words: words[0],
)
def test_a_full_disk_is_one_line_and_no_whole_result(words: list[object]) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "logscan.cli", *map(str, words)], stdout=full, stderr=subprocess.PIPE
        )
    assert done.returncode == 2
    assert done.stderr == b"logscan: no space left on device; what was written is not the whole\n"


@pytest.mark.parametrize(("closed", "status"), [("<&-", 0), (">&-", 0), ("2>&-", 0), ("<&- >&- 2>&-", 0)])
def test_a_start_without_the_standard_streams(closed: str, status: int) -> None:
    """As daemons start programs that are not to talk."""
    command = [sys.executable, "-m", "logscan.cli", "report", str(LOG)]
    done = subprocess.run(["sh", "-c", f'exec "$@" {closed}', "sh", *command], capture_output=True)
    assert (done.returncode, done.stderr) == (status, b"")
    assert bool(done.stdout) == (">&-" not in closed.replace("2>&-", ""))


def test_standard_input_that_is_closed_is_empty() -> None:
    command = [sys.executable, "-m", "logscan.cli", "report", "-"]
    done = subprocess.run(["sh", "-c", 'exec "$@" <&-', "sh", *command], capture_output=True)
    assert (done.returncode, done.stderr) == (2, b"logscan: -: empty; is the mail log another file?\n")


def test_the_output_may_be_named_as_a_pipe() -> None:
    command = [sys.executable, "-m", "logscan.cli", "report", str(LOG), "--output", "/dev/stdout"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("mx 2026-11-22 to 2026-11-24: ")


def test_progress_is_drawn_on_a_terminal_and_gone_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    from logscan.render import screen

    # The other end stays open and is read while the bar draws: what is left in a closed terminal may be lost, and
    # a full one would stop the drawing.
    master, slave = pty.openpty()
    reader = _Reader(master, b"-- the end --")
    reader.start()
    with os.fdopen(slave, "w", encoding="utf-8") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setattr(screen, "_PATIENCE", 0)
        monkeypatch.setattr(screen, "_REDRAW", 0)
        with screen.Bar() as bar:
            bar.progress(1_000_000, 2_000_000)
            bar.warn("a.gz: ends [red]early[/red]\x1b[2J")
            bar.progress(2_000_000, None)
        terminal.write("-- the end --")
        terminal.flush()
        reader.join()
    os.close(master)
    seen = reader.seen.decode()
    assert "reading" in seen
    assert "logscan: warning: a.gz: ends [red]early[/red]\\x1b[2J" in seen
    assert "\x1b[2K" in seen[seen.rindex("reading") :], "the bar's line was not erased"


class _Reader(threading.Thread):
    """Reads a terminal until an end mark, or until it is closed."""

    def __init__(self, master: int, mark: bytes) -> None:
        super().__init__(daemon=True)
        self._master, self._mark = master, mark
        self.seen = b""

    def run(self) -> None:
        with contextlib.suppress(OSError):
            while self._mark not in self.seen and (piece := os.read(self._master, 65536)):
                self.seen += piece


def test_without_a_terminal_no_progress(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from logscan.render import screen

    monkeypatch.setattr(screen, "_PATIENCE", 0)
    with screen.Bar() as bar:
        bar.progress(1, 2)
    assert capsys.readouterr().err == ""


def test_json_on_standard_output_is_the_engines(engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    engine.doc = docs.hostile()
    assert main(["report", "--format", "json", "--output", "-"]) == 0
    assert json.loads(capsys.readouterr().out) == engine.doc


@pytest.mark.parametrize("words", [[], ["report"], ["daily"], ["export"], ["trace"], ["tail"]])
def test_help_is_for_people(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words, "--help"]) == 0
    shown = capsys.readouterr().out
    assert "list[" not in shown and "<str>" not in shown
    assert not [line for line in shown.splitlines() if len(line) > 80 and not line.startswith("    logscan ")]
    assert not [line for line in shown.partition("Commands:")[2].splitlines() if line.endswith("...")]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["reprot"], "no such command 'reprot'; did you mean 'report', 'export'? see logscan --help"),
        (["report", "--limit", "-1"], "--limit: has to be greater than or equal to 0; see logscan report --help"),
    ],
)
def test_errors_of_the_parser_are_one_sentence(
    words: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the parser's own words, which differ from one version of it to the next."""
    assert main(words) == 2
    said = capsys.readouterr().err
    assert said.startswith("logscan: ") and said.count("\n") == 1 and "Input should" not in said
    assert said.split(";")[-1].split("?")[-1].strip() == line.split(";")[-1].split("?")[-1].strip()


def test_python_runs_the_package() -> None:
    done = subprocess.run([sys.executable, "-m", "logscan", "report", "--format", "yaml"], capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("logscan: --format: 'yaml' is not one of ")
