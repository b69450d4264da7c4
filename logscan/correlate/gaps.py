"""What rsyslogd and systemd-journald say about lines that they dropped: silence then proves nothing.

The texts of rsyslog 5 to 8 (tag `rsyslogd`, or with the error number, `rsyslogd-2177`) and of systemd up to 252:

    <input>{ from <{<host>:}<program>>}: begin to drop messages due to rate-limiting
    <input>: <n> messages lost due to rate-limiting{ (<n> allowed within <s> seconds)}
    imuxsock begins to drop messages from pid <pid> due to rate-limiting
    imuxsock lost <n> messages from pid <pid> due to rate-limiting
    Suppressed <n> messages from <unit, or the path of its control group>
    Forwarding to syslog missed <n> messages.

An input is `imjournal`, `imuxsock[pid: <pid>, name: <executable>]`, `imudp(<address>/<port>/IPv4)` and the like.
imuxsock counts per process, so another program's loss there is no gap. All other inputs count everything that
comes through them: the program that they name only wrote the line that was one too many.
"""

from __future__ import annotations

import re

from logscan.correlate.state import Handler, Host, Origin, State, payload_of

# rsyslog may end a message of its own with the address that explains it.
_TAIL = rb"(?: \[v[^\]]*\])?\Z"
_RSYSLOG = re.compile(
    rb"(?P<input>im[a-z]+)(?:\[(?P<what>[^\]]*)\]|\((?P<where>[^)]*)\))?"
    rb"(?: from <(?P<source>[^>]*)>)?: "
    rb"(?:(?P<begin>begin to drop messages)|[0-9]+ messages lost) due to rate-limiting"
    rb"(?: \([0-9]+ allowed within [0-9]+ seconds\))?" + _TAIL
)
_OLD_RSYSLOG = re.compile(
    rb"imuxsock (?:(?P<begin>begins to drop messages)|lost [0-9]+ messages)"
    rb" from pid [0-9]+ due to rate-limiting" + _TAIL
)
_JOURNALD = re.compile(rb"Suppressed [0-9]+ messages from (?P<unit>[^ ]+)\Z")
_FORWARDING = re.compile(rb"Forwarding to syslog missed [0-9]+ messages\.?\Z")

_UNIT = re.compile(rb"(?:opendkim[^/]*|postfix(?:@[^/]*)?)\.service\Z")
_PROGRAM = re.compile(rb"(?:opendkim|postfix)(?:[-/][^ ]*)?\Z")
_NAME = re.compile(rb"name: (?P<name>[^ ,]+)")
_POSTFIX_DAEMONS = frozenset(
    b"smtpd cleanup qmgr nqmgr pickup smtp lmtp local virtual pipe error discard bounce postlogd".split()
)
_NOT_MAIL = (b"imklog", b"imkmsg")  # the kernel's own lines
_OF_ONE_HOST = (b"imjournal", b"imuxsock", b"imfile")


class Rsyslogd(Handler):
    """A line of rsyslogd. Only those about lost lines matter, and of them only those that may have been mail's."""

    def take(self, state: State, origin: Origin, start: bytes, rest: bytes | None, line: bytes, /) -> None:
        payload = payload_of(start, rest)
        match = _RSYSLOG.match(payload) if payload[:2] == b"im" else None
        if match is None:
            old = _OLD_RSYSLOG.match(payload)
            if old is None:
                state.foreign()
                return
            # Which program had that pid is not said: it may have been ours.
            _gap(state, origin, (origin.host,), b"imuxsock", old["begin"] is not None, line)
            return
        name = match["input"]
        program = _program(match["what"] or b"", match["source"] or b"")
        if name in _NOT_MAIL or (name == b"imuxsock" and program and not _is_ours(program)):
            state.foreign()
            return
        subject = name
        if name == b"imuxsock" and program:
            subject += b" " + program.rpartition(b"/")[2]
        # What an input from the network drops may have been any host's.
        hosts = (origin.host,) if name in _OF_ONE_HOST else tuple(state.hosts.values())
        if match["begin"] is not None and state.sifting is not None and name not in _OF_ONE_HOST:
            state.sifting.losing = state.now
        _gap(state, origin, hosts, subject, match["begin"] is not None, line)


class Journald(Handler):
    """A line of systemd-journald. It tells of a loss only when the loss is over."""

    def take(self, state: State, origin: Origin, start: bytes, rest: bytes | None, line: bytes, /) -> None:
        payload = payload_of(start, rest)
        match = _JOURNALD.match(payload)
        if match is not None:
            unit = match["unit"].rpartition(b"/")[2]
            if _UNIT.match(unit) is not None:
                _gap(state, origin, (origin.host,), unit, False, line)
                return
        elif _FORWARDING.match(payload) is not None:
            _gap(state, origin, (origin.host,), b"systemd-journald", False, line)
            return
        state.foreign()


def _gap(state: State, origin: Origin, hosts: tuple[Host, ...], subject: bytes, begins: bool, line: bytes) -> None:
    """Lines are dropped from now on, or were until now. Without a beginning in the log only the end is known."""
    fault = state.fault(origin.host, "log-gap", subject, "warning", line)
    fault.ongoing = begins
    for host in hosts:
        if not begins:
            host.gap_to = state.now
            host.gap_from = None
        elif host.gap_from is None:
            host.gap_from = state.now


def _program(what: bytes, source: bytes) -> bytes:
    """The executable of `pid: <pid>, name: <executable>`, else the program of `<host>:<program>`; b"" for neither."""
    found = _NAME.search(what)
    program = source.rpartition(b":")[2]
    # An OpenDKIM started by hand or through a wrapper has another executable than its tag says.
    if found is None or _PROGRAM.match(program) is not None:
        return program if program != b"-" else b""
    return found["name"]


def _is_ours(program: bytes) -> bool:
    """True for OpenDKIM and for Postfix's daemons, by tag or by executable."""
    if _PROGRAM.match(program) is not None:
        return True
    directory, _, name = program.rpartition(b"/")
    return name == b"opendkim" or name in _POSTFIX_DAEMONS or b"/postfix" in directory


RSYSLOGD = Rsyslogd()
JOURNALD = Journald()
HANDLERS: dict[bytes, Handler] = {
    b"rsyslogd": RSYSLOGD,
    b"rsyslogd-2177": RSYSLOGD,
    b"systemd-journald": JOURNALD,
    b"systemd-journal": JOURNALD,  # the kernel cuts a process's name at 15 bytes
    b"journal": JOURNALD,  # CentOS 7
}
