"""logscan's verdict on each mail, against what became of it.

The rig sends real mail through real daemons; `truth.py` knows what arrived. Nothing here looks into the log.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from pathlib import Path

import pytest

from logscan.model import Message
from logscan.pipeline import read_messages

from .scenarios import SCENARIOS
from .truth import Expect, Run, Sent, Words

REFUSED = ("tempfailed", "rejected")
NOWHERE = (*REFUSED, "bounced", "held", "deferred", "discarded")


def words(value: Words | None) -> tuple[str | None, ...]:
    """An expectation as the set of words it allows."""
    return value if isinstance(value, tuple) else (value,)


def arrival_faults(sent: Sent) -> list[str]:
    """Where what arrived contradicts what the scenario expects: then the scenario is wrong, not logscan."""
    expect, faults = sent.expect, []
    arrived_signed = [bool(copy.signatures) for copy in sent.copies]
    effects = words(expect.effect)
    if expect.count == 0:
        return ["arrived"] if sent.copies else []
    if expect.outcome == "signed" and not all(arrived_signed):
        faults.append("arrived without a signature")
    if expect.outcome not in ("signed", "undecided") and any(arrived_signed):
        faults.append("arrived with a signature")
    if effects == ("sent",) and not sent.copies:
        faults.append("did not arrive")
    if sent.copies and set(effects) <= set(NOWHERE):
        faults.append("arrived")
    if effects[0] in REFUSED and sent.accepted != {"tempfailed": "4xx", "rejected": "5xx"}[effects[0]]:
        faults.append(f"the client was told {sent.reply}")
    if effects[0] not in REFUSED and sent.accepted != "accepted":
        faults.append(f"the client was told {sent.reply}")
    return faults


def bare(message_id: str | None) -> str:
    """A Message-ID without its angle brackets."""
    return (message_id or "").strip("<>")


def differences(message: Message, sent: Sent) -> list[str]:
    """What the verdict on one message and the truth disagree about."""
    expect = sent.expect
    found = []
    for name in ("outcome", "direction", "effect"):
        if getattr(message, name) not in words(getattr(expect, name)):
            found.append(f"{name} {getattr(message, name)!r}, not {getattr(expect, name)!r}")
    # A failure may leave its reason open in the scenario; what worked has none.
    if (expect.reason or expect.outcome == "signed") and message.reason not in words(expect.reason):
        found.append(f"reason {message.reason!r}, not {expect.reason!r}")
    # Postfix's own note of a signature (`milter-header-info`) is cut short, so it may not name d= and s=.
    noted = bool(message.signatures) or not sent.expect.partly
    if message.outcome == "signed" and sent.copies and noted and sorted(message.signatures) != sent.signed():
        found.append(f"signatures {message.signatures}, arrived {sent.signed()}")
    if message.outcome not in ("signed", "milter-error") and message.signatures:
        found.append(f"signatures {message.signatures} on {message.outcome}")
    if message.envelope_sender != sent.envelope_sender:
        found.append(f"envelope sender {message.envelope_sender!r}, not {sent.envelope_sender!r}")
    if sent.queue_id and sent.queue_id not in message.queue_ids:
        found.append(f"queue IDs {message.queue_ids} without {sent.queue_id}")
    return found


def pair(messages: list[Message], mails: list[Sent]) -> list[str]:
    """Compare messages that share an identity with the mails that do, in the order that fits best."""
    if len(messages) != len(mails):
        return [f"{len(messages)} messages for {len(mails)} mails "
                f"({[sent.token for sent in mails]}: {[one.queue_ids for one in messages]})"]
    best: list[str] | None = None
    for order in permutations(messages):
        found = [f"{sent.token} ({sent.how}): {difference}"
                 for message, sent in zip(order, mails, strict=True)
                 for difference in differences(message, sent)]
        if best is None or len(found) < len(best):
            best = found
    return best or []


def compare(messages: list[Message], run: Run) -> list[str]:
    """Every disagreement of a run.

    A mail is found by the queue ID that its client was told, else by its Message-ID, else (refused before it
    had either) by its envelope sender.
    """
    rest = list(messages)
    groups: dict[tuple[str, str], tuple[list[Message], list[Sent]]] = {}

    def claim(key: tuple[str, str], mine: list[Message], sent: Sent | None) -> None:
        group = groups.setdefault(key, ([], []))
        for message in mine:
            rest[:] = [other for other in rest if other is not message]
            group[0].append(message)
        if sent:
            group[1].append(sent)

    mails = [sent for sent in run.messages if sent.expect.count]
    for sent in [sent for sent in mails if sent.queue_id]:
        mine = [one for one in rest if sent.queue_id in one.queue_ids]
        claim(("queue ID", sent.queue_id or ""), mine, sent)
    for sent in [sent for sent in mails if not sent.queue_id]:
        mine = [one for one in rest if sent.message_id and bare(one.message_id) == bare(sent.message_id)]
        key = ("Message-ID", bare(sent.message_id))
        if not mine and key not in groups:
            key = ("sender", sent.envelope_sender)
            mine = [one for one in rest if not one.message_id and one.envelope_sender == sent.envelope_sender]
        claim(key, mine, sent)
    found = [difference for mine, theirs in groups.values() for difference in pair(mine, theirs)]
    return found + [f"no mail was {one.queue_ids} from {one.envelope_sender!r}: {one.outcome} {one.effect}"
                    for one in rest]


@pytest.mark.live
@pytest.mark.parametrize("name", SCENARIOS)
def test_verdicts(play: Callable[[str], Run], name: str, tmp_path: Path) -> None:
    run = play(name)
    wrong = [f"{sent.token}: {fault}" for sent in run.messages for fault in arrival_faults(sent)]
    assert not wrong, "the scenario is not what it says"
    log = tmp_path / "maillog"
    log.write_bytes(run.log)
    assert compare(read_messages(log), run) == []


@pytest.mark.live
@pytest.mark.parametrize("name", ["signed", "not_in_table_silent", "inbound_plain", "filter_signed_after"])
def test_without_opendkims_lines_nothing_is_called_unsigned(play: Callable[[str], Run], name: str,
                                                            tmp_path: Path) -> None:
    lines = play(name).log.split(b"\n")
    log = tmp_path / "maillog"
    log.write_bytes(b"\n".join(line for line in lines if b" opendkim[" not in line))
    outcomes = {one.outcome for one in read_messages(log) if one.direction == "outbound"}
    assert outcomes <= {"undecided", "milter-error"}, outcomes


def test_the_comparison_sees_a_wrong_verdict() -> None:
    message = Message("mx", ["AAAAAA1"], 0, 0, "outbound", "smtpd", None, None, "a@example.org", [], "<1@x>",
                      "unsigned", "silent", "sent", [], [], None, None)
    sent = Sent("t1", "<1@x>", "a@example.org", ["b@example.net"], "smtp", Expect("signed"),
                queue_id="AAAAAA1")
    run = Run("made", b"", b"", b"", [sent], [], None, {})
    assert compare([message], run) == ["t1 (smtp): outcome 'unsigned', not 'signed'",
                                       "t1 (smtp): reason 'silent', not None"]
    assert compare([], run) == ["0 messages for 1 mails (['t1']: [])"]
