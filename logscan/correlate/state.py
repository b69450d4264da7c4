"""What is open while a log is read: legs, sessions, hosts, and the daemons that write the lines.

Everything that grows with the mail has a stated end: a leg ends at its last line, or is let go by age or by
the cap (`State.sweep`); origins are kept in two generations (`writers.py`); fault rows have a cap of their own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from logscan.model import SEVERITIES, Fault, Severity, Window

if TYPE_CHECKING:
    from logscan.correlate.life import Said, Unsafe

# How a leg began. MADE: opened by cleanup alone, as bounces and forwards are. LOST: its first line is not here.
LOST: Final = 0
SMTPD: Final = 1
PICKUP: Final = 2
MADE: Final = 3

# How a leg ended. VANISHED: the client went away. PROBE: an address check. REPLACED: the ID came back, so the
# end was lost. AGED: let go.
OPEN: Final = 0
REMOVED: Final = 1
REFUSED: Final = 2
DISCARDED: Final = 3
VANISHED: Final = 4
PROBE: Final = 5
REQUEUED: Final = 6
BOUNCED: Final = 7
REPLACED: Final = 8
AGED: Final = 9

# Seconds that an ended leg stays reachable: the parent's "queued as" and a merged OpenDKIM line come late.
GRACE: Final = 5
QUEUED_AGE: Final = 6 * 86400  # maximal_queue_lifetime is 5 days, and the last try may come a day late
SESSION_AGE: Final = 3600  # a leg that Postfix never queued lives no longer than its SMTP session
RETRY_AGE: Final = 2 * 86400  # a local mail that the milter refuses is tried again every minute
LEG_CAP: Final = 30_000  # open ones in all: one of a mail that waits takes up to 2 KB
RECIPIENT_CAP: Final = 200
WORD_CAP: Final = 64
FAULT_CAP: Final = 5_000
# A collector with an open port takes any name: past so many hosts the rest are one, and of a host's instances too.
HOST_CAP: Final = 20_000
INSTANCE_CAP: Final = 64
RELAYS_KEPT: Final = 4_000  # of a host
LONGEST_SHOWN: Final = 500  # bytes of a line
OUTAGE_CAP: Final = 1_000  # of a host at one time
RUNS_APART: Final = 10_000
NAME_CAP: Final = 100  # under which OpenDKIM logs
OTHERS: Final = b"(and others)"


class Failure(NamedTuple):
    """A milter failed: the reason (contract §1), its endpoint (b"" when the line names none) and the fault row."""

    reason: str
    endpoint: bytes
    fault: Fault
    text: bytes


class Refusal(NamedTuple):
    """A milter, or what stands in for it, refused: at which stage, with which text ("4.7.1 Service …")."""

    stage: bytes
    text: bytes
    sender: bytes | None
    recipient: bytes | None


# The last word on one recipient: (daemon, route, status, linked). route: as `relay_of` reads it. linked: it only
# went to the next leg of the same message. A plain tuple, since there is one for every recipient of every mail.
Delivery = tuple[bytes, bytes, bytes, bool]


# What OpenDKIM's words on a message amount to, as bits: the rules ask for any of several at once.
OK: Final = 1
NONE: Final = 2
FAIL: Final = 4
DNS: Final = 8
EXTERNAL: Final = 16
REFUSED_IT: Final = 32
REASON: Final = 64
CONSULTED: Final = 128
TROUBLE: Final = 256
VERIFIED: Final = 15  # OK | NONE | FAIL | DNS
_BY_KIND: Final = {
    "verify-ok": OK, "verify-none": NONE, "verify-fail": FAIL, "dns": DNS,
    "external": EXTERNAL, "refused": REFUSED_IT, "unsigned-reason": REASON,
}  # fmt: skip
_BY_REASON: Final = {
    # It looked into its tables, which it does only for clients that it trusts (rule 4).
    "no-signing-table-match": CONSULTED, "no-signing-domain": CONSULTED,
    "key": CONSULTED | TROUBLE, "internal": TROUBLE,
}  # fmt: skip


class Word(NamedTuple):
    """A line of OpenDKIM about a message: its kind (`opendkim_lines`), the contract's reason, the payload."""

    kind: str
    reason: str | None
    payload: bytes
    bits: int


def word(kind: str, reason: str | None, payload: bytes) -> Word:
    """A word, with what it amounts to."""
    return Word(kind, reason, payload, _BY_KIND.get(kind, 0) | _BY_REASON.get(reason or "", 0))


class Run:
    """One span of OpenDKIM on a host in which its settings cannot have changed.

    A start, a stop and a reload begin another. seen: a line of OpenDKIM fell into it. success: it logged a
    signature or a good verification, so SyslogSuccess is on and silence means something. down: it had stopped.
    """

    __slots__ = ("down", "host", "number", "seen", "ssl_lines", "started", "success", "troubled", "unclean")

    def __init__(self, host: bytes, number: int, *, started: bool = False, down: bool = False) -> None:
        self.host = host
        self.number = number
        self.seen = started
        self.started = started
        self.down = down
        self.success = False
        self.troubled = False  # Postfix failed at a milter meanwhile
        self.unclean = False  # it began with a start that no stop preceded
        self.ssl_lines = False  # this build writes an SSL line for every signature that it looks at


class Owner:
    """Whose line it is. What a line says is its owner's alone, unless `State.wide` was set meanwhile.

    Of use only where a part of a log is read apart from the rest (`jobs.sieve`): dropped, all its lines are left out,
    for what they say is counted; tainted, they must not be; kept, one of them was kept.
    """

    dropped: bool = False
    tainted: bool = False
    kept: bool = False


class Session(Owner):
    """One session of smtpd, of which a line has to be kept."""


class Leg(Owner):
    """One queue file: (host, instance, queue ID, lifetime). Raw payloads are kept and cut at the close.

    Fields that most legs never set stand in the class: making a leg is a good part of what a message costs.
    """

    message_id: bytes | None = None
    active: bytes | None = None  # the first `from=…, size=… (queue active)`: proof that it is mail
    run: Run | None = None  # OpenDKIM's run when the message was queued
    signatures: list[tuple[bytes, bytes]] | None = None  # (signing domain, selector)
    words: list[Word] | None = None  # OpenDKIM's other lines
    failure: Failure | None = None  # Postfix lost a milter on it, or had none
    fault: Fault | None = None  # the row of OpenDKIM's own failure on this message
    refusal: Refusal | None = None
    deliveries: dict[bytes, Delivery] | None = None  # by recipient
    held: bool = False
    end: int = OPEN
    chain: Chain | None = None
    parent: Leg | None = None  # set on a leg that another leg led to
    proxy: tuple[bytes, bytes] | None = None  # (client payload, program) of the front smtpd
    session: Session | None = None

    def __init__(self, space: Space, queue_id: bytes, at: int, seq: int, kind: int, opened: bytes, service: bytes):
        self.space = space
        self.queue_id = queue_id
        self.first = at
        self.last = at
        self.seq = seq
        self.kind = kind
        self.opened = opened  # the payload after the queue ID of its opening line
        self.service = service  # the program that opened it


class Chain:
    """The legs of one message, first leg first; `open` counts those that have not ended."""

    __slots__ = ("done", "legs", "open")

    def __init__(self, leg: Leg) -> None:
        self.legs = [leg]
        self.open = 1 if leg.end == OPEN else 0
        self.done = False


class Waiting:
    """Refused local mails of one uid and sender that no message-id tells apart, first come first served.

    scan: when pickup's present scan of the maildrop came to the first of them; last_try: to the last one.
    """

    __slots__ = ("last_try", "legs", "scan")

    def __init__(self, at: int) -> None:
        self.legs: deque[Leg] = deque()
        self.scan = at
        self.last_try = at


class Space:
    """The queue IDs of one Postfix instance on one host. legs: open; closed: ended less than GRACE ago, in order."""

    __slots__ = ("closed", "host", "instance", "legs", "retries", "retry_ids")

    def __init__(self, host: Host, instance: bytes) -> None:
        self.host = host
        self.instance = instance
        self.legs: dict[bytes, Leg] = {}
        self.closed: dict[bytes, Leg] = {}
        # Local mail refused by a milter, waiting for pickup's next try: by message-id, or first come first
        # served by the opening line (uid and sender) where no message-id can tell.
        self.retry_ids: dict[bytes, Leg] = {}
        self.retries: dict[bytes, Waiting] = {}


class Host:
    """One name in the log's host column: its Postfix instances, its OpenDKIM, its gaps."""

    __slots__ = (
        "born", "gap_from", "gap_to", "key_trouble", "mended", "name", "nameless", "only", "outages", "refusing",
        "relays", "run", "said", "spaces", "trouble", "unanswered", "unsafe",
    )  # fmt: skip

    def __init__(self, name: bytes, run: Run) -> None:
        self.name = name
        self.spaces: dict[bytes, Space] = {}
        self.only: Space | None = None  # the one space of a host with one instance, as nearly all are
        self.run = run
        self.outages: dict[bytes, Fault] = {}  # endpoint -> the outage that nothing has ended yet
        self.key_trouble: deque[tuple[bytes, Fault]] = deque(maxlen=16)  # id-less key lines awaiting their pair
        self.born = -1  # when its OpenDKIM started last
        self.said: Said | None = None
        self.unsafe: Unsafe | None = None
        self.trouble: tuple[int, Fault, bytes] | None = None  # when and why OpenDKIM last ceased to answer
        self.mended = False  # it has started since
        self.refusing: tuple[int, bytes] | None = None  # OpenDKIM refused a mail without naming it
        self.unanswered: list[tuple[int, bytes, bytes]] = []  # when, domain and line of keys that DNS did not give
        self.nameless = False  # it has no queue IDs
        self.relays: dict[bytes, bool] = {}  # `relay=…` -> is it on this host: few, and asked at every delivery
        self.gap_from: int | None = None  # lines are being dropped since
        self.gap_to = -1  # and were, up to


class Origin:
    """One writer of lines: (host, program, pid). For smtpd it carries the session, for cleanup the message."""

    __slots__ = (
        "connected", "daemon", "failure", "handler", "held", "host", "leg", "noqueue", "pid", "program", "refused",
        "session", "space", "used",
    )  # fmt: skip

    def __init__(self, host: Host, program: bytes, pid: bytes, daemon: bytes, space: Space | None, handler: Handler):
        self.host = host
        self.program = program
        self.pid = pid
        self.daemon = daemon
        self.space = space
        self.handler = handler
        self.used = False  # smtpd: one of the fields below is set
        self.leg: Leg | None = None  # smtpd: the session's newest leg; cleanup: the last message-id's
        # smtpd: the session lost its milter. cleanup: a failure that belongs to the next message of this pid.
        self.failure: Failure | None = None
        self.held = False  # smtpd: `milter-hold` was said while there was no queue ID yet
        self.noqueue: bytes | None = None  # smtpd: `NOQUEUE: client=` of a before-queue proxy filter
        self.refused: Leg | None = None  # smtpd: a mail refused before it had a queue ID
        self.connected = False  # smtpd: the session's begin was seen
        self.session: Session | None = None


# The owner of lines that change nothing, and of those of other programs.
NOBODY: Final = Owner()
NOBODY.dropped = True
STRANGER: Final = Owner()
STRANGER.dropped = True


class Handler:
    """Takes the lines of one kind of writer. It keeps nothing itself: what a writer has said is the origin's.

    A class and no function, since a compiled method is called at the cost of a C function.
    """

    def take(self, state: State, origin: Origin, start: bytes, rest: bytes | None, line: bytes, /) -> None:
        """Take a line whose payload, which is what follows the tag, begins with `start`.

        start: up to the first ``: ``, which is the queue ID in most lines that have one. rest: what follows that;
        None when there is no such place. line: as logged, perhaps with its newline, for faults to show (`shown`).
        """
        raise NotImplementedError


def shown(line: bytes, longest: int = LONGEST_SHOWN) -> bytes:
    """What is kept, to be shown, of a line that a handler was given."""
    return line[:longest].rstrip(b"\n")


def payload_of(start: bytes, rest: bytes | None) -> bytes:
    """The whole payload of a line that was handed on in two pieces."""
    return start if rest is None else start + b": " + rest


Sink = Callable[[list[Leg]], None]


class Sifting:
    """What has to be known where only a part of a log is read, without what came before it (`jobs.sieve`).

    begin: the instant until which the part's mail may be older than it seems. works, answers: hosts where nothing can
    be open any more that began before the part, of outages and gaps, of the DNS. proofs: IDs of the messages that show
    it. early: hosts whose OpenDKIM spoke before Postfix did. unplaced: IDs that it spoke of before anybody; in which
    instance, only the whole log tells. losing: when a gap of all hosts began, also of those that were silent so far.
    astray: a line was met that cannot be placed without what came before.
    """

    __slots__ = ("answers", "astray", "begin", "early", "losing", "proofs", "unplaced", "works")

    def __init__(self, begin: int) -> None:
        self.begin = begin
        self.works: set[bytes] = set()
        self.answers: set[bytes] = set()
        self.proofs: set[bytes] = set()
        self.early: set[bytes] = set()
        self.unplaced: set[bytes] = set()
        self.losing: int | None = None
        self.astray = False


class State:
    """All that one run of the correlator knows. `sink` gets each finished message as its legs, first leg first."""

    def __init__(self, sink: Sink, window: Window) -> None:
        self.sink = sink
        self.window = window
        self.now = 0
        self.latest = -1  # instant that the log came to
        self.seq = 0
        self.hosts: dict[bytes, Host] = {}
        self.runs: list[Run] = []
        self._same_runs: dict[tuple[bytes, bool, bool, bool], Run] = {}
        self._share_at = RUNS_APART
        self.due = 0  # nothing has to be finished or let go before this instant
        self.spaces: list[Space] = []
        self.open_legs = 0  # in all of them
        self.faults: dict[tuple[bytes, str, bytes], Fault] = {}
        self.next_sweep = 0
        self.foreign_lines = 0
        self.not_mail = 0
        self.not_understood: dict[str, int] = {"opendkim": 0, "postfix": 0}
        self.let_go = 0
        self.ours: set[bytes] = set()
        self.foreign_endpoints: set[bytes] = set()
        self.opendkim_names: set[bytes] = {b"opendkim"}
        # Of the last line: whose it was, and whether it told of more than its owner.
        self.owner: Owner | None = None
        self.wide = False
        self.sifting: Sifting | None = None

    def strange(self, program: str) -> None:
        """Count a line of "postfix" or "opendkim" that nobody understands."""
        self.not_understood[program] += 1
        self.owner = None

    def foreign(self) -> None:
        """The line is of another program, and says nothing of mail."""
        self.foreign_lines += 1
        self.owner = STRANGER

    def host(self, name: bytes) -> Host:
        """The host of that name, made at its first line."""
        host = self.hosts.get(name)
        if host is None and len(self.hosts) >= HOST_CAP:
            name = OTHERS
            host = self.hosts.get(name)
        if host is None:
            self.wide = True
            host = self.hosts[name] = Host(name, self.new_run(name))
            if self.sifting is not None:
                host.gap_from = self.sifting.losing
        return host

    def new_run(self, host: bytes, *, started: bool = False, down: bool = False) -> Run:
        """Begin another span of OpenDKIM's life on a host."""
        self.wide = True
        run = Run(host, len(self.runs), started=started, down=down)
        self.runs.append(run)
        if len(self.runs) >= self._share_at:
            self._share_runs()
        return run

    def _share_runs(self) -> None:
        """A daemon that dies at once is started for days: spans that are over share an object for each answer."""
        current = {id(host.run) for host in self.hosts.values()}
        for number in range(self._share_at - RUNS_APART, len(self.runs) - 1):
            run = self.runs[number]
            if id(run) not in current:
                self.runs[number] = self._same_runs.setdefault((run.host, run.success, run.seen, run.down), run)
        self._share_at += RUNS_APART

    def space(self, host: Host, instance: bytes) -> Space:
        """The ID space of an instance, made at its first line."""
        space = host.spaces.get(instance)
        if space is None and host.spaces and (len(host.spaces) >= INSTANCE_CAP or len(self.spaces) >= 2 * HOST_CAP):
            return next(iter(host.spaces.values()))
        if space is None:
            self.wide = True
            space = host.spaces[instance] = Space(host, instance)
            self.spaces.append(space)
            host.only = space if len(host.spaces) == 1 else None
        return space

    def fault(self, host: Host, kind: str, subject: bytes, severity: Severity, line: bytes) -> Fault:
        """Count one more event of a fault; equal faults are one row. Events outside the window are not counted."""
        self.wide = True
        key = (host.name, kind, subject)
        fault = self.faults.get(key)
        if fault is None:
            if len(self.faults) >= FAULT_CAP:
                key = (host.name, kind, OTHERS)
                fault = self.faults.get(key)
            if fault is None:
                fault = self.faults[key] = Fault(
                    kind, severity, text(host.name), text(key[2]), first=self.now, last=self.now
                )
        if not self.window.holds(self.now):
            return fault
        if fault.count == 0:
            fault.first = self.now
        fault.count += 1
        fault.last = self.now
        if severity == "error":
            fault.severity = severity
        if len(fault.lines) < 3:
            fault.lines.append(shown(line))
        else:
            fault.lines[2] = shown(line)  # the first two and the last
        return fault

    def rename(self, host: Host, kind: str, subject: bytes, better: bytes) -> Fault | None:
        """Count the one event of a row under a better subject. None where the row has more than that event."""
        fault = self.faults.get((host.name, kind, subject))
        if fault is None or fault.count != 1:
            return None
        del self.faults[host.name, kind, subject]
        kept = self.faults.setdefault((host.name, kind, better), fault)
        if kept is not fault:
            kept.count += 1
            kept.last = fault.last
            kept.lines[2:] = fault.lines
            kept.severity = min(kept.severity, fault.severity, key=SEVERITIES.index)
        kept.subject = text(better)
        return kept


def text(value: bytes) -> str:
    """Bytes of the log as text that keeps every byte visible and never fails."""
    return value.decode("utf-8", "backslashreplace")
