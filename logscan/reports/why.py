"""Why mail was unsigned → the report's `why`: a block a cause, with the lines to change, those of most mail first."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any

from logscan.advice import Setup, change
from logscan.correlate.state import text
from logscan.opendkim_conf import OpenDkimConf
from logscan.why import EXAMPLES, Cause, Seen

LINES = 100  # of a block
NETWORK = 3  # clients of one network that are worth a line for it


def setup_of(
    signatures: Mapping[tuple[bytes, bytes], int],
    senders: Iterable[bytes],
    conf: OpenDkimConf | None,
    *,
    nothing_signed: bool = False,
) -> Setup:
    """What the signatures of the log and the configuration, if one was named, tell of OpenDKIM's settings.

    signatures: (signing domain, selector) → count. senders: domains of senders whose mail was signed.
    nothing_signed: there is none in the whole input, mail that is not asked for included.
    """
    signed: dict[str, str] = {}
    selectors: dict[str, int] = {}
    for (domain, name), count in sorted(signatures.items(), key=lambda item: (-item[1], item[0])):
        signed.setdefault(text(domain).lower(), text(name))
        selectors[text(name)] = selectors.get(text(name), 0) + count
    selector = max(selectors, key=lambda name: (selectors[name], name), default="")
    domains = frozenset(text(domain) for domain in senders)
    if conf is None:
        return Setup(signed=signed, senders=domains, selector=selector, nothing_signed=nothing_signed)
    tables = ("SigningTable", "KeyTable", "InternalHosts", "Domain")
    return Setup(
        signed=signed,
        senders=domains,
        selector=selector,
        keys=conf.keys,
        kinds={name: kind for name in tables if (kind := conf.kind(name))},
        paths={name: path for name in tables if (path := conf.path(name))},
        mode=conf.mode,
        domain=conf.settings.get("domain", ""),
        nothing_signed=nothing_signed,
        log_why=conf.settings.get("logwhy", "no").lower() in ("yes", "true", "1", "on"),
    )


def why(causes: Mapping[Cause, Seen], setup: Setup) -> list[dict[str, Any]]:
    """The blocks. A line is for all hosts that need it."""
    blocks: dict[tuple[str, str], dict[bytes, tuple[Seen, set[bytes]]]] = {}
    for cause, seen in causes.items():
        rows = blocks.setdefault((cause.reason, cause.kind), {})
        total, hosts = rows.setdefault(cause.subject, (Seen(), set()))
        total.messages += seen.messages
        total.examples = [*total.examples, *(e for e in seen.examples if e not in total.examples)][:EXAMPLES]
        hosts.add(cause.host)
    made = [_block(reason, kind, rows, setup) for (reason, kind), rows in blocks.items()]
    made.sort(key=lambda block: (-block["messages"], block["reason"], block["cause"]))
    return made


def _block(
    reason: str, kind: str, rows: Mapping[bytes, tuple[Seen, set[bytes]]], setup: Setup
) -> dict[str, Any]:
    order = sorted(rows, key=lambda subject: (-rows[subject][0].messages, subject))
    shown = order[:LINES]
    told = change(kind, [text(subject) for subject in shown], setup)
    fix = told.fix
    if kind in ("not-internal", "verified"):
        fix = f"{_networks(shown)}{fix}"
    return {
        "reason": reason,
        "cause": kind,
        "messages": sum(seen.messages for seen, _ in rows.values()),
        "meaning": told.meaning,
        "file": told.file or None,
        "fix": fix,
        "lines": [
            {
                "line": line or None,
                "subject": text(subject),
                "messages": rows[subject][0].messages,
                "hosts": sorted(text(host) for host in rows[subject][1]),
                "examples": [text(example) for example in rows[subject][0].examples],
            }
            for subject, line in zip(shown, told.lines, strict=True)
        ],
        "lines_total": len(order),
    }


def _networks(clients: list[bytes]) -> str:
    """A sentence on networks that hold several of the clients; "" without any."""
    found: dict[str, int] = {}
    for client in clients:
        try:
            address = ipaddress.ip_address(client.decode("ascii", "replace"))
        except ValueError:
            continue
        bits = 24 if address.version == 4 else 64
        network = str(ipaddress.ip_network(f"{address}/{bits}", strict=False))
        found[network] = found.get(network, 0) + 1
    several = [network for network, count in found.items() if count >= NETWORK]
    return f"Several are of one network: {', '.join(several[:3])}. " if several else ""
