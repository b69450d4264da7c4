"""Reports by hand, in the contract's shape, for the renderers."""

from __future__ import annotations

import copy
from typing import Any

Doc = dict[str, Any]

ZONE = "+01:00"


def at(time: str, day: str = "2026-11-23") -> str:
    return f"{day}T{time}{ZONE}"


def hour(label: int, signed: int = 0, unsigned: int = 0, milter_error: int = 0, undecided: int = 0) -> Doc:
    return {
        "hour": at(f"{label:02}:00:00"),
        "signed": signed,
        "unsigned": unsigned,
        "milter_error": milter_error,
        "undecided": undecided,
    }


def domain(name: str, signed: int = 0, unsigned: int = 0, milter_error: int = 0, undecided: int = 0) -> Doc:
    return {
        "domain": name,
        "signed": signed,
        "unsigned": unsigned,
        "milter_error": milter_error,
        "undecided": undecided,
    }


def reason(outcome: str, name: str | None, messages: int, direction: str = "outbound") -> Doc:
    return {"direction": direction, "outcome": outcome, "reason": name, "messages": messages}


def message(**fields: Any) -> Doc:
    base: Doc = {
        "host": "mx.example.org",
        "queue_ids": ["4F2A91C03B7"],
        "first": at("09:14:02"),
        "last": at("09:14:03"),
        "direction": "outbound",
        "origin": "smtpd",
        "client": "app1.example.org[192.0.2.14]",
        "sasl_username": None,
        "envelope_sender": "shop@example.org",
        "envelope_recipients": ["ann@example.net"],
        "message_id": "20261123.1@app1.example.org",
        "outcome": "unsigned",
        "reason": "no-signing-table-match",
        "effect": "sent",
        "signatures": [],
        "verified": [],
        "milter": None,
        "detail": "no signing table match for 'shop@example.org'",
    }
    return base | fields


def fault(**fields: Any) -> Doc:
    base: Doc = {
        "kind": "milter-unreachable",
        "severity": "error",
        "host": "mx.example.org",
        "subject": "inet:127.0.0.1:8891",
        "first": at("03:12:07"),
        "last": at("03:14:10"),
        "count": 9,
        "messages_hit": 9,
        "ongoing": False,
        "meaning": "Postfix could not reach the milter, so these mails were not signed.",
        "fix": "See if OpenDKIM runs (systemctl status opendkim) and if Socket in opendkim.conf is what"
        " smtpd_milters in main.cf says.",
        "lines": [
            "Nov 23 03:12:07 mx postfix/smtpd[811]: warning: connect to Milter service inet:127.0.0.1:8891:"
            " Connection refused"
        ],
    }
    return base | fields


def cause(**fields: Any) -> Doc:
    base: Doc = {
        "reason": "no-signing-table-match",
        "cause": "no-signing-table-match",
        "messages": 11,
        "meaning": "OpenDKIM trusts the client, but no line of SigningTable fits the From address.",
        "file": "SigningTable (/etc/opendkim/signing.table)",
        "fix": "The name after the domain is a key's name in KeyTable. Then systemctl reload opendkim",
        "lines": [],
        "lines_total": 0,
    }
    return {**base, "lines_total": len(fields.get("lines", ())), **fields}


def change(line: str | None, subject: str, messages: int, *examples: str, hosts: tuple[str, ...] = ("mx",)) -> Doc:
    return {"line": line, "subject": subject, "messages": messages, "hosts": [*hosts], "examples": [*examples]}


def healthy() -> Doc:
    hours = [hour(h) for h in range(6)] + [hour(h, signed=40 + 7 * (h % 5)) for h in range(6, 24)]
    signed = sum(row["signed"] for row in hours)
    return {
        "schema": "logscan.report/1",
        "window": {
            "since": at("00:00:00"),
            "until": at("00:00:00", "2026-11-24"),
            "first": at("00:00:03"),
            "last": at("23:59:58"),
        },
        "input": {
            "sources": [
                {
                    "name": "/var/log/mail.log",
                    "lines": 18231,
                    "bytes": 2_431_090,
                    "first": at("00:00:03"),
                    "last": at("23:59:58"),
                }
            ],
            "lines": 18231,
            "bytes": 2_431_090,
            "foreign_lines": 412,
            "not_mail": 37,
            "not_understood": {"opendkim": 0, "postfix": 0},
        },
        "totals": {
            "outbound": {
                "messages": signed,
                "signed": signed,
                "unsigned": 0,
                "milter_error": 0,
                "undecided": 0,
            },
            "inbound": {
                "messages": 310,
                "pass": 201,
                "fail": 4,
                "none": 105,
                "unchecked": 0,
                "milter_error": 0,
            },
            "bounce": {"messages": 3},
            "unknown": {"messages": 0},
            "signatures": signed + 12,
        },
        "signed_fraction": 1.0,
        "by_domain": [domain("example.org", signed - 100), domain("news.example.net", 100)],
        "by_signature": [
            {"signing_domain": "example.org", "selector": "k2026", "signatures": signed - 88},
            {"signing_domain": "news.example.net", "selector": "mail", "signatures": 100},
        ],
        "by_reason": [
            reason("fail", "body-altered", 3, "inbound"),
            reason("fail", "key-not-found", 1, "inbound"),
        ],
        "by_hour": hours,
        "messages": [],
        "messages_total": 0,
        "faults": [
            fault(
                kind="opendkim-started",
                severity="info",
                subject="opendkim v2.11.0",
                first=at("06:25:01"),
                last=at("06:25:01"),
                count=1,
                messages_hit=0,
                meaning="OpenDKIM started.",
                fix="",
                lines=["Nov 23 06:25:01 mx opendkim[902]: OpenDKIM Filter v2.11.0 starting"],
            )
        ],
        "hosts": ["mx.example.org"],
    }


def problems() -> Doc:
    doc = healthy()
    doc["totals"]["outbound"] = {
        "messages": 1225,
        "signed": 1183,
        "unsigned": 12,
        "milter_error": 9,
        "undecided": 21,
    }
    doc["signed_fraction"] = 1183 / 1204
    doc["by_domain"] = [
        domain("example.org", 1080, 5, 9, 21),
        domain("news.example.net", 103),
        domain("shop.example.org", 0, 7),
    ]
    doc["by_reason"] = [
        *doc["by_reason"],
        reason("milter-error", "connect-refused", 9),
        reason("undecided", "in-transit", 1),
        reason("undecided", "log-gap", 20),
        reason("unsigned", "no-signing-table-match", 11),
        reason("unsigned", "not-internal", 1),
    ]
    doc["by_hour"] = [
        hour(0, 20),
        hour(1, 12),
        hour(2),
        hour(3, 31, 0, 9),
        hour(4),
        hour(5),
        hour(6),
        *(hour(h, 60 + 3 * (h % 4), 1 if h % 2 else 0) for h in range(7, 20)),
        hour(20, 100, 5, 0, 21),
        hour(21, 100),
        hour(22, 50),
        hour(23, 1),
    ]
    doc["messages"] = [
        message(
            queue_ids=["4F2A91C03B7"],
            first=at("03:12:07"),
            outcome="milter-error",
            reason="connect-refused",
            effect="tempfailed",
            milter="inet:127.0.0.1:8891",
            envelope_sender="orders@example.org",
        ),
        message(
            queue_ids=["4F2A91C03B8"],
            first=at("03:13:51"),
            outcome="milter-error",
            reason="connect-refused",
            effect="sent",
            milter="inet:127.0.0.1:8891",
            envelope_recipients=["ann@example.net", "bob@example.net", "carol@example.com"],
        ),
        message(queue_ids=["4cYx3t0Zk5z1f", "4cYx3v1Qhjz1g"], first=at("09:14:02")),
        message(
            queue_ids=["4cYx9t0Zk5z2a"],
            first=at("11:01:44"),
            reason="not-internal",
            envelope_sender="quarterly-reports-and-statements@accounting.shop.example.org",
            envelope_recipients=["the-whole-board-of-directors@subsidiary.example.com"],
        ),
        message(
            queue_ids=["4cYxBt0Zk5z2a"],
            first=at("20:01:44"),
            outcome="undecided",
            reason="log-gap",
            envelope_sender=None,
            envelope_recipients=[],
        ),
    ]
    doc["messages_total"] = 42
    doc["faults"] = [
        *doc["faults"],
        fault(),
        fault(
            kind="key-insecure",
            severity="warning",
            subject="k2026._domainkey.example.org",
            first=at("07:00:00"),
            last=at("19:59:00"),
            count=811,
            messages_hit=0,
            ongoing=True,
            meaning="The key file can be read by others than OpenDKIM; the mail was signed all the same.",
            fix="chmod 600 the key file and give it to the user that OpenDKIM runs as.",
            lines=["Nov 23 07:00:00 mx opendkim[902]: k2026: key data is not secure: /etc/dkim is writeable"],
        ),
    ]
    doc["why"] = [
        cause(
            lines_total=31,
            lines=[
                change("*@shop.example.org k2026._domainkey.example.org", "shop.example.org", 7, "a@shop.example.org"),
                change("*@a.example.net k2026._domainkey.a.example.net", "a.example.net", 4, "x@a.example.net", "y@a.example.net"),
            ],
        ),
        cause(
            reason="silent",
            cause="local-mail",
            messages=1,
            meaning="OpenDKIM logged nothing for this mail of the host itself.",
            file="main.cf",
            fix="",
            lines=[change("non_smtpd_milters = $smtpd_milters", "example.org", 1, "root@example.org")],
        ),
    ]
    doc["why_others"] = 3
    doc["input"]["not_understood"] = {"opendkim": 1, "postfix": 14}
    return doc


def cannot_tell() -> Doc:
    doc = healthy()
    doc["totals"]["outbound"] = {
        "messages": 882,
        "signed": 0,
        "unsigned": 0,
        "milter_error": 0,
        "undecided": 882,
    }
    doc["totals"]["signatures"] = 0
    doc["signed_fraction"] = None
    doc["by_domain"] = [domain("example.org", undecided=882)]
    doc["by_signature"] = []
    doc["by_reason"] = [reason("undecided", "success-not-logged", 882)]
    doc["by_hour"] = [hour(h, undecided=49 if h > 5 else 0) for h in range(24)]
    doc["messages"] = [message(outcome="undecided", reason="success-not-logged", detail=None)]
    doc["messages_total"] = 882
    doc["faults"] = [
        fault(
            kind="not-logging",
            severity="warning",
            subject="opendkim",
            first=at("00:00:03"),
            last=at("23:59:58"),
            count=882,
            messages_hit=0,
            ongoing=True,
            meaning="OpenDKIM runs but logs no success.",
            fix="Put SyslogSuccess yes into opendkim.conf and restart it.",
            lines=[],
        )
    ]
    return doc


def empty() -> Doc:
    doc = healthy()
    doc["window"] |= {"first": None, "last": None}
    doc["input"] = {
        "sources": [{"name": "-", "lines": 0, "bytes": 0, "first": None, "last": None}],
        "lines": 0,
        "bytes": 0,
        "foreign_lines": 0,
        "not_mail": 0,
        "not_understood": {"opendkim": 0, "postfix": 0},
    }
    for counts in ("outbound", "inbound", "bounce", "unknown"):
        doc["totals"][counts] = dict.fromkeys(doc["totals"][counts], 0)
    doc["totals"]["signatures"] = 0
    doc["signed_fraction"] = None
    doc["hosts"] = []
    for table in ("by_domain", "by_signature", "by_reason", "by_hour", "faults"):
        doc[table] = []
    return doc


# What senders can put into a log, and what a viewer of it might act on.
EVIL = (
    "\x1b]0;owned\x07",
    "\x1b[2J\x1b[31m",
    "[red]bold[/red] [link=http://evil.example]x[/link]",
    "=cmd|' /C calc'!A0",
    "<script>alert(1)</script>\"'&",
    "a|b `c` **d** ![x](http://evil.example/x.png) @everyone www.evil.example",
    "\u202egro.elpmaxe\u2066\u200b\ufeff",
    "one\u2028two\u2029three\x85four\r\nfive",
    "\udce9\ud800 \\xe9 \\",
    "\u4f60\u597d\u4e16\u754c" * 20,
    "\u3164\u115f\ufe0f\U000e0041",
    "e\u0301" * 50,
    "x" * 300 + "@" + "y" * 300,
    "-",
    "",
    " ",
)


def hostile() -> Doc:
    """Every string that comes from the log is one of EVIL, and each of them is somewhere."""
    doc = problems()
    all_of_it = " ".join(EVIL)
    doc["hosts"] = [EVIL[0]]
    doc["by_domain"] = [domain(text, 1, 1, 1, 1) for text in EVIL]
    doc["by_signature"] = [{"signing_domain": t, "selector": t, "signatures": 10**12} for t in EVIL]
    doc["by_reason"] = [*doc["by_reason"], reason("unsigned", all_of_it, 1)]
    doc["input"]["sources"] = [dict(doc["input"]["sources"][0], name=text) for text in EVIL]
    doc["messages"] = [
        message(
            host=text,
            queue_ids=[text],
            client=text,
            sasl_username=text,
            envelope_sender=text,
            envelope_recipients=[text, text],
            message_id=text,
            reason=text,
            effect=text,
            milter=text,
            detail=text,
            outcome=outcome,
            signatures=[{"signing_domain": text, "selector": text}],
            verified=[{"signing_domain": text, "selector": text, "result": "pass"}],
        )
        for outcome in ("unsigned", "milter-error", "undecided")
        for text in EVIL
    ]
    doc["faults"] = [
        fault(
            host=text, subject=text, lines=[text, all_of_it], meaning=all_of_it, fix=text, severity=severity
        )
        for severity in ("error", "warning", "info")
        for text in EVIL
    ]
    doc["why"] = [
        cause(
            reason=text, cause=text, meaning=all_of_it, file="SigningTable", fix=text,
            lines=[change(text, text, 1, text, text, hosts=(text, text)), change(None, text, 1), change(text, "", 1)],
        )
        for text in EVIL
    ]  # fmt: skip
    return copy.deepcopy(doc)


ALL = {
    "healthy": healthy,
    "problems": problems,
    "cannot_tell": cannot_tell,
    "empty": empty,
    "hostile": hostile,
}
