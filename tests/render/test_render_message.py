"""Messages and faults as the contract's dicts and rows."""

from __future__ import annotations

from datetime import UTC
from zoneinfo import ZoneInfo

from logscan.model import Fault, Message
from logscan.render.csv import MESSAGE_COLUMNS, message_row, rows
from logscan.render.message import fault_dict, iso, message_dict


def _message(sender: str | None = "shop@example.org") -> Message:
    return Message(
        host="mx",
        queue_ids=["4F2A91C03B7", "4F2A91C03B8"],
        first=1795421642,
        last=1795421643,
        direction="outbound",
        origin="smtpd",
        client="app1[192.0.2.14]",
        sasl_username=None,
        envelope_sender=sender,
        envelope_recipients=["ann@example.net", "=1+1@example.net"],
        message_id="=cmd@example.org",
        outcome="signed",
        reason=None,
        effect="sent",
        signatures=[("example.org", "k1"), ("example.net", "k2")],
        verified=[("example.com", None, "pass")],
        milter=None,
        detail=None,
    )


def test_message_dict_is_the_contract() -> None:
    made = message_dict(_message(), ZoneInfo("Europe/Berlin"))
    assert tuple(made) == MESSAGE_COLUMNS
    assert made["first"] == "2026-11-23T09:14:02+01:00"
    assert made["signatures"][1] == {"signing_domain": "example.net", "selector": "k2"}
    assert made["verified"] == [{"signing_domain": "example.com", "selector": None, "result": "pass"}]
    assert made["sasl_username"] is None


def test_message_row_is_flat_and_guarded() -> None:
    row = dict(zip(MESSAGE_COLUMNS, message_row(message_dict(_message(), UTC)), strict=True))
    assert row["queue_ids"] == "4F2A91C03B7 4F2A91C03B8"
    assert row["signatures"] == "example.org/k1 example.net/k2"
    assert row["verified"] == "example.com/=pass"
    assert row["message_id"] == "'=cmd@example.org"
    assert row["detail"] == ""


def test_null_sender_and_unknown_sender_differ_in_a_row() -> None:
    at = MESSAGE_COLUMNS.index("envelope_sender")
    assert message_row(message_dict(_message(""), UTC))[at] == "<>"
    assert message_row(message_dict(_message(None), UTC))[at] == ""


def test_rows_are_quoted_where_needed() -> None:
    assert rows([["a", 'b"c', "d,e"]]) == 'a,"b""c","d,e"\n'


def test_fault_lines_keep_bytes_that_are_no_utf8_as_escapes() -> None:
    fault = Fault("config", "error", "mx", "opendkim.conf", 0, 1, 2, lines=["Müller".encode(), b"\xff"])
    made = fault_dict(fault, UTC)
    assert made["lines"] == ["Müller", "\\xff"]
    assert (made["first"], made["last"]) == ("1970-01-01T00:00:00+00:00", "1970-01-01T00:00:01+00:00")


def test_without_a_zone_the_machines_offset_is_written() -> None:
    assert iso(0, None)[-6] in "+-"
