"""Messages and faults as the dicts of the contract: what JSON, CSV and Parquet show of them."""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import Any

from logscan.model import Fault, Message


def iso(at: int, zone: tzinfo | None) -> str:
    """An instant (epoch seconds) as ISO 8601 with the offset of the zone; None is the machine's zone."""
    moment = datetime.fromtimestamp(at, zone) if zone else datetime.fromtimestamp(at).astimezone()
    return moment.isoformat()


def message_dict(message: Message, zone: tzinfo | None) -> dict[str, Any]:
    """The contract's `message`: every field, in its order; empty lists stay, unknown values are None."""
    return {
        "host": message.host,
        "queue_ids": list(message.queue_ids),
        "first": iso(message.first, zone),
        "last": iso(message.last, zone),
        "direction": message.direction,
        "origin": message.origin,
        "client": message.client,
        "sasl_username": message.sasl_username,
        "envelope_sender": message.envelope_sender,
        "envelope_recipients": list(message.envelope_recipients),
        "message_id": message.message_id,
        "outcome": message.outcome,
        "reason": message.reason,
        "effect": message.effect,
        "signatures": [
            {"signing_domain": domain, "selector": selector} for domain, selector in message.signatures
        ],
        "verified": [
            {"signing_domain": domain, "selector": selector, "result": result}
            for domain, selector, result in message.verified
        ],
        "milter": message.milter,
        "detail": message.detail,
    }


def fault_dict(fault: Fault, zone: tzinfo | None) -> dict[str, Any]:
    """One row of the contract's `faults`; bytes of the log that are not UTF-8 become backslash escapes."""
    return {
        "kind": fault.kind,
        "severity": fault.severity,
        "host": fault.host,
        "subject": fault.subject,
        "first": iso(fault.first, zone),
        "last": iso(fault.last, zone),
        "count": fault.count,
        "messages_hit": fault.messages_hit,
        "ongoing": fault.ongoing,
        "meaning": fault.meaning,
        "fix": fault.fix,
        "lines": [line.decode("utf-8", "backslashreplace") for line in fault.lines],
    }
