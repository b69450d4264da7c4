"""What the texts on faults say beside the line itself: start or reload, what became of mail, why, and whose milter."""

from __future__ import annotations

from typing import Any

import pytest

from logscan.model import Fault
from logscan.remedies import FIX_LENGTH, WHOLE_LENGTH, advise

CONF = "/etc/opendkim.conf"
REFUSED = b"Nov 23 10:00:00 mx postfix/smtpd[7]: warning: connect to Milter service %b: Connection refused"


def fault(kind: str, subject: str, line: bytes, **fields: Any) -> Fault:
    return Fault(kind, "error", "mx", subject, 0, 0, 1, lines=[line], **fields)


def opendkim(kind: str, subject: str, said: str, tag: str = "opendkim[9]") -> Fault:
    return fault(kind, subject, f"Nov 23 10:00:00 mx {tag}: {said}".encode())


def outage(endpoint: str = "inet:127.0.0.1:8891", **fields: Any) -> Fault:
    return fault("milter-unreachable", endpoint, REFUSED % endpoint.encode(), **fields)


AT_LOAD = [
    ("config", CONF, f"{CONF}: configuration error at line 12: unrecognized parameter"),
    ("config", CONF, f'{CONF}: unknown mode "x"'),
    ("config", CONF, f"{CONF}: use of SigningTable requires KeyTable"),
    ("config", "/nosuch", f"{CONF}: /nosuch: chdir(): No such file or directory"),
    ("dataset", "/etc/absent", f"{CONF}: /etc/absent: dkimf_db_open(): No such file or directory"),
    ("dataset", "/etc/t", f"{CONF}: /etc/t: dkimf_db_open(): Permission denied"),
    ("signingtable", "gone", f'{CONF}: could not find valid key record "gone" in KeyTable'),
    ("key-missing", "/etc/k.private", "/etc/k.private: open(): No such file or directory"),
]


@pytest.mark.parametrize(("kind", "subject", "said"), AT_LOAD)
def test_a_failed_reload_is_not_told_as_a_failed_start(kind: str, subject: str, said: str) -> None:
    meaning, fix = advise(opendkim(kind, subject, said))
    assert "runs on with what it had" in meaning
    assert "systemctl restart" not in fix
    for start in (opendkim(kind, subject, f"opendkim: {said}"), opendkim(kind, subject, said, "opendkim")):
        meaning, fix = advise(start)
        assert "OpenDKIM does not start." in meaning
        assert "systemctl reload" not in fix


def test_what_became_of_the_messages_is_counted_by_effect() -> None:
    meaning = advise(outage(effects={"sent": 15, "held": 1, "tempfailed": 2, "rejected": 1, "deferred": 3, "bounced": 1}))[0]
    assert meaning.endswith(
        "23 messages: 15 sent without OpenDKIM, 3 deferred, 2 refused for now (4xx), 1 rejected (5xx), 1 returned to the"
        " sender, 1 held."
    )
    assert "message" not in advise(outage())[0]
    weak = opendkim("key-weak", "", "A1B2C3D4: signature generation error: private key too small (512 bits, need at least 1024)")
    assert "rejected" in advise(weak)[0]
    weak.effects = {"sent": 1}
    assert "rejected" not in advise(weak)[0]
    assert advise(weak)[0].endswith("1 message: 1 sent unsigned.")


def test_a_known_cause_is_named_and_its_remedy_given() -> None:
    said = f"opendkim: {CONF}: configuration error at line 12: unrecognized parameter"
    cause = opendkim("config", CONF, said)
    meaning, fix = advise(outage(cause=(cause, cause.lines[0])))
    assert f'OpenDKIM did not start: "{CONF}: configuration error at line 12: unrecognized parameter".' in meaning
    assert fix == advise(cause)[1]
    for kind, words in (("opendkim-stopped", "had been stopped"), ("opendkim-crashed", "had crashed")):
        cause = opendkim(kind, "", "OpenDKIM Filter v2.11.0 terminating with status 0, errno = 0")
        assert words in advise(outage(cause=(cause, cause.lines[0])))[0]


def test_an_outage_that_came_back_says_so() -> None:
    assert "outages in all" not in advise(outage(spells=1))[0]
    assert "There were 5 outages in all." in advise(outage(spells=5))[0]
    cause = opendkim("opendkim-stopped", "", "OpenDKIM Filter v2.11.0 terminating with status 0, errno = 0")
    assert "The last time OpenDKIM had been stopped." in advise(outage(spells=5, cause=(cause, cause.lines[0])))[0]


@pytest.mark.parametrize(("endpoint", "service"), [
    ("unix:opendmarc/opendmarc.sock", "opendmarc"), ("inet:localhost:11332", "rspamd"),
    ("unix:/run/clamav/clamav-milter.ctl", "clamav-milter"), ("inet:127.0.0.1:8893", "opendmarc"),
])  # fmt: skip
def test_another_milter_is_not_laid_at_opendkims_door(endpoint: str, service: str) -> None:
    cause = opendkim("opendkim-stopped", "", "OpenDKIM Filter v2.11.0 terminating with status 0, errno = 0")
    meaning, fix = advise(outage(endpoint, cause=(cause, cause.lines[0]), effects={"sent": 2}))
    assert "another milter than OpenDKIM" in meaning
    assert "stopped" not in meaning
    assert meaning.endswith("2 messages: 2 sent without it.")
    assert f"systemctl status {service}" in fix
    assert "opendkim" not in fix


def test_a_milter_that_the_log_shows_to_be_another_is_told_so() -> None:
    for kind in ("milter-unreachable", "milter-timeout", "milter-lost", "milter-protocol"):
        row = fault(kind, "inet:127.0.0.1:9999", REFUSED % b"inet:127.0.0.1:9999", foreign=True)
        meaning, fix = advise(row)
        assert "OpenDKIM is down" not in meaning
        assert "opendkim" not in fix
        assert "grep 9999" in fix
    assert "another milter" not in advise(outage("unix:opendkim/opendkim.sock"))[0]


@pytest.mark.parametrize("evil", ["x'; reboot '", "$(reboot)", "\x1b[2J", "a" * 900, "\n; reboot"])
def test_a_hostile_cause_stays_in_bounds(evil: str) -> None:
    cause = opendkim("config", CONF, f"opendkim: {CONF}: {evil}")
    meaning, fix = advise(outage(cause=(cause, cause.lines[0]), effects={"sent": 10**9}, spells=10**6))
    assert len(meaning) <= WHOLE_LENGTH
    assert len(fix) <= FIX_LENGTH
    assert "\n" not in meaning + fix and "\x1b" not in fix
    assert "reboot" not in fix.replace("'", "") or "'" in fix


def test_what_the_library_refuses_is_told_apart_at_a_start_and_at_a_reload() -> None:
    said = "can't configure DKIM library: failed to set DKIM library options"
    start, reload = advise(opendkim("library", "", said)), advise(opendkim("library", "", f"{said}; continuing"))
    assert "does not start" in start[0] and "systemctl restart opendkim" in start[1]
    assert "The reload failed" in reload[0] and "systemctl reload opendkim" in reload[1]
