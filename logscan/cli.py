"""The command line: flags to values, errors to one line each, results to standard output, an exit status.

Status: 0 done; 1 findings (`daily`, `report --check`), or a trace that finds nothing; 2 usage, or input missing,
unreadable or not understood; 130 Ctrl-C.

Nothing heavy is imported here: the engine, rich and the renderers are loaded by the command that needs them,
so that `logscan --help` answers at once. A further command lives in a module of its own as a function under
`command`, annotates its parameters with those of `options.py`, and is given to `app.command` at the end.

No `from __future__ import annotations` here and in `options.py`: typer would have to compile every annotation from
its text, for 5 ms at every start.
"""

import errno
import functools
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec

import typer

from logscan import __version__
from logscan.errors import LogscanError, UsageError
from logscan.options import (
    By,
    Color,
    ColorWhen,
    Domains,
    ExportFormat,
    Hosts,
    Jobs,
    Logs,
    OpendkimConf,
    OurDomains,
    Outcome,
    Output,
    ReportFormat,
    Scheduler,
    Since,
    TailFormat,
    Timezone,
    TraceFormat,
    Until,
)
from logscan.render import screen

if TYPE_CHECKING:
    from logscan.job import Options

OK, FINDINGS, FAILED, INTERRUPTED = 0, 1, 2, 130

# The base of the parser's own errors. By way of a public name, since typer moved click into itself.
_ParserError: type[Exception] = typer.BadParameter.__mro__[2]

# What writing meets on a disk that is full or broken: standard output, or the files in which rows wait.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)

P = ParamSpec("P")


_EXAMPLES = """\b
Examples:
  logscan report
  logscan daily
  logscan report /var/log/mail.log* --since "2 hours ago" --by reason
  zcat old.gz | logscan report - --format html --output report.html
  logscan trace 7AA7C20C4C1
  logscan export --since yesterday --output mail.csv
  logscan tail --only unsigned --only milter-error

Exit status: 0 done; 1 findings, of daily and with --check, or a trace that finds nothing; 2 usage, or input
that is missing or not understood.
"""



class _Command(typer.core.TyperCommand):
    """A command whose help names its arguments as we do, without the type that a program would know them by."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for param in self.params:
            if param.param_type_name == "argument":
                param.display_type_rich = lambda ctx: None  # type: ignore[attr-defined]

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Those of the usage line; not every typer says by itself that an argument may come more than once."""
        repeated = {f"[{param.metavar}]" for param in self.params if param.nargs == -1}
        pieces = super().collect_usage_pieces(ctx)
        return [f"{piece}..." if piece in repeated else piece for piece in pieces]


app = typer.Typer(
    name="logscan",
    help="Tell from the log of Postfix and OpenDKIM which mail was signed, which was not, and why.",
    epilog=_EXAMPLES,
    # Plain help: it starts faster, and no text is ever read as markup.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def command(run: Callable[P, int]) -> Callable[P, int]:
    """Turn the errors of a command into one line and a status; a reader that went away is none."""

    @functools.wraps(run)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> int:
        try:
            return run(*args, **kwargs)
        except LogscanError as error:
            screen.notice(str(error))
            return FAILED
        except BrokenPipeError:
            screen.forget_stdout()
            return OK
        except KeyboardInterrupt:
            return INTERRUPTED

    return guarded


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"logscan {__version__}")
        raise typer.Exit(OK)


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and end.")
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(OK)


@app.command(
    cls=_Command,
    epilog="\b\nExamples:\n"
    "  logscan report --since yesterday --until today\n"
    "  logscan report mail.log --by reason --by domain --limit 100\n"
    "  logscan report --since yesterday --until today --compare\n"
    "  logscan report --format json | jq .signed_fraction\n"
)
@command
def report(
    logs: Logs = None,
    since: Since = None,
    until: Until = None,
    host: Hosts = None,
    domain: Domains = None,
    by: Annotated[
        list[By] | None,
        typer.Option(metavar="KEY", help=f"Show only these tables: {', '.join(By)} (repeatable)."),
    ] = None,
    format: Annotated[ReportFormat, typer.Option(help="What to write.")] = ReportFormat.text,
    output: Output = None,
    limit: Annotated[
        int, typer.Option(metavar="N", min=0, help="Show at most so many problem messages.")
    ] = 20,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Status 1 if there are findings: unsigned or hit mail, a fault that is an error, or a log that"
            " cannot tell of any mail if it was signed. Status 2 if the log does not reach the time.",
        ),
    ] = False,
    compare: Annotated[
        bool,
        typer.Option("--compare", help="Tell what changed since the time of the same length before --since."),
    ] = False,
    our_domain: OurDomains = None,
    opendkim_conf: OpendkimConf = None,
    timezone: Timezone = None,
    jobs: Jobs = None,
    scheduler: Scheduler = None,
    color: ColorWhen = Color.auto,
) -> int:
    """Count signed, unsigned and milter-hit mail, problems first."""
    from logscan.job import Options
    from logscan.pipeline import run_report

    _spare_input(output, logs)
    options = Options(
        logs=list(logs or ()),
        since=since,
        until=until,
        hosts=list(host or ()),
        domains=list(domain or ()),
        by=[key.value for key in by or ()],
        limit=limit,
        our_domains=list(our_domain or ()),
        opendkim_conf=opendkim_conf,
        timezone=timezone,
        jobs=jobs,
        scheduler=scheduler,
        compare=compare,
    )
    with screen.Bar() as bar:
        result = run_report(options, progress=bar.progress, warn=bar.warn)
    screen.write(painted(result.doc, options, format.value, output, color.value), output)
    # What could be read is shown, but input that is missing is worse than what the rest of it says.
    if result.status or (check and result.blank):
        return FAILED
    if not check:
        return OK
    from logscan.render import verdict

    return FINDINGS if verdict.findings(result.doc) else OK


@app.command(
    cls=_Command,
    epilog="\b\nExamples:\n"
    "  logscan daily\n"
    "  logscan daily --date 2026-11-24       # the 23rd\n"
    "  logscan daily --always --format html > yesterday.html\n"
    "\nSilent when all is well (status 0). Findings (status 1) are those of report --check. Status 2, with a"
    " line on standard error, when the log is missing, unreadable, or does not tell of the whole day."
)
@command
def daily(
    logs: Logs = None,
    date: Annotated[
        str | None,
        typer.Option(
            metavar="D", help="Report on the day before this one: 'today' (default), '2026-11-24', 'Nov 24'."
        ),
    ] = None,
    always: Annotated[bool, typer.Option("--always", help="Print the report even if nothing is wrong.")] = False,
    host: Hosts = None,
    domain: Domains = None,
    format: Annotated[ReportFormat, typer.Option(help="What to write.")] = ReportFormat.text,
    limit: Annotated[
        int, typer.Option(metavar="N", min=0, help="Show at most so many problem messages.")
    ] = 20,
    our_domain: OurDomains = None,
    opendkim_conf: OpendkimConf = None,
    timezone: Timezone = None,
    jobs: Jobs = None,
) -> int:
    """Report on yesterday if something was wrong; for cron."""
    from logscan.daily import run_daily
    from logscan.job import Options
    from logscan.render import text, verdict

    options = Options(
        logs=list(logs or ()),
        hosts=list(host or ()),
        domains=list(domain or ()),
        limit=limit,
        our_domains=list(our_domain or ()),
        opendkim_conf=opendkim_conf,
        timezone=timezone,
        jobs=jobs,
    )
    said: list[str] = []
    with screen.Bar() as bar:
        result = run_daily(options, date=date, progress=bar.progress, warn=said.append)
    wrong = verdict.findings(result.doc)
    if wrong or always:
        plain = format == ReportFormat.text
        screen.write(
            text.mail(result.doc, limit=limit)
            if plain
            else painted(result.doc, options, format.value, None, "never"),
            None,
        )
    status = int(result.status) or (FINDINGS if wrong else OK)
    # After the report, whose first line may become a subject; and cron would mail a note on a good day.
    if status or always:
        for line in sorted(said, key=lambda line: line.startswith("note: ")):
            bar.warn(line)
    return status


@app.command(
    cls=_Command,
    epilog="\b\nExamples:\n"
    "  logscan export --since yesterday --output mail.parquet\n"
    "  logscan export mail.log --output - --format jsonl | jq .reason\n"
)
@command
def export(
    output: Annotated[str, typer.Option(metavar="FILE", help="Where to; '-' is standard output.")],
    logs: Logs = None,
    format: Annotated[
        ExportFormat | None,
        typer.Option(help="What to write. Default: what FILE's name ends in, jsonl for '-'."),
    ] = None,
    since: Since = None,
    until: Until = None,
    host: Hosts = None,
    domain: Domains = None,
    our_domain: OurDomains = None,
    opendkim_conf: OpendkimConf = None,
    timezone: Timezone = None,
    jobs: Jobs = None,
) -> int:
    """Write every message as a row, to be counted elsewhere."""
    from logscan.job import Options
    from logscan.pipeline import run_export

    _spare_input(output, logs)
    options = Options(
        logs=list(logs or ()),
        since=since,
        until=until,
        hosts=list(host or ()),
        domains=list(domain or ()),
        by=[],
        limit=0,
        our_domains=list(our_domain or ()),
        opendkim_conf=opendkim_conf,
        timezone=timezone,
        jobs=jobs,
    )
    kind = format.value if format else _by_name(output)
    with screen.Bar() as bar:
        return int(run_export(options, format=kind, output=output, warn=bar.warn, progress=bar.progress))


@app.command(
    cls=_Command,
    short_help="Show one mail's way through the log, and what to do.",
    epilog="\b\nExamples:\n"
    "  logscan trace 7AA7C20C4C1\n"
    "  logscan trace '<t01014.1@app.example.org>' /var/log/mail.log*\n"
    "  logscan trace news@lists.example.net --since yesterday\n"
    "  logscan trace @example.org --since -2h --format json | jq '.messages[].outcome'\n"
)
@command
def trace(
    word: Annotated[
        str,
        typer.Argument(
            metavar="QUEUE_ID|MESSAGE_ID|ADDRESS",
            help="What to look for: a queue ID, a Message-ID, the sender or a recipient; '@example.org' is every"
            " address of that domain.",
            show_default=False,
        ),
    ],
    logs: Logs = None,
    since: Since = None,
    until: Until = None,
    format: Annotated[TraceFormat, typer.Option(help="What to write.")] = TraceFormat.text,
    limit: Annotated[
        int, typer.Option(metavar="N", min=1, max=1000, help="Show the newest N of several messages.")
    ] = 10,
    our_domain: OurDomains = None,
    opendkim_conf: OpendkimConf = None,
    timezone: Timezone = None,
    color: ColorWhen = Color.auto,
) -> int:
    """Show one mail's way through the log: verdict, what to do, every line with its time and gap."""
    from logscan.job import Options
    from logscan.render import trace as paint
    from logscan.trace import run_trace

    options = Options(
        logs=list(logs or ()),
        since=since,
        until=until,
        our_domains=list(our_domain or ()),
        opendkim_conf=opendkim_conf,
        timezone=timezone,
    )
    with screen.Bar() as bar:
        result = run_trace(word, options, limit=limit, warn=bar.warn, progress=bar.progress)
    if format is TraceFormat.json:
        from logscan.render import json

        screen.write(json.report(result.doc), None)
    elif result.doc["matches"]:
        if sys.stdout.isatty() or color is Color.always:
            import shutil

            width = shutil.get_terminal_size((80, 24)).columns
            screen.write(paint.terminal(result.doc, width=width, color=screen.colored(color.value)), None)
        else:
            screen.write(paint.text(result.doc), None)
    if not result.doc["matches"] and result.doc["window"]["first"]:
        screen.notice(paint.not_found(result.doc))
    return int(result.status) or (OK if result.doc["matches"] else FINDINGS)


@app.command(
    cls=_Command,
    short_help="Follow the log: each message as it is judged, faults at once.",
    epilog="\b\nExamples:\n"
    "  logscan tail\n"
    "  logscan tail /var/log/mail.log -n 50 --only unsigned --only milter-error\n"
    "  logscan tail -n 0 --format json | jq -r 'select(.event == \"fault\") | .fix'\n"
    "  ssh mx tail -F /var/log/maillog | logscan tail -\n"
    "\n\b\nEnds on Ctrl-C (status 130) and on SIGTERM (status 0) with a summary."
)
@command
def tail(
    log: Annotated[
        str | None,
        typer.Argument(
            metavar="LOG",
            help="A log file, which need not exist yet, '-' for standard input, or 'journal:'. Default: the"
            " first of /var/log/maillog, /var/log/mail.log, /var/log/mail, or else the journal.",
            show_default=False,
        ),
    ] = None,
    lines: Annotated[
        int,
        typer.Option(
            "--lines",
            "-n",
            metavar="N",
            min=0,
            help="Show the last N messages and faults that are in the log already; 0 for none.",
        ),
    ] = 10,
    only: Annotated[
        list[Outcome] | None,
        typer.Option(
            metavar="OUTCOME",
            help=f"Show only messages of this outcome: {', '.join(Outcome)} (repeatable). Faults are always shown.",
        ),
    ] = None,
    format: Annotated[
        TailFormat, typer.Option(help="json: one object a line, with its kind as 'event'.")
    ] = TailFormat.text,
    hold: Annotated[
        int,
        typer.Option(
            metavar="SECONDS",
            min=0,
            help="Show a message that is still in the queue after so long; others are shown at their end.",
        ),
    ] = 30,
    our_domain: OurDomains = None,
    opendkim_conf: OpendkimConf = None,
    timezone: Timezone = None,
    color: ColorWhen = Color.auto,
) -> int:
    """Follow the log: each message as its verdict is known, faults at once."""
    from logscan.render.tail import sink_for
    from logscan.tail import TailOptions, run_tail

    options = TailOptions(
        log=log,
        lines=lines,
        only=frozenset(outcome.value for outcome in only or ()),
        hold=hold,
        our_domains=list(our_domain or ()),
        opendkim_conf=opendkim_conf,
        timezone=timezone,
    )
    return run_tail(options, sink=lambda zone: sink_for(format.value, color.value, zone))


def painted(doc: dict[str, Any], options: "Options", format: str, output: str | None, color: str) -> str:
    """A report as the text of its format; `text` is painted for the terminal if it goes to one."""
    chosen: dict[str, Any] = {"by": options.by, "limit": options.limit}
    if format == "json":
        from logscan.render import json

        return json.report(doc)
    if format == "csv":
        from logscan.render import csv

        return csv.report(doc)
    if format == "markdown":
        from logscan.render import markdown

        return markdown.report(doc, **chosen)
    if format == "html":
        from logscan.render import html

        return html.report(doc, **chosen)
    if output in (None, "-") and (sys.stdout.isatty() or color == "always"):
        import shutil

        from logscan.render import terminal

        width = shutil.get_terminal_size((80, 24)).columns
        return terminal.report(doc, width=width, color=screen.colored(color), **chosen)
    from logscan.render import text

    return text.report(doc, **chosen)


def _by_name(output: str) -> str:
    """The export's format from the name of its file."""
    ending = Path(output).suffix.lower().removeprefix(".")
    if output == "-" or ending in ("jsonl", "ndjson"):
        return "jsonl"
    if ending in ("csv", "parquet"):
        return ending
    raise UsageError(
        f"--output {output}", "the name does not tell the format", "add --format jsonl, csv or parquet"
    )


def _spare_input(output: str | None, logs: Sequence[str] | None) -> None:
    """Refuse to write over a log that is read."""
    if output is None or output == "-":
        return
    from logscan.sources.remote import local

    for log in map(local, logs or ()):
        try:
            same = Path(log).is_file() and Path(output).samefile(log)
        except (OSError, ValueError):
            continue
        if same:
            raise UsageError(f"--output {output}", "is also a log to read", "name another file")


def _name_shell(words: Sequence[str]) -> None:
    """`--show-completion zsh`: typer takes a shell's name only where it is told not to look for one itself."""
    if (
        len(words) == 2
        and words[0] in ("--show-completion", "--install-completion")
        and words[1] in ("bash", "zsh", "fish")
    ):
        os.environ["_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION"] = "1"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status; `arguments` are those of the process unless given."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    _name_shell(words)
    screen.open_closed()
    try:
        status = app(args=words, prog_name="logscan", standalone_mode=False)
    except _ParserError as error:
        screen.notice(_worded(error))
        return FAILED
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else OK
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _FULL:
            screen.forget_stdout()
            screen.notice(f"{(error.strerror or str(error)).lower()}; what was written is not the whole")
            return FAILED
        import traceback

        # Python would end with 1, which means findings.
        traceback.print_exc()
        screen.notice("internal error; please report it with the lines above")
        return FAILED
    return status if isinstance(status, int) else OK


def _worded(error: Any) -> str:
    """A parser's error as one line: subject, what happened, where help is."""
    text = " ".join(error.format_message().split()).rstrip(".")
    text = text.removeprefix("Invalid value for ").replace("Value error, ", "")
    text = text.replace(": Input should be ", ": has to be ").replace("a valid int range", "a whole number")
    text = text.replace(". Did you mean ", "; did you mean ")
    text = re.sub(r"'(--?[\w-]+)'", r"\1", text)
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "logscan"
    return f"{text[:1].lower()}{text[1:]}{'' if text.endswith('?') else ';'} see {path} --help"


if __name__ == "__main__":
    sys.exit(main())
