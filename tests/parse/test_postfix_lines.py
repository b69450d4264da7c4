"""Every line of the postfix catalogue: each row has samples, and each sample is its row's and no other's."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logscan.parse.lines import REMEMBERED, SHORT, Lines
from logscan.parse.postfix_lines import FAULT_OF_REASON, LINES, milter_reason

DATA = Path(__file__).parents[1] / "data" / "lines"
# Rows whose text is the same to the byte, so that only the daemon's source tells them apart.
TWINS = {"cleanup-qfile-error": {"milter-edit-size-limit", "milter-edit-write"}}


def samples() -> list[tuple[str, str, bytes, dict[str, str]]]:
    with (DATA / "postfix.tsv").open(encoding="utf-8", newline="\n") as lines:
        rows = list(csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))[1:]
    return [(row, daemon, payload.encode(), json.loads(fields)) for row, daemon, payload, fields in rows]


SAMPLES = samples()


def apart(name: str, ours: str) -> list[list[str]]:
    lines = (DATA / name).read_text(encoding="utf-8").split("\n")
    return [line.split("\t") for line in lines if line.startswith(ours + "\t")]


def test_every_row_has_a_sample() -> None:
    assert {shape.name for shape in LINES.shapes} == {row for row, *_ in SAMPLES}


@pytest.mark.parametrize(("row", "daemon", "payload", "fields"), SAMPLES)
def test_sample_is_its_rows_own(row: str, daemon: str, payload: bytes, fields: dict[str, str]) -> None:
    match = LINES.lookup(payload, daemon, anything=True)
    assert match is not None
    assert match.shape.name == row or match.shape.name in TWINS.get(row, ())
    found = {name: value.decode() for name, value in match.fields.items()}
    assert {name: found.get(name) for name in fields} == fields
    assert match.shape.subject is None or match.shape.subject in found


@pytest.mark.parametrize("payload", [line[1] for line in apart("unknown.log", "postfix")])
def test_lines_that_belong_to_nobody_stay_so(payload: str) -> None:
    assert LINES.lookup(payload.encode()) is None


@pytest.mark.parametrize(("_", "row", "payload"), apart("hostile.tsv", "postfix"))
def test_text_of_strangers_in_a_line_does_not_turn_it_into_another(_: str, row: str, payload: str) -> None:
    match = LINES.lookup(payload.encode())
    assert match is not None and match.shape.name == row


def test_a_sample_in_the_middle_of_other_text_is_not_recognised_as_itself() -> None:
    for row, daemon, payload, _ in SAMPLES:
        match = LINES.lookup(b"x9 " + payload, daemon)
        assert match is None or match.shape.name != row or "text" in match.fields


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.sampled_from(SAMPLES), st.integers(0, 200))
def test_no_bytes_raise(noise: bytes, sample: tuple[str, str, bytes, dict[str, str]], at: int) -> None:
    _, daemon, payload, _ = sample
    for hostile in (noise, payload[:at] + noise + payload[at:], payload[:at] + noise, noise + payload):
        LINES.lookup(hostile, daemon)


def test_64_kib_of_any_rows_text_takes_little_time() -> None:
    slowest = 0.0
    for _, daemon, payload, _ in SAMPLES:
        half = payload[: len(payload) // 2]
        for hostile in (
            (payload + b" ") * (65536 // len(payload)),
            (payload * 2000)[:8192],
            payload[:-1] + b" " + payload * (7900 // len(payload)),
            (half * (8000 // max(1, len(half))) + payload)[-8000:],
            half + payload[len(half) :] * (8000 // (len(payload) - len(half))),
        ):
            began = time.process_time()
            LINES.lookup(hostile, daemon)
            slowest = max(slowest, time.process_time() - began)
    assert slowest < 0.25


def test_a_payload_longer_than_any_line_is_told_by_its_beginning() -> None:
    match = LINES.lookup(b"warning: milter inet:127.0.0.1:8891: malformed reply: " + b"x" * 70000)
    assert match is not None and match.cut
    assert match.shape.name == "milter-malformed-reply"
    assert match.fields == {"endpoint": b"inet:127.0.0.1:8891"}


def test_what_is_remembered_is_bounded_and_no_message_s() -> None:
    table = Lines(
        (("refused", "no <what>", "warning", "error"), ("named", "<queue_id>: no <what>", "message", "error")),
        {"queue_id": rb"[0-9A-F]{6,21}?"},
    )
    for number in range(REMEMBERED + 10):
        for payload in (b"no %d" % number, b"ABCDEF: no %d" % number, b"no " + b"%d" % number * SHORT, b"nothing"):
            first, again = table.lookup(payload), table.lookup(payload)
            assert first == again
        assert len(table._remembered) == number % REMEMBERED + 1
        assert all(len(asked[0]) <= SHORT and b":" not in asked[0] for asked in table._remembered)
    assert table.lookup(b"no 3", "smtpd") is not table.lookup(b"no 3")


def test_nothing_is_compiled_at_import() -> None:
    code = (
        "import re, typing, operator\n"
        "def refuse(*_, **__): raise AssertionError('compiled at import')\n"
        "re.compile = refuse\n"
        "import logscan.parse.postfix_lines"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"connect to Milter service inet:127.0.0.1:8891: Connection refused", "connect-refused"),
        (b"connect to Milter service inet:127.0.0.1:8891: No route to host", "connect-refused"),
        (b"connect to Milter service inet:127.0.0.1:8891: Connection timed out", "connect-timeout"),
        (b"connect to Milter service inet:127.0.0.1:8891: Operation timed out", "connect-timeout"),
        (b"connect to Milter service unix:/refused: Resource temporarily unavailable", "connect-timeout"),
        (b"connect to Milter service unix:opendkim/o.sock: No such file or directory", "socket-missing"),
        (
            b"connect to Milter service inet:example.org:8891: Cannot assign requested address",
            "socket-missing",
        ),
        (b"connect to Milter service unix:/run/o.sock: Permission denied", "permission-denied"),
        (b"connect to Milter service inet:127.0.0.1:8891: Something new", "connect-refused"),
        (
            b"milter inet:[::1]:8891: can't read SMFIC_EOH reply packet header: Operation timed out",
            "reply-timeout",
        ),
        (b"milter inet:[::1]:8891: can't read SMFIC_BODYEOB reply packet header: Success", "connection-lost"),
        (
            b"milter inet:[::1]:8891: can't read SMFIC_MAIL reply packet header: Broken pipe",
            "connection-lost",
        ),
        (b"milter inet:[::1]:8891: EOF while reading command code: Application error", "connection-lost"),
        (b"milter inet:127.0.0.1:8891: error writing command: Broken pipe", "connection-lost"),
        (b"milter inet:127.0.0.1:8891: unreasonable packet length: 1213486160 > 1073741823", "protocol"),
        (b"milter inet:127.0.0.1:8891: malformed reply: connection timed out", "protocol"),
        (b'Milter service needs transport:endpoint instead of "inet:"', "protocol"),
        (b"\xff\x00", "protocol"),
    ],
)
def test_the_text_gives_the_reason(text: bytes, reason: str) -> None:
    assert milter_reason(text) == milter_reason(b"warning: " + text) == reason
    assert FAULT_OF_REASON[reason]


def test_where_a_row_states_its_reason_the_text_gives_the_same() -> None:
    for row, daemon, payload, _ in SAMPLES:
        match = LINES.lookup(payload, daemon)
        if match and match.shape.kind == "milter-failure" and match.shape.reason == "protocol":
            assert milter_reason(payload) == "protocol", row


def test_the_daemon_decides_where_the_text_does_not() -> None:
    names = {}
    for daemon in ("", "qmgr", "postsuper"):
        match = LINES.lookup(b"4F2A91C03B7: removed", daemon)
        assert match is not None
        names[daemon] = match.shape.name
    assert names == {"": "qmgr-removed", "qmgr": "qmgr-removed", "postsuper": "postsuper-removed"}
