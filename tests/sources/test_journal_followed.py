"""The journal as it grows, and as a source of every command: `journalctl` stood in for, or real on a file of ours."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from builder import Log

from logscan.cli import main
from logscan.errors import SourceError
from logscan.sources.journal import FollowedJournal

MAIL = Log().mail("4F2A91C0301", "+").wait(60).mail("4F2A91C0302", "no signing table match for 'a@example.org'")


def entries(log: Log, start: int = 0) -> bytes:
    """The log as journalctl writes it, each entry with its cursor."""
    lines = log.journal().splitlines()
    return b"".join(
        json.dumps({**json.loads(line), "__CURSOR": f"c{number}"}).encode() + b"\n"
        for number, line in enumerate(lines, start)
    )


class Stand:
    """A `journalctl` on PATH: writes down its arguments, and answers the n-th call with the n-th script of sh.

    Calls beyond the scripts are answered by the last one.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir()
        program = directory / "journalctl"
        program.write_text(
            f"#!/bin/sh\ncd {directory}\nprintf '%s\\n' \"$*\" >>calls\ncall=$(wc -l <calls)\nn=$call\n"
            "while [ ! -e $n.sh ]; do n=$((n-1)); done\n. ./$n.sh\n"
        )
        program.chmod(0o755)

    def answers(self, *scripts: str | bytes) -> None:
        for number, script in enumerate(scripts, 1):
            if isinstance(script, bytes):
                (self.directory / f"{number}.out").write_bytes(script)
                script = f"cat {number}.out"
            (self.directory / f"{number}.sh").write_text(script)

    def calls(self) -> list[list[str]]:
        return [call.split() for call in (self.directory / "calls").read_text().splitlines()]


@pytest.fixture
def stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stand:
    made = Stand(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{made.directory}:{os.environ['PATH']}")
    return made


def wait(seconds: float, descriptors: list[int]) -> None:
    """As the waker waits, but in seconds that a test has."""
    import select

    if descriptors:
        select.select(descriptors, [], [], 30)


def take(journal: FollowedJournal, until: Callable[[bytes], bool]) -> bytes:
    """Read on until enough is there."""
    got = b""
    for _ in range(200):
        block = journal.read()
        assert block is not None
        got += block
        if until(got):
            return got
        journal.wait(1)
    raise AssertionError(got)


# --- as it grows ------------------------------------------------------------------------------------------------------


def test_history_and_then_what_comes_after_its_last_entry(stand: Stand) -> None:
    first, rest = entries(MAIL)[:600], entries(MAIL)[600:]
    cut = first.rfind(b"\n") + 1
    first, rest = first[:cut], first[cut:] + rest
    (stand.directory / "rest").write_bytes(rest)
    stand.answers(first, "cat rest; exec sleep 100")
    journal = FollowedJournal(wait)
    assert b"".join(journal.history(1_000_000)) == first
    assert take(journal, lambda got: got.count(b"\n") == rest.count(b"\n")) == rest
    journal.close()
    history, follow = stand.calls()
    assert "--lines=2000" in history and "--follow" not in history
    cursor = json.loads(first.splitlines()[-1])["__CURSOR"]
    assert {"--follow", "--no-tail", f"--after-cursor={cursor}", "--output=json", "--all"} <= set(follow)
    for call in (history, follow):
        # By identifier and by unit: what a start that fails writes to standard error comes with it.
        assert {"SYSLOG_IDENTIFIER=opendkim", "_SYSTEMD_UNIT=opendkim.service", "UNIT=opendkim.service"} <= set(call)
    assert (journal.info.lines, journal.notes) == (len(MAIL.lines), [])


def test_an_empty_journal_is_followed_from_now_on(stand: Stand) -> None:
    stand.answers("", "", "cat 1.out; exec sleep 100")
    (stand.directory / "1.out").write_bytes(entries(MAIL))
    journal = FollowedJournal(wait)
    assert list(journal.history(1_000_000)) == []
    assert take(journal, lambda got: got.count(b"\n") == len(MAIL.lines)) == entries(MAIL)
    journal.close()
    assert "--lines=0" in stand.calls()[-1] and "--follow" in stand.calls()[-1]


def test_a_journalctl_that_ends_is_followed_by_another_from_the_last_entry_on(stand: Stand) -> None:
    lines = entries(MAIL).splitlines(keepends=True)
    stand.answers(b"".join(lines[:3]), b"".join(lines[3:9]), "cat rest; exec sleep 100")
    (stand.directory / "rest").write_bytes(b"".join(lines[9:]))
    journal = FollowedJournal(wait)
    got = b"".join(journal.history(1_000_000)) + take(journal, lambda got: got.count(b"\n") == len(lines) - 3)
    journal.close()
    assert got == b"".join(lines)
    assert "--after-cursor=c2" in stand.calls()[1] and "--after-cursor=c8" in stand.calls()[2]
    assert journal.notes == ["journal: journalctl ended with status 0; asking again"]


def test_a_journalctl_that_ends_again_and_again_is_an_error_with_its_words(stand: Stand) -> None:
    stand.answers(entries(MAIL), "echo 'Failed to open journal: Too many open files' >&2; exit 1")
    journal = FollowedJournal(wait)
    assert b"".join(journal.history(1_000_000)) == entries(MAIL)
    with pytest.raises(SourceError, match="journal: Failed to open journal: Too many open files"):
        take(journal, lambda got: False)
    assert len(stand.calls()) == 4
    journal.close()


def test_entries_without_a_cursor_or_broken_ones_keep_the_last_place(stand: Stand) -> None:
    stand.answers(entries(MAIL) + b'{"MESSAGE":"x"}\n[1]\n{"__CURSOR":', "echo '{}'; exec sleep 100")
    journal = FollowedJournal(wait)
    list(journal.history(1_000_000))
    assert take(journal, bool) == b"{}\n"
    journal.close()
    assert f"--after-cursor=c{len(MAIL.lines) - 1}" not in stand.calls()[1]  # the block's last line decides
    assert "--lines=0" in stand.calls()[1]


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (
            "[ $call = 1 ] || echo 'Hint: You are currently not seeing messages from other users and the system.' >&2",
            "journal: Hint: You are currently not seeing messages from other users and the system; members of group",
        ),
        ("echo 'No journal files were found.' >&2", "journal: No journal files were found; name a log file instead"),
    ],
)
def test_a_journal_that_may_not_be_read_is_one_clear_line(stand: Stand, script: str, words: str) -> None:
    stand.answers(script)
    with pytest.raises(SourceError) as caught:
        list(FollowedJournal(wait).history(1_000_000))
    assert str(caught.value).startswith(words)


def test_without_journalctl(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for command in ("tail", "report"):
        assert main([command, "journal:"]) == 2
        err = capsys.readouterr().err
        assert "journalctl is not installed; name a log file instead" in err
        assert len(err.splitlines()) == 1


def test_closing_ends_journalctl(stand: Stand) -> None:
    stand.answers(entries(MAIL), "exec sleep 100")
    journal = FollowedJournal(wait)
    list(journal.history(1_000_000))
    journal.read()
    process = journal._process
    journal.close()
    assert process.returncode is not None
    journal.close()


# --- every command ------------------------------------------------------------------------------------------------------


def told(*words: str, stand: Stand) -> subprocess.CompletedProcess[bytes]:
    """A command of ours on the stand-in's journal."""
    environment = {**os.environ, "TZ": "UTC", "PATH": f"{stand.directory}:{os.environ['PATH']}"}
    return subprocess.run([sys.executable, "-m", "logscan.cli", *words], capture_output=True, env=environment, timeout=60)


def test_report_export_and_trace_read_the_journal(stand: Stand) -> None:
    stand.answers(entries(MAIL))
    report = json.loads(told("report", "journal:", "--format", "json", stand=stand).stdout)
    assert (report["totals"]["outbound"]["signed"], report["totals"]["outbound"]["unsigned"]) == (1, 1)
    assert report["input"]["sources"][0]["name"] == "journal:"
    rows = told("export", "journal:", "--output", "-", "--format", "jsonl", stand=stand).stdout.splitlines()
    assert [json.loads(row)["queue_ids"] for row in rows] == [["4F2A91C0301"], ["4F2A91C0302"]]
    trace = told("trace", "4F2A91C0302", "journal:", stand=stand)
    assert trace.returncode == 0 and b"no signing table match" in trace.stdout
    assert b"__REALTIME" not in trace.stdout


def test_a_window_of_the_journal_is_asked_of_journalctl(stand: Stand) -> None:
    stand.answers(entries(MAIL))
    told("report", "journal:", "--since", "2026-11-24 07:00", "--until", "2026-11-24 09:00", stand=stand)
    (call,) = stand.calls()
    since = next(int(word.removeprefix("--since=@")) for word in call if word.startswith("--since=@"))
    until = next(int(word.removeprefix("--until=@")) for word in call if word.startswith("--until=@"))
    assert since <= MAIL.lines[0].at - 3600 and until >= MAIL.lines[0].at + 3600


def test_tail_follows_the_journal(stand: Stand) -> None:
    lines = entries(MAIL).splitlines(keepends=True)
    (stand.directory / "rest").write_bytes(b"".join(lines[8:]) + entries(Log(at=MAIL.at + 60).say("postfix/qmgr", "x")))
    stand.answers(b"".join(lines[:8]), "cat rest; exec sleep 100")
    environment = {**os.environ, "TZ": "UTC"}
    with subprocess.Popen([sys.executable, "-m", "logscan.cli", "tail", "journal:", "--format", "json"],
                          stdout=subprocess.PIPE, env=environment) as process:  # fmt: skip
        assert process.stdout is not None
        got: list[Any] = [json.loads(process.stdout.readline()) for _ in range(2)]
        process.terminate()
        summary = json.loads(process.stdout.readline())
    assert [(one["queue_ids"][0], one["outcome"]) for one in got] == [
        ("4F2A91C0301", "signed"),
        ("4F2A91C0302", "unsigned"),
    ]
    assert summary["event"] == "summary" and process.returncode == 0


# --- what is in an entry ------------------------------------------------------------------------------------------------


def test_a_start_that_fails_is_known_with_its_cause_from_what_it_wrote_to_standard_error(stand: Stand) -> None:
    log = Log().mail("4F2A91C0301", "+").wait(60)
    log.opendkim("opendkim: /etc/opendkim.conf: configuration error at line 3: unrecognized parameter")
    stand.answers(entries(log))
    (fault,) = json.loads(told("report", "journal:", "--format", "json", stand=stand).stdout)["faults"]
    assert (fault["kind"], fault["subject"]) == ("config", "/etc/opendkim.conf")
    assert "sed -n 3p /etc/opendkim.conf" in fault["fix"]
    # What is shown of the journal is a line as a person knows it, not an object.
    assert fault["lines"] == [
        "2026-11-24T08:01:00+00:00 mx opendkim[90]: opendkim: /etc/opendkim.conf: configuration error at line 3:"
        " unrecognized parameter"
    ]


def test_bytes_that_are_no_text_come_as_numbers(stand: Stand) -> None:
    log = Log().mail("4F2A91C0301", "+", sender="app@example.org")
    objects = [json.loads(line) for line in entries(log).splitlines()]
    for entry in objects:
        entry["MESSAGE"] = list(entry["MESSAGE"].replace("app@app", "\udcff").encode("utf-8", "surrogateescape"))
    stand.answers(b"".join(json.dumps(entry).encode() + b"\n" for entry in objects))
    report = json.loads(told("report", "journal:", "--format", "json", stand=stand).stdout)
    assert report["totals"]["outbound"]["signed"] == 1


# --- a real journal -----------------------------------------------------------------------------------------------------

REMOTE = "/lib/systemd/systemd-journal-remote"
needs_journal = pytest.mark.skipif(
    not Path(REMOTE).exists() or shutil.which("journalctl") is None, reason="no journalctl or systemd-journal-remote"
)


# What makes an entry one of another program: fields beside the identifier.
MORE = {
    "sshd": {"SYSLOG_FACILITY": "10"},
    "cron": {"SYSLOG_FACILITY": "9"},
    "kernel": {"_TRANSPORT": "kernel", "PRIORITY": "4"},
    "systemd": {"SYSLOG_FACILITY": "3", "UNIT": "session-1.scope"},
}


def exported(log: Log) -> bytes:
    """The log in the journal's export format, and entries that are nobody's business."""
    log = Log(lines=list(log.lines), at=log.at)
    log.say("sshd", "Accepted publickey").say("cron", "session opened")
    log.say("kernel", "IN=eth0 OUT= SRC=192.0.2.1").say("systemd", "Started Session 1 of User root.")
    out = []
    for number, line in enumerate(log.lines):
        at = line.at * 1_000_000 + number
        more = MORE.get(line.program, {"SYSLOG_FACILITY": "2"})
        if line.program in ("kernel", "systemd") and "opendkim" in line.payload:
            more = {"kernel": {"_TRANSPORT": "kernel", "PRIORITY": "3"}, "systemd": {"UNIT": "opendkim.service"}}[line.program]
        message = line.payload.encode("utf-8", "surrogateescape")
        fields = {
            "__CURSOR": f"s={1:032x};i={number + 1:x};b={1:032x};m={at:x};t={at:x};x={number:x}",
            "__REALTIME_TIMESTAMP": str(at), "__MONOTONIC_TIMESTAMP": str(at), "_BOOT_ID": f"{1:032x}",
            "_MACHINE_ID": f"{2:032x}", "_HOSTNAME": line.host, "SYSLOG_IDENTIFIER": line.program,
            "SYSLOG_PID": str(line.pid), **more,
        }  # fmt: skip
        text = "".join(f"{name}={value}\n" for name, value in fields.items()).encode()
        # In the form for any bytes: name, length, bytes.
        out.append(text + b"MESSAGE\n" + len(message).to_bytes(8, "little") + message + b"\n\n")
    return b"".join(out)


@needs_journal
def test_a_real_journalctl_gives_the_same_mail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = shutil.which("journalctl")
    log = Log(lines=list(MAIL.lines), at=MAIL.at).opendkim("4F2A91C0303: bad\udcff\x1b[2J text")
    log.say("kernel", "Out of memory: Killed process 90 (opendkim) total-vm:1234kB")
    log.say("systemd", "opendkim.service: Main process exited, code=killed, status=9/KILL", pid=1)
    file = tmp_path / "mail.journal"
    done = subprocess.run([REMOTE, "-o", str(file), "-"], input=exported(log), capture_output=True)
    assert done.returncode == 0, done.stderr
    directory = tmp_path / "bin"
    directory.mkdir()
    (directory / "journalctl").write_text(f'#!/bin/sh\nexec {real} --file={file} "$@"\n')
    (directory / "journalctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")
    stand = Stand(tmp_path / "unused")
    stand.directory = directory
    report = json.loads(told("report", "journal:", "--format", "json", stand=stand).stdout)
    assert (report["totals"]["outbound"]["signed"], report["totals"]["outbound"]["unsigned"]) == (1, 1)
    assert report["input"]["lines"] == len(log.lines), "what is nobody's business is left in the journal"
    assert [fault["kind"] for fault in report["faults"] if fault["severity"] == "error"] == ["opendkim-crashed"]
    # Its end, and nothing of what was read before: the cursor is one that journalctl takes.
    journal = FollowedJournal(wait)
    history = b"".join(journal.history(5 * 500))
    assert history.count(b"\n") == 5 and journal._cursor
    journal._cursor = json.loads(history.splitlines()[1])["__CURSOR"]
    rest = take(journal, lambda got: got.count(b"\n") == 3)
    journal.close()
    # journalctl writes the fields of an entry in any order.
    assert [json.loads(line) for line in rest.splitlines()] == [json.loads(line) for line in history.splitlines()[2:]]
