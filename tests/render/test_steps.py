"""A fix in steps: commands stand alone and paste as they are, and nobody else's text becomes one."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logscan.render.lines import FIX, Paper, prose
from logscan.render.steps import steps

COMMAND = "opendkim-genkey -b 2048 -d lists.example.net -s mx2026 -D /etc/dkimkeys/lists.example.net"


def shown(text: str, width: int = 60) -> list[str]:
    return prose(FIX + text, "  ", Paper(width, escape=str, measure=len))


@pytest.mark.parametrize(
    ("text", "commands"),
    [
        ("chown opendkim:opendkim /k; chmod 600 /k", ["chown opendkim:opendkim /k", "chmod 600 /k"]),
        ("Make it: opendkim-genkey -s a; publish it. Then systemctl reload opendkim", ["opendkim-genkey -s a"]),
        ("postconf -n | grep milter lists them; look there.", []),
        ("journalctl -k | grep -iE 'opendkim|out of memory'; free -m", ["journalctl -k | grep -iE 'opendkim|out of memory'", "free -m"]),
        ('p=/k; if [ -d "$p" ]; then chmod o-w "$p"; fi; systemctl reload opendkim', ['p=/k; if [ -d "$p" ]; then chmod o-w "$p"; fi', "systemctl reload opendkim"]),
        ('for k in *.private; do echo "$k"; done; free -m', ['for k in *.private; do echo "$k"; done', "free -m"]),
        ("If its log goes elsewhere: give that too.", []),
    ],
)
def test_commands_are_told_from_sentences(text: str, commands: list[str]) -> None:
    parts = steps(text)
    assert [part for part, command in parts if command] == commands
    assert "".join(part for part, _ in parts).replace(" ", "").replace(";", "") == text.replace(" ", "").replace(";", "")


@settings(max_examples=1000)
@given(st.text(alphabet="ab/ ;.:'\"`\\$\n", max_size=30))
def test_no_text_of_the_log_becomes_a_command(text: str) -> None:
    """A subject comes quoted for the shell: a step begins with a command of ours or it is none."""
    quoted = shlex.quote(f"/etc/{text}; rm -rf /")
    for part, command in steps(f"chown opendkim:opendkim {quoted}; systemctl reload opendkim"):
        assert not part.lstrip("'\" ").startswith("rm ")
        assert not command or part.startswith(("chown ", "systemctl "))


def test_a_command_that_is_too_long_goes_on_as_the_shell_takes_it() -> None:
    lines = shown(f"A new key: {COMMAND}; then look.")
    assert max(map(len, lines)) <= 60
    pasted = "\n".join(line for line in lines[1:-1]).replace("\\\n", " ")
    assert shlex.split(pasted) == shlex.split(COMMAND)
    assert lines[0].strip() == "Fix: A new key:"
    assert lines[-1].strip() == "then look."


@pytest.mark.parametrize("width", range(50, 110))
def test_no_width_costs_a_command_a_letter(width: int) -> None:
    lines = shown(COMMAND, width)
    assert max(map(len, lines)) <= width
    pasted = "\n".join(lines).replace(FIX, "").replace("\\\n", " ")
    assert shlex.split(pasted) == shlex.split(COMMAND)


def test_sentences_are_wrapped_below_their_label() -> None:
    assert shown("Nothing to do now, and nothing to be looked at before long.", 40) == [
        "  Fix: Nothing to do now, and nothing to",
        "       be looked at before long.",
    ]
