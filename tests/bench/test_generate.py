"""The generator is what speed and correctness are measured with, so its own promises are held here."""

from __future__ import annotations

import io
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import generate as g

SHAPES = {
    "traditional": rb"[A-Z][a-z]{2} [ 123]\d \d\d:\d\d:\d\d mx\d [\w./-]+(?:\[\d+\])?: \S.*",
    "rfc3339": rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00 mx\d [\w./-]+(?:\[\d+\])?: \S.*",
}
SHORT_ID = re.compile(rb"[0-9A-F]{6,21}")
LONG_ID = re.compile(rb"[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-z]{10,}z[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-y]+")
OPENING = re.compile(rb" (mx\d) postfix\S+: (\w+): (?:client=|uid=)")
REMOVED = re.compile(rb" (mx\d) postfix/qmgr\S+: (\w+): removed$")


def made(**options: Any) -> tuple[list[bytes], dict[str, Any]]:
    output = io.BytesIO()
    truth = g.generate(output, **{"lines": 12_000, "seed": 3, "per_day": 100_000, **options})
    data = output.getvalue()
    assert data.endswith(b"\n")
    return data.split(b"\n")[:-1], truth


@pytest.fixture(scope="module", params=["traditional", "rfc3339"])
def sample(request: pytest.FixtureRequest) -> tuple[str, list[bytes], dict[str, Any]]:
    form: str = request.param
    return form, *made(form=form, long_ids=form == "rfc3339")


def test_the_same_arguments_give_the_same_bytes() -> None:
    assert made(lines=3000) == made(lines=3000)
    assert made(lines=3000, seed=4)[0] != made(lines=3000, seed=5)[0]


def test_every_line_has_the_shape_of_its_form(sample: tuple[str, list[bytes], dict[str, Any]]) -> None:
    form, lines, truth = sample
    shape = re.compile(SHAPES[form])
    assert [line for line in lines if not shape.fullmatch(line)] == []
    assert len(lines) == truth["lines"] == 12_000


def test_stamps_never_go_back(sample: tuple[str, list[bytes], dict[str, Any]]) -> None:
    # All within June, so that the text of a stamp sorts as its time does.
    form, lines, _ = sample
    stamps = [line[: 15 if form == "traditional" else 32] for line in lines]
    assert stamps == sorted(stamps)
    assert len({stamp[:19] for stamp in stamps}) < len(lines)


def test_queue_ids_are_of_one_alphabet_and_open_once_at_a_time(
    sample: tuple[str, list[bytes], dict[str, Any]],
) -> None:
    form, lines, _ = sample
    alphabet = SHORT_ID if form == "traditional" else LONG_ID
    living: set[tuple[bytes, bytes]] = set()
    for line in lines:
        if opened := OPENING.search(line):
            key = opened.groups()
            assert alphabet.fullmatch(key[1]) and key not in living
            living.add((key[0], key[1]))
        elif ended := REMOVED.search(line):
            living.discard((ended[1], ended[2]))


def test_a_process_serves_one_session_at_a_time(sample: tuple[str, list[bytes], dict[str, Any]]) -> None:
    session = re.compile(rb" (mx\d postfix/\S*smtpd\[\d+\]): (connect|disconnect) from ")
    busy: set[bytes] = set()
    for line in sample[1]:
        if found := session.search(line):
            process, word = found.groups()
            assert (process in busy) == (word == b"disconnect"), line
            busy ^= {process}
    assert busy == set()


def test_the_truth_adds_up(sample: tuple[str, list[bytes], dict[str, Any]]) -> None:
    truth = sample[2]
    out, inward = truth["totals"]["outbound"], truth["totals"]["inbound"]
    words = ("signed", "unsigned", "milter_error", "undecided")
    assert out["messages"] == sum(out[word] for word in words) == sum(truth["effects"].values())
    assert inward["messages"] == sum(value for key, value in inward.items() if key != "messages")
    for word in words:
        assert out[word] == sum(row[word] for row in truth["by_domain"])
        assert out[word] == sum(row[word] for row in truth["by_hour"])
    reasons: Counter[tuple[str, str]] = Counter()
    for row in truth["by_reason"]:
        reasons[row["direction"], row["outcome"]] += row["messages"]
    assert reasons["outbound", "unsigned"] == out["unsigned"] > 0
    assert reasons["outbound", "milter-error"] == out["milter_error"] > 0
    assert reasons["inbound", "fail"] == inward["fail"] > 0


def test_the_truth_is_what_the_lines_say(sample: tuple[str, list[bytes], dict[str, Any]]) -> None:
    _, lines, truth = sample

    def seen(text: bytes) -> int:
        return sum(text in line for line in lines)

    added = seen(b": DKIM-Signature field added (s=")
    assert added == truth["totals"]["signatures"]
    assert added == sum(row["signatures"] for row in truth["by_signature"])
    assert seen(b": reject: RCPT from ") == truth["rejects"]
    assert seen(b"NOQUEUE: milter-reject: CONNECT ") == truth["refused_without_queue_id"]["sessions"]
    assert seen(b"NOQUEUE: milter-reject: MAIL ") == truth["refused_without_queue_id"]["mail_commands"]
    signed = {line.split(b": ")[1] for line in lines if b"field added" in line}
    assert len(signed) == truth["totals"]["outbound"]["signed"]


def test_every_situation_occurs() -> None:
    lines, truth = made(lines=40_000, seed=11, per_day=200_000)
    totals = truth["totals"]
    # Whether OpenDKIM logs its signatures is known on every host.
    assert [key for key in totals["outbound"] if not totals["outbound"][key]] == ["undecided"]
    assert all(totals[name][key] for name in ("inbound", "bounce", "unknown") for key in totals[name])
    text = b"\n".join(lines)
    for part in (b"orig_queue_id=", b"forwarded as ", b"sender non-delivery notification", b"status=deferred",
                 b"error loading key", b"Connection refused", b"OpenDKIM Filter v2.11.0 starting", b"pickup",
                 b"no signing table match", b"not authenticated", b"status=deliverable", b"SASL LOGIN", b"PREGREET",
                 b"NOQUEUE: milter-reject: MAIL", b"key retrieval failed", b"imap-login", b"anvil"):  # fmt: skip
        assert part in text, part


def test_mail_that_is_stuck_is_never_removed() -> None:
    lines, truth = made(lines=6_000, stuck=1.0)
    assert truth["effects"]["deferred"] > 100
    opened = sum(b" postfix/qmgr[" in line and b"(queue active)" in line for line in lines)
    removed = sum(bool(REMOVED.search(line)) for line in lines)
    # What a filter took over, what was forwarded and bounces of others are done with.
    assert 0 < removed < opened / 3
