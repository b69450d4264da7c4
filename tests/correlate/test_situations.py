"""One situation a file: a small log and, beside it, what has to be said of it and why.

`messages` holds every message of the log in the order of their first lines, each with the fields that matter.
`{"any": […]}` allows several words where the contract leaves it open. `faults` are those that have to be there.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from builder import judge

from logscan.model import Fault, Message
from logscan.pipeline import read_messages

DATA = Path(__file__).parent.parent / "data" / "situations"
SITUATIONS = sorted(path.stem for path in DATA.glob("*.log"))


def plain(value: object) -> Any:
    """A value as JSON has it: pairs are lists."""
    return json.loads(json.dumps(value))


def differences(found: Message | Fault, wanted: dict[str, Any]) -> list[str]:
    """The fields that are not as wanted."""
    wrong = []
    for name, value in wanted.items():
        allowed = value["any"] if isinstance(value, dict) else [value]
        got = plain(getattr(found, name))
        if got not in allowed:
            wrong.append(f"{name} {got!r}, not {' or '.join(map(repr, allowed))}")
    return wrong


def test_every_situation_has_both_files() -> None:
    assert sorted(path.stem for path in DATA.glob("*.json")) == SITUATIONS
    assert len(SITUATIONS) > 100


@pytest.mark.parametrize("name", SITUATIONS)
def test_situation(name: str) -> None:
    wanted = json.loads((DATA / f"{name}.json").read_text())
    judged = judge((DATA / f"{name}.log").read_bytes())
    summary = [(m.queue_ids, m.direction, m.outcome, m.reason, m.effect) for m in judged.messages]
    assert len(judged.messages) == len(wanted["messages"]), (wanted["about"], summary)
    pairs = zip(judged.messages, wanted["messages"], strict=True)
    assert [differences(found, message) for found, message in pairs] == [[] for _ in summary], wanted["about"]
    if "not_mail" in wanted:
        assert judged.not_mail == wanted["not_mail"]
    for fault in wanted.get("faults", []):
        assert differences(judged.fault(fault["kind"]), fault) == []
    assert judged.not_understood == {"opendkim": 0, "postfix": 0}


def test_a_file_is_read_as_its_bytes_are() -> None:
    path = DATA / "form_rfc3339.log"
    assert [plain_message(m) for m in read_messages(path)] == [
        plain_message(m) for m in judge(path.read_bytes()).messages
    ]


@pytest.mark.parametrize("form", ["rfc3339", "rfc5424", "journal"])
def test_every_form_gives_the_same_answer(form: str) -> None:
    traditional = judge((DATA / "form_traditional.log").read_bytes()).messages
    assert judge((DATA / f"form_{form}.log").read_bytes()).messages == traditional


def plain_message(message: Message) -> tuple[object, ...]:
    return message.queue_ids, message.first, message.last, message.outcome, message.reason, message.effect
