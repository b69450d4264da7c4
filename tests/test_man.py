"""The man page says what --help says, of every command and option, in a form that formatters take."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from logscan.cli import app, main
from logscan.man import page

ROOT: Any = typer.main.get_command(app)
COMMANDS = sorted(ROOT.commands)
AT = 1795507200


def said(text: str) -> str:
    """Words alone: formatters and --help break and indent lines each in their own way."""
    return " ".join(text.split())


def raw() -> str:
    """The page's words without its marks."""
    text = re.sub(r"^\.(?:TP|PP|RS \d|RE|nf|fi|br|nh|ad l)\n", "", page(AT), flags=re.MULTILINE)
    text = re.sub(r"^\.(?:B|SH|SS) ", "", text, flags=re.MULTILINE)
    for glyph, char in (("\\(aq", "'"), ("\\(ga", "`"), ("\\(ha", "^"), ("\\(ti", "~"), ("\\-", "-"), ("\\&", "")):
        text = text.replace(glyph, char)
    return said(re.sub(r"\\f[BIR]", "", text).replace("\\e", "\\"))


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_all_that_help_says_of_options_is_in_the_page(command: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*([command] if command else []), "--help"]) == 0
    shown = capsys.readouterr().out
    options = shown.partition("Options:\n")[2].partition("\n\n")[0]
    page_words = raw()
    names = re.findall(r"^  (-[^ ].*?)(?:  |$)", options, flags=re.MULTILINE)
    assert len(names) >= 2
    for name in names:
        assert said(name) in page_words
    # Each option with its text, as far as the next one.
    for block in re.split(r"^  (?=-)", options, flags=re.MULTILINE)[1:]:
        assert said(block) in page_words
    if command is not None:
        assert f"logscan {command}" in page_words
        epilog = shown[shown.index("Examples:") :]
        assert said(epilog) in page_words


def test_the_walked_tree_is_the_whole_tree() -> None:
    """Counted in another way than the page is made: a command or an option that it passes over is missed."""
    made = page(AT)
    assert re.findall(r'^\.SS "logscan (\w+)"', made, flags=re.MULTILINE) == list(ROOT.commands)
    options = sum(len(command.params) + 1 for command in (ROOT, *ROOT.commands.values()))  # and --help
    body = made[made.index(".SH OPTIONS") : made.index(".SH EXAMPLES")]
    assert len(re.findall(r"^\.TP$", body, flags=re.MULTILINE)) == options
    assert {"report", "daily", "export"} <= set(COMMANDS)


def test_the_page_has_the_sections_of_a_man_page_in_order() -> None:
    assert re.findall(r"^\.SH (.*)$", page(AT), flags=re.MULTILINE) == [
        "NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "COMMANDS", "EXAMPLES", "EXIT STATUS", "OUTCOMES AND REASONS",
        "FILES", "ENVIRONMENT", "SEE ALSO",
    ]  # fmt: skip


def test_the_same_source_gives_the_same_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", str(AT))
    assert page() == page(AT)
    assert page().startswith('.TH LOGSCAN 1 "2026-11-24" "logscan ')
    assert page().isascii()


def test_the_page_is_written_by_a_module_that_needs_nothing_heavy() -> None:
    """A wheel is built where only typer is installed."""
    code = (
        "import sys; sys.modules.update(dict.fromkeys(('pandas', 'zstandard', 'dateutil', 'tzdata')));"
        "import runpy; runpy.run_module('logscan.man', run_name='__main__')"
    )
    env = os.environ | {"SOURCE_DATE_EPOCH": str(AT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    assert done.stdout == page(AT)


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
@pytest.mark.parametrize("device", ["ascii", "utf8"])
def test_groff_has_nothing_to_complain_of(device: str) -> None:
    done = subprocess.run(
        ["groff", "-man", "-ww", f"-T{device}", "-rLL=80n"], input=page(AT), capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    shown = re.sub("\x1b\\[[0-9;]*m|.\b", "", done.stdout)
    assert max(map(len, shown.splitlines())) <= 100
    # Options can be copied: no typographic hyphen, no curly quote.
    assert "--opendkim-conf FILE" in shown and "'2026-11-23 14:00'" in said(shown)


@pytest.mark.skipif(shutil.which("mandoc") is None, reason="mandoc is not installed")
def test_mandoc_has_nothing_to_complain_of(tmp_path: Path) -> None:
    path = tmp_path / "logscan.1"
    path.write_text(page(AT), encoding="ascii")
    done = subprocess.run(["mandoc", "-T", "lint", "-W", "style", str(path)], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("", 0)
