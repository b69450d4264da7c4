"""Every line of the opendkim catalogue: each row has samples, and each sample is its row's and no other's."""

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

from logscan.parse.opendkim_lines import LINES

DATA = Path(__file__).parents[1] / "data" / "lines"
# Rows whose text is the same to the byte, so that only the daemon's source tells them apart.
TWINS = {"requeue-err": {"requeue-info"}}


def samples() -> list[tuple[str, str, bytes, dict[str, str]]]:
    with (DATA / "opendkim.tsv").open(encoding="utf-8", newline="\n") as lines:
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


@pytest.mark.parametrize("payload", [line[1] for line in apart("unknown.log", "opendkim")])
def test_lines_that_belong_to_nobody_stay_so(payload: str) -> None:
    assert LINES.lookup(payload.encode()) is None


@pytest.mark.parametrize(("_", "row", "payload"), apart("hostile.tsv", "opendkim"))
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
    match = LINES.lookup(b"AB12CDE: can't parse From: header value '" + b"x" * 70000)
    assert match is not None and match.cut
    assert match.shape.name == "sender-unparsable"
    assert match.fields == {"queue_id": b"AB12CDE", "header_name": b"From"}


def test_nothing_is_compiled_at_import() -> None:
    code = (
        "import re, typing, operator\n"
        "def refuse(*_, **__): raise AssertionError('compiled at import')\n"
        "re.compile = refuse\n"
        "import logscan.parse.opendkim_lines"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_program_name_in_front_is_taken_off_once() -> None:
    match = LINES.lookup(b"opendkim: /etc/opendkim.conf: configuration error at line 2: illegal value")
    assert match is not None and match.shape.name == "conf-syntax-illegal"
    assert LINES.lookup(b"opendkim: opendkim: smfi_opensocket() failed") is None


def test_a_scripts_own_words_are_known_only_when_asked_for() -> None:
    assert LINES.lookup(b"hello from a script") is None
    match = LINES.lookup(b"hello from a script", anything=True)
    assert match is not None and match.shape.name == "lua-log" and match.shape.kind == "generic"


def test_inbound_trouble_is_no_fault_of_the_daemon() -> None:
    for shape in LINES.shapes:
        if shape.kind.startswith("verify") or shape.name.startswith(("key-retrieval", "syntax-", "result-")):
            assert shape.fault is None, shape.name


def test_a_failure_on_a_message_has_its_queue_id() -> None:
    names = {shape.name for shape in LINES.shapes if shape.message_fault}
    assert {"key-load-error", "key-unknown", "sign-key-pem", "sign-key-too-small"} <= names
    assert not names & {"key-load-failed", "ssl-msg", "no-signing-table-match", "key-revoked"}
