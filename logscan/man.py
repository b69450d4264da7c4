"""The man page logscan(1), made of the texts of `--help`: ``python -m logscan.man > logscan.1``.

What a command is called, what it takes and what it says about itself is walked from the command line's own
tree, so that the page cannot differ from it. Format: man(7), ASCII.
"""

from __future__ import annotations

import os
import re
import sys
import textwrap
import time
from collections.abc import Iterator
from typing import Any

import typer

from logscan import __version__
from logscan.cli import app
from logscan.render.words import REASONS

_WIDTH = 60
# Glyphs that a formatter would otherwise replace by typographic ones, or take for its own.
_GLYPHS = {ord(char): name for char, name in {
    "\\": "\\e", "-": "\\-", "'": "\\(aq", "`": "\\(ga", "^": "\\(ha", "~": "\\(ti",
}.items()}  # fmt: skip

_ENVIRONMENT = {
    "NO_COLOR": "No colour, unless --color asks for it.",
    "TZ": "The zone of days, and of times that name none, unless --timezone does.",
}
_SEE_ALSO = ("journalctl(1)", "postfix(1)", "opendkim.conf(5)", "opendkim(8)", "logrotate(8)", "cron(8)")


def page(at: int | None = None) -> str:
    """The page. at: the day it is dated with, in epoch seconds; default: $SOURCE_DATE_EPOCH, else now."""
    if at is None:
        at = int(os.environ.get("SOURCE_DATE_EPOCH", time.time()))
    # Click's classes, or typer's own copy of them, which has no public name.
    root: Any = typer.main.get_command(app)
    context = root.context_class(root, info_name="logscan", **root.context_settings)
    return "\n".join([*_head(root, context, at), *_body(root, context), *_tail(root, context)]) + "\n"


def _head(root: Any, context: Any, at: int) -> Iterator[str]:
    day = time.strftime("%Y-%m-%d", time.gmtime(at))
    about = " ".join(root.help.split())
    yield f'.TH LOGSCAN 1 "{day}" "logscan {__version__}" "User Commands"'
    # Without filling words apart or at hyphens: options and paths are to be copied.
    yield ".nh"
    yield ".ad l"
    yield ".SH NAME"
    first, *more = _paragraph(about[:1].lower() + about[1:].rstrip("."))
    yield rf"logscan \- {first}"
    yield from more
    yield ".SH SYNOPSIS"
    for number, (name, command, inner) in enumerate(_commands(root, context)):
        if number:
            yield ".br"
        pieces = " ".join(command.collect_usage_pieces(inner))
        yield rf".B logscan {_roff(name)}"
        yield rf"\fI{_roff(pieces)}\fR"
    yield ".SH DESCRIPTION"
    yield from _paragraph(about)


def _body(root: Any, context: Any) -> Iterator[str]:
    yield ".SH OPTIONS"
    yield from _options(root, context)
    yield ".SH COMMANDS"
    for name, command, inner in _commands(root, context):
        yield f'.SS "logscan {_roff(name)}"'
        yield from _texts(command.help)
        yield from _options(command, inner)
        if command.epilog:
            yield ".PP"
            yield from _texts(command.epilog)
    after = _blocks(root.epilog)
    for block in after:
        if block.startswith("\b\nExamples:"):
            yield ".SH EXAMPLES"
            yield from _verbatim(block.splitlines()[2:])
    for block in after:
        if block.startswith("Exit status: "):
            yield from _statuses(block.removeprefix("Exit status: "))


def _tail(root: Any, context: Any) -> Iterator[str]:
    yield ".SH OUTCOMES AND REASONS"
    yield from _paragraph("An outcome that needs a reason has one of these.")
    for outcome in dict.fromkeys(outcome for outcome, _ in REASONS):
        yield ".TP"
        yield f".B {_roff(outcome)}"
        told = (f"{reason} ({text})" for (its, reason), text in REASONS.items() if its == outcome)
        yield from _paragraph(", ".join(told) + ".")
    yield ".SH FILES"
    yield ".TP"
    yield rf"\fI{_roff(', '.join(_default_logs(root, context)))}\fR"
    yield "Without LOG the first of these that exists is read, else the journal."
    yield ".SH ENVIRONMENT"
    for name, text in _ENVIRONMENT.items():
        yield ".TP"
        yield f".B {_roff(name)}"
        yield from _paragraph(text)
    yield ".SH SEE ALSO"
    pages = [name.partition("(") for name in _SEE_ALSO]
    yield ",\n".join(rf"\fB{_roff(name)}\fR({section}" for name, _, section in pages)


def _default_logs(root: Any, context: Any) -> list[str]:
    """The logs that the help of the LOG arguments names."""
    helps = (
        parameter.help or ""
        for _, command, inner in _commands(root, context)
        for parameter in command.get_params(inner)
        if parameter.param_type_name == "argument"
    )
    return list(dict.fromkeys(re.findall(r"/var/log/[\w./]*\w", " ".join(helps))))


def _commands(root: Any, context: Any) -> Iterator[tuple[str, Any, Any]]:
    """Name, command and its context, of all that are not hidden, in the order of --help."""
    for name in root.list_commands(context):
        command = root.get_command(context, name)
        if not command.hidden:
            yield name, command, command.context_class(command, info_name=name, parent=context)


def _options(command: Any, context: Any) -> Iterator[str]:
    """Arguments and options as --help lists them, without the types of arguments."""
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is None:
            continue
        names, text = record
        if parameter.param_type_name == "argument":
            names = names.partition(" <")[0]
        yield ".TP"
        yield f".B {_roff(names)}"
        yield from _paragraph(text)


def _texts(text: str | None) -> Iterator[str]:
    """Paragraphs; blocks that begin with \\b keep their lines, which is how examples are written."""
    for number, block in enumerate(_blocks(text)):
        if number:
            yield ".PP"
        if block.startswith("\b\n"):
            head, *lines = block.splitlines()[1:]
            yield from _paragraph(head)
            yield from _verbatim(lines)
        else:
            yield from _paragraph(block)


def _blocks(text: str | None) -> list[str]:
    return [block.strip("\n") for block in (text or "").split("\n\n") if block.strip()]


def _verbatim(lines: list[str]) -> Iterator[str]:
    yield ".RS 4"
    yield ".nf"
    yield from (_roff(line.strip()) for line in lines)
    yield ".fi"
    yield ".RE"


def _statuses(text: str) -> Iterator[str]:
    """`0 done; 1 findings; …` as a list."""
    yield ".SH EXIT STATUS"
    for part in " ".join(text.split()).rstrip(".").split("; "):
        number, _, meaning = part.partition(" ")
        yield ".TP"
        yield f".B {_roff(number)}"
        yield from _paragraph(f"{meaning[:1].upper()}{meaning[1:]}.")


def _paragraph(text: str) -> Iterator[str]:
    lines = textwrap.wrap(" ".join(text.split()), _WIDTH, break_long_words=False, break_on_hyphens=False)
    return (_roff(line) for line in lines)


def _roff(text: str) -> str:
    """Text as one line of input that is no request, whatever stands in it."""
    made = "".join(char if char.isascii() else f"\\[u{ord(char):04X}]" for char in text.translate(_GLYPHS))
    return f"\\&{made}" if made.startswith(".") else made


if __name__ == "__main__":
    sys.stdout.write(page())
