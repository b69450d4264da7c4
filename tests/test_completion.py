"""Shells complete commands, options and values, by the script that --show-completion prints."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SHELLS = ("bash", "zsh", "fish")
BIN = Path(sys.executable).parent

pytestmark = pytest.mark.skipif(not (BIN / "logscan").exists(), reason="the command is not installed")


def run(*words: str, home: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    where = os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}"} | env | ({"HOME": str(home)} if home else {})
    return subprocess.run(words, capture_output=True, text=True, env=where, timeout=60)


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_of_each_shell_is_shown_and_is_one(shell: str, tmp_path: Path) -> None:
    done = run("logscan", "--show-completion", shell)
    assert done.returncode == 0 and done.stderr == ""
    assert f"_LOGSCAN_COMPLETE=complete_{shell}" in done.stdout
    if shutil.which(shell):
        script = tmp_path / "script"
        script.write_text(done.stdout)
        checked = run(shell, "-n", str(script))
        assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_is_installed_for_the_shell_that_is_named(shell: str, tmp_path: Path) -> None:
    done = run("logscan", "--install-completion", shell, home=tmp_path)
    assert done.returncode == 0
    files = [path for path in tmp_path.rglob("*logscan*") if path.is_file()]
    assert len(files) == 1 and f"complete_{shell}" in files[0].read_text()


def complete(shell: str, *words: str) -> set[str]:
    """What is proposed for the last word."""
    line = " ".join(words)
    if shell == "bash":
        env = {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    else:
        env = {"_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    done = run("logscan", **env, _LOGSCAN_COMPLETE=f"complete_{shell}")
    assert done.stderr == "" and done.returncode == 0
    if shell == "zsh":
        return set(done.stdout.split('"')[1::4])
    return {line.partition("\t")[0] for line in done.stdout.splitlines() if line}


@pytest.mark.parametrize("shell", SHELLS)
def test_commands_options_and_values_are_proposed(shell: str) -> None:
    assert {"report", "daily", "export"} <= complete(shell, "logscan", "")
    assert complete(shell, "logscan", "da") == {"daily"}
    assert complete(shell, "logscan", "daily", "--al") == {"--always"}
    assert complete(shell, "logscan", "report", "--ti") == {"--timezone"}


@pytest.mark.parametrize("shell", ["bash", "fish"])
def test_the_values_of_a_format_are_proposed(shell: str) -> None:
    assert complete(shell, "logscan", "daily", "--format", "m") == {"markdown"}


def test_bash_completes_with_the_script() -> None:
    script = run("logscan", "--show-completion", "bash").stdout
    asked = 'COMP_WORDS=(logscan daily --alw); COMP_CWORD=2; _logscan_completion logscan; echo "${COMPREPLY[@]}"'
    done = run("bash", "--norc", "-c", f"{script}\n{asked}")
    assert (done.stdout, done.stderr) == ("--always\n", "")
