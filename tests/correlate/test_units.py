"""systemd and the kernel on OpenDKIM's end: one row, and one count for each try and each crash."""

from __future__ import annotations

import pytest
from builder import Judged, Log, judge

from logscan.parse.unit_lines import LINES

UNIT = "opendkim.service"
EXITED = f"{UNIT}: Control process exited, code=exited, status=78/CONFIG"
RESULT = f"{UNIT}: Failed with result 'exit-code'."
FAILED = "Failed to start opendkim.service - OpenDKIM Milter."
LIMIT = f"{UNIT}: Start request repeated too quickly."
KILLED = f"{UNIT}: Main process exited, code=killed, status=9/KILL"
DUMPED = f"{UNIT}: Main process exited, code=dumped, status=11/SEGV"
SEGFAULT = "[ 8123.456789] opendkim[812]: segfault at 0 ip 00007f3c1b2d4e10 sp 00007f3c19ffa5e8 error 4 in libc.so.6[7f3c1b195000+155000]"
MEMORY = "Out of memory: Killed process 812 (opendkim) total-vm:812344kB, anon-rss:498212kB, file-rss:0kB"
CONFIG = "opendkim: /etc/opendkim.conf: configuration error at line 12: unrecognized parameter"
REFUSED = "warning: connect to Milter service inet:127.0.0.1:8891: Connection refused"

SAMPLES = {
    "unit-exited": [EXITED, f"{UNIT}: control process exited, code=exited status=78", f"{UNIT}: Main process exited, code=exited, status=69/UNAVAILABLE"],
    "unit-killed": [KILLED, DUMPED, f"{UNIT}: main process exited, code=killed, status=6/ABRT"],
    "unit-oom": [f"{UNIT}: A process of this unit has been killed by the OOM killer."],
    "unit-timeout": [f"{UNIT}: start operation timed out. Terminating."],
    "unit-result": [RESULT, f"{UNIT}: Failed with result 'start-limit-hit'."],
    "unit-failed": [FAILED, "Failed to start DomainKeys Identified Mail (DKIM) Milter."],
    "unit-limit": [LIMIT],
    "unit-limit-old": [f"start request repeated too quickly for {UNIT}"],
    "unit-coredump": ["Process 812 (opendkim) of user 110 dumped core."],
    "kernel-segfault": [SEGFAULT, SEGFAULT[15:]],
    "kernel-trap": ["traps: opendkim[812] general protection fault ip:7f3c1b2d4e10 sp:7f3c19ffa5e8 error:0 in libc.so.6"],
    "kernel-oom": [MEMORY, "Memory cgroup out of memory: Killed process 812 (opendkim) total-vm:812344kB", "Out of memory: Kill process 812 (opendkim) score 912 or sacrifice child"],
}  # fmt: skip


def rows(judged: Judged) -> list[tuple[str, str, int]]:
    """(kind, subject, count) of every row that is not information."""
    return [(f.kind, f.subject, f.count) for f in judged.faults if f.severity != "info"]


def systemd(log: Log, *said: str) -> Log:
    for text in said:
        log.say("systemd", text, 1)
    return log


def test_every_row_has_samples_that_are_its_own() -> None:
    assert {shape.name for shape in LINES.shapes} == SAMPLES.keys()
    for name, payloads in SAMPLES.items():
        for payload in payloads:
            match = LINES.lookup(payload.encode())
            assert match is not None and match.shape.name == name, payload


@pytest.mark.parametrize("text", [
    "Starting opendkim.service - OpenDKIM Milter...", "Started opendkim.service - OpenDKIM Milter.",
    f"{UNIT}: Deactivated successfully.", f"{UNIT}: Scheduled restart job, restart counter is at 5.",
    f"{UNIT}: Main process exited, code=killed, status=15/TERM", f"{UNIT}: Consumed 1.204s CPU time.",
    EXITED.replace("opendkim", "opendmarc"), FAILED.replace("opendkim.service", "rspamd.service"),
    f"other.service: ran {UNIT}: Failed with result 'exit-code'.", MEMORY.replace("opendkim", "rspamd"),
])  # fmt: skip
def test_an_orderly_life_and_other_services_are_no_fault(text: str) -> None:
    assert rows(judge(systemd(Log(), text).say("kernel", text))) == []


def test_each_try_of_systemd_is_one_event() -> None:
    log = Log()
    for _ in range(5):
        systemd(log, EXITED, RESULT, FAILED)
    systemd(log, LIMIT, RESULT, FAILED)
    assert rows(judge(log)) == [("opendkim-start-failed", "", 5), ("opendkim-restart-loop", "", 1)]


def test_where_opendkim_says_the_cause_systemd_adds_none() -> None:
    log = Log()
    for pid in range(5):
        log.opendkim(CONFIG, 800 + pid)
        systemd(log, EXITED, RESULT, FAILED)
    systemd(log, LIMIT, RESULT, FAILED)
    assert rows(judge(log)) == [("config", "/etc/opendkim.conf", 5), ("opendkim-restart-loop", "", 1)]


@pytest.mark.parametrize("said", [
    [("kernel", SEGFAULT), ("systemd", DUMPED), ("systemd", RESULT.replace("exit-code", "core-dump"))],
    [("kernel", MEMORY), ("systemd", SAMPLES["unit-oom"][0]), ("systemd", KILLED), ("systemd", RESULT)],
    [("systemd", DUMPED), ("systemd-coredump", SAMPLES["unit-coredump"][0]), ("systemd", RESULT)],
    [("kernel", SEGFAULT), ("opendkim", "terminated with signal 11, restarting")],
    [("opendkim", "terminated with signal 11, restarting"), ("kernel", SEGFAULT)],
])  # fmt: skip
def test_a_crash_is_one_event_whoever_tells_of_it(said: list[tuple[str, str]]) -> None:
    log = Log().started().smtpd(REFUSED)
    for program, text in said:
        log.say(program, text)
    log.wait(1).started(91)
    judged = judge(log)
    assert rows(judged) == [("milter-unreachable", "inet:127.0.0.1:8891", 1), ("opendkim-crashed", "", 1)]
    cause = judged.fault("milter-unreachable").cause
    assert cause is not None and cause[0].kind == "opendkim-crashed"


def test_mail_after_a_crash_is_not_seen_by_opendkim_until_it_starts() -> None:
    log = Log().started().mail("4F2A91C03B7", "+")
    systemd(log.wait(60), DUMPED)
    log.mail("4F2A91C03B8")
    assert [m.outcome for m in judge(log).messages] == ["signed", "undecided"]
    assert judge(log).of("4F2A91C03B8").reason == "opendkim-absent"
