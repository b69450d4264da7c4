"""The options that the commands share, each with its help, and the words that they choose from."""

from enum import StrEnum
from typing import Annotated

import typer


class By(StrEnum):
    """The tables that --by chooses from."""

    direction = "direction"
    host = "host"
    domain = "domain"
    signature = "signature"
    reason = "reason"
    hour = "hour"


class ReportFormat(StrEnum):
    """What a report can be written as."""

    text = "text"
    json = "json"
    csv = "csv"
    markdown = "markdown"
    html = "html"


class ExportFormat(StrEnum):
    """What messages can be exported as."""

    jsonl = "jsonl"
    csv = "csv"
    parquet = "parquet"


class TraceFormat(StrEnum):
    """What a trace can be written as."""

    text = "text"
    json = "json"


class TailFormat(StrEnum):
    """What tail can write."""

    text = "text"
    json = "json"


class Outcome(StrEnum):
    """What --only chooses from, of outgoing and of incoming mail."""

    signed = "signed"
    unsigned = "unsigned"
    milter_error = "milter-error"
    undecided = "undecided"
    passed = "pass"
    fail = "fail"
    none = "none"
    unchecked = "unchecked"


class Color(StrEnum):
    """When to colour."""

    auto = "auto"
    always = "always"
    never = "never"


Logs = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="LOG",
        help="Log files (plain, gz, bz2, xz, zst), directories, globs, URLs ('s3://logs/*/maillog.gz'; they need"
        " the extra 'fleet'), '-' for standard input, or 'journal:'. Default: the first of /var/log/maillog,"
        " /var/log/mail.log, /var/log/mail, or else the journal.",
        show_default=False,
    ),
]
Since = Annotated[
    str | None,
    typer.Option(metavar="T", help="From this time on: 'yesterday', '2 hours ago', '2026-11-23 14:00'."),
]
Until = Annotated[str | None, typer.Option(metavar="T", help="Up to this time, which is not in it any more.")]
Hosts = Annotated[
    list[str] | None,
    typer.Option("--host", metavar="H", help="Only this host (repeatable)."),
]
Domains = Annotated[
    list[str] | None, typer.Option("--domain", metavar="D", help="Only senders of this domain (repeatable).")
]
OurDomains = Annotated[
    list[str] | None,
    typer.Option(
        "--our-domain", metavar="D", help="A domain that is ours, to tell outgoing mail (repeatable)."
    ),
]
OpendkimConf = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="opendkim.conf, to learn our domains from its SigningTable."),
]
Timezone = Annotated[
    str | None,
    typer.Option(metavar="TZ", help="Zone of times without one, like Europe/Berlin. Default: the machine's."),
]
Jobs = Annotated[
    int | None, typer.Option(metavar="N", min=1, help="Processes to read a large log with. Default: one per core.")
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Have the workers of the Dask cluster at tcp://HOST:PORT help; they open the logs themselves. Needs the"
        " extra 'fleet'.",
    ),
]
Output = Annotated[
    str | None, typer.Option(metavar="FILE", help="Write there instead of to standard output ('-').")
]
ColorWhen = Annotated[Color, typer.Option(help="Colour in text; auto: on a terminal without NO_COLOR.")]
