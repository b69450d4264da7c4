"""`report --compare`: what is counted in the time before, and what of it is told."""

from __future__ import annotations

import copy
import csv as stdcsv
import io
import json
import re
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from small_logs import NOW, Log, epoch

import logscan
from logscan.cli import main
from logscan.compare import earlier
from logscan.errors import UsageError
from logscan.job import Options
from logscan.model import Window
from logscan.pipeline import run_report
from logscan.render import csv, html, markdown, text
from logscan.timespan import zone

UTC = zone("UTC")
BERLIN = ZoneInfo("Europe/Berlin")
DAY = {"since": "2026-11-23", "until": "2026-11-24"}


def report(log: Log, folder: Path, **options: Any) -> tuple[dict[str, Any], list[str]]:
    path = log.write(folder / "maillog")
    said: list[str] = []
    asked = Options(logs=[str(path)], timezone="UTC", **{**DAY, "compare": True, **options})
    return run_report(asked, warn=said.append, now=NOW).doc, said


def two_days() -> Log:
    """On the second day lost.example is no longer signed, back.example is again, and partly.example in part."""
    log = Log()
    log.mail("2026-11-22 00:00:30", "a@example.org")
    for hour in (8, 9, 10):
        log.mail(f"2026-11-22 {hour:02}:00:00", "a@lost.example")
        log.mail(f"2026-11-22 {hour:02}:10:00", "a@partly.example")
        word = "no signing table match for 'a@back.example'"
        log.mail(f"2026-11-22 {hour:02}:20:00", "a@back.example", signed=False, word=word)
        log.mail(f"2026-11-23 {hour:02}:00:00", "a@lost.example", signed=False)
        log.mail(f"2026-11-23 {hour:02}:10:00", "a@partly.example", signed=hour != 8)
        log.mail(f"2026-11-23 {hour:02}:20:00", "a@back.example")
        log.mail(f"2026-11-23 {hour:02}:30:00", "a@example.org")
    return log


# --- windows ---


def test_the_window_before_is_as_long() -> None:
    since, until = epoch("2026-11-23 10:00:00"), epoch("2026-11-23 12:30:00")
    assert earlier(Window(since, until), NOW, UTC) == Window(epoch("2026-11-23 07:30:00"), since)
    assert earlier(Window(NOW - 7200), NOW, UTC) == Window(NOW - 4 * 3600, NOW - 7200)
    assert earlier(Window(100, 300), NOW, UTC) == Window(0, 100)


def test_whole_days_are_compared_with_whole_days_when_the_clocks_change() -> None:
    # The 25th of October 2026 has 25 hours in Berlin, the 24th has 24.
    day = Window(epoch("2026-10-25 00:00:00", BERLIN), epoch("2026-10-26 00:00:00", BERLIN))
    assert earlier(day, NOW, BERLIN) == Window(epoch("2026-10-24 00:00:00", BERLIN), day.since)
    after = Window(epoch("2026-10-26 00:00:00", BERLIN), epoch("2026-10-28 00:00:00", BERLIN))
    assert earlier(after, NOW, BERLIN) == Window(epoch("2026-10-24 00:00:00", BERLIN), after.since)


@pytest.mark.parametrize("window", [Window(), Window(None, NOW), Window(NOW + 60), Window(NOW)])
def test_a_window_without_length_is_refused(window: Window) -> None:
    with pytest.raises(UsageError, match="--compare"):
        earlier(window, NOW, UTC)


def test_without_since_the_command_says_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = two_days().write(tmp_path / "maillog")
    assert main(["report", str(path), "--compare"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        "logscan: --compare: the window has no beginning, so no length; add --since, as in --since yesterday\n"
    )


# --- what changed ---


def test_domains_that_changed_and_reasons_that_are_new(tmp_path: Path) -> None:
    doc, said = report(two_days(), tmp_path)
    changes = doc["changes"]
    assert said == []
    assert changes["window"] == {
        "since": "2026-11-22T00:00:00+00:00", "until": "2026-11-23T00:00:00+00:00", "whole": True,
    }  # fmt: skip
    assert changes["outbound"] == {"messages": 10, "signed": 7, "unsigned": 3, "milter_error": 0, "undecided": 0}
    assert changes["signed_fraction"] == 0.7
    assert changes["difference"] == pytest.approx(8 / 12 - 0.7)
    assert changes["unsigned"] == [
        {"domain": "lost.example", "signed_before": 3, "unsigned_before": 0, "signed": 0, "unsigned": 3},
        {"domain": "partly.example", "signed_before": 3, "unsigned_before": 0, "signed": 2, "unsigned": 1},
    ]
    assert changes["signed"] == [
        {"domain": "back.example", "signed_before": 0, "unsigned_before": 3, "signed": 3, "unsigned": 0}
    ]
    assert changes["new_reasons"] == [
        {"direction": "outbound", "outcome": "unsigned", "reason": "silent", "messages": 4}
    ]


def test_the_rest_of_the_report_is_as_without_it(tmp_path: Path) -> None:
    log = two_days()
    log.mail("2026-11-22 11:00:00", failed="inet:127.0.0.1:8891", signed=False)
    log.mail("2026-11-23 11:00:00", failed="inet:127.0.0.1:8891", signed=False)
    at = epoch("2026-11-22 12:00:00")
    for line in ("connect from a[192.0.2.1]", "AAAAAAAAAA1: client=a[192.0.2.1]", "lost connection after DATA from a[192.0.2.1]"):
        log.add(at, "postfix/smtpd[77]", line)
    doc, _ = report(log, tmp_path)
    plain, _ = report(log, tmp_path, compare=False)
    assert doc["changes"]["outbound"]["milter_error"] == 1
    del doc["changes"]
    assert doc["faults"] and doc["faults"][0]["messages_hit"] == 1
    for made in (doc, plain):
        made["input"] = {"not_mail": made["input"]["not_mail"]}
    assert doc == plain


def test_a_domain_that_is_no_longer_signed_is_known_as_ours(tmp_path: Path) -> None:
    """Only the time before tells that this relayed mail of a client without a login is our own."""
    log = Log()
    log.mail("2026-11-22 10:00:00", "a@lost.example")
    log.mail("2026-11-23 09:00:00", "a@example.org")
    at, queue_id = epoch("2026-11-23 10:00:00"), "AAAAAAAAAA2"
    for tag, payload in (
        ("postfix/smtpd[71]", "connect from far.example.com[198.51.100.7]"),
        ("postfix/smtpd[71]", f"{queue_id}: client=far.example.com[198.51.100.7]"),
        ("postfix/cleanup[72]", f"{queue_id}: message-id=<x@lost.example>"),
        ("opendkim[21]", f"{queue_id}: far.example.com [198.51.100.7] not internal"),
        ("opendkim[21]", f"{queue_id}: not authenticated"),
        ("postfix/qmgr[13]", f"{queue_id}: from=<a@lost.example>, size=387, nrcpt=1 (queue active)"),
        ("postfix/smtp[14]", f"{queue_id}: to=<b@example.net>, relay=mx.example.net[203.0.113.25]:25, delay=1,"
         " delays=1/0/0/0, dsn=2.0.0, status=sent (ok)"),
        ("postfix/qmgr[13]", f"{queue_id}: removed"),
    ):  # fmt: skip
        log.add(at, tag, payload)
    doc, _ = report(log, tmp_path)
    assert [row["domain"] for row in doc["changes"]["unsigned"]] == ["lost.example"]


def test_an_outage_makes_no_domain_unsigned(tmp_path: Path) -> None:
    log = Log()
    log.mail("2026-11-22 10:00:00")
    log.mail("2026-11-23 10:00:00")
    log.mail("2026-11-23 10:10:00", signed=False, failed="inet:127.0.0.1:8891")
    changes = report(log, tmp_path)[0]["changes"]
    assert changes["unsigned"] == [] and changes["difference"] == -0.5
    assert [row["reason"] for row in changes["new_reasons"]] == ["connect-refused"]


def test_an_input_without_the_time_before_says_so(tmp_path: Path) -> None:
    log = Log()
    log.mail("2026-11-23 10:00:00", signed=False)
    log.mail("2026-11-23 11:00:00")
    doc, said = report(log, tmp_path)
    assert [line for line in said if "--compare" in line] == [
        "note: --compare: no outgoing mail was logged in the time before, so nothing can be compared"
    ]
    assert doc["changes"]["new_reasons"] == [] and "Changes" not in text.report(doc)
    log.mail("2026-11-22 20:00:00")
    doc, said = report(log, tmp_path)
    assert not doc["changes"]["window"]["whole"]
    assert [line for line in said if "--compare" in line] == [
        "note: --compare: the input begins in the time before, so it is compared with a part of that"
    ]
    assert "which the input has a part of" in re.sub(r"\s+", " ", text.report(doc))


def test_rotated_files_are_read_for_the_time_before(tmp_path: Path) -> None:
    log = two_days()
    log.write(tmp_path / "maillog-20261123.gz", until="2026-11-23 00:00:00")
    live = log.write(tmp_path / "maillog", since="2026-11-23")
    asked = Options(logs=[str(live)], timezone="UTC", compare=True, **DAY)  # type: ignore[arg-type]
    assert run_report(asked, warn=lambda _: None, now=NOW).doc["changes"]["outbound"]["messages"] == 10


def test_python_can_compare_too(tmp_path: Path) -> None:
    path = two_days().write(tmp_path / "maillog")
    found = logscan.report(path, since="2026-11-23", until="2026-11-24", timezone="UTC", compare=True)
    assert found.to_dict()["changes"]["unsigned_total"] == 2
    assert "changes" not in logscan.report(path, since="2026-11-23", until="2026-11-24", timezone="UTC").to_dict()


# --- how it is told ---


def test_text_shows_only_what_changed(tmp_path: Path) -> None:
    doc, _ = report(two_days(), tmp_path)
    shown = text.report(doc)
    assert shown[shown.index("Changes") : shown.index("\n\nUnsigned")] == (
        "Changes\n"
        "  Signed: 66.7 %, before 70.0 % (10 outgoing messages, 2026-11-22).\n"
        "  domain          now              signed  before  unsigned  before\n"
        "  lost.example    unsigned              0       3         3       0\n"
        "  partly.example  partly unsigned       2       3         1       0\n"
        "  back.example    signed                3       0         0       3\n"
        "\n"
        "  outcome   new reason  messages  meaning\n"
        "  unsigned  silent             4  no word; LogWhy yes tells why"
    )
    same = Log()
    for day in (22, 23):
        same.mail(f"2026-11-{day} 00:10:00")
    doc, said = report(same, tmp_path)
    assert "Changes" not in text.report(doc) and said == []
    assert doc["changes"]["difference"] == 0


def test_long_lists_end_with_what_is_left(tmp_path: Path) -> None:
    log = Log()
    for number in range(130):
        log.mail("2026-11-22 00:10:00", f"a@d{number:03}.example")
        log.mail("2026-11-23 10:00:00", f"a@d{number:03}.example", signed=False)
    log.mail("2026-11-23 11:00:00")
    changes = report(log, tmp_path)[0]["changes"]
    assert (len(changes["unsigned"]), changes["unsigned_total"]) == (100, 130)
    assert "\n  and 110 more\n" in text.report(report(log, tmp_path)[0])


def test_every_format_tells_it_and_text_of_the_log_stays_text(tmp_path: Path) -> None:
    doc, _ = report(two_days(), tmp_path)
    evil = copy.deepcopy(doc)
    nasty = "\x1b[31m=cmd|<script>`x`|"
    evil["changes"]["unsigned"][0]["domain"] = nasty
    evil["changes"]["new_reasons"][0]["reason"] = nasty
    assert "\x1b" not in text.report(evil) + markdown.report(evil) + html.report(evil) + csv.report(evil)
    assert "<script" not in markdown.report(evil) + html.report(evil)
    rows = {tuple(row[:5]): row[5] for row in stdcsv.reader(io.StringIO(csv.report(doc)))}
    assert rows["changes", "unsigned", "lost.example", "", "signed_before"] == "3"
    assert rows["changes", "outbound", "unsigned", "silent", "messages"] == "4"
    assert rows["changes", "outbound", "", "", "unsigned"] == "3"
    assert json.loads(json.dumps(doc)) == doc
