"""Warnings that come by the thousand: left at one look, and only they."""

from __future__ import annotations

import pytest
from builder import Log, judge

from logscan.parse.postfix import EVERYDAY_WARNING
from logscan.parse.postfix_lines import LINES

EVERYDAY = (
    "warning: unknown[198.51.100.7]: SASL LOGIN authentication failed: UGFzc3dvcmQ6",
    "warning: unknown[2001:db8::7]: SASL PLAIN authentication failed: x, sasl_username=a@example.org",
    "warning: hostname host.example.net does not resolve to address 198.51.100.7: Name or service not known",
    "warning: TLS library problem: error:0A0000C1:SSL routines::no shared cipher:ssl/statem/statem_srvr.c:2220:",
)
OTHERS = (
    "warning: connect to Milter service inet:127.0.0.1:8891: Connection refused",
    "warning: milter inet:127.0.0.1:8891: can't read SMFIC_MAIL reply packet header: Success",
    "warning: hostname",
    "warning: SASL authentication failure: no secret in database",
)


@pytest.mark.parametrize("payload", EVERYDAY)
def test_an_everyday_warning_is_one_that_the_table_knows_as_nothing_to_us(payload: str) -> None:
    text = payload.encode()
    assert EVERYDAY_WARNING.match(text.removeprefix(b"warning: "))
    match = LINES.lookup(text, "smtpd")
    assert match is not None
    assert (match.shape.kind, match.shape.fault, match.shape.reason) == ("known", None, None)


@pytest.mark.parametrize("payload", OTHERS)
def test_other_warnings_are_looked_up(payload: str) -> None:
    assert not EVERYDAY_WARNING.match(payload.encode().removeprefix(b"warning: "))


def test_a_login_that_quotes_a_milters_failure_is_no_outage() -> None:
    log = Log().started()
    log.smtpd("warning: unknown[198.51.100.7]: SASL LOGIN authentication failed: connect to Milter service x: y")
    assert [fault.kind for fault in judge(log).faults] == ["opendkim-started"]
