"""The modules that see every line of a log: those that a build with LOGSCAN_COMPILE=1 compiles."""

from __future__ import annotations

from importlib.machinery import EXTENSION_SUFFIXES

MYPYC = "mypy>=1.15"

COMPILED = (
    "logscan.correlate.state",
    "logscan.correlate.transit",
    "logscan.correlate.life",
    "logscan.correlate.milters",
    "logscan.correlate.daemon",
    "logscan.correlate.gaps",
    "logscan.correlate.common",
    "logscan.correlate.queue",
    "logscan.correlate.cleanup",
    "logscan.correlate.smtpd",
    "logscan.correlate.postfix",
    "logscan.correlate.feed",
    "logscan.correlate.writers",
    "logscan.findings",
    "logscan.parse.header",
    "logscan.parse.lines",
    "logscan.parse.postfix",
    "logscan.parse.stamps",
    "logscan.run",
    "logscan.tally",
    "logscan.why",
    # They derive from classes of the above, which only compiled ones can.
    "logscan.compare",
    "logscan.live",
    "logscan.correlate.gather",
    "logscan.correlate.units",
    "logscan.jobs.sieve",
)


def is_compiled() -> bool:
    """True when the engine at work here is the compiled one."""
    import logscan.correlate.feed as feed

    return feed.__file__.endswith(tuple(EXTENSION_SUFFIXES))
