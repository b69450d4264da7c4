"""The hot loop: blocks of lines in, each line to the handler of the program that wrote it.

Most lines pay for one `partition`, a stamp that equals the last one, and one lookup of their tag
(`mx postfix/smtpd[123]`). Everything unusual (other prefix forms, first lines of a writer) takes the slow way
through `header.parse`.
"""

from __future__ import annotations

from typing import Final

from logscan.correlate import daemon, gaps, postfix, units
from logscan.correlate.common import known
from logscan.correlate.state import NAME_CAP, Handler, Host, Origin, State, payload_of
from logscan.correlate.transit import advance
from logscan.parse.header import Header, as_text, guess_daemon, parse, repeated_bsd, unrepeat
from logscan.parse.stamps import Clock

# Writers are remembered in two generations: the young one is filled, and when it is full it becomes the old
# one. A writer that is silent for a whole generation is forgotten, so memory follows the writers at work.
GENERATION: Final = 5_000
REPEATS: Final = 10_000
CLOSING: Final = 0x5D  # "]"
REPEAT: Final = b"message repeated "
NEVER: Final = b"\n"  # in place of a stamp: no line begins so


class Feed:
    """Feeds the lines of one source into a state. One per source: it keeps the clock and the writers seen."""

    def __init__(self, state: State, clock: Clock, shared: Writers) -> None:
        self.state = state
        self.clock = clock
        self.writers = shared
        self.stamp = NEVER  # the last traditional stamp, or else the last RFC 3339 second and zone
        self.second = NEVER
        self.zone = b""
        self.first: int | None = None
        self.last: int | None = None
        self.window_first: int | None = None
        self.window_last: int | None = None
        self.everything = state.window.since is None and state.window.until is None
        self.unread = 0  # lines without a stamp that anybody knows

    def block(self, block: bytes) -> int:
        """Take a block of whole lines; gives how many there were."""
        # One byte is searched for at the speed of memory, two are not.
        if b"\r" in block:
            block = block.replace(b"\r\n", b"\n")
        state = self.state
        clock = self.clock
        writers = self.writers
        young = writers.young
        stamp = self.stamp
        second = self.second
        zone = self.zone
        lines = block.split(b"\n")
        if not lines[-1]:
            lines.pop()
        for line in lines:
            parts = line.split(b": ", 2)
            head = parts[0]
            if head.startswith(stamp):
                tag = head[16:]
            elif head[:1] > b"@":
                at = clock.traditional(head[:15])
                if at is None:
                    stamp = second = NEVER
                    self.slow(line, lines)
                    continue
                stamp = head[:15]
                second = NEVER
                if at != state.now:
                    self.reached(at)
                tag = head[16:]
            elif b"0" <= head[:1] <= b"9":
                mark, _, tag = head.partition(b" ")
                if not (mark.startswith(second) and mark.endswith(zone)):
                    at = clock.iso(mark)
                    if at is None:
                        stamp = second = NEVER
                        self.slow(line, lines)
                        continue
                    stamp = NEVER
                    second = mark[:19]
                    zone = mark[-6:]
                    if at != state.now:
                        self.reached(at)
            else:
                stamp = second = NEVER
                self.slow(line, lines)
                continue
            origin = young.get(tag) or writers.get(tag)
            if origin is None:
                stamp = second = NEVER
                self.slow(line, lines)
                continue
            # One byte rules it out for nearly all: rsyslog closes its repeat with a bracket.
            start = parts[1] if len(parts) > 1 else b""
            if line[-1] == CLOSING and start.startswith(REPEAT):
                self.repeated(origin, line.partition(b": ")[2], line)
            else:
                origin.handler.take(state, origin, start, parts[2] if len(parts) > 2 else None, line)
        self.stamp = stamp
        self.second = second
        self.zone = zone
        return len(lines)

    def reached(self, at: int) -> None:
        """The log came to another second."""
        state = self.state
        state.now = at
        self.last = at
        if at >= state.due:
            advance(state, at)
        if self.window_last is None or not self.everything:
            if self.first is None:
                self.first = at
            if state.window.holds(at):
                if self.window_first is None:
                    self.window_first = at
                self.window_last = at

    def slow(self, line: bytes, lines: list[bytes]) -> None:
        """A line of another form, or the first of a writer. lines: of its block."""
        header = parse(line, self.clock)
        if header is None:
            if line.strip():
                self.unread += 1
                self.state.foreign_lines += 1
            return
        if header.at != self.state.now or self.first is None:
            self.reached(header.at)
        if not header.program:
            self._untagged(header, line, lines)
            return
        if line[:1] == b"{":
            line = as_text(header, self.clock)
        tag = _tag(header)
        origin = self.writers.get(tag)
        if origin is None:
            origin = self.writers.add(self.state, tag, header)
        if header.payload.startswith(REPEAT):
            self.repeated(origin, header.payload, line)
        else:
            self._hand_on(origin, header.payload, line)

    def repeated(self, origin: Origin, payload: bytes, line: bytes) -> None:
        """rsyslog's `message repeated <n> times: [ <text>]`: n more of the line before."""
        inside = unrepeat(payload)
        if inside is None:
            self._hand_on(origin, payload, line)
            return
        for _ in range(min(inside[0], REPEATS)):
            self._hand_on(origin, inside[1], line)

    def _untagged(self, header: Header, line: bytes, lines: list[bytes]) -> None:
        """BSD's `last message repeated <n> times` has no tag: it means the line before it."""
        count = repeated_bsd(header.payload)
        place = next((place for place, other in enumerate(lines) if other is line), 0)
        before = parse(lines[place - 1], self.clock) if count is not None and place > 0 else None
        origin = None if before is None else self.writers.get(_tag(before))
        if count is None or before is None or origin is None:
            self.state.foreign_lines += 1
            return
        for _ in range(min(count, REPEATS)):
            self._hand_on(origin, before.payload, line)

    def _hand_on(self, origin: Origin, payload: bytes, line: bytes) -> None:
        start, colon, rest = payload.partition(b": ")
        origin.handler.take(self.state, origin, start, rest if colon else None, line)


def _tag(header: Header) -> bytes:
    return header.host + b" " + header.program + (b"[" + header.pid + b"]" if header.pid else b"")


class Writers:
    """All (host, program, pid) that wrote lately, by their tag as it stands in the line."""

    def __init__(self) -> None:
        self.young: dict[bytes, Origin] = {}
        self.old: dict[bytes, Origin] = {}

    def get(self, tag: bytes) -> Origin | None:
        """A writer of either generation; one of the old moves to the young."""
        origin = self.young.get(tag)
        if origin is None:
            origin = self.old.pop(tag, None)
            if origin is not None:
                self.young[tag] = origin
        return origin

    def add(self, state: State, tag: bytes, header: Header) -> Origin:
        """Remember a new writer."""
        if len(self.young) >= GENERATION:
            self.old = dict(self.young)
            self.young.clear()
        origin = make_origin(state, state.host(header.host), header.program, header.pid, header.payload)
        self.young[tag] = origin
        return origin


class Guessed(Handler):
    """A Postfix line whose daemon the transport dropped."""

    def take(self, state: State, origin: Origin, start: bytes, rest: bytes | None, line: bytes, /) -> None:
        payload = payload_of(start, rest)
        name = guess_daemon(payload)
        handler = postfix.HANDLERS.get(name) if name is not None else None
        if handler is None:
            # postfixadmin and its like write such names too.
            if origin.program == b"postfix":
                known(state, origin, payload)
            else:
                FOREIGN.take(state, origin, start, rest, line)
            return
        origin.daemon = name or b""
        if origin.space is None:
            origin.space = state.space(origin.host, origin.program)
        handler.take(state, origin, start, rest, line)


class Foreign(Handler):
    """Another program's line. One that writes OpenDKIM's own sentences is an OpenDKIM under another name."""

    def take(self, state: State, origin: Origin, start: bytes, rest: bytes | None, line: bytes, /) -> None:
        # What neither begins so nor goes on so is no sentence of OpenDKIM's: one look at nearly all.
        if (
            (start.startswith(b"OpenDKIM ") or (rest is not None and rest.startswith(b"DKIM-Signature ")))
            and daemon.RENAMED.match(payload_of(start, rest)) is not None
        ):
            if len(state.opendkim_names) < NAME_CAP:
                state.opendkim_names.add(origin.program)
            origin.handler = daemon.OPENDKIM
            origin.handler.take(state, origin, start, rest, line)
            return
        state.foreign()


GUESSED: Final = Guessed()
FOREIGN: Final = Foreign()
# The log's own programs, and the system's.
OTHERS = {**gaps.HANDLERS, **units.HANDLERS}


def make_origin(state: State, host: Host, program: bytes, pid: bytes, payload: bytes) -> Origin:
    """Find out who a writer is by its name."""
    parts = program.split(b"/")
    name = parts[-1]
    if len(parts) > 1:
        handler = postfix.HANDLERS.get(name)
        if handler is None and parts[0].startswith(b"postfix"):
            handler = postfix.OTHER
        if handler is not None:
            return Origin(host, program, pid, name, state.space(host, parts[0]), handler)
    elif program in state.opendkim_names:
        return Origin(host, program, pid, b"opendkim", None, daemon.OPENDKIM)
    elif program.startswith(b"postfix"):
        # RFC 5424 cut the name at the slash: every line has to be guessed by its shape.
        return Origin(host, program, pid, b"", None, GUESSED)
    elif program in OTHERS:
        return Origin(host, program, pid, program, None, OTHERS[program])
    return Origin(host, program, pid, name, None, FOREIGN)
