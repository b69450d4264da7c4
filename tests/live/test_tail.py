"""`logscan tail` on the log of real daemons while real logrotate moves it away under all of them.

Every mail that was sent is told once, with the verdict that its arrival bears out. Where lines can be lost, which
only `copytruncate` does, tail says so, and what needed them is undecided, never unsigned.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from logscan.model import Message

from .register import NOT_IN_TABLE, SIGNED, failed
from .rig import Lab, Rig, Scenario
from .scenarios_signing import WHY
from .test_verdicts import arrival_faults, compare
from .truth import Run

CREATE = """/var/log/maillog {
    rotate 9
    missingok
    create 0640 root root
    postrotate
        /bin/kill -HUP $(cat /run/rsyslogd.pid)
    endscript
}
"""
COPYTRUNCATE = "/var/log/maillog {\n    rotate 9\n    copytruncate\n}\n"
PATIENCE = 60


class Told:
    """What a tail process has told so far, as objects."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.events: list[dict[str, Any]] = []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.events.append(json.loads(line))

    def of(self, event: str) -> list[dict[str, Any]]:
        return [one for one in list(self.events) if one["event"] == event]

    def wait(self, what: Callable[[], object]) -> None:
        """Return when it is so, or the time is over: the comparison will say what is missing."""
        deadline = time.monotonic() + PATIENCE
        while not what() and time.monotonic() < deadline:
            time.sleep(0.1)


def opened(pid: int) -> list[Path]:
    """The files that a process has open."""
    found = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            found.append(link.readlink())
    return found


@contextmanager
def tail(log: Path, *words: str) -> Iterator[Told]:
    """Follow a log from its end on; it has to be there."""
    command = [sys.executable, "-m", "logscan.cli", "tail", str(log), "-n", "0", "--format", "json", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={"TZ": "UTC"})
    told = Told(process)
    try:
        told.wait(lambda: log in opened(process.pid))
        yield told
    finally:
        process.terminate()
        told.reader.join(PATIENCE)
        process.wait(PATIENCE)


def as_message(event: dict[str, Any]) -> Message:
    """The message of an object."""
    fields = {name: event[name] for name in Message.__dataclass_fields__}
    fields["first"], fields["last"] = (int(datetime.fromisoformat(fields[name]).timestamp()) for name in ("first", "last"))
    fields["signatures"] = [(one["signing_domain"], one["selector"]) for one in fields["signatures"]]
    fields["verified"] = [(one["signing_domain"], one["selector"], one["result"]) for one in fields["verified"]]
    return Message(**fields)


def last_words(told: Told) -> list[Message]:
    """Each message as it was told last."""
    found: list[Message] = []
    for event in list(told.events):
        if event["event"] in ("message", "changed"):
            message = as_message(event)
            if event["event"] == "changed":
                found = [one for one in found if not set(one.queue_ids) & set(message.queue_ids)]
            found.append(message)
    return found


def rotate(rig: Rig, config: str) -> None:
    """One forced rotation, by the real logrotate."""
    (rig.root / "postfix/logrotate.conf").write_text(config)
    (rig.root / "postfix/logrotate.conf").chmod(0o644)
    rig.namespace.run("logrotate", "-f", "-s", "/run/logrotate.state", "/etc/postfix/logrotate.conf")


def mail_while_rotated(config: str, rotations: int) -> Callable[[Lab], None]:
    """Mail of all kinds, rotation in the middle of a mail, and rotation again and again beside a stream of mail."""

    def play(lab: Lab) -> None:
        def rotated() -> None:
            rotate(lab.rig, config)

        lab.smtp(SIGNED)
        lab.smtp(NOT_IN_TABLE, sender="app@example.net", to="friend@example.com")
        sent, data = lab.mail(SIGNED)
        with lab.session() as client:
            client.ehlo()
            for verb, argument in (("MAIL", f"FROM:<{sent.envelope_sender}>"), ("RCPT", f"TO:<{sent.recipients[0]}>")):
                lab.note(sent, *client.docmd(verb, argument))
            rotated()  # its first lines are in the old file
            lab.note(sent, *client.data(data))
        rotated()
        stop = threading.Event()

        def again() -> None:
            for _ in range(rotations):
                rotated()
                if stop.wait(0.4):
                    return

        beside = threading.Thread(target=again)
        beside.start()
        try:
            for number in range(12):
                lab.smtp(SIGNED)
                lab.smtp(NOT_IN_TABLE, sender="app@example.net", to="friend@example.com")
                if number % 5 == 0:
                    lab.sendmail(SIGNED, sender="root@example.org")
        finally:
            beside.join(PATIENCE)
            stop.set()
        lab.settle()
        lab.opendkim.reset()
        # To a domain that no scenario signs for: what the log says before tells which domains are ours.
        lab.smtp(failed("connect-refused"), to="friend@example.com")
        lab.opendkim.start({**WHY})
        lab.smtp(SIGNED)
        lab.settle()

    return play


def existing(rig: Rig) -> Path:
    """The mail log with one line in it. Mail of before would be told where it comes to its end only now."""
    path = rig.root / "log/maillog"
    if path.exists():
        rig.syslog.mark()
        os.truncate(path, 0)
    rig.namespace.run("logger", "-p", "mail.info", "-t", "live", "a line")
    rig.syslog.mark()
    return path


def played(rig: Rig, told: Told, config: str, rotations: int) -> Run:
    """Play it, and wait until all of it was told that is in a file of the log, the rotated ones included."""
    run = rig.run(Scenario("rotated", mail_while_rotated(config, rotations), opendkim=WHY))
    wrong = [f"{sent.token}: {fault}" for sent in run.messages for fault in arrival_faults(sent)]
    assert not wrong, "the mail was not what the test says"
    kept = b"".join(path.read_bytes() for path in (rig.root / "log").glob("maillog*"))
    survived = {sent.queue_id for sent in run.messages if sent.queue_id and f" {sent.queue_id}: removed".encode() in kept}
    told.wait(lambda: survived <= {qid for one in told.of("message") for qid in one["queue_ids"]})
    missing = survived - {qid for one in told.of("message") for qid in one["queue_ids"]}
    assert not missing, "what is in a file, rotated or not, was not told"
    return run


@pytest.mark.live
def test_rename_and_create_loses_nothing(rig: Rig) -> None:
    with tail(existing(rig)) as told:
        run = played(rig, told, CREATE, 6)
    assert compare(last_words(told), run) == []
    assert len(told.of("message")) == len(run.messages), "each once"
    assert [one for one in told.of("fault") if one["kind"] == "log-gap"] == []
    outage = [(one["phase"], one["kind"]) for one in told.of("fault") if one["kind"] == "milter-unreachable"]
    assert outage == [("begin", "milter-unreachable"), ("end", "milter-unreachable")]
    assert told.process.returncode == 0
    assert [one["event"] for one in told.events[-1:]] == ["summary"]


@pytest.mark.live
def test_copytruncate_says_what_it_may_lose_and_nothing_is_judged_falsely(rig: Rig) -> None:
    with tail(existing(rig)) as told:
        run = played(rig, told, COPYTRUNCATE, 6)
    gaps = [one for one in told.of("fault") if one["kind"] == "log-gap"]
    assert gaps and "copytruncate" in gaps[0]["fix"]
    assert told.process.stderr is not None
    assert "was truncated; lines written just then may be lost" in told.process.stderr.read()
    by_id = {sent.queue_id: sent for sent in run.messages if sent.queue_id}
    seen: list[str] = []
    for message in last_words(told):
        sent = next((by_id[qid] for qid in message.queue_ids if qid in by_id), None)
        if sent is None:
            continue
        seen.append(sent.token)
        allowed = {sent.expect.outcome, "undecided"}
        assert message.outcome in allowed, f"{sent.token}: {message.outcome}, sent as {sent.expect.outcome}"
    assert len(seen) == len(set(seen)), "none twice"
