"""Traces: which messages a word finds, and that all that was logged of each is told, once and in order."""

from __future__ import annotations

import io
import json
import re
import tempfile
import types
from pathlib import Path
from typing import Any

import pytest
from builder import LATER, NOW, OPENDKIM, STRANGER, Log
from hypothesis import given, settings
from hypothesis import strategies as st

from logscan.cli import main
from logscan.correlate import gather
from logscan.errors import UsageError
from logscan.job import Options
from logscan.parse.header import as_text, parse
from logscan.parse.stamps import Clock
from logscan.pipeline import read_messages
from logscan.render import json as as_json
from logscan.render.message import message_dict
from logscan.render.trace import text
from logscan.timespan import zone
from logscan.trace import run_trace

DATA = Path(__file__).parent / "data" / "situations"
SITUATIONS = sorted(path.stem for path in DATA.glob("*.log"))
REAL = sorted((DATA.parent / "pipeline").glob("*.log"))
LOGS = [*(DATA / f"{name}.log" for name in SITUATIONS), *REAL]
ONE, TWO, THREE = "4F2A91C0301", "4F2A91C0302", "4F2A91C0303"
UTC = zone("UTC")


def trace(word: str, log: Log | bytes | Path, tmp_path: Path, limit: int = 10, **options: Any) -> dict[str, Any]:
    """The trace of a word in a log, in UTC."""
    path = log if isinstance(log, Path) else tmp_path / "maillog"
    if not isinstance(log, Path):
        path.write_bytes(log.syslog() if isinstance(log, Log) else log)
    asked = Options(logs=[str(path)], timezone="UTC", **options)
    return run_trace(word, asked, limit=limit, warn=lambda _: None, now=NOW).doc


def told(message: dict[str, Any]) -> list[str]:
    return [step["text"] for step in message["steps"]]


def queue_ids(doc: dict[str, Any]) -> list[list[str]]:
    return [message["queue_ids"] for message in doc["messages"]]


# --- the same engine ---


@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.stem)
def test_a_trace_says_of_each_message_what_all_other_commands_say(path: Path, tmp_path: Path) -> None:
    every = read_messages(path, zone=UTC)
    for message in every:
        for queue_id in message.queue_ids:
            doc = trace(queue_id, path, tmp_path)
            wanted = message_dict(message, UTC)
            assert [m for m in doc["messages"] if {key: m[key] for key in wanted} == wanted], queue_id
            assert all(queue_id in m["queue_ids"] for m in doc["messages"])


@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.stem)
def test_every_line_with_a_queue_id_is_a_step_of_its_message_and_no_other(path: Path, tmp_path: Path) -> None:
    lines = path.read_bytes().decode("utf-8", "backslashreplace").split("\n")
    # An entry of the journal is shown as a line of syslog.
    clock = Clock(UTC, NOW)
    lines = [
        as_text(header, clock).decode() if line[:1] == "{" and (header := parse(line.encode(), clock)) else line
        for line in lines
    ]
    for queue_id in {queue_id for message in read_messages(path) for queue_id in message.queue_ids}:
        doc = trace(queue_id, path, tmp_path)
        steps = [step["line"] for message in doc["messages"] for step in message["steps"]]
        own = [line for line in lines if f" {queue_id}: " in line]
        assert own and sorted(line for line in steps if line in own) == sorted(own)
        ids = {queue_id for message in doc["messages"] for queue_id in message["queue_ids"]}
        for line in steps:
            begins = re.search(r": ([0-9A-F]{11}): ", line)
            assert begins is None or begins[1] in ids


# --- what is found ---


def several() -> Log:
    log = Log()
    log.mail(ONE, "+", sender="app@example.org", to="Friend@Example.NET")
    log.wait(60).mail(TWO, "no signing table match for 'news@lists.example.org'", sender="news@lists.example.org")
    return log.wait(60).mail(THREE, "+", sender="app@example.org", to="kim@example.com", message_id="Odd.ID")


@pytest.mark.parametrize(
    ("word", "found"),
    [
        (ONE, [ONE]),
        (ONE.lower(), [ONE]),
        ("<4f2a91c0302@app.example.org>", [TWO]),
        ("4f2a91c0302@app.example.org", [TWO]),
        ("4F2A91C0302@app.example.org", []),
        ("Odd.ID", [THREE]),
        ("odd.id", []),
        ("APP@example.org", [ONE, THREE]),
        ("<app@EXAMPLE.org>", [ONE, THREE]),
        ("friend@example.net", [ONE, TWO]),
        ("kim@example.com", [THREE]),
        ("kim@example.co", []),
        ("im@example.com", []),
        ("@example.org", [ONE, THREE]),
        ("@lists.example.org", [TWO]),
        ("@Example.com", [THREE]),
        ("@org", []),
        ("mx", []),
        (ONE[:-1], []),
    ],
)
def test_a_word_finds_messages_by_the_whole_of_it(word: str, found: list[str], tmp_path: Path) -> None:
    doc = trace(word, several(), tmp_path)
    assert queue_ids(doc) == [[queue_id] for queue_id in found]
    assert doc["matches"] == len(found)


@pytest.mark.parametrize("word", ["", "  ", "<>", "@", "< >"])
def test_a_word_that_is_nothing_is_refused(word: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="queue ID, a Message-ID or an address"):
        trace(word, several(), tmp_path)


def test_an_alias_is_found_by_the_address_that_was_written(tmp_path: Path) -> None:
    log = Log().mail(ONE, "+", end=False)
    log.boxed(ONE, "someone@example.net").delivery(
        ONE, "ann@example.org", "sent", "delivered to mailbox", relay="local", daemon="local", orig="root"
    )
    assert queue_ids(trace("root", log, tmp_path)) == [[ONE]]
    assert queue_ids(trace("ann@example.org", log, tmp_path)) == [[ONE]]


def test_a_recipient_beyond_those_that_a_leg_remembers_is_found(tmp_path: Path) -> None:
    log = Log().mail(ONE, "+", end=False)
    for number in range(290):
        log.sent(ONE, f"r{number}@example.net")
    assert queue_ids(trace("r280@example.net", log.removed(ONE), tmp_path)) == [[ONE]]


def test_what_strangers_write_is_no_address(tmp_path: Path) -> None:
    inside = "to=<victim@example.org>, relay=local, delay=1, delays=1/0/0/0, dsn=2.0.0, status=sent (ok)"
    log = Log().mail(ONE, "+", message_id=inside, end=False).sent(ONE, told=f"250 {ONE}: {inside}").removed(ONE)
    log.mail(TWO, f"no signing table match for '{inside}'")
    assert trace("victim@example.org", log, tmp_path)["matches"] == 0


def test_a_queue_id_that_came_back_is_two_messages(tmp_path: Path) -> None:
    log = Log().mail(ONE, "+").wait(30).mail(ONE, sender="other@example.org")
    first, second = trace(ONE, log, tmp_path)["messages"]
    assert (first["outcome"], second["outcome"]) == ("signed", "unsigned")
    assert len(first["steps"]) == 8 and len(second["steps"]) == 7


def test_of_many_messages_the_newest_are_shown_and_the_others_counted(tmp_path: Path) -> None:
    log = Log()
    for number in range(30):
        log.wait(10).mail(f"4F2A91C1{number:03}", "+")
    doc = trace("app@example.org", log, tmp_path, limit=4)
    assert doc["matches"] == 30
    assert queue_ids(doc) == [[f"4F2A91C1{number:03}"] for number in range(26, 30)]
    assert text(doc).split("\n")[0] == "app@example.org: 30 messages, the newest 4 here and 26 more (--limit, --since,"


def test_only_messages_of_the_window_are_found(tmp_path: Path) -> None:
    doc = trace("app@example.org", several(), tmp_path, since="2026-11-24 08:01:30", until="2026-11-24 09:00")
    assert queue_ids(doc) == [[THREE]]


def test_mail_that_never_was_one_is_found_and_not_judged(tmp_path: Path) -> None:
    log = Log().connect(STRANGER).client(ONE, STRANGER)
    log.smtpd(f"lost connection after DATA from {STRANGER}").disconnect(STRANGER)
    [message] = trace(ONE, log, tmp_path)["messages"]
    assert (message["outcome"], message["direction"], message["legs"][0]["end"]) == (None, None, "client-gone")
    assert len(message["steps"]) == 4
    assert "became no mail (client-gone)" in text(trace(ONE, log, tmp_path))


# --- what is told ---


def test_the_legs_of_a_chain_are_one_message(tmp_path: Path) -> None:
    path = DATA / "filter_signed_after.log"
    for word in (ONE, TWO, "ann@example.org", "4f2a91c0301@app.example.org"):
        [message] = trace(word, path, tmp_path)["messages"]
        assert [(leg["queue_id"], leg["parent"], leg["end"]) for leg in message["legs"]] == [
            (ONE, None, "removed"),
            (TWO, 0, "removed"),
        ]
        assert [step["leg"] for step in message["steps"]] == [0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1]


def test_a_forward_and_the_tries_of_a_local_mail_are_legs(tmp_path: Path) -> None:
    [forwarded] = trace("4F2A91C0303", DATA / "forwarded.log", tmp_path)["messages"]
    assert len(forwarded["legs"]) == 2 and forwarded["legs"][1]["origin"] == "cleanup"
    tries = trace(ONE, DATA / "pickup_again_same_message_id.log", tmp_path)["messages"][0]
    assert {leg["origin"] for leg in tries["legs"]} == {"pickup"}
    assert [leg["parent"] for leg in tries["legs"]] == [None, *range(len(tries["legs"]) - 1)]
    assert [leg["end"] for leg in tries["legs"]][:1] == ["refused"]


def test_gaps_are_from_step_to_step(tmp_path: Path) -> None:
    log = Log().connect().client(ONE, sasl="app").wait(2).named(ONE).added(ONE).queued(ONE).wait(300)
    [message] = trace(ONE, log.sent(ONE).removed(ONE), tmp_path)["messages"]
    assert [step["gap"] for step in message["steps"]] == [None, 0, 2, 0, 0, 300, 0]
    assert "  08:05:02  +5 min  postfix/smtp[301]" in text(trace(ONE, log, tmp_path))


def test_a_milters_failure_is_told_with_the_mails_that_it_hit(tmp_path: Path) -> None:
    warning = f"warning: connect to Milter service {OPENDKIM}: Connection refused"
    log = Log().mail(ONE, "+")
    log.wait(9).connect(pid=7).smtpd(warning, 7).client(TWO, sasl="app", pid=7).named(TWO).queued(TWO)
    log.sent(TWO).removed(TWO).client(THREE, sasl="app", pid=7).named(THREE).queued(THREE).disconnect(pid=7)
    for queue_id in (TWO, THREE):
        [message] = trace(queue_id, log, tmp_path)["messages"]
        assert told(message)[1] == warning and told(message).count(warning) == 1
        assert [fault["kind"] for fault in message["faults"]] == ["milter-unreachable"]
        assert message["faults"][0]["messages_hit"] == 2 and message["faults"][0]["fix"]
    assert warning not in told(trace(ONE, log, tmp_path)["messages"][0])
    assert trace(ONE, log, tmp_path)["messages"][0]["faults"] == []


def test_a_milter_lost_between_two_mails_is_told_of_the_second(tmp_path: Path) -> None:
    lost = f"warning: milter {OPENDKIM}: can't read SMFIC_MAIL reply packet header: Application error"
    log = Log().connect().client(ONE, sasl="app").named(ONE).added(ONE).queued(ONE).wait(5)
    log.smtpd(lost).client(TWO, sasl="app").named(TWO).queued(TWO).disconnect()
    assert lost not in told(trace(ONE, log, tmp_path)["messages"][0])
    second = told(trace(TWO, log, tmp_path)["messages"][0])
    assert second[:2] == ["connect from localhost[127.0.0.1]", lost]
    assert second[-1].startswith("disconnect")


def test_cleanups_warning_is_told_of_its_own_mail(tmp_path: Path) -> None:
    warning = f"warning: connect to Milter service {OPENDKIM}: Connection refused"
    log = Log().pickup(ONE).cleanup(warning).named(ONE).queued(ONE).wait(1)
    log.pickup(TWO).named(TWO).added(TWO).queued(TWO)
    assert told(trace(ONE, log, tmp_path)["messages"][0])[1] == warning
    assert warning not in told(trace(TWO, log, tmp_path)["messages"][0])


def test_a_keys_trouble_is_told_of_the_mail_that_it_stopped(tmp_path: Path) -> None:
    trouble = "can't load key from /etc/dkimkeys/k1.private: Permission denied"
    log = Log().connect().client(ONE, sasl="app").named(ONE).opendkim(trouble)
    log.opendkim(f"{ONE}: error loading key 'k1._domainkey.example.org'").refused(ONE, LATER).disconnect()
    log.wait(60).mail(TWO, "+")
    [message] = trace(ONE, log, tmp_path)["messages"]
    assert trouble in told(message)
    assert [fault["kind"] for fault in message["faults"]] == ["key-unreadable"]
    assert trouble not in told(trace(TWO, log, tmp_path)["messages"][0])


def test_a_stop_of_opendkim_is_told_of_mail_that_met_nobody(tmp_path: Path) -> None:
    log = Log().started().mail(ONE, "+").wait(60).stopped().wait(1200)
    log.connect().smtpd(f"warning: connect to Milter service {OPENDKIM}: Connection refused")
    log.client(TWO, sasl="app").named(TWO).queued(TWO).sent(TWO).removed(TWO).disconnect()
    kinds = [fault["kind"] for fault in trace(TWO, log, tmp_path)["messages"][0]["faults"]]
    assert kinds == ["milter-unreachable", "opendkim-stopped"]


def test_a_filter_before_the_queue_shows_the_clients_session(tmp_path: Path) -> None:
    path = DATA / "proxy_filter.log"
    found = [m for message in read_messages(path) for m in trace(message.queue_ids[0], path, tmp_path)["messages"]]
    assert any(any(line.startswith("proxy-accept: ") for line in told(message)) for message in found)


def test_an_opendkim_under_another_name_is_told_from_its_second_line_on(tmp_path: Path) -> None:
    log = Log().connect().client(ONE, sasl="app").named(ONE)
    log.say("dkim-filter", f"{ONE}: DKIM-Signature field added (s=k1, d=example.org)", 90)
    [message] = trace(ONE, log.queued(ONE).sent(ONE).removed(ONE), tmp_path)["messages"]
    assert f"{ONE}: DKIM-Signature field added (s=k1, d=example.org)" in told(message)


def test_unsigned_mail_comes_with_the_line_to_change(tmp_path: Path) -> None:
    [message] = trace(TWO, several(), tmp_path)["messages"]
    assert message["reason"] == "no-signing-table-match"
    # The key of the domain above it, as the log's signatures name it.
    assert message["fix"].startswith("SigningTable: `*@lists.example.org k1._domainkey.example.org`. ")
    assert message["meaning"].startswith("OpenDKIM trusts the client")


def test_what_smtp_says_before_a_delivery_is_told_of_that_mail(tmp_path: Path) -> None:
    talk = "connect to mail.example.net[203.0.113.25]:25: Connection refused"
    log = Log().mail(ONE, "+", end=False).mail(TWO, "+", end=False)
    log.say("smtp", talk, 301).say("smtp", "Trusted TLS connection established to x", 302)
    log.sent(ONE).removed(ONE).sent(TWO).removed(TWO)
    assert talk in told(trace(ONE, log, tmp_path)["messages"][0])
    assert talk not in told(trace(TWO, log, tmp_path)["messages"][0])


# --- hostile logs ---

LINES = sorted({line for path in LOGS for line in path.read_bytes().splitlines(keepends=True)})


@settings(max_examples=60)
@given(
    st.lists(st.one_of(st.sampled_from(LINES), st.binary(max_size=80).map(lambda raw: raw + b"\n")), max_size=60),
    st.sampled_from([ONE, "@example.org", "ann@example.org", "root", "4f2a91c0301@app.example.org", "\udcff@x"]),
)
def test_any_lines_in_any_order_give_a_trace_that_can_be_shown(lines: list[bytes], word: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        doc = trace(word, b"".join(lines), Path(folder))
    shown = text(doc)
    assert shown.isascii() and max(map(len, shown.split("\n"))) <= 80
    assert json.loads(as_json.report(doc)) == doc
    for message in doc["messages"]:
        assert all(0 <= step["leg"] < len(message["legs"]) for step in message["steps"])
        assert all(step["line"].encode()[:9] and step["program"] for step in message["steps"])


# --- bounds ---


def test_a_leg_with_very_many_lines_keeps_its_ends(tmp_path: Path) -> None:
    log = Log().mail(ONE, "+", end=False)
    for number in range(2_000):
        log.sent(ONE, f"r{number}@example.net")
    [message] = trace(ONE, log.removed(ONE), tmp_path)["messages"]
    assert len(message["steps"]) + message["steps_left_out"] == 6 + 2_000 + 1
    assert len(message["steps"]) <= gather.LINES
    assert told(message)[0].startswith("connect") and told(message)[-1] == f"{ONE}: removed"
    assert f"  {message['steps_left_out']:,} lines of the middle are left out" in text(trace(ONE, log, tmp_path))


def test_very_many_open_legs_keep_their_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gather, "TOTAL", 500)
    log = Log()
    for number in range(100):
        log.mail(f"4F2A91C1{number:03}", "+", end=False)
        for _ in range(10):
            log.delivery(f"4F2A91C1{number:03}", "a@example.net", "deferred", f"try {number}")
    for number in range(100):
        log.removed(f"4F2A91C1{number:03}")
    [message] = trace("4F2A91C1007", log, tmp_path)["messages"]
    assert message["steps_left_out"] > 0
    assert len(message["steps"]) + message["steps_left_out"] == 6 + 10 + 1
    assert told(message)[0].startswith("connect") and told(message)[-1].endswith("removed")


def test_lines_of_finished_mail_are_let_go() -> None:
    from logscan.model import SourceInfo, Window
    from logscan.run import Run

    gatherer = gather.Gatherer()
    run = Run(Window(), UTC)
    run.writers = gatherer.writers()
    finished = run.state.sink

    def sink(legs: list[Any]) -> None:
        gatherer.take(legs)
        finished(legs)

    run.state.sink = sink
    log = Log()
    for number in range(500):
        log.wait(10).mail(f"4F2A91C1{number:03}", "+")
    run.read(iter([log.syslog()]), NOW, SourceInfo("test"))
    assert len(gatherer._records) < 5
    assert gatherer._kept == sum(len(record.lines) for record in gatherer._records.values()) < 50


# --- the command ---


def test_the_command_shows_a_message_and_ends_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "maillog"
    path.write_bytes(several().syslog())
    assert main(["trace", TWO, str(path), "--timezone", "UTC"]) == 0
    out, err = capsys.readouterr()
    assert err == "" and f"mx {TWO}: unsigned, no-signing-table-match (outgoing," in out
    assert max(map(len, out.split("\n"))) <= 80 and out.isascii()


def test_json_is_the_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "maillog"
    path.write_bytes(several().syslog())
    assert main(["trace", "@example.org", str(path), "--timezone", "UTC", "--format", "json", "--limit", "1"]) == 0
    doc = json.loads(capsys.readouterr().out)
    assert list(doc) == ["schema", "query", "window", "input", "matches", "messages"]
    assert (doc["schema"], doc["matches"], len(doc["messages"])) == ("logscan.trace/1", 2, 1)
    assert list(doc["messages"][0]["steps"][0]) == ["at", "gap", "leg", "program", "pid", "text", "line"]


def test_what_is_no_log_is_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "key"
    path.write_bytes(bytes(range(256)) * 40)
    assert main(["trace", "ABCDEF12345", str(path)]) == 2
    said = f"logscan: {path}: not a log; none of its lines has a time stamp\n"
    assert capsys.readouterr() == ("", said)


def test_nothing_found_is_one_line_and_status_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "maillog"
    path.write_bytes(several().syslog())
    assert main(["trace", "ABCDEF12345", str(path), "--timezone", "UTC"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    found = f"logscan: ABCDEF12345: not found in {path}, 2026-11-24 08:00:00 to 08:02:00"
    assert err == f"{found}; with --since the rotated logs that reach back to it are read too\n"
    assert main(["trace", "ABCDEF12345", str(path), "--timezone", "UTC", "--since", "2026-11-24 07:30"]) == 1
    assert capsys.readouterr().err == f"{found}\n"
    assert main(["trace", "ABCDEF12345", str(path), "--format", "json"]) == 1
    assert json.loads(capsys.readouterr().out)["messages"] == []


def test_bad_input_is_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "maillog"
    path.write_bytes(several().syslog())
    assert main(["trace", ONE, str(tmp_path / "no")]) == 2
    assert main(["trace", "<>", str(path)]) == 2
    assert main(["trace", ONE, str(path), "--since", "yesteday"]) == 2
    assert main(["trace"]) == 2
    capsys.readouterr()
    # What could be read is shown all the same.
    assert main(["trace", ONE, str(path), str(tmp_path / "no")]) == 2
    assert ONE in capsys.readouterr().out


def test_standard_input_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stdin = types.SimpleNamespace(buffer=io.BytesIO(several().syslog()))
    monkeypatch.setattr("sys.stdin", stdin)
    assert main(["trace", "app@example.org", "-", "--timezone", "UTC"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("app@example.org: 2 messages\n") and out.index(ONE) < out.index(THREE)


def test_rotated_files_are_read_for_a_window(tmp_path: Path) -> None:
    lines = several().syslog().splitlines(keepends=True)
    (tmp_path / "maillog.1").write_bytes(b"".join(lines[:10]))
    (tmp_path / "maillog").write_bytes(b"".join(lines[10:]))
    assert queue_ids(trace(ONE, tmp_path / "maillog", tmp_path)) == []
    assert queue_ids(trace(ONE, tmp_path / "maillog", tmp_path, since="2026-11-24")) == [[ONE]]


@pytest.mark.parametrize("form", ["syslog", "rfc3339", "rfc5424", "journal"])
def test_every_form_of_log_gives_the_same_steps(form: str, tmp_path: Path) -> None:
    [message] = trace(TWO, getattr(several(), form)(), tmp_path)["messages"]
    [plain] = trace(TWO, several(), tmp_path)["messages"]
    assert told(message) == told(plain)
    assert [step["at"] for step in message["steps"]] == [step["at"] for step in plain["steps"]]


def test_a_bounce_is_named_as_one(capsys: pytest.CaptureFixture[str]) -> None:
    log = Path(__file__).parent.parent / "examples" / "maillog"
    assert main(["trace", "CBFC420C1B4", str(log)]) == 0
    assert "CBFC420C1B4: unchecked (bounce, sent)\n" in capsys.readouterr().out
