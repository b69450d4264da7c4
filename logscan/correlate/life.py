"""OpenDKIM's own faults and its life: which of its lines tell of one event, and what kept it from answering.

It says many a thing twice: to syslog and to standard error, libmilter's reason before its own, parent and child of
AutoRestart each. One event is counted once, in the row that its first line made.
"""

from __future__ import annotations

from typing import NamedTuple

from logscan.correlate.state import Host, Leg, Origin, State, shown, word
from logscan.model import Fault, Severity
from logscan.parse.lines import Match, Shape

TOGETHER = 2  # seconds within which two lines are of one event
# A session that lost its milter notices at its next mail, and smtpd_timeout lets it wait for that so long.
IDLE = 300
STDERR = b"opendkim: "

SEVERITY: dict[str, Severity] = {"error": "error", "warning": "warning", "info": "info"}
# `<conffile>: <what is wrong with the KeyFile>` repeats the line about the KeyFile itself.
_KEYFILE_AGAIN = frozenset({"conf-script-open", "conf-key-notregular"})
# A row that says again, and less well, what the other has just said.
_AFTER = {"signing-table-read-error": "db-lookup-error", "stats-failed": "stats-fopen"}
# Postfix's reasons (contract §1) when nobody is there.
ABSENCE = frozenset({"connect-refused", "socket-missing", "connection-lost"})
_LOOP = frozenset({"restart-count", "restart-rate"})
# AutoRestart's parent, when the child ended; the child has said why.
_EXITS = frozenset({"child-exit", "child-exit-restart"})


class Said(NamedTuple):
    """The last line about a fault that was counted on a host.

    stderr: it went to standard error. parent: AutoRestart's, which has said since that the child is gone.
    """

    at: int
    shape: Shape
    subject: bytes
    pid: bytes
    stderr: bool
    fault: Fault
    parent: bytes = b""


class Unsafe(NamedTuple):
    """A KeyFile that others can read: refused, unless OpenDKIM runs on. severity: of its row before."""

    at: int
    fault: Fault
    severity: Severity


def note(state: State, origin: Origin, match: Match, payload: bytes, line: bytes) -> Fault:
    """Count what a line without or with a queue ID says is wrong. The row's fault; the shape has to have one."""
    shape = match.shape
    assert shape.fault is not None
    host = origin.host
    subject = match.fields.get(shape.subject or "", b"")
    stderr = payload.startswith(STDERR)
    last = host.said
    if last is not None and 0 <= state.now - last.at <= TOGETHER:
        if shape.name in _EXITS and origin.pid != last.pid:
            host.said = last._replace(parent=origin.pid)
            return last.fault
        if _again(state, host, last, shape, subject, stderr, origin.pid):
            assert host.said is not None
            if stderr:
                host.said = host.said._replace(stderr=True)
            return host.said.fault
    if stderr and shape.name == "start-opensocket":
        # Standard error may come after all the rest, and does not say which socket.
        for (name, kind, _), fault in state.faults.items():
            if name == host.name and kind == "socket" and fault.count and state.now - fault.last <= TOGETHER:
                return fault
    key = (host.name, shape.fault, subject)
    before = state.faults.get(key)
    severity = before.severity if before is not None and before.count else "warning"
    if shape.name.startswith("key-insecure-kf-"):
        fault = state.fault(host, shape.fault, subject, "error", line)
        host.unsafe = Unsafe(state.now, fault, severity)
        if not origin.pid and host.born == state.now:
            runs_on(state, host)  # of two files, the one with the start was read first
    else:
        fault = state.fault(host, shape.fault, subject, SEVERITY[shape.severity], line)
    host.said = Said(state.now, shape, subject, origin.pid, stderr, fault)
    run = host.run
    if "queue_id" not in match.fields and (
        stderr or not origin.pid or run.down or not run.seen or shape.kind in ("startup-fault", "restart")
    ):
        trouble(state, host, fault, line)
    return fault


def _again(state: State, host: Host, last: Said, shape: Shape, subject: bytes, stderr: bool, pid: bytes) -> bool:
    """True when a line only repeats the event of the last one."""
    kind = last.shape.fault
    if pid and pid == last.parent and shape.name == last.shape.name and subject == last.subject:
        return True
    if shape.name == "stderr-usage" and kind == shape.fault:
        return True
    if _AFTER.get(shape.name) == last.shape.name:
        return True
    if stderr and not last.stderr and shape.fault == kind and subject in (last.subject, b""):
        return True
    if shape.name == "conf-key-insecure-stderr" and kind == shape.fault:
        host.unsafe = None  # said only where it is refused; and it may name a directory, not the KeyFile
        return True
    if shape.name in _KEYFILE_AGAIN and kind is not None and kind.startswith("key-") and subject == last.subject:
        return True
    if shape.name == "libmilter-create-socket" and kind == "socket":
        _name_socket(state, host, last, subject)
        return True
    if shape.name == "start-opensocket" and kind == "socket":
        return True
    if shape.name == "child-signal" and kind == shape.fault and last.shape.name.startswith(("unit-", "kernel-")):
        return True
    return shape.name in _LOOP and last.shape.name in _LOOP


def _name_socket(state: State, host: Host, last: Said, conn: bytes) -> None:
    """libmilter's reason does not always name the socket; the line after it does, as it is in opendkim.conf."""
    if last.subject == conn or not last.fault.count:
        return
    fault = state.rename(host, "socket", last.subject, conn)
    if fault is not None:
        host.said = last._replace(subject=conn, fault=fault)


def runs_on(state: State, host: Host) -> None:
    """OpenDKIM started or reloaded: it took the KeyFile that others can read (RequireSafeKeys no)."""
    unsafe, host.unsafe = host.unsafe, None
    if unsafe is not None and state.now - unsafe.at <= TOGETHER:
        unsafe.fault.severity = unsafe.severity


def started(state: State, host: Host, line: bytes) -> None:
    """It listens. A start that no stop preceded means that it died without a word, if Postfix lost it."""
    before = host.run
    runs_on(state, host)
    # If Postfix lost it, now or at an open session's next mail, it died; if not, this may be a second OpenDKIM.
    said = host.said
    told = said is not None and said.shape.fault == "opendkim-crashed" and state.now - said.at <= TOGETHER
    unclean = before.seen and not before.down and not told
    if unclean and before.troubled:
        trouble(state, host, state.fault(host, "opendkim-crashed", b"", "error", line), line)
    host.run = state.new_run(host.name, started=True)
    host.run.unclean = unclean and not before.troubled
    host.born = state.now
    host.mended = True
    state.fault(host, "opendkim-started", b"", "info", line)
    stopped = state.faults.get((host.name, "opendkim-stopped", b""))
    if stopped is not None:
        stopped.ongoing = False
        if stopped.severity == "warning":
            stopped.severity = "info"


def ended(state: State, host: Host) -> None:
    """It is gone, so its silence about a mail says nothing from here on."""
    if not host.run.down:
        host.run = state.new_run(host.name, down=True)


def stopped(state: State, origin: Origin, match: Match, line: bytes) -> None:
    """It ended: in order with status 0, else by a fault."""
    host = origin.host
    host.run = state.new_run(host.name, down=True)
    orderly = match.fields.get("status") == b"0"
    fault = state.fault(host, "opendkim-stopped", b"", "warning" if orderly else "error", line)
    fault.ongoing = fault.ongoing or state.window.holds(state.now)
    if fault.severity == "info":
        fault.severity = "warning"
    host.said = Said(state.now, match.shape, b"", origin.pid, False, fault)
    trouble(state, host, fault, line)


def reloaded(state: State, host: Host) -> None:
    """It runs on with other settings."""
    runs_on(state, host)
    host.run = state.new_run(host.name, started=True)


def refuses(state: State, host: Host, payload: bytes) -> None:
    """OpenDKIM refuses a mail that it does not name; Postfix says at once which."""
    host.refusing = (state.now, payload)


def tell_refusal(state: State, host: Host, leg: Leg) -> None:
    """A milter refused this leg. Where OpenDKIM has just said that it does, and nobody else, that was it."""
    assert host.refusing is not None
    at, payload = host.refusing
    if leg.words is None and leg.failure is None and state.now - at <= TOGETHER:
        leg.words = [word("refused", "policy", payload)]
        host.refusing = None


def trouble(state: State, host: Host, fault: Fault, line: bytes) -> None:
    """Something that keeps OpenDKIM from answering: the cause of what Postfix misses now, or will miss."""
    host.trouble = (state.now, fault, shown(line))
    host.mended = False
    for outage in host.outages.values() if state.window.holds(state.now) else ():
        if outage.by_absence:
            outage.cause = (fault, host.trouble[2])


def explain(state: State, host: Host, outage: Fault, endpoint: bytes, reason: str) -> None:
    """An outage begins: what OpenDKIM said of itself before is its cause, unless it has started since.

    Only a daemon that is away is explained so: one that hangs, or whose socket is closed to Postfix, is there.
    """
    outage.cause = None
    outage.by_absence = reason in ABSENCE and is_here(endpoint)
    if host.trouble is None or not outage.by_absence:
        return
    at, fault, line = host.trouble
    if not host.mended or (reason == "connection-lost" and state.now - at <= IDLE):
        outage.cause = (fault, line)


def is_here(endpoint: bytes) -> bool:
    """True when an endpoint of main.cf is on this host for certain."""
    return endpoint.startswith((b"unix:", b"local:", b"inet:127.", b"inet:localhost:", b"inet:[::1]:", b"inet6:[::1]:"))
