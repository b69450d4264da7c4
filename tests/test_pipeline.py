"""From log files to reports: what is read, counted, warned of, and which status comes of it."""

from __future__ import annotations

import gc
import gzip
import io
import json
import os
import types
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from small_logs import NOW, Log, epoch, real, write

from logscan.cli import main
from logscan.errors import TimeError, UsageError
from logscan.job import Options
from logscan.pipeline import read_messages, run_report
from logscan.render import json as as_json

BERLIN = ZoneInfo("Europe/Berlin")


def report(*logs: Path | str, now: int = NOW, **options: Any) -> tuple[dict[str, Any], int, list[str]]:
    """The document, the status and the warnings of a report in UTC."""
    said: list[str] = []
    asked = Options(logs=[str(log) for log in logs], **{"timezone": "UTC", **options})
    result = run_report(asked, warn=said.append, now=now)
    return result.doc, result.status, said


def outbound(doc: dict[str, Any]) -> tuple[int, ...]:
    """messages, signed, unsigned, milter_error, undecided."""
    out = doc["totals"]["outbound"]
    return tuple(out[key] for key in ("messages", "signed", "unsigned", "milter_error", "undecided"))


def two_days() -> Log:
    """Three mails on the 22nd and two on the 23rd, one of them not signed."""
    log = Log()
    log.mail("2026-11-22 10:00:00")
    log.mail("2026-11-22 15:00:00")
    log.mail("2026-11-22 23:59:59", end=10)
    log.mail("2026-11-23 09:00:00")
    log.mail("2026-11-23 11:00:00", "app@example.net", signed=False)
    return log


# --- what real daemons wrote ---


@pytest.mark.parametrize(
    ("name", "counts", "fraction"),
    [
        ("signed", (7, 7, 0, 0, 0), 1.0),
        ("down_accept", (6, 0, 0, 6, 0), 0.0),
        ("success_not_logged", (3, 0, 0, 0, 3), None),
        ("not_internal_why", (5, 2, 3, 0, 0), 0.4),
        ("key_unreadable", (3, 0, 0, 3, 0), 0.0),
    ],
)
def test_real_logs_are_counted(
    name: str, counts: tuple[int, ...], fraction: float | None, tmp_path: Path
) -> None:
    doc, status, said = report(real(name, tmp_path))
    assert (outbound(doc), doc["signed_fraction"], status, said) == (counts, fraction, 0, [])
    assert doc["messages_total"] == len(doc["messages"]) == counts[0] - counts[1]
    assert doc["hosts"] == ["mx"]
    assert doc["window"]["first"].startswith("2026-11-24T09:5")


def test_real_inbound_mail_is_counted(tmp_path: Path) -> None:
    doc, _, _ = report(real("inbound_results", tmp_path))
    assert doc["totals"]["inbound"] == {
        "messages": 9, "pass": 1, "fail": 7, "none": 1, "unchecked": 0, "milter_error": 0,
    }  # fmt: skip


def test_a_log_without_signatures_tells_which_setting_is_missing(tmp_path: Path) -> None:
    doc, _, _ = report(real("success_not_logged", tmp_path))
    [fault] = [fault for fault in doc["faults"] if fault["kind"] == "not-logging"]
    assert (fault["severity"], fault["host"], fault["count"]) == ("warning", "mx", 3)
    assert fault["ongoing"]


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    path = real("down_accept", tmp_path)
    assert as_json.report(report(path)[0]) == as_json.report(report(path)[0])


def test_read_messages_gives_all_of_a_file_in_order(tmp_path: Path) -> None:
    found = read_messages(real("signed", tmp_path))
    assert [message.outcome for message in found if message.direction == "outbound"] == ["signed"] * 7
    assert [message.first for message in found] == sorted(message.first for message in found)


# --- windows ---


def test_a_message_is_in_the_window_when_its_first_line_is(tmp_path: Path) -> None:
    path = two_days().write(tmp_path / "maillog")
    doc, status, said = report(path, since="2026-11-23", until="2026-11-24")
    assert (outbound(doc), status, said) == ((2, 1, 1, 0, 0), 0, [])
    # The one of 23:59:59 was delivered on the next day, and is the day's on which it came in.
    doc, _, _ = report(path, since="2026-11-22", until="2026-11-23")
    assert outbound(doc) == (3, 3, 0, 0, 0)
    assert doc["window"] == {
        "since": "2026-11-22T00:00:00+00:00",
        "until": "2026-11-23T00:00:00+00:00",
        "first": "2026-11-22T10:00:00+00:00",
        "last": "2026-11-22T23:59:59+00:00",
    }


def test_rotated_files_are_read_for_the_window(tmp_path: Path) -> None:
    log = two_days()
    log.write(tmp_path / "maillog-20261123.gz", until="2026-11-23 00:00:05")
    live = log.write(tmp_path / "maillog", since="2026-11-23 00:00:05")
    doc, status, said = report(live, since="2026-11-22 10:00", until="2026-11-23")
    assert (outbound(doc), status, said) == ((3, 3, 0, 0, 0), 0, [])
    assert [Path(source["name"]).name for source in doc["input"]["sources"]] == [
        "maillog-20261123.gz",
        "maillog",
    ]
    # Alone, the live log holds the end of a mail whose beginning is elsewhere.
    assert outbound(report(live)[0])[1:3] == (1, 1)


def test_a_file_that_cannot_hold_the_window_is_not_read(tmp_path: Path) -> None:
    log = two_days()
    old = log.write(tmp_path / "maillog.1", until="2026-11-23")
    live = log.write(tmp_path / "maillog", since="2026-11-23")
    doc, _, _ = report(old, live, since="2026-11-23 08:00", until="2026-11-24")
    assert [Path(source["name"]).name for source in doc["input"]["sources"]] == ["maillog"]


def test_a_window_with_nothing_in_it_says_what_there_is(tmp_path: Path) -> None:
    path = two_days().write(tmp_path / "maillog")
    doc, status, said = report(path, since="2026-11-20", until="2026-11-22")
    assert (outbound(doc), status) == ((0, 0, 0, 0, 0), 0)
    assert said == [
        "nothing was logged since 2026-11-20 00:00:00 until 2026-11-22 00:00:00; the input holds"
        " 2026-11-22 10:00:00 to 2026-11-23 11:00:02"
    ]
    assert doc["signed_fraction"] is None and doc["by_hour"] == [] and doc["messages"] == []


def test_an_input_that_begins_in_the_window_is_noted(tmp_path: Path) -> None:
    path = two_days().write(tmp_path / "maillog")
    _, status, said = report(path, since="2026-11-20")
    assert (status, said) == (0, ["note: the input begins at 2026-11-22 10:00:00, after --since"])


def test_mail_that_waited_in_the_queue_is_not_of_today(tmp_path: Path) -> None:
    log = two_days()
    log.add(
        epoch("2026-11-23 05:00:00"),
        "postfix/qmgr[13]",
        "9A0B3C2D1E: from=<app@example.org>, size=387, nrcpt=1 (queue active)",
    )
    refused = "relay=none, delay=99999, delays=99999/0/0/0, dsn=4.4.1, status=deferred (Connection timed out)"
    log.add(
        epoch("2026-11-23 05:00:01"), "postfix/smtp[14]", f"9A0B3C2D1E: to=<friend@example.net>, {refused}"
    )
    doc, _, _ = report(log.write(tmp_path / "maillog"), since="2026-11-23", until="2026-11-24")
    assert outbound(doc) == (2, 1, 1, 0, 0)
    assert doc["totals"]["unknown"]["messages"] == 0


def test_faults_are_those_of_the_window(tmp_path: Path) -> None:
    log = Log()
    log.mail("2026-11-22 10:00:00", signed=False, failed="inet:127.0.0.1:8891")
    log.mail("2026-11-23 10:00:00")
    path = log.write(tmp_path / "maillog")
    assert [fault["kind"] for fault in report(path)[0]["faults"]] == ["milter-unreachable"]
    assert report(path, since="2026-11-23")[0]["faults"] == []


# --- many inputs ---


def test_a_line_in_two_logs_counts_once(tmp_path: Path) -> None:
    log = Log()
    log.mail("2026-11-23 10:00:00")
    log.mail("2026-11-23 11:00:00", signed=False, failed="inet:127.0.0.1:8891")
    log.mail("2026-11-23 12:00:00")
    whole = log.write(tmp_path / "mail.log")
    warn = write(tmp_path / "mail.warn", [line for line in log.sorted() if "warning:" in line[1]])
    doc, status, said = report(warn, whole)
    assert (outbound(doc), status, said) == ((3, 2, 0, 1, 0), 0, [])
    assert [fault["count"] for fault in doc["faults"]] == [1]
    alone = report(whole)[0]
    for key in ("totals", "by_domain", "by_reason", "by_hour", "messages", "faults", "window"):
        assert doc[key] == alone[key]
    firsts = {Path(source["name"]).name: source["first"] for source in doc["input"]["sources"]}
    assert firsts == {"mail.log": "2026-11-23T10:00:00+00:00", "mail.warn": "2026-11-23T11:00:00+00:00"}


def test_a_line_in_two_logs_counts_once_in_the_first_second(tmp_path: Path) -> None:
    log = Log()
    log.mail("2026-11-23 10:00:00", signed=False, failed="inet:127.0.0.1:8891")
    whole = log.write(tmp_path / "mail.log")
    warn = write(tmp_path / "mail.warn", [line for line in log.sorted() if "warning:" in line[1]])
    assert [fault["count"] for fault in report(warn, whole)[0]["faults"]] == [1]


def test_two_hosts_in_two_files_in_any_order(tmp_path: Path) -> None:
    one, two = Log("mx1"), Log("mx2")
    for minute in range(5):
        # Queue IDs of two hosts have nothing to do with each other.
        one.mail(f"2026-11-23 10:0{minute}:00", queue_id=f"AAAA{minute}0")
        two.mail(f"2026-11-23 10:0{minute}:01", signed=minute > 2, queue_id=f"AAAA{minute}0")
    first, second = one.write(tmp_path / "mx1.log"), two.write(tmp_path / "mx2.log")
    doc, status, said = report(first, second)
    assert (outbound(doc), status, said) == ((10, 7, 3, 0, 0), 0, [])
    assert doc["hosts"] == ["mx1", "mx2"]
    assert as_json.report(doc) == as_json.report(report(second, first)[0])
    only, _, _ = report(first, second, hosts=["mx2"])
    assert (outbound(only), only["hosts"]) == ((5, 2, 3, 0, 0), ["mx2"])


def test_rotated_files_come_in_order_whatever_their_order(tmp_path: Path) -> None:
    log = two_days()
    old = log.write(tmp_path / "maillog.2.gz", until="2026-11-22 12:00:00")
    mid = log.write(tmp_path / "maillog.1", since="2026-11-22 12:00:00", until="2026-11-23 00:00:03")
    live = log.write(tmp_path / "maillog", since="2026-11-23 00:00:03")
    docs = [report(*paths)[0] for paths in ((old, mid, live), (live, old, mid), (mid, live, old))]
    assert outbound(docs[0]) == (5, 4, 1, 0, 0)
    assert docs[0] == docs[1] == docs[2]


def test_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = two_days().write(tmp_path / "maillog").read_bytes()
    monkeypatch.setattr("sys.stdin", types.SimpleNamespace(buffer=io.BytesIO(data)))
    doc, status, said = report("-")
    assert (outbound(doc), status, said) == ((5, 4, 1, 0, 0), 0, [])
    assert doc["input"]["sources"][0]["name"] == "-"


def test_a_source_of_one_second_has_a_first_line(tmp_path: Path) -> None:
    log = Log()
    log.mail("2026-11-23 10:00:00", end=0)
    first = write(tmp_path / "maillog.1", log.sorted()[:4])
    second = write(tmp_path / "maillog", log.sorted()[4:])
    sources = report(first, second)[0]["input"]["sources"]
    assert [source["first"] for source in sources] == ["2026-11-23T10:00:00+00:00"] * 2


def test_progress_is_told_in_bytes(tmp_path: Path) -> None:
    path = two_days().write(tmp_path / "maillog")
    seen: list[tuple[int, int | None]] = []
    options = Options(logs=[str(path)], timezone="UTC")
    run_report(options, warn=print, progress=lambda done, total: seen.append((done, total)), now=NOW)
    assert seen[-1] == (path.stat().st_size, path.stat().st_size)


def test_the_collector_is_left_as_it_was(tmp_path: Path) -> None:
    assert gc.isenabled()
    report(two_days().write(tmp_path / "maillog"))
    assert gc.isenabled() and gc.get_freeze_count() == 0


# --- what may be wrong with an input ---


def test_a_source_that_fails_takes_no_mail_of_another_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A leg stays open for some seconds after its end, so the last mail of a log is judged when all is read."""
    log = Log()
    log.mail("2026-11-23 10:00:00")
    log.mail("2026-11-23 10:05:00", end=0)
    monkeypatch.setenv("PATH", str(tmp_path))  # no journalctl
    doc, status, said = report(log.write(tmp_path / "maillog"), "journal:")
    assert outbound(doc)[0] == 2
    assert status == 2 and len(said) == 1 and said[0].startswith("error: journal: ")


def test_a_missing_file_beside_another(tmp_path: Path) -> None:
    path = two_days().write(tmp_path / "maillog")
    doc, status, said = report(tmp_path / "nothing", path)
    assert (outbound(doc), status) == ((5, 4, 1, 0, 0), 2)
    assert said == [f"error: {tmp_path / 'nothing'}: no such file"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (bytes(range(256)) * 40, "not a log; none of its lines has a time stamp"),
        (
            b"Nov 23 10:00:00 mx sshd[7]: Accepted publickey for ann\n" * 3,
            "no line of Postfix or OpenDKIM in it",
        ),
        (b"PK\x03\x04" + bytes(100), "is packed with zip; unpack it first"),
    ],
)
def test_no_mail_log_at_all(data: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "maillog"
    path.write_bytes(data)
    doc, status, said = report(path)
    assert status == 2 and len(said) == 1 and said[0].startswith(f"error: {path}: {words}")
    assert outbound(doc) == (0, 0, 0, 0, 0) and doc["signed_fraction"] is None


def test_another_programs_log_beside_the_mail_log(tmp_path: Path) -> None:
    path = two_days().write(tmp_path / "maillog")
    other = write(tmp_path / "auth.log", [(epoch("2026-11-20 10:00:00"), "Nov 20 10:00:00 mx sshd[7]: bye")])
    doc, status, said = report(other, path)
    assert (outbound(doc), status) == ((5, 4, 1, 0, 0), 2)
    assert said == [f"error: {other}: no line of Postfix or OpenDKIM in it; is the mail log another file?"]


def test_an_empty_live_log_beside_its_rotated_file_is_no_error(tmp_path: Path) -> None:
    old = two_days().write(tmp_path / "maillog.1")
    live = write(tmp_path / "maillog", [])
    doc, status, said = report(old, live)
    assert (outbound(doc), status, said) == ((5, 4, 1, 0, 0), 0, [])


def test_a_truncated_archive_is_said(tmp_path: Path) -> None:
    log = Log()
    for minute in range(60):
        log.mail(f"2026-11-23 10:{minute:02}:00")
    whole = log.write(tmp_path / "whole").read_bytes()
    path = tmp_path / "maillog.1.gz"
    path.write_bytes(gzip.compress(whole)[:-900])
    os.utime(path, (NOW, NOW))
    doc, status, said = report(path)
    assert status == 2 and 0 < outbound(doc)[0] < 60
    assert said == [
        f"{path}: ends early after line {doc['input']['lines']}; the report covers what came before"
    ]


def test_overlong_lines_are_counted(tmp_path: Path) -> None:
    path = two_days().write(tmp_path / "maillog")
    with path.open("ab") as file:
        file.write(b"Nov 23 11:30:00 mx postfix/smtpd[1]: " + b"x" * 100_000 + b"\n")
    os.utime(path, (NOW, NOW))
    doc, status, said = report(path)
    assert (outbound(doc), status) == ((5, 4, 1, 0, 0), 0)
    assert said == [f"{path}: 1 line longer than 65,536 bytes cut to that length"]


def test_a_rotated_file_missing_from_the_middle(tmp_path: Path) -> None:
    log = two_days()
    old = log.write(tmp_path / "maillog.3", until="2026-11-22 12:00:00")
    young = log.write(tmp_path / "maillog.1", since="2026-11-23")
    doc, status, said = report(old, young)
    gone = str(tmp_path / "maillog.2")
    assert status == 0
    assert said == [f"{gone}: missing, though older and younger ones are there; its mail is not counted"]
    assert [(fault["kind"], fault["subject"], fault["host"]) for fault in doc["faults"]] == [
        ("log-gap", gone, "mx")
    ]


def test_a_host_that_is_not_in_the_input(tmp_path: Path) -> None:
    doc, status, said = report(two_days().write(tmp_path / "maillog"), hosts=["mx9"])
    assert (outbound(doc), doc["hosts"], status) == ((0, 0, 0, 0, 0), [], 0)
    assert said == ["--host mx9: no line of it in the input, which has mx"]


def test_the_command_line_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = real("down_accept", tmp_path)
    assert main(["report", str(path), str(tmp_path / "nothing"), "--check"]) == 2
    out, err = capsys.readouterr()
    assert out.startswith("mx 20") and "6 milter errors, 1 fault, 0.0 % of 6 signed" in out
    assert err == f"logscan: {tmp_path / 'nothing'}: no such file\n"
    assert main(["report", str(path), "--check"]) == 1
    assert main(["export", str(path), "--output", str(tmp_path / "out.csv")]) == 0
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 7


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"since": "yesteday"}, TimeError),
        ({"timezone": "Mars/Olympus"}, UsageError),
        ({"since": "2026-11-23", "until": "2026-11-23"}, UsageError),
        ({"opendkim_conf": "/nonexistent/opendkim.conf"}, UsageError),
    ],
)
def test_options_that_cannot_be_followed(
    options: dict[str, str], error: type[Exception], tmp_path: Path
) -> None:
    path = two_days().write(tmp_path / "maillog")
    with pytest.raises(error):
        report(path, **options)


# --- what is counted ---


def test_only_senders_of_a_domain(tmp_path: Path) -> None:
    log = two_days()
    log.inbound("2026-11-23 10:00:00")
    path = log.write(tmp_path / "maillog")
    doc, _, _ = report(path, domains=["Example.NET"])
    assert outbound(doc) == (1, 0, 1, 0, 0)
    assert doc["totals"]["inbound"]["messages"] == doc["totals"]["signatures"] == 0
    assert [row["domain"] for row in doc["by_domain"]] == ["example.net"]


def test_tables_are_in_order(tmp_path: Path) -> None:
    log = Log()
    for number, domain in enumerate(("b.example.org", "a.example.org", "c.example.org", "c.example.org")):
        log.mail(f"2026-11-23 10:00:0{number}", f"app@{domain}")
    doc, _, _ = report(log.write(tmp_path / "maillog"))
    assert [row["domain"] for row in doc["by_domain"]] == ["c.example.org", "a.example.org", "b.example.org"]
    assert [row["signing_domain"] for row in doc["by_signature"]] == [f"{x}.example.org" for x in "abc"]
    assert doc["totals"]["signatures"] == 4


def test_the_limit_is_of_the_list_alone(tmp_path: Path) -> None:
    log = Log()
    log.mail("2026-11-23 09:00:00")
    for minute in range(9):
        log.mail(f"2026-11-23 10:0{minute}:00", signed=False)
    path = log.write(tmp_path / "maillog")
    for limit in (0, 4, 9, 20):
        doc, _, _ = report(path, limit=limit)
        assert (len(doc["messages"]), doc["messages_total"]) == (min(limit, 9), 9)
    assert [message["first"][14:16] for message in doc["messages"]] == [f"0{minute}" for minute in range(9)]


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-11-23", 24)])
def test_a_day_has_as_many_hours_as_the_clocks_say(day: str, hours: int, tmp_path: Path) -> None:
    log = Log(zone=BERLIN)
    begin = epoch(f"{day} 00:00:00", BERLIN)
    log.mail(begin - 7200)
    for hour in range(hours):
        # Twice an hour, or the stamps alone could not tell that an hour comes again.
        log.mail(begin + hour * 3600 + 600)
        log.mail(begin + hour * 3600 + 3000)
    log.mail(begin + hours * 3600 + 3600)
    doc, _, said = report(
        log.write(tmp_path / "maillog"), timezone="Europe/Berlin", since=day, until=f"{day} 23:59:59"
    )
    assert said == []
    assert len({row["hour"] for row in doc["by_hour"]}) == len(doc["by_hour"]) == hours
    assert [row["signed"] for row in doc["by_hour"]] == [2] * hours
    assert outbound(doc)[0] == 2 * hours


def test_hours_without_mail_are_there_as_far_as_the_input_reaches(tmp_path: Path) -> None:
    path = two_days().write(tmp_path / "maillog")
    assert len(report(path)[0]["by_hour"]) == 26
    whole = report(path, since="2026-11-23", until="2026-11-24")[0]["by_hour"]
    # The log ends at eleven: of the hours after that nobody knows.
    assert [row["hour"][11:13] for row in whole] == [f"{hour:02}" for hour in range(12)]
    assert sum(row["signed"] + row["unsigned"] for row in whole) == 2


def test_our_domains_make_relayed_mail_ours(tmp_path: Path) -> None:
    log = Log()
    client = "app.example.com[198.51.100.9]"
    at = epoch("2026-11-23 10:00:00")
    for payload in (
        f"smtpd[11]: A1B2C3D4: client={client}",
        "cleanup[12]: A1B2C3D4: message-id=<a@app.example.org>",
        "qmgr[13]: A1B2C3D4: from=<app@example.org>, size=9, nrcpt=1 (queue active)",
        "smtp[14]: A1B2C3D4: to=<friend@example.net>, relay=203.0.113.25[203.0.113.25]:25, delay=1,"
        " delays=1/0/0/0, dsn=2.0.0, status=sent (250 Ok)",
        "qmgr[13]: A1B2C3D4: removed",
    ):
        tag, _, said = payload.partition(": ")
        log.add(at, f"postfix/{tag}", said)
    path = log.write(tmp_path / "maillog")
    assert report(path)[0]["totals"]["unknown"]["messages"] == 1
    assert outbound(report(path, our_domains=["EXAMPLE.org"])[0])[0] == 1
    conf = tmp_path / "opendkim.conf"
    conf.write_text(f"SigningTable refile:{tmp_path / 'table'}\n")
    (tmp_path / "table").write_text("*@example.org key\n")
    assert outbound(report(path, opendkim_conf=str(conf))[0])[0] == 1


def test_the_configuration_tells_other_milters_apart(tmp_path: Path) -> None:
    log = Log()
    log.mail("2026-11-23 10:00:00")
    log.mail("2026-11-23 10:01:00", signed=False, failed="inet:127.0.0.1:8892")
    path = log.write(tmp_path / "maillog")
    assert outbound(report(path)[0]) == (2, 1, 0, 1, 0)
    conf = tmp_path / "opendkim.conf"
    conf.write_text("Socket inet:8891@localhost\n")
    assert outbound(report(path, opendkim_conf=str(conf))[0]) == (2, 1, 1, 0, 0)
    conf.write_text("Socket inet:8892@localhost\n")
    assert outbound(report(path, opendkim_conf=str(conf))[0]) == (2, 1, 0, 1, 0)


def test_the_document_is_json_in_the_contracts_order(tmp_path: Path) -> None:
    doc, _, _ = report(real("down_accept", tmp_path))
    again = json.loads(as_json.report(doc))
    assert again == doc
    keys = [key for key in again if key not in ("hosts", "by_host", "why", "why_others")]
    assert keys == [
        "schema", "window", "input", "totals", "signed_fraction", "by_domain", "by_signature", "by_reason",
        "by_hour", "messages", "messages_total", "faults",
    ]  # fmt: skip
    assert list(again["faults"][0]) == [
        "kind", "severity", "host", "subject", "first", "last", "count", "messages_hit", "ongoing", "meaning",
        "fix", "lines",
    ]  # fmt: skip
