# ruff: noqa: E501 - one row a line, so that a kind of line is found, added and compared as one line
"""What systemd and the kernel write about the end of OpenDKIM, who may have had no time to say so itself.

`logscan/parse/lines.py` explains the columns and the notation. Kinds: exit (a start or a process that failed), crash
(by a signal), again (a second line about either), limit (not started any more).

Source: systemd 219 to 252 (src/core/service.c, unit.c, job.c), systemd-coredump; Linux mm/oom_kill.c, arch/x86/mm/fault.c.
"""

from __future__ import annotations

from logscan.parse.lines import NUMBER, WORD, Lines, Row

FIELDS = {
    "unit": rb"opendkim[^ :/]*\.service",
    "dkim": rb"(?:opendkim[^ /]*\.service - .*?|.*?\(DKIM\) Milter)",
    "uptime": rb"[ 0-9.]+?",
    "name": WORD,
    "result": rb"[a-z-]+?",
    "status": NUMBER,
    "pid": NUMBER,
    "uid": NUMBER,
}

ROWS: tuple[Row, ...] = (
    # systemd.
    ("unit-exited", "<unit>: <Main|main|Control|control> process exited, code=exited{,} status=<status>{/<name>}", "exit", "error", "opendkim-start-failed"),
    ("unit-killed", "<unit>: <Main|main|Control|control> process exited, code=<killed|dumped>{,} status=<status>/<name>", "crash", "error", "opendkim-crashed"),
    ("unit-oom", "<unit>: A process of this unit has been killed by the OOM killer.", "crash", "error", "opendkim-crashed"),
    ("unit-timeout", "<unit>: <Start|start> operation timed out. Terminating.", "exit", "error", "opendkim-start-failed"),
    ("unit-result", "<unit>: Failed with result '<result>'.", "again", "error", "opendkim-start-failed"),
    ("unit-failed", "Failed to start <dkim>.", "again", "error", "opendkim-start-failed"),
    ("unit-limit", "<unit>: <Start|start> request repeated too quickly.", "limit", "error", "opendkim-restart-loop"),
    ("unit-limit-old", "start request repeated too quickly for <unit>", "limit", "error", "opendkim-restart-loop"),
    ("unit-coredump", "Process <pid> (opendkim) of user <uid> dumped core.{<text>}", "crash", "error", "opendkim-crashed"),
    # The kernel, with or without the seconds since it started.
    ("kernel-segfault", "{[<uptime>] }opendkim[<pid>]: segfault at <text>", "crash", "error", "opendkim-crashed"),
    ("kernel-trap", "{[<uptime>] }traps: opendkim[<pid>] <text>", "crash", "error", "opendkim-crashed"),
    ("kernel-oom", "{[<uptime>] }<Out|Memory cgroup out> of memory: <Killed|Kill> process <pid> (opendkim)<text>", "crash", "error", "opendkim-crashed"),
)

LINES = Lines(ROWS, FIELDS)
