"""Line → when, host, program, pid and payload, for every way in which mail logs are written and wrapped.

The two commonest forms, ``Nov  4 03:02:01 mx postfix/qmgr[9]: …`` and the same with an RFC 3339 stamp, are
read by the reader's own loop; this file reads them too, and all others. A line may be wrapped more than once
(a container's JSON around a stamp of the runtime around syslog's own line): wrappings come off one by one.

Sources: RFC 3164, RFC 5424; rsyslog's built-in templates; `systemd/src/shared/logs-show.c` (journalctl -o);
FreeBSD `usr.sbin/syslogd/syslogd.c` (-v); Solaris `log(7D)` message IDs; the Kubernetes CRI log format.
"""

from __future__ import annotations

import re
from datetime import UTC, tzinfo
from typing import Any, NamedTuple

from logscan.parse.stamps import LATEST, Clock

REPEATS_AT_MOST = 1_000_000
# A container's line in a pod's line in a compose line is three; what is deeper was made to hurt.
_DEPTH = 4

# Every pattern is anchored at its start, and no two repeats beside each other share a byte: linear time.
_ISO = re.compile(
    rb"(\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:[.,]\d+)?)(?: ?([+-]\d\d(?::?\d\d)?)|([Zz]))?(?= |$)"
)
_FULL = re.compile(
    rb"[A-Z][a-z]{2} (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:[.,]\d+)?) ([A-Za-z0-9+:-]{1,32})(?: |$)"
)
_PRIORITY = re.compile(rb"<\d{1,3}>")
_FACILITY = re.compile(rb"<[a-z0-9]{1,16}\.[a-z0-9]{1,16}> ?")
_PREFIXES = (
    # docker compose: service or container, padded, possibly in colour
    re.compile(rb"(?:\x1b\[[0-9;]{0,16}m)?[A-Za-z0-9][\w.-]{0,127} {0,64}\|(?:\x1b\[[0-9;]{0,16}m)?(?: |$)"),
    # kubectl logs --prefix
    re.compile(rb"\[pod/[\w./-]{1,512}\] "),
)
_RUNTIME = re.compile(rb"(?:stdout|stderr) [FP](?::[\w:]{0,32})?(?: |$)")
_SOLARIS = re.compile(rb"\[ID \d{1,10} [a-z0-9]{1,16}\.[a-z0-9]{1,16}\] ")
_DATA = re.compile(rb'(?:-|(?:\[(?:[^\]"]|"(?:[^"\\]|\\.)*")*\])+)(?: |$)', re.DOTALL)
_LEVELS = frozenset((b"warning", b"error", b"fatal", b"panic", b"info", b"debug", b"notice", b"note"))

_REPEATED = re.compile(rb"message repeated (\d{1,32}) times: \[ ?")
_REPEATED_BSD = re.compile(rb"(?:--- )?last message repeated (\d{1,32}) times?(?: ---)?")


class Header(NamedTuple):
    """A line taken apart. at: epoch seconds. host, program, pid: b"" when the line has none of it.

    program is the tag as logged, ``postfix/submission/smtpd``. payload: what follows the tag, one line,
    without its end; escapes such as ``#012`` stay.
    """

    at: int
    host: bytes
    program: bytes
    pid: bytes
    payload: bytes


def parse(line: bytes, clock: Clock) -> Header | None:
    """Take a line apart, whatever wrote it: syslog in its dialects, journalctl's text and JSON, containers.

    line: without its newline. clock: of the source the line is from, moved on by the stamps that are read.
    A line with a priority or a container's prefix but no stamp gets the clock's last one. None when there is
    no stamp at all; nothing is raised, and the time taken is linear in the line, whatever the bytes.

    >>> parse(b"Nov  4 03:02:01 mx postfix/qmgr[9]: 4F2A91C03B7: removed", Clock(UTC, 1_700_000_000))
    Header(at=1699066921, host=b'mx', program=b'postfix/qmgr', pid=b'9', payload=b'4F2A91C03B7: removed')
    """
    line = line.rstrip(b"\r\n")
    if line[:1] in (b"\0", b"\xef"):
        # A log that was truncated under its writer begins with a hole; an editor leaves a byte order mark.
        line = line.lstrip(b"\0").removeprefix(b"\xef\xbb\xbf")
    return _parse(line, clock, None, _DEPTH)


def as_text(header: Header, clock: Clock) -> bytes:
    """An entry of the journal or of a container as a line of syslog: what a person is shown instead of JSON."""
    pid = b"[" + header.pid + b"]" if header.pid else b""
    return b"%s %s %s%s: %s" % (clock.written(header.at), header.host or b"-", header.program, pid, header.payload)


def first_stamp(line: bytes, reference: int, zone: tzinfo) -> int | None:
    """The instant of one line on its own, in any form that `parse` knows; None when it has none.

    reference, zone: as for a `Clock`; a stamp without year gets the latest that the reference allows.
    """
    header = parse(line, Clock(zone, reference))
    return None if header is None else header.at


def looks_like_log(line: bytes) -> bool:
    """True for a line of a log: it has a stamp and a tag, or stands for repeats of such a line."""
    clock = Clock(UTC, 0)
    clock.last = 0
    header = parse(line, clock)
    return header is not None and (header.program != b"" or repeated_bsd(header.payload) is not None)


def unrepeat(payload: bytes) -> tuple[int, bytes] | None:
    """Open rsyslog's ``message repeated 71 times: [ text]``: (71, text), the first copy not counted.

    The count is at most REPEATS_AT_MOST. None for any other payload.
    """
    match = _REPEATED.match(payload)
    if match is None or not payload.endswith(b"]"):
        return None
    return min(int(match[1]), REPEATS_AT_MOST), payload[match.end() : -1]


def repeated_bsd(payload: bytes) -> int | None:
    """How often the previous line of the file came again, by ``last message repeated N times``; else None."""
    match = _REPEATED_BSD.fullmatch(payload)
    return min(int(match[1]), REPEATS_AT_MOST) if match else None


def _parse(line: bytes, clock: Clock, outer: int | None, depth: int) -> Header | None:
    """Take one wrapping off. outer: the instant of the one around it, which dates a line without stamp."""
    if depth == 0:
        return None
    first = line[:1]
    if first == b"{":
        return _from_json(line, clock, depth)
    if first == b"<" and (priority := _PRIORITY.match(line)):
        return _after_priority(line[priority.end() :], clock, outer, depth)
    if first.isdigit() and (stamp := _ISO.match(line)):
        at = clock.iso(stamp[1] + (stamp[2] or stamp[3] or b""))
        return None if at is None else _after_stamp(line[stamp.end() :], clock, at, depth)
    if first.isalpha():
        at = clock.traditional(line[:15])
        if at is not None:
            return _after_traditional(line[15:], at)
        if stamp := _FULL.match(line):
            zone = stamp[2]
            # of the zone's words only these are the same everywhere
            zone = b"Z" if zone in (b"UTC", b"GMT") else zone if zone[0] in b"+-" else b""
            at = clock.iso(stamp[1] + zone)
            return None if at is None else _after_host(line[stamp.end() :], at)
    for prefix in _PREFIXES:
        if match := prefix.match(line):
            rest = line[match.end() :]
            return _parse(rest, clock, outer, depth - 1) or _stampless(rest, clock, outer)
    return None


def _after_priority(rest: bytes, clock: Clock, outer: int | None, depth: int) -> Header | None:
    """After ``<22>``: RFC 5424 when its version follows, else any form, else a line that lost its stamp."""
    if rest.startswith(b"1 "):
        return _rfc5424(rest[2:], clock, outer)
    return _parse(rest, clock, outer, depth - 1) or _stampless(rest, clock, outer)


def _after_stamp(rest: bytes, clock: Clock, at: int, depth: int) -> Header | None:
    """After an RFC 3339 stamp: a container runtime's words, a second and better stamp, or host and tag."""
    rest = rest.lstrip(b" ")
    if runtime := _RUNTIME.match(rest):
        return _inner(rest[runtime.end() :], clock, at, depth)
    # docker and kubectl put their stamp before syslog's own on request
    nested = _parse(rest, clock, at, depth - 1) if _is_stamped(rest) else None
    return nested or _after_host(rest, at)


def _is_stamped(text: bytes) -> bool:
    """True when a stamp begins the text, perhaps after a priority."""
    if priority := _PRIORITY.match(text):
        text = text[priority.end() :]
        if text.startswith(b"1 "):
            return True
    return (text[6:7] == b" " and text[9:10] == text[12:13] == b":") or _ISO.match(text) is not None


def _after_traditional(rest: bytes, at: int) -> Header | None:
    """After ``Nov  4 03:02:01``: the fraction that journalctl -o short-precise adds, then host and tag."""
    if rest[:1] == b".":
        rest = rest[1:].lstrip(b"0123456789")
    if rest[:1] not in (b" ", b""):
        return None
    return _after_host(rest, at)


def _after_host(rest: bytes, at: int) -> Header:
    """Read ``host tag: payload``; host, tag or both may be missing. FreeBSD has facility and level before."""
    rest = rest.lstrip(b" ")
    if rest[:1] == b"<" and (facility := _FACILITY.match(rest)):
        rest = rest[facility.end() :]
    host, _, tagged = rest.partition(b" ")
    # an address may end with colons and still be a host
    if (host.endswith(b":") and not host.endswith(b"::")) or rest.startswith(b"last message repeated "):
        host, tagged = b"", rest
    return _tagged(tagged, at, host) or Header(at, host, b"", b"", tagged)


def _tagged(text: bytes, at: int, host: bytes) -> Header | None:
    """Read ``program[pid]: payload`` or ``program: payload``; None when no tag begins the text."""
    tag, _, payload = text.partition(b" ")
    if not tag.endswith(b":"):
        # some senders leave out the blank after the tag
        cut = tag.find(b"]:")
        if cut < 0:
            return None
        tag, payload = tag[: cut + 2], text[cut + 2 :]
    tag = tag[:-1]
    if not tag:
        return None
    pid = b""
    program, bracket, number = tag.partition(b"[")
    if bracket and program and number[-1:] == b"]" and number[:-1].isdigit():
        tag, pid = program, number[:-1]
    if payload.startswith(b"[ID ") and (solaris := _SOLARIS.match(payload)):
        payload = payload[solaris.end() :]
    return Header(at, host, tag, pid, payload)


def _stampless(text: bytes, clock: Clock, outer: int | None) -> Header | None:
    """A line that only its wrapping or its neighbour dates: it has to have a tag; a severity word is none."""
    at = clock.last if outer is None else outer
    header = None if at is None else _tagged(text, at, b"")
    return None if header is None or header.program in _LEVELS else header


def _inner(text: bytes, clock: Clock, at: int, depth: int) -> Header:
    """What a container wrote: a line with a header of its own, or a tag or plain text of the outer time."""
    return (
        _parse(text, clock, at, depth - 1) or _stampless(text, clock, at) or Header(at, b"", b"", b"", text)
    )


def _rfc5424(rest: bytes, clock: Clock, outer: int | None) -> Header | None:
    """Read RFC 5424 after its version. rsyslog cuts APP-NAME at the slash: ``postfix`` is all it leaves."""
    fields = rest.split(b" ", 5)
    if len(fields) < 6:
        return None
    stamp, host, program, pid, _, rest = fields
    at = (clock.last if outer is None else outer) if stamp == b"-" else clock.iso(stamp)
    data = _DATA.match(rest)
    if at is None or data is None:
        return None
    payload = rest[data.end() :].lstrip(b" ").removeprefix(b"\xef\xbb\xbf").lstrip(b" ")
    host, program, pid = (b"" if field == b"-" else field for field in (host, program, pid))
    return Header(at, host, program, pid, payload)


def _from_json(line: bytes, clock: Clock, depth: int) -> Header | None:
    """Read one object of journalctl -o json, or of docker's json-file driver."""
    # Imported here, for few logs are of objects and every start would wait for it.
    import json

    try:
        entry = json.loads(line.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    if "__REALTIME_TIMESTAMP" in entry:
        return _from_journal(entry, clock)
    if "log" not in entry:
        return None
    at = clock.iso(_bytes(entry.get("time")))
    text = _bytes(entry["log"])
    # without its own time the line may still carry a stamp inside
    return _parse(text, clock, None, depth - 1) if at is None else _inner(text, clock, at, depth)


def _from_journal(entry: dict[str, Any], clock: Clock) -> Header | None:
    """Read the fields of a journal entry; `systemd.journal-fields(7)`."""
    stamp = _bytes(entry["__REALTIME_TIMESTAMP"])
    if not stamp.isdigit() or len(stamp) > 16 or int(stamp) // 1_000_000 > LATEST:
        return None
    clock.last = at = int(stamp) // 1_000_000
    return Header(
        at,
        _bytes(entry.get("_HOSTNAME")),
        _bytes(entry.get("SYSLOG_IDENTIFIER")) or _bytes(entry.get("_COMM")),
        _bytes(entry.get("SYSLOG_PID")) or _bytes(entry.get("_PID")),
        _bytes(entry.get("MESSAGE")),
    )


def _bytes(value: object) -> bytes:
    """A value of such an object as bytes: text, byte values, or the first of several; b"" for anything else.

    Line breaks inside become ``#012``, as in rsyslog: a payload is one line.
    """
    if isinstance(value, list) and value and type(value[0]) is not int:
        value = value[0]  # a field that occurs more than once
    if isinstance(value, str):
        text = value.encode("utf-8", "backslashreplace")
    elif isinstance(value, list) and all(type(item) is int and 0 <= item <= 255 for item in value):
        text = bytes(value)
    else:
        return b"%d" % value if type(value) is int else b""
    return text.rstrip(b"\r\n").replace(b"\n", b"#012")


_QUEUE_ID = re.compile(
    rb"[0-9A-F]{6,21}|[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-z]{10,20}z[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-y]{1,16}|NOQUEUE"
)
_LATE_EVENT = re.compile(rb" SMFIC_(?:DATA|HEADER|EOH|BODY|BODYEOB)(?: |\Z)")
# smtpd answers a client, so its text starts with an SMTP code; cleanup has only the enhanced status
_MILTER_ACTION = re.compile(rb"milter-(?:reject|hold|discard): ([A-Z-]{1,32}) from [^ ]+: (\d\.\d)?")
_CHECK = re.compile(rb"[a-z_]{1,16}: (?:([A-Z-]{1,32}) from |(?:header|body|content|mime-error) )")
_QMGR_END = re.compile(
    rb", (?:size=\d+, nrcpt=\d+ \(queue active\)|status=(?:force-)?expired, returned to sender)\Z"
)
_DELIVERY = re.compile(
    rb", relay=([^ ,]+)(?:, conn_use=\d+)?, delay=[\d.]+, delays=[\d./]+(?:, tls=[\w:]+)?"
    rb", dsn=[\d.]+, status=[a-z-]+(?: \((delivered via ))?"
)
_NOTIFICATION = re.compile(rb"(?:sender|postmaster) (?:non-delivery|delivery status|delay) notification: ")
_SESSION = (
    b"connect from ",
    b"disconnect from ",
    b"lost connection after ",
    b"timeout after ",
    b"too many errors after ",
)


def guess_daemon(payload: bytes) -> bytes | None:
    """The Postfix daemon that writes such a payload, for logs that kept only ``postfix`` of its name.

    None when the shape is no daemon's in particular. Where smtpd and cleanup write the same text, the milter
    event decides; without one it is smtpd, which has the most of them.
    """
    if payload.startswith(
        (*_SESSION, b"proxy-accept: ", b"proxy-reject: ", b"warning: connect to Milter service ")
    ):
        return b"smtpd"
    if payload.startswith(b"warning: milter"):
        return b"cleanup" if _LATE_EVENT.search(payload) else b"smtpd"
    if payload.startswith(b"connect to ") and b"]:" in payload:
        return b"smtp"
    queue_id, _, text = payload.partition(b": ")
    return _guess_by_text(text) if _QUEUE_ID.fullmatch(queue_id) else None


def _guess_by_text(text: bytes) -> bytes | None:
    """By what follows the queue ID."""
    if text.startswith((b"client=", *_SESSION)):
        return b"smtpd"
    if text.startswith((b"message-id=", b"resent-message-id=", b"milter-header-", b"removed (")):
        return b"cleanup"
    if text.startswith(b"uid="):
        return b"pickup"
    if text in (b"removed", b"skipped, still being delivered"):
        return b"qmgr"
    if text.startswith(b"from=<"):
        return b"qmgr" if _QMGR_END.search(text) else None
    if text.startswith(b"to=<"):
        return _guess_by_delivery(text)
    if text.startswith((b"host ", b"conversation with ", b"lost connection with ")):
        return b"smtp"
    if _NOTIFICATION.match(text):
        return b"bounce"
    if action := _MILTER_ACTION.match(text):
        return b"cleanup" if action[1] == b"END-OF-MESSAGE" or action[2] else b"smtpd"
    if check := _CHECK.match(text):
        return b"smtpd" if check[1] else b"cleanup"
    return None


def _guess_by_delivery(text: bytes) -> bytes | None:
    """By the relay: a transport's name for local, virtual and pipe, a path for lmtp, else a host or none."""
    delivery = _DELIVERY.search(text)
    if delivery is None:
        return None
    relay = delivery[1]
    if relay in (b"local", b"virtual"):
        return relay
    if b"/" in relay:
        return b"lmtp"
    if delivery[2] or (relay != b"none" and b"[" not in relay):
        return b"pipe"
    return b"smtp"
