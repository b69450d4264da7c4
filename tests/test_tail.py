"""What `tail` tells, and when: the engine on a log that grows, with a clock that the tests move."""

from __future__ import annotations

import io
import sys
from collections import Counter
from collections.abc import Iterable
from datetime import UTC
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

sys.path.insert(0, str(Path(__file__).parent / "bench"))

import generate
from builder import NOW, OPENDKIM, OUTSIDE, START, Log, judge

from logscan import live as live_module
from logscan.correlate.state import GRACE
from logscan.live import Live
from logscan.model import Message
from logscan.news import FaultNews, MessageNews, News
from logscan.render.tail import Text

SITUATIONS = sorted((Path(__file__).parent / "data" / "situations").glob("*.log"))
Told = tuple[str, str, str | None, str]
Words = tuple[str, str, str | None]


class Watch:
    """A log that grows and what is told of it. `time` is the clock of both."""

    def __init__(self, hold: int = 30, history: bytes = b"", show: int = 10) -> None:
        self.time = 1000.0
        self.live = Live(UTC, hold=hold, clock=lambda: self.time, wall=lambda: NOW + self.time - 1000)
        self.log = Log()
        self.fed = 0
        self.live.history([history] if history else [], show)
        self.history = list(self.live.news())
        self.live.start()
        self.news: list[News] = []

    def feed(self, *, half: bool = False) -> list[News]:
        """The log's new lines. Returns what is told at once."""
        lines = Log(lines=self.log.lines[self.fed :]).syslog()
        self.fed = len(self.log.lines)
        if lines:
            self.live.block(lines)
        return self.look(half=half)

    def look(self, *, half: bool = False) -> list[News]:
        self.live.look(half=half)
        told = list(self.live.news())
        self.news += told
        return told

    def wait(self, seconds: int, *, half: bool = False) -> list[News]:
        """Time passes; a look at each second, as the loop takes it."""
        told: list[News] = []
        for _ in range(seconds):
            self.time += 1
            self.log.at += 1
            told += self.look(half=half)
        return told


def messages(news: Iterable[News]) -> list[Told]:
    return [
        (one.message.queue_ids[0], one.message.outcome, one.message.reason, one.message.effect)
        for one in news
        if isinstance(one, MessageNews)
    ]


def faults(news: Iterable[News]) -> list[tuple[str, str]]:
    return [(one.phase, one.fault.kind) for one in news if isinstance(one, FaultNews)]


def changes(news: Iterable[News]) -> list[tuple[str, str | None]]:
    """(what it is, what it was) of the news about messages."""
    return [
        (one.message.outcome, None if one.was is None else one.was[1])
        for one in news
        if isinstance(one, MessageNews)
    ]


@pytest.fixture
def watch() -> Watch:
    return Watch()


# --- when a message is told -------------------------------------------------------------------------------------------


def test_a_message_is_told_once_when_its_grace_is_over_though_nothing_more_is_logged(watch: Watch) -> None:
    watch.log.mail("A00001", "+")
    assert watch.feed() == []
    assert messages(watch.wait(GRACE - 1)) == []
    assert messages(watch.wait(1)) == [("A00001", "signed", None, "sent")]
    assert watch.wait(60) == []


def test_nothing_is_settled_while_the_end_of_a_line_is_to_come(watch: Watch) -> None:
    watch.log.mail("A00001", "+")
    watch.feed(half=True)
    assert watch.wait(60, half=True) == []
    assert messages(watch.look()) == [("A00001", "signed", None, "sent")]


def test_mail_that_stays_in_the_queue_is_told_after_hold_and_never_again(watch: Watch) -> None:
    watch.log.mail("A00001", "+", end=False).delivery("A00001", "friend@example.net", "deferred", "busy")
    watch.feed()
    assert watch.wait(29) == []
    assert messages(watch.wait(1)) == [("A00001", "signed", None, "deferred")]
    watch.wait(300)
    watch.log.sent("A00001").removed("A00001")
    watch.feed()
    assert watch.wait(600) == []
    assert messages(watch.news) == [("A00001", "signed", None, "deferred")]


def test_hold_is_counted_by_the_log_too_while_lines_pour_in() -> None:
    watch = Watch(hold=10)
    watch.log.mail("A00001", "+", end=False)
    watch.log.wait(20).mail("A00002", "+")
    assert messages(watch.feed()) == [("A00001", "signed", None, "in-transit")]


def test_a_session_that_takes_its_time_is_told_once_it_is_mail(watch: Watch) -> None:
    watch.log.connect().client("A00001").named("A00001")
    watch.feed()
    assert watch.wait(100) == []
    watch.log.added("A00001").queued("A00001")
    assert messages(watch.feed()) == [("A00001", "signed", None, "in-transit")]


def test_unsigned_mail_before_a_filter_is_never_told_as_unsigned(watch: Watch) -> None:
    watch.log.mail("A00000", "+")
    watch.log.mail("A00001", end=False).delivery(
        "A00001", "friend@example.net", "deferred", "filter is down", relay="none"
    )
    watch.feed()
    assert messages(watch.wait(30))[1:] == [("A00001", "undecided", "in-transit", "deferred")]
    watch.log.mail("B00001", "+", end=False, pid=300)
    watch.log.sent("A00001", told="250 2.0.0 Ok: queued as B00001", relay="127.0.0.1[127.0.0.1]:10024")
    watch.log.removed("A00001").sent("B00001").removed("B00001")
    watch.feed()
    assert changes(watch.wait(10)) == [("signed", "undecided")]
    assert watch.live.session == {("outbound", "signed", None): 2, ("outbound", "undecided", "in-transit"): 0}


def test_unsigned_mail_that_waits_for_a_server_outside_is_unsigned(watch: Watch) -> None:
    watch.log.mail("A00000", "+")
    watch.log.mail("A00001", "no signing table match for 'app@example.org'", end=False)
    watch.log.delivery("A00001", "friend@example.net", "deferred", "try later", relay=OUTSIDE + ":25")
    watch.feed()
    assert messages(watch.wait(30))[1:] == [("A00001", "unsigned", "no-signing-table-match", "deferred")]


def test_what_was_in_transit_is_decided_by_the_first_try_outside(watch: Watch) -> None:
    watch.log.mail("A00000", "+")
    watch.log.mail("A00001", "no signing table match for 'app@example.org'", end=False)
    watch.feed()
    assert messages(watch.wait(30))[1:] == [("A00001", "undecided", "in-transit", "in-transit")]
    watch.log.delivery("A00001", "friend@example.net", "deferred", "try later", relay=OUTSIDE + ":25")
    assert changes(watch.feed()) == [("unsigned", "undecided")]
    watch.log.sent("A00001").removed("A00001")
    watch.feed()
    assert watch.wait(10) == []


def test_local_mail_that_a_milter_refuses_is_told_and_its_later_success_as_a_change(watch: Watch) -> None:
    for qid in ("A00001", "A00002"):
        watch.log.pickup(qid).named(qid, "cron.1@mx.example.org")
        watch.log.opendkim(f"{qid}: error loading key 'k1'").refused(qid, sender="root@example.org")
        watch.feed()
        watch.wait(60)
    assert messages(watch.news) == [("A00001", "milter-error", "key", "deferred")]
    watch.log.pickup("A00003").named("A00003", "cron.1@mx.example.org").added("A00003")
    watch.log.queued("A00003", "root@example.org").sent("A00003").removed("A00003")
    watch.feed()
    assert changes(watch.wait(10)) == [("signed", "milter-error")]


# --- what is known when -------------------------------------------------------------------------------------------------


def test_silence_is_undecided_until_a_signature_is_seen_and_then_told_as_a_change(watch: Watch) -> None:
    watch.log.started()
    watch.log.mail("A00001", sasl="ann")
    watch.feed()
    assert messages(watch.wait(6)) == [("A00001", "undecided", "success-not-logged", "sent")]
    watch.log.mail("A00002", "+")
    told = watch.feed() + watch.wait(6)
    assert [(one.message.queue_ids[0], *change) for one, change in zip(told, changes(told), strict=True)
            if isinstance(one, MessageNews)] == [("A00001", "unsigned", "undecided"), ("A00002", "signed", None)]  # fmt: skip
    assert watch.wait(4000) == []


def test_what_was_told_is_looked_at_again_for_an_hour_only(watch: Watch) -> None:
    watch.log.started().mail("A00001", sasl="ann")
    watch.feed()
    watch.wait(3700)
    watch.log.mail("A00002", "+")
    watch.feed()
    assert messages(watch.wait(6)) == [("A00002", "signed", None, "sent")]


def test_signatures_that_are_not_logged_are_a_fault_until_they_are(watch: Watch) -> None:
    watch.log.started()
    for number in range(7):
        watch.log.mail(f"A0000{number}", sasl="ann")
    watch.feed()
    told = watch.wait(6)
    assert faults(told) == [("begin", "not-logging")]
    assert [one.fault.fix for one in told if isinstance(one, FaultNews)] != [""]
    watch.log.mail("A00009", "+")
    assert ("end", "not-logging") in faults(watch.feed())


def test_history_teaches_what_silence_means() -> None:
    watch = Watch(history=Log().mail("A00001", "+").wait(60).mail("A00002", "+").syslog())
    watch.log.wait(120).mail("A00003", sasl="ann")
    watch.feed()
    assert messages(watch.wait(6))[-1] == ("A00003", "unsigned", "silent", "sent")


# --- history ------------------------------------------------------------------------------------------------------------


def past(count: int) -> Log:
    log = Log(at=START - 10_000)
    for number in range(count):
        log.mail(f"A{number:05}", "+").wait(60)
    return log


def test_the_last_n_are_shown_from_history_and_are_not_counted() -> None:
    history = past(50).syslog()
    watch = Watch(history=history, show=10)
    # The last one is at its end a minute before the log's, the fiftieth one too: all graces but its own are over.
    assert [qid for qid, *_ in messages(watch.history)] == [f"A{number:05}" for number in range(39, 49)]
    assert sum(watch.live.session.values()) == 0
    assert messages(watch.look()) == []
    assert [qid for qid, *_ in messages(watch.wait(6))] == ["A00049"]
    assert messages(Watch(history=history, show=0).history) == []
    assert len(messages(Watch(history=history, show=500).history)) == 49


def test_the_last_n_are_those_of_the_outcomes_that_are_asked_for() -> None:
    log = Log(at=START - 10_000)
    for number in range(30):
        log.mail(f"A{number:05}", *(["+"] if number % 10 else ["no signing table match for 'a@example.org'"])).wait(60)
    live = Live(UTC, hold=30, clock=lambda: 0.0, wall=lambda: NOW)
    live.history([log.syslog()], 2, only=("unsigned", "fail"))
    assert [qid for qid, *_ in messages(live.news())] == ["A00010", "A00020"]


def test_a_fault_that_goes_on_is_shown_however_old_it_is() -> None:
    log = past(1)
    log.smtpd(f"warning: connect to Milter service {OPENDKIM}: Connection refused")
    for number in range(20):
        log.wait(60).mail(f"B{number:05}", "+")
    still = Log(at=START - 10_000).smtpd(f"warning: connect to Milter service {OPENDKIM}: Connection refused")
    for number in range(20):
        still.wait(60).mail(f"B{number:05}", pid=700)
    assert faults(Watch(history=log.syslog(), show=3).history) == []
    assert faults(Watch(history=still.syslog(), show=3).history) == [("begin", "milter-unreachable")]
    assert faults(Watch(history=still.syslog(), show=0).history) == [("begin", "milter-unreachable")]
    assert faults(Watch(history=still.syslog(), show=500).history) == [("begin", "milter-unreachable")]


def test_mail_that_began_before_what_is_read_is_not_told(watch: Watch) -> None:
    watch.log.queued("A00001").sent("A00001").removed("A00001")
    watch.log.mail("A00002", "+")
    watch.feed()
    assert messages(watch.wait(10)) == [("A00002", "signed", None, "sent")]


def test_deferred_mail_of_history_takes_its_place_among_the_last_n() -> None:
    log = Log(at=START - 10_000)
    for number in range(20):
        log.mail(f"D{number:05}", "+", end=False).delivery(f"D{number:05}", "a@example.net", "deferred", "busy")
    log.wait(3600)
    for number in range(5):
        log.mail(f"A{number:05}", "+").wait(60)
    watch = Watch(history=log.syslog(), show=6)
    shown = [qid for qid, *_ in messages(watch.history)]
    assert shown == ["D00018", "D00019", "A00000", "A00001", "A00002", "A00003"]
    assert messages(watch.look()) == []


# --- faults -------------------------------------------------------------------------------------------------------------


def refused_connection(log: Log, qid: str, pid: int) -> Log:
    log.connect(pid=pid).smtpd(f"warning: connect to Milter service {OPENDKIM}: Connection refused", pid)
    return log.client(qid, pid=pid).named(qid, pid=pid + 100).queued(qid).sent(qid).removed(qid).disconnect(pid=pid)


def test_an_outage_is_told_when_it_begins_and_when_it_is_over_with_what_it_did(watch: Watch) -> None:
    refused_connection(watch.log, "A00001", 301)
    assert faults(watch.feed()) == [("begin", "milter-unreachable")]
    for number in range(2, 5):
        watch.wait(10)
        refused_connection(watch.log, f"A0000{number}", 300 + number)
        assert faults(watch.feed()) == []
    assert watch.live.standing().milter == "unreachable"
    watch.wait(30)
    watch.log.mail("B00001", "+", pid=310)
    told = watch.feed()
    assert faults(told) == [("end", "milter-unreachable")]
    (over,) = [one for one in told if isinstance(one, FaultNews)]
    assert (over.fault.messages_hit, over.fault.count, over.fault.ongoing) == (4, 4, False)
    assert over.at - over.fault.first == 60
    assert watch.live.standing().milter == ""
    # And once more: counts of its own.
    watch.wait(600)
    refused_connection(watch.log, "A00009", 309)
    (again,) = [one for one in watch.feed() if isinstance(one, FaultNews)]
    assert (again.phase, again.fault.count, again.fault.messages_hit) == ("begin", 1, 0)
    assert again.fault.first == watch.log.at


def test_an_outage_that_is_over_before_it_is_looked_at_has_both_ends(watch: Watch) -> None:
    for number in range(2):
        refused_connection(watch.log, f"A0000{number}", 301 + number)
        watch.log.wait(20).mail(f"B0000{number}", "+", pid=310 + number).wait(20)
        told = [one for one in watch.feed() if isinstance(one, FaultNews)]
        assert faults(told) == [("begin", "milter-unreachable"), ("end", "milter-unreachable")]
        assert [one.fault.ongoing for one in told] == [True, False]
        assert told[1].at - told[0].at == (20 if number == 0 else 0)  # only the first one's beginning is kept


def test_a_fault_that_comes_again_and_again_is_told_every_five_minutes(watch: Watch) -> None:
    for _ in range(100):
        watch.log.opendkim("k1: key data is not secure: /etc/dkimkeys/k1 can be read or written by other users")
        watch.feed()
        watch.wait(6)
    told = [one for one in watch.news if isinstance(one, FaultNews)]
    assert [one.phase for one in told] == ["begin", "again", "again"]
    assert all(later.at - earlier.at >= 290 for earlier, later in pairwise(told))
    assert told[1].fault.count > 40


def test_a_stop_and_a_start_of_opendkim(watch: Watch) -> None:
    watch.log.started().mail("A00001", "+")
    watch.feed()
    watch.wait(60)
    watch.log.stopped()
    assert faults(watch.feed()) == [("begin", "opendkim-stopped")]
    assert watch.live.standing().milter == "stopped"
    watch.wait(60)
    watch.log.started(pid=91)
    told = watch.feed()
    assert sorted(faults(told)) == [("again", "opendkim-started"), ("end", "opendkim-stopped")]
    (over,) = [one for one in told if isinstance(one, FaultNews) and one.phase == "end"]
    assert over.at - over.fault.first == 60


# --- lost lines ---------------------------------------------------------------------------------------------------------


def test_mail_whose_lines_may_be_lost_is_undecided_and_the_loss_is_told(watch: Watch) -> None:
    watch.log.mail("A00000", "+")
    watch.log.connect(pid=300).client("A00001", pid=300, sasl="ann").named("A00001", pid=400)
    watch.feed()
    watch.wait(10)
    # OpenDKIM's line, and all of A00002 up to its delivery, were in the file when it was cut.
    watch.live.lost("maillog")
    told = watch.look()
    assert faults(told) == [("begin", "log-gap")]
    (gap,) = [one for one in told if isinstance(one, FaultNews)]
    assert gap.fault.subject == "maillog" and "truncated" in gap.fault.meaning and "copytruncate" in gap.fault.fix
    watch.log.queued("A00001").sent("A00001").removed("A00001")
    watch.log.wait(60).sent("A00002").removed("A00002")
    watch.log.mail("A00003", "no signing table match for 'app@example.org'")
    watch.log.mail("A00004", sasl="ann")
    watch.feed()
    watch.wait(10)
    assert messages(watch.news)[1:] == [
        ("A00001", "undecided", "log-gap", "sent"),
        ("A00002", "undecided", "log-gap", "sent"),
        ("A00003", "unsigned", "no-signing-table-match", "sent"),
        ("A00004", "unsigned", "silent", "sent"),
    ]


def test_the_gap_reaches_to_the_first_line_after_it(watch: Watch) -> None:
    """The follower was behind: what was lost had stamps that it never saw."""
    watch.log.mail("A00000", "+").connect(pid=300)
    watch.feed()
    watch.live.lost("maillog")
    watch.log.wait(300).client("A00001", pid=300, sasl="ann").queued("A00001").sent("A00001").removed("A00001")
    watch.feed()
    watch.wait(10)
    assert messages(watch.news)[-1] == ("A00001", "undecided", "log-gap", "sent")


def test_a_gap_that_ends_earlier_than_was_thought_makes_no_older_mail_ours(watch: Watch) -> None:
    watch.log.mail("A00000", "+")
    watch.log.delivery("A00009", "friend@example.net", "deferred", "busy")  # it began before we did
    watch.log.wait(1).connect(pid=300)
    watch.feed()
    watch.time += 100  # the follower was stopped
    watch.live.lost("maillog")
    watch.log.wait(40).connect(pid=301)
    watch.feed()
    watch.log.wait(3).sent("A00009").removed("A00009")
    watch.feed()
    watch.wait(30)
    assert [one[0] for one in messages(watch.news)] == ["A00000"]


def test_mail_between_two_losses_is_told_too(watch: Watch) -> None:
    watch.log.mail("A00000", "+")
    watch.feed()
    watch.live.lost("maillog")
    watch.log.wait(1).queued("A00001").sent("A00001").removed("A00001")
    watch.log.wait(1).connect(pid=300)
    watch.feed()
    watch.live.lost("maillog")
    watch.log.wait(1).connect(pid=301)
    watch.feed()
    watch.wait(10)
    assert messages(watch.news)[-1] == ("A00001", "undecided", "log-gap", "sent")
    assert faults(watch.news) == [("begin", "log-gap")] * 2


# --- equal to the report ------------------------------------------------------------------------------------------------


def final(news: Iterable[News]) -> dict[tuple[str, ...], list[Words]]:
    """The last words on messages, by their first queue ID and instant."""
    found: dict[tuple[str, ...], list[Words]] = {}
    for one in news:
        if isinstance(one, MessageNews):
            message = one.message
            if one.was is not None:
                found[named(message)].remove(one.was)
            found.setdefault(named(message), []).append(words(message))
    return {ids: sorted(every, key=str) for ids, every in found.items() if every}


def named(message: Message) -> tuple[str, ...]:
    return (message.host, *message.queue_ids[:1], str(message.first))


def words(message: Message) -> Words:
    return message.direction, message.outcome, message.reason


@pytest.mark.parametrize("path", SITUATIONS, ids=lambda path: path.stem)
@pytest.mark.parametrize("hold", [0, 30, 10**9])
def test_what_was_told_in_the_end_is_what_a_report_says(path: Path, hold: int) -> None:
    """Line by line, as slowly as it was logged, from an empty memory."""
    data = path.read_bytes()
    report = judge(data)
    watch = Watch(hold=hold)
    watch.live.whole = True
    before = None
    for line in data.splitlines(keepends=True):
        watch.live.block(line)
        now = watch.live.state.now
        if before is not None and before < now < before + 100_000:
            watch.time += now - before
            watch.live._read_at = watch.time
        before = now
        watch.look()
    watch.live.end()
    watch.look()
    told = final(watch.news)
    wanted: dict[tuple[str, ...], list[Words]] = {}
    for one in report.messages:
        wanted.setdefault(named(one), []).append(words(one))
    assert told == {ids: sorted(every, key=str) for ids, every in wanted.items()}
    for news in watch.news:
        if isinstance(news, MessageNews) and news.message.outcome == "unsigned":
            assert any(outcome != "signed" for _, outcome, _ in wanted[named(news.message)]), "a false unsigned"


@pytest.mark.parametrize("seed", range(4))
def test_a_busy_days_counts_are_those_of_the_report_however_its_lines_come(seed: int) -> None:
    output = io.BytesIO()
    generate.generate(output, lines=12_000, seed=seed, per_day=100_000)
    data = output.getvalue()
    random = Random(seed)
    watch = Watch(hold=random.choice((0, 30, 300)))
    watch.live.whole = True
    start = 0
    while start < len(data):
        end = data.find(b"\n", start + random.choice((0, 100, 2_000, 50_000))) + 1 or len(data)
        watch.live.block(data[start:end])
        watch.look(half=random.random() < 0.1)
        start = end
    watch.live.end()
    watch.news += watch.live.news()
    report = judge(data).messages
    assert watch.live.session == Counter((one.direction, one.outcome, one.reason) for one in report)
    once = Counter(named(one.message) for one in watch.news if isinstance(one, MessageNews) and one.was is None)
    assert once == Counter(named(one) for one in report)


def test_the_readme_shows_what_a_terminal_shows() -> None:
    """The faults and the first message of the sample log's outage."""
    root = Path(__file__).parent.parent
    watch, out, width = Watch(), io.StringIO(), 80
    shown = Text(out, UTC, lambda text: None, terminal=True, width=lambda: width)
    for line in (root / "examples" / "maillog").read_bytes().splitlines(keepends=True):
        watch.live.block(line)
        told = watch.look()
        if b"Nov 23 11:02" <= line[:12] <= b"Nov 23 11:15":
            shown.news(told)
    screen = out.getvalue().splitlines()
    text = (root / "README.md").read_text()
    begin = text.index("    11:02:35 warning")
    block = text[begin : text.index("\n\n", begin)].splitlines()
    at = screen.index(block[0][4:])
    assert [line[4:] for line in block] == screen[at : at + len(block)]


# --- for weeks ----------------------------------------------------------------------------------------------------------


def test_the_year_goes_on_over_new_year() -> None:
    watch = Watch()
    for day in range(54):
        watch.log = Log(at=NOW + day * 86400)
        watch.fed = 0
        watch.log.mail(f"A{day:05}", "+")
        watch.feed()
        watch.wait(10)
        watch.time += 86400 - 10
    times = [one.message.first for one in watch.news if isinstance(one, MessageNews)]
    assert times == [NOW + day * 86400 for day in range(54)]
    assert times[-1] > 1798761600, "2027-01-01T00:00:00Z"


def test_a_machine_that_slept_for_months_dates_its_first_line_right() -> None:
    """The clock that only goes forward may stand still meanwhile."""
    wall = float(NOW)
    live = Live(UTC, hold=30, clock=lambda: 0.0, wall=lambda: wall)
    live.block(Log(at=NOW).mail("A00001", "+").syslog())
    wall += 60 * 86400
    live.block(Log(at=NOW + 60 * 86400).mail("A00002", "+").syslog())
    live.end()
    assert [one.message.first for one in live.news() if isinstance(one, MessageNews)] == [NOW, NOW + 60 * 86400]


def test_nothing_that_is_kept_grows_with_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_module, "SPANS", 4)
    monkeypatch.setattr(live_module, "UNSURE_FOR", 60)
    watch = Watch()

    def round_(number: int) -> None:
        watch.log = Log(at=watch.log.at)
        watch.fed = 0
        if number % 10 == 0:
            watch.log.stopped().started()
        watch.log.mail(f"A{number:05}", "+", pid=1000 + number)
        watch.log.mail(f"B{number:05}", sasl="ann", pid=1000 + number)
        watch.log.mail(f"D{number:05}", "+", end=False).delivery(f"D{number:05}", "a@example.net", "deferred", "busy")
        watch.feed()
        watch.wait(40)
        watch.log.sent(f"D{number:05}").removed(f"D{number:05}")
        watch.feed()
        watch.time += 500
        watch.log.at += 500
        watch.news.clear()

    def kept() -> dict[str, int]:
        live = watch.live
        space = live.state.spaces[0]
        return {
            "spans": len({id(span) for span in live.state.runs}) // 8,
            "legs": len(space.legs) + len(space.closed) + len(space.retries) + len(space.retry_ids),
            "reported": len(live._reported) + len(live._waiting),
            "unsure": len(live._unsure),
            "items": len(live._items),
            "minute": len(live._minute),
            "faults": len(live.state.faults) + len(live._told),
            "session": len(live.session),
        }

    for number in range(60):
        round_(number)
    early = kept()
    for number in range(60, 240):
        round_(number)
    assert kept() == early


def test_spans_that_are_over_give_the_answers_they_gave() -> None:
    watch = Watch()
    for number in range(300):
        watch.log.started()
        if number % 3 == 0:
            watch.log.mail(f"A{number:05}", "+")
    watch.feed()
    answers = [(span.success, span.seen, span.down) for span in watch.live.state.runs]
    watch.time += live_module.SWEEP_EVERY
    watch.look()
    runs = watch.live.state.runs
    assert [(span.success, span.seen, span.down) for span in runs] == answers
    assert len({id(span) for span in runs}) < live_module.SPANS + 10


def test_verdicts_in_transit_are_remembered_up_to_a_bound(watch: Watch) -> None:
    watch.live.remembered = 3
    for number in range(6):
        watch.log.mail(f"D{number:05}", "+", end=False)
    watch.feed()
    watch.wait(40)
    assert len(watch.live._reported) == 6
    watch.time += live_module.SWEEP_EVERY
    watch.look()
    assert len(watch.live._reported) == 3


# --- how things stand -----------------------------------------------------------------------------------------------------


def test_the_session_and_the_last_minute(watch: Watch) -> None:
    watch.log.mail("A00001", "+").mail("A00002", "no signing table match for 'app@example.org'")
    watch.feed()
    watch.wait(6)
    standing = watch.live.standing()
    assert standing.minute == {"signed": 1, "unsigned": 1}
    assert (standing.count("outbound"), standing.fraction, standing.milter) == (2, 0.5, "")
    watch.wait(60)
    assert watch.live.standing().minute == {}
    assert watch.live.standing().count("outbound", "signed") == 1
    assert watch.live.standing().seconds == 66


def test_the_fraction_is_unknown_where_signatures_are_not_logged(watch: Watch) -> None:
    assert watch.live.standing().fraction is None and watch.live.standing().milter is None
    watch.log.started().mail("A00001", sasl="ann").mail("A00002", "no signing table match for 'app@example.org'")
    watch.feed()
    watch.wait(6)
    assert watch.live.standing().fraction is None


def test_mail_in_transit_is_counted_without_what_was_told(watch: Watch) -> None:
    watch.log.mail("A00001", "+", end=False)
    watch.feed()
    assert watch.live.in_transit() == 1
    watch.wait(40)
    assert watch.live.in_transit() == 0
    watch.log.mail("A00002", "+", end=False).mail("A00003", "+").queued("A00009")
    watch.feed()
    assert watch.live.in_transit() == 2


def test_the_end_of_a_stream_tells_the_rest_as_a_report_would(watch: Watch) -> None:
    watch.log.mail("A00001", "+").mail("A00002", "+", end=False)
    watch.feed()
    watch.live.end()
    told = messages(watch.live.news())
    assert told == [("A00001", "signed", None, "sent"), ("A00002", "signed", None, "in-transit")]


def test_other_milters_are_told_from_opendkim_by_its_configuration() -> None:
    watch = Watch()
    watch.live._is_ours = lambda endpoint: endpoint == OPENDKIM
    refused_connection(watch.log.mail("A00001", "+"), "A00002", 303)
    watch.feed()
    assert watch.live.state.foreign_endpoints == set()
    watch.log.smtpd("warning: connect to Milter service inet:127.0.0.1:11332: Connection refused")
    watch.feed()
    assert watch.live.state.foreign_endpoints == {b"inet:127.0.0.1:11332"}

