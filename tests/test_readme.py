"""What the README shows is what the commands print."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import pytest

from logscan.cli import main

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"

# `    $ logscan …` and the indented lines after it, up to the next text that is not indented.
_SHOWN = re.compile(r"^    \$ logscan ([^\n]*examples[^\n]*)\n((?:    [^\n]*\n|\n(?=    |\n))*)", re.MULTILINE)


@pytest.mark.parametrize("place", range(len(_SHOWN.findall(README.read_text()))))
def test_a_shown_command_prints_what_is_shown(
    place: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With LOGSCAN_WRITE_EXPECTED=1 the README is written instead."""
    monkeypatch.chdir(ROOT)
    text = README.read_text()
    shown = list(_SHOWN.finditer(text))[place]
    main([*shlex.split(shown[1]), "--timezone", "UTC"])
    printed = "".join(f"    {line}".rstrip() + "\n" for line in capsys.readouterr().out.splitlines())
    if os.environ.get("LOGSCAN_WRITE_EXPECTED"):
        README.write_text(text[: shown.start(2)] + printed + text[shown.end(2) :])
    assert printed and shown[2] == printed


def test_the_readme_shows_a_report_and_a_trace() -> None:
    assert {command.split()[0] for command, _ in _SHOWN.findall(README.read_text())} >= {"report", "trace"}
