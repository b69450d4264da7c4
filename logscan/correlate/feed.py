"""The hot loop: blocks of lines in, each line to the handler of the program that wrote it.

Most lines pay for one `partition`, a stamp that equals the last one, and one lookup of their tag
(`mx postfix/smtpd[123]`). Everything unusual (other prefix forms, first lines of a writer) takes the slow way
through `header.parse`.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import Final

from logscan.correlate.common import split
from logscan.correlate.smtpd import new_session
from logscan.correlate.state import NOBODY, Origin, Owner, State
from logscan.correlate.transit import advance
from logscan.correlate.writers import Writers, tag_of
from logscan.model import SourceInfo
from logscan.parse.header import Header, as_text, parse, repeated_bsd, unrepeat
from logscan.parse.stamps import Clock, Place

REPEATS: Final = 10_000
CLOSING: Final = 0x5D  # "]"
REPEAT: Final = b"message repeated "
NEVER: Final = b"\n\n"  # in place of a stamp: no line begins so

# What has to be done to a writer before a line of it, for lines that were left out of the log before: nothing, begin
# a session, or forget which leg it spoke of.
PLAIN: Final = 0
NEW_SESSION: Final = 1
NO_LEG: Final = 2


class Sifter:
    """Is told of all that a feed takes: of each block its lines, then of each line its owner, in order."""

    def __init__(self) -> None:
        self.owners: list[Owner] = []

    def lines(self, lines: list[bytes]) -> None:
        """The lines of a block that is read now, with their newlines."""

    def reached(self, at: int) -> None:
        """The log came to another second; the next line is of it."""

    def apart(self, owner: Owner | None, origin: Origin | None) -> Owner:
        """Whose a line is that nobody owns, or that tells of more than its owner. origin: who wrote it, if known."""
        raise NotImplementedError

    def lost(self) -> None:
        """A line was met that says nothing without the one before it."""


class Feed:
    """Feeds the lines of one source into a state. One per source: it keeps the clock and the writers seen."""

    def __init__(self, state: State, clock: Clock, shared: Writers, sifter: Sifter | None = None) -> None:
        self.sifter = sifter
        self.state = state
        self.clock = clock
        self.writers = shared
        self.stamp = NEVER  # the last traditional stamp, or else the last RFC 3339 second and zone
        self.second = NEVER
        self.zone = b""
        self.line = b""  # the last one of the block before
        self.first: int | None = None
        self.last: int | None = None
        self.window_first: int | None = None
        self.window_last: int | None = None
        self.everything = state.window.since is None and state.window.until is None
        self.unread = 0  # lines without a stamp that anybody knows

    def blocks(self, blocks: Iterator[bytes], info: SourceInfo | None) -> None:
        """Take blocks of whole lines to their end. info: their lines are counted into it."""
        for block in blocks:
            lines = self.block(block)
            if info is not None:
                info.lines += lines

    def block(self, block: bytes) -> int:
        """Take a block of whole lines; gives how many there were."""
        # One byte is searched for at the speed of memory, two are not.
        if block.find(b"\r") >= 0:
            block = block.replace(b"\r\n", b"\n")
        state = self.state
        clock = self.clock
        writers = self.writers
        young = writers.young
        stamp = self.stamp
        second = self.second
        zone = self.zone
        # It looks for the ends of lines at the speed of memory, as no split does; each line keeps its newline.
        lines = BytesIO(block if block.endswith(b"\n") or not block else block + b"\n").readlines()
        sifter = self.sifter
        if sifter is not None:
            sifter.lines(lines)
            owners = sifter.owners
        for line in lines:
            if line.startswith(stamp):
                tail = line[16:-1]
            elif line[:1] > b"@":
                at = clock.traditional(line[:15])
                if at is None:
                    stamp = second = NEVER
                    self.slow(line, lines)
                    continue
                stamp = line[:15]
                second = NEVER
                if at != state.now:
                    self.reached(at)
                tail = line[16:-1]
            elif b"0" <= line[:1] <= b"9":
                end = line.find(b" ")
                mark = line[:end]
                tail = line[end + 1 : -1]
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
            # Tag, queue ID and the rest at once: it costs less than one after the other.
            parts = split(tail, b": ", 2)
            tag = parts[0]
            origin = young.get(tag) or writers.get(tag)
            # Nor is it a tag where nothing follows, even if it looks like that of a writer.
            if origin is None or len(parts) < 2:
                stamp = second = NEVER
                self.slow(line, lines)
                continue
            # One byte rules it out for nearly all: rsyslog closes its repeat with a bracket.
            start = parts[1]
            if line[-2] == CLOSING and start.startswith(REPEAT):
                self.repeated(origin, tail.partition(b": ")[2], line)
            else:
                origin.handler.take(state, origin, start, parts[2] if len(parts) > 2 else None, line)
            if sifter is not None:
                owner = state.owner
                if owner is None or state.wide:
                    owner = sifter.apart(owner, origin)
                owners.append(owner)
                state.owner = None
        self.stamp = stamp
        self.second = second
        self.zone = zone
        if lines:
            self.line = lines[-1]
        return len(lines)

    def reached(self, at: int) -> None:
        """The log came to another second."""
        state = self.state
        state.now = at
        if at > state.latest:
            state.latest = at
        self.last = at
        if self.sifter is not None:
            self.sifter.reached(at)
        if at >= state.due:
            advance(state, at)
        if self.window_last is None or not self.everything:
            if self.first is None:
                self.first = at
            if state.window.holds(at):
                if self.window_first is None:
                    self.window_first = at
                self.window_last = at

    def resume(self, place: Place) -> None:
        """Go on where another feed's clock stood."""
        self.clock.resume(place)
        self.stamp = self.second = NEVER
        self.line = b""

    def slow(self, line: bytes, lines: list[bytes]) -> None:
        """A line of another form, or the first of a writer, with its newline. lines: of its block."""
        origin = self._slow(line, lines)
        sifter, state = self.sifter, self.state
        if sifter is not None:
            owner = state.owner
            if owner is None or state.wide:
                owner = sifter.apart(owner, origin)
            sifter.owners.append(owner)
            state.owner = None

    def _slow(self, raw: bytes, lines: list[bytes]) -> Origin | None:
        line = raw[:-1]
        header = parse(line, self.clock)
        if self.sifter is not None and (header is None or not header.program) and _begins_well(line, self.clock):
            self.sifter.lost()
        if header is None:
            if line.strip():
                self.unread += 1
                self.state.foreign()
            else:
                self.state.owner = NOBODY
            return None
        if header.at != self.state.now or self.first is None:
            self.reached(header.at)
        if not header.program:
            self._untagged(header, raw, lines)
            return None
        if line[:1] == b"{":
            line = as_text(header, self.clock)
        origin = self._writer(header)
        self._take(origin, header.payload, line)
        return origin

    def _writer(self, header: Header) -> Origin:
        tag = tag_of(header)
        return self.writers.get(tag) or self.writers.add(self.state, tag, header)

    def _take(self, origin: Origin, payload: bytes, line: bytes) -> None:
        if payload.startswith(REPEAT):
            self.repeated(origin, payload, line)
        else:
            self._hand_on(origin, payload, line)

    def replay(self, instants: list[int], lines: list[bytes], where: list[int], notes: bytes) -> None:
        """Go through instants and take the lines of each. where: of each line, the index of its instant."""
        state = self.state
        count = len(where)
        place = 0
        due = where[0] if count else -1
        for index, at in enumerate(instants):
            if at != state.now:
                self.reached(at)
            while due == index:
                self.again(at, lines[place], notes[place])
                place += 1
                due = where[place] if place < count else -1

    def forget(self, tag: bytes, note: int) -> None:
        """Do to a writer, if it is known, what lines of it that were left out would have done."""
        origin = self.writers.get(tag)
        if origin is not None:
            self._prepare(origin, note)

    def _prepare(self, origin: Origin, note: int) -> None:
        if note == NEW_SESSION:
            new_session(self.state, origin)
        elif note == NO_LEG:
            origin.leg = None

    def again(self, at: int, line: bytes, note: int) -> bool:
        """Take a line whose instant is known, and was reached. note: what has to be done to its writer first.

        False when the clock would have read another instant.
        """
        clock = self.clock
        found: int | None = None
        mark = b""
        head, colon, payload = line.partition(b": ")
        tag = b""
        if head[:1] > b"@":
            found = clock.traditional(head[:15])
            if found is not None:
                tag = head[16:]
        elif b"0" <= head[:1] <= b"9":
            mark, _, rest = head.partition(b" ")
            found = clock.iso(mark)
            if found is not None:
                tag = rest
        clock.last = at
        origin = self.writers.get(tag) if tag and colon else None
        if origin is None:
            header = parse(line, clock)
            if mark and (header is None or not header.program):
                # Lines that nobody can read are not kept: this one began as the line before it, which was left out.
                header = parse(mark[:19] + line[len(mark) :], clock) or header
            if header is None:
                if line.strip():
                    self.unread += 1
                    self.state.foreign()
                return True
            found = header.at
            if not header.program:
                self.state.foreign()
                return found == at
            header = header._replace(at=at)
            if line[:1] == b"{":
                line = as_text(header, clock)
            payload = header.payload
            origin = self._writer(header)
        if note != PLAIN:
            self._prepare(origin, note)
        self._take(origin, payload, line)
        return found == at

    def repeated(self, origin: Origin, payload: bytes, line: bytes) -> None:
        """rsyslog's `message repeated <n> times: [ <text>]`: n more of the line before."""
        inside = unrepeat(payload)
        if inside is None:
            self._hand_on(origin, payload, line)
            return
        state = self.state
        for _ in range(min(inside[0], REPEATS)):
            self._hand_on(origin, inside[1], line)
            if state.sifting is not None and state.owner is not None:
                state.owner.tainted = True

    def _untagged(self, header: Header, line: bytes, lines: list[bytes]) -> None:
        """BSD's `last message repeated <n> times` has no tag: it means the line before it."""
        count = repeated_bsd(header.payload)
        place = next((place for place, other in enumerate(lines) if other is line), 0)
        previous = lines[place - 1] if place > 0 else self.line
        before = parse(previous[:-1], self.clock) if count is not None else None
        origin = None if before is None else self.writers.get(tag_of(before))
        if count is not None and self.sifter is not None:
            self.sifter.lost()
        if count is None or before is None or origin is None:
            self.state.foreign()
            return
        for _ in range(min(count, REPEATS)):
            self._hand_on(origin, before.payload, line)

    def _hand_on(self, origin: Origin, payload: bytes, line: bytes) -> None:
        start, colon, rest = payload.partition(b": ")
        origin.handler.take(self.state, origin, start, rest if colon else None, line)


def _begins_well(line: bytes, clock: Clock) -> bool:
    """True when a stamp is only read where the line before it has the same second, and a known writer."""
    mark = line.partition(b" ")[0]
    return line[:1].isdigit() and len(mark) > 19 and clock.iso(mark) is None and clock.iso(mark[:19]) is not None
