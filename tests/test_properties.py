"""What holds for every log: however it is cut into blocks, mixed with other mail, damaged or made to hurt."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC
from pathlib import Path

import pytest
from builder import HERE, LATER, NOW, OPENDKIM, START, STRANGER, Judged, Log, judge
from hypothesis import given, settings
from hypothesis import strategies as st

from logscan.correlate.state import (
    HOST_CAP,
    INSTANCE_CAP,
    LEG_CAP,
    NAME_CAP,
    OUTAGE_CAP,
    RUNS_APART,
    WORD_CAP,
)
from logscan.model import INBOUND_OUTCOMES, OUTBOUND_OUTCOMES, Message, SourceInfo, Window
from logscan.parse.stamps import Clock
from logscan.run import Run
from logscan.sources.blocks import read_blocks
from logscan.tally import Tally

DATA = Path(__file__).parent / "data"
SITUATIONS = sorted((DATA / "situations").glob("*.log"))
LOGS = [path.read_bytes() for path in SITUATIONS]
LINES = sorted({line for log in LOGS for line in log.splitlines(keepends=True) if line.endswith(b"\n")})

# --- mails that know nothing of each other ------------------------------------------------------------------------


def signed(log: Log, n: int) -> None:
    log.mail(f"4F2A91C0{n}0", "+", pid=100 + n, client=STRANGER, sasl="ann")


def silent(log: Log, n: int) -> None:
    log.mail(f"4F2A91C0{n}0", pid=100 + n)


def not_in_table(log: Log, n: int) -> None:
    log.mail(f"4F2A91C0{n}0", "no signing table match for 'x@example.net'", pid=100 + n)


def incoming(log: Log, n: int) -> None:
    log.mail(
        f"4F2A91C0{n}0", "DKIM verification successful", pid=100 + n, client=STRANGER, sender="a@example.net",
        to="boss@example.org", local=True,
    )  # fmt: skip


def down(log: Log, n: int) -> None:
    a, b, pid = f"4F2A91C0{n}0", f"4F2A91C0{n}1", 100 + n
    log.connect(pid=pid).smtpd(f"warning: connect to Milter service {OPENDKIM}: Connection refused", pid)
    for qid in (a, b):
        log.client(qid, pid=pid).named(qid, pid=200 + n).queued(qid).sent(qid).removed(qid)
    log.disconnect(pid=pid)


def told_to_come_back(log: Log, n: int) -> None:
    pid, tail = 100 + n, "from=<ann@example.org> proto=ESMTP helo=<x> sasl_username=<ann>"
    log.connect(STRANGER, pid).smtpd(
        f"warning: connect to Milter service {OPENDKIM}: Connection refused", pid
    )
    log.smtpd(f"NOQUEUE: milter-reject: MAIL from {STRANGER}: 451 {LATER}; {tail}", pid).disconnect(
        STRANGER, pid
    )


def lost_in_cleanup(log: Log, n: int) -> None:
    a, b, pid, failed = f"4F2A91C0{n}0", f"4F2A91C0{n}1", 100 + n, f"warning: milter {OPENDKIM}: can't read"
    log.connect(pid=pid).client(a, pid=pid).named(a, pid=200 + n)
    log.cleanup(f"{failed} SMFIC_BODYEOB reply packet header: Application error", 200 + n)
    log.queued(a).sent(a).removed(a)
    log.smtpd(f"{failed} SMFIC_MAIL reply packet header: Broken pipe", pid).client(b, pid=pid)
    log.named(b, pid=200 + n).queued(b).disconnect(pid=pid).sent(b).removed(b)


def key(log: Log, n: int) -> None:
    a, pid = f"4F2A91C0{n}0", 100 + n
    log.connect(pid=pid).client(a, pid=pid).named(a, pid=200 + n)
    log.opendkim(f"can't load key from /etc/dkimkeys/k{n}.private: No such file or directory")
    log.opendkim(f"{a}: error loading key 'k{n}'").refused(a, pid=200 + n).disconnect(pid=pid)


def filtered(log: Log, n: int) -> None:
    a, b, pid = f"4F2A91C0{n}0", f"4F2A91C0{n}1", 100 + n
    log.connect(pid=pid).client(a, pid=pid, sasl="ann").named(a, "x@y", 200 + n).queued(a).disconnect(pid=pid)
    log.client(b, pid=120 + n).named(b, "x@y", 220 + n).added(b).queued(b)
    log.sent(a, told=f"250 2.0.0 Ok: queued as {b}", relay="127.0.0.1[127.0.0.1]:10024").removed(a)
    log.sent(b).removed(b)


def bounced(log: Log, n: int) -> None:
    a, b = f"4F2A91C0{n}0", f"4F2A91C0{n}1"
    log.mail(a, "+", pid=100 + n, end=False).delivery(a, "friend@example.net", "bounced", "550 no")
    log.named(b, f"20261124080000.{b}@mx", 200 + n).say(
        "bounce", f"{a}: sender non-delivery notification: {b}"
    )
    log.queued(b, "").removed(a).boxed(b, "app@example.org").removed(b)


def vanished(log: Log, n: int) -> None:
    a, pid = f"4F2A91C0{n}0", 100 + n
    log.connect(STRANGER, pid).client(a, STRANGER, pid=pid).named(a, pid=200 + n)
    log.smtpd(f"lost connection after DATA (175 bytes) from {STRANGER}", pid).disconnect(STRANGER, pid)


def tried_again(log: Log, n: int) -> None:
    a, b, sender = f"4F2A91C0{n}0", f"4F2A91C0{n}1", f"user{n}@example.org"
    log.pickup(a, sender, n).named(a, f"m{n}@y", 200 + n).opendkim(f"{a}: error loading key 'k{n}'")
    log.cleanup(
        f"{a}: milter-reject: END-OF-MESSAGE from {HERE}: {LATER}; from=<{sender}> to=<z@example.net>",
        200 + n,
    )
    log.pickup(b, sender, n).named(b, f"m{n}@y", 200 + n).added(b).queued(b, sender).sent(b).removed(b)


KINDS: list[Callable[[Log, int], None]] = [
    signed, silent, not_in_table, incoming, down, told_to_come_back, lost_in_cleanup, key, filtered, bounced,
    vanished, tried_again,
]  # fmt: skip


def fragment(kind: Callable[[Log, int], None], n: int) -> Log:
    """The lines of one mail, or of one session; n (one digit) keeps its IDs and pids apart from the others'."""
    log = Log()
    kind(log, n)
    return log


def prelude() -> Log:
    """OpenDKIM is known to log its signatures."""
    return Log().started().mail("4F2A91C0FFF", "+", sasl="ann")


def verdicts(judged: Judged) -> list[tuple[object, ...]]:
    """All that is said of the messages, in no order that the mixing could change."""
    return sorted((tuple(map(repr, verdict(message))) for message in judged.messages), key=str)


def verdict(m: Message) -> tuple[object, ...]:
    return (
        m.queue_ids, m.direction, m.origin, m.client, m.sasl_username, m.envelope_sender, m.envelope_recipients,
        m.message_id, m.outcome, m.reason, m.effect, m.signatures, m.verified, m.milter,
    )  # fmt: skip


def alone(kind: Callable[[Log, int], None], n: int) -> list[tuple[object, ...]]:
    log = prelude()
    log.lines += fragment(kind, n).lines
    return [row for row in verdicts(judge(log)) if row[0] != "['4F2A91C0FFF']"]


@given(
    kinds=st.lists(st.sampled_from(KINDS), min_size=2, max_size=4),
    turns=st.lists(st.integers(0, 3), max_size=90),
)
@settings(max_examples=300)
def test_mixing_mails_changes_none(kinds: list[Callable[[Log, int], None]], turns: list[int]) -> None:
    waiting = [fragment(kind, n).lines for n, kind in enumerate(kinds)]
    mixed = prelude()
    for turn in [*turns, *(n for n in range(len(kinds)) for _ in range(40))]:
        if turn < len(waiting) and waiting[turn]:
            mixed.lines.append(waiting[turn].pop(0)._replace(at=START + len(mixed.lines) // 20))
    expected = [row for n, kind in enumerate(kinds) for row in alone(kind, n)]
    judged = judge(mixed)
    found = [row for row in verdicts(judged) if row[0] != "['4F2A91C0FFF']"]
    assert found == sorted(expected, key=str)
    assert judged.not_mail == kinds.count(vanished)


# --- blocks -------------------------------------------------------------------------------------------------------


def everything() -> Log:
    """A log with every kind of mail in it, some of it twice."""
    log = prelude()
    for n, kind in enumerate(KINDS):
        log.lines += [
            line._replace(at=START + n) for line in fragment(kind, n % 10 if n < 10 else n % 10 + 30).lines
        ]
    return log


WHOLE = everything().syslog()


@given(size=st.integers(1, len(WHOLE) + 10))
@settings(max_examples=60)
def test_any_read_size_gives_the_same_messages(size: int) -> None:
    whole = judge(WHOLE)
    info = SourceInfo("test")
    cut = judge(read_blocks(io.BytesIO(WHOLE), info, size=size))
    assert cut.messages == whole.messages
    assert cut.faults == whole.faults
    assert (cut.not_mail, info.bytes) == (whole.not_mail, len(WHOLE))


@given(cuts=st.sets(st.integers(1, WHOLE.count(b"\n") - 1)))
@settings(max_examples=60)
def test_any_blocks_of_whole_lines_give_the_same_messages(cuts: set[int]) -> None:
    lines = WHOLE.splitlines(keepends=True)
    edges = [0, *sorted(cuts), len(lines)]
    blocks = [b"".join(lines[a:b]) for a, b in zip(edges, edges[1:], strict=False)]
    assert judge(iter(blocks)).messages == judge(WHOLE).messages


def test_line_ends_of_windows_and_a_missing_last_one() -> None:
    assert judge(WHOLE.replace(b"\n", b"\r\n")).messages == judge(WHOLE).messages
    assert judge(WHOLE.rstrip(b"\n")).messages == judge(WHOLE).messages


# --- sums ---------------------------------------------------------------------------------------------------------


def adds_up(judged: Judged) -> None:
    """Every message has exactly one verdict, in words of its direction, and the tables agree with the list."""
    messages, tally = judged.messages, judged.tally
    for message in messages:
        if message.direction == "outbound":
            assert message.outcome in OUTBOUND_OUTCOMES
        elif message.direction == "inbound":
            assert message.outcome in INBOUND_OUTCOMES
        elif message.direction == "bounce":
            assert message.outcome in ("signed", "unchecked")
    tally.fold(judged.run.known, everything=True)
    assert tally.verdicts == Counter((m.direction, m.outcome, m.reason, m.effect) for m in messages)
    out = Counter(m.outcome for m in messages if m.direction == "outbound")
    for table in (tally.hours, tally.by_domain):
        found: Counter[str] = Counter()
        for (_, outcome), count in table.items():
            found[outcome] += count
        assert found == out


@pytest.mark.parametrize("path", SITUATIONS, ids=lambda path: path.stem)
def test_outcomes_add_up(path: Path) -> None:
    judged = judge(path.read_bytes())
    adds_up(judged)
    signatures: Counter[tuple[bytes, bytes]] = Counter()
    for message in judged.messages:
        if message.outcome == "signed":
            signatures.update((d.encode(), s.encode()) for d, s in message.signatures)
    assert judged.tally.signatures == signatures


# --- damage -------------------------------------------------------------------------------------------------------


@given(data=st.binary(max_size=400))
@settings(max_examples=200)
def test_random_bytes_never_raise(data: bytes) -> None:
    adds_up(judge(data))


@given(
    daemon=st.sampled_from(
        [
            "smtpd",
            "cleanup",
            "qmgr",
            "smtp",
            "local",
            "pickup",
            "bounce",
            "postsuper",
            "master",
            "error",
            "qmqpd",
        ]
    ),
    qid=st.sampled_from([b"", b"4F2A91C0301: ", b"NOQUEUE: ", b"warning: ", b"4ZbTt91Xw2z5Hq6: "]),
    payload=st.binary(max_size=80),
)
@settings(max_examples=200)
def test_random_payloads_never_raise(daemon: str, qid: bytes, payload: bytes) -> None:
    head = b"Nov 24 08:00:00 mx postfix/" + daemon.encode() + b"[7]: " + qid
    opendkim = b"Nov 24 08:00:00 mx opendkim[9]: " + qid + payload
    adds_up(judge(LOGS[0] + head + payload + b"\n" + opendkim + b"\n" + WHOLE))


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Real lines with pieces cut out, doubled, replaced by bytes or by pieces of other lines."""
    lines = [bytearray(line) for line in draw(st.lists(st.sampled_from(LINES), min_size=1, max_size=12))]
    for line in lines:
        for _ in range(draw(st.integers(0, 3))):
            begin = draw(st.integers(0, len(line)))
            end = draw(st.integers(begin, min(len(line), begin + 20)))
            other = draw(st.sampled_from(LINES))
            cut = draw(st.integers(0, len(other)))
            new = draw(st.one_of(st.just(b""), st.binary(max_size=6), st.just(other[cut : cut + 30])))
            line[begin:end] = new
    return b"".join(lines)


@pytest.mark.parametrize(
    "said",
    ["header added (s)", "header added (s", "field added (s=)", "field added (s=,)", "header added (sd=)"],
)
def test_a_signature_line_that_breaks_off_never_raises(said: str) -> None:
    log = Log().connect().client("4F2A91C0301").opendkim(f"4F2A91C0301: DKIM-Signature {said}")
    judged = judge(log.queued("4F2A91C0301").sent("4F2A91C0301").removed("4F2A91C0301"))
    assert judged.one().signatures == []
    adds_up(judged)


@given(data=damaged())
@settings(max_examples=400)
def test_damaged_lines_never_raise(data: bytes) -> None:
    adds_up(judge(data))


@pytest.mark.parametrize("path", SITUATIONS, ids=lambda path: path.stem)
def test_a_line_lost_doubled_or_late_never_raises(path: Path) -> None:
    """And no mail is called signed whose ID no line about a signature names."""
    lines = path.read_bytes().splitlines(keepends=True)
    for n in range(len(lines)):
        lost = lines[:n] + lines[n + 1 :]
        late = lost[: n + 2] + [lines[n]] + lost[n + 2 :]
        for variant in (lost, lines[: n + 1] + lines[n:], late, lines[:n]):
            judged = judge(b"".join(variant))
            adds_up(judged)
            proofs = b"".join(line for line in variant if b"DKIM-Signature" in line)
            for message in judged.messages:
                if message.outcome == "signed":
                    assert any(qid.encode() in proofs for qid in message.queue_ids), (path.stem, n)


# --- memory -------------------------------------------------------------------------------------------------------


def held(run: Run) -> int:
    """How many legs a run holds on to."""
    return sum(
        len(space.legs)
        + len(space.closed)
        + len(space.retry_ids)
        + sum(len(w.legs) for w in space.retries.values())
        for space in run.state.spaces
    )


MANY, STEP = 200_000, 5_000
NEVER = {
    # In the queue, so it is mail.
    b"postfix/qmgr[11]: ID: from=<a@example.org>, size=1, nrcpt=1 (queue active)": MANY,
    # Clients that were never heard of again, each of another process.
    b"postfix/smtpd[PID]: ID: client=x[198.51.100.7]": 0,
}


@pytest.mark.parametrize(("payload", "mails"), NEVER.items(), ids=["queued", "sessions"])
def test_legs_that_never_end_are_let_go(payload: bytes, mails: int) -> None:
    """A hundred in a second, 200,000 in all: the cap of all hosts holds at any time, and what goes is counted."""
    run = Run(Window(), UTC, tally=Tally())
    peaks = [0]

    def blocks() -> Iterator[bytes]:
        for start in range(0, MANY, STEP):
            block = bytearray()
            for n in range(start, start + STEP):
                line = payload.replace(b"PID", b"%d" % n).replace(b"ID", b"%05XC0301" % n)
                block += b"Nov 24 08:%02d:%02d mx%d %b\n" % (n // 6000, n // 100 % 60, n % 2, line)
            yield bytes(block)
            peaks.append(held(run))

    run.read(blocks(), NOW, SourceInfo("test"))
    run.finish()
    assert run.tally is not None
    run.tally.fold(run.known, everything=True)
    assert LEG_CAP // 2 < max(peaks) <= LEG_CAP + STEP
    assert (sum(run.tally.verdicts.values()), run.state.not_mail) == (mails, MANY - mails)
    assert run.state.let_go >= MANY - LEG_CAP - STEP


def test_names_that_a_log_may_choose_are_bounded() -> None:
    """Hosts, instances, endpoints, programs: past the cap they count, and take no memory."""
    line = "Nov 24 08:00:00 {} {}[7]: {}\n".format
    made, qid = 2 * INSTANCE_CAP, "4F2A91C0301"
    lines = [line(f"mx{n}", "cron", "hello") for n in range(HOST_CAP + 10)]
    lines += [line("mx0", f"postfix-{n}/smtpd", f"{qid}: client={HERE}") for n in range(made)]
    signed = f"{qid}: DKIM-Signature field added (s=k1, d=example.org)"
    lines += [line("mx0", f"dkim-{n}", signed) for n in range(2 * NAME_CAP)]
    refused = "warning: connect to Milter service inet:mx{}:8891: Connection refused".format
    lines += [line("mx0", "postfix/smtpd", refused(n)) for n in range(2 * OUTAGE_CAP)]
    state = judge("".join(lines).encode()).run.state
    assert len(state.hosts) == HOST_CAP + 1
    host = state.hosts[b"mx0"]
    assert len(host.spaces) == INSTANCE_CAP
    assert len(host.outages) == OUTAGE_CAP
    assert len(state.opendkim_names) == NAME_CAP
    # The host that stands for the rest is one like others.
    late = judge("".join([*lines[: HOST_CAP + 10], Log("late").started().mail(qid, "+").syslog().decode()]).encode())
    assert (late.one().host, late.one().outcome) == ("(and others)", "signed")


def test_proofs_of_one_mail_are_bounded() -> None:
    log = Log().connect().client("4F2A91C0301").named("4F2A91C0301")
    for _ in range(2 * WORD_CAP):
        log.cleanup("4F2A91C0301: milter-header-info: header DKIM-Signature: v=1 from localhost[127.0.0.1]")
    kept: list[int] = []
    run = Run(Window(), UTC, keep=lambda legs, case: kept.append(len(legs[0].words or ())))
    run.read(iter([log.queued("4F2A91C0301").syslog()]), NOW, SourceInfo("test"))
    run.finish()
    assert kept == [WORD_CAP]


def test_starts_without_end_take_no_memory_and_change_no_verdict() -> None:
    def log(starts: int) -> Log:
        log = Log().started().mail("4F2A91C0301", "+").mail("4F2A91C0302", sasl="ann").stopped().mail("4F2A91C0303")
        line = log.started().lines.pop()
        log.lines += [line] * starts
        return log.started().mail("4F2A91C0304", sasl="ann").mail("4F2A91C0305", end=False, sasl="ann")

    many, few = judge(log(2 * RUNS_APART)), judge(log(1))
    assert many.messages == few.messages
    assert [m.outcome for m in few.messages[:2]] == ["signed", "unsigned"]
    assert len({id(run) for run in many.run.state.runs}) <= RUNS_APART + 10
    assert [run.number for run in many.run.state.runs[-3:]] == [2 * RUNS_APART + n for n in (1, 2, 3)]


def test_a_repeat_means_the_line_before_it_also_across_blocks() -> None:
    tag, warning = b"Nov 24 08:00:00 mx postfix/smtpd[1]: ", b"warning: connect to Milter service inet:127.0.0.1:8891: "
    blocks = [tag + warning + b"Connection refused\n", b"Nov 24 08:00:01 mx last message repeated 3 times\n"]
    for parts in (blocks, [b"".join(blocks)]):
        run = Run(Window(), UTC)
        run.feed(iter(parts), Clock(UTC, 1_800_000_000))
        assert [fault.count for fault in run.state.faults.values()] == [4]
