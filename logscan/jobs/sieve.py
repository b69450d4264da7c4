"""Reads a part of a log alone, and leaves out the messages that are plain and wholly in it.

A message is left out when the part tells all of it, nothing of it told of more than itself, and nobody has to look
at it again: it was signed, came in, or is a bounce. All its lines go, and it is counted. Every other line is kept,
for a reader who knows what came before. When in doubt a line is kept.
"""

from __future__ import annotations

from collections import deque
from datetime import tzinfo
from typing import Final

from logscan.correlate.common import MOVED_WITHIN
from logscan.correlate.feed import NEW_SESSION, NO_LEG, PLAIN, Feed, Sifter
from logscan.correlate.state import (
    LOST,
    MADE,
    NOBODY,
    PICKUP,
    PROBE,
    REMOVED,
    STRANGER,
    VANISHED,
    Leg,
    Origin,
    Owner,
    Session,
    Sifting,
    State,
)
from logscan.correlate.writers import Writers
from logscan.jobs.digest import Digest
from logscan.model import Window
from logscan.parse.header import Header
from logscan.run import Run
from logscan.tally import Tally

# Lines of which not all is known yet are held so long; then they are kept.
HELD: Final = 50_000
# Seconds by which lines may be late, at most, where a log is cut in parts.
SLACK: Final = 10
# More legs than that are a loop.
LONGEST_CHAIN: Final = 16
# In a part; more are no mail log's.
MOST_WRITERS: Final = 50_000
_NEVER: Final = 1 << 62
_WITH_SESSIONS: Final = frozenset({b"smtpd", b"qmqpd", b""})


class Apart(Owner):
    """The owner of one line that is kept for itself. leg, session: what its writer had at hand."""

    def __init__(self, leg: Leg | None, session: Session | None) -> None:
        self.leg = leg
        self.session = session


class Sieve(Run):
    """One pass over a part of a log. `digest` afterwards."""

    def __init__(
        self, window: Window, zone: tzinfo, hosts: frozenset[bytes], domains: frozenset[bytes], digest: Digest
    ) -> None:
        super().__init__(window, zone, tally=Tally(), hosts=hosts, domains=domains)
        self.result = digest
        self.sifting = self.state.sifting = Sifting(_NEVER)
        self.state.opendkim_names = set(digest.names)
        self.all = _AllWriters()
        self.writers = self.all
        self.ids: list[bytes] = []

    def sift(self, feed: Feed, block: bytes) -> None:
        """Take a block of whole lines."""
        state, result = self.state, self.result
        seq = state.seq
        result.info.lines += feed.block(block)
        result.most_open = max(result.most_open, state.open_legs + state.seq - seq)
        result.mail = result.mail or b"postfix" in block or b"opendkim" in block

    def finished(self, legs: list[Leg]) -> None:
        """A message is complete: leave it out if it is plain, and count it then."""
        state = self.state
        if not _is_apart(legs, self.sifting, len(state.hosts)):
            return
        not_mail = state.not_mail
        case = self.case(legs)
        if case is None:
            self.result.not_mail += state.not_mail - not_mail
        else:
            if case.outcome != "signed" and case.direction != "inbound" and case.direction != "bounce":
                return
            if case.checked_reason is not None and not _is_sure(legs, case.checked_reason):
                return
            self.count(legs, case)
        for leg in legs:
            leg.dropped = True
            leg.words = None
            leg.deliveries = None
            self.ids.append(leg.queue_id)
            if leg.kind == PICKUP:
                self.result.pickups += 1
            elif leg.kind == MADE and len(state.hosts) == 1:
                self.result.made_early = True

    def end(self, feed: Feed, sifter: Kept) -> None:
        """The part is at its end: fill the digest."""
        state, result = self.state, self.result
        sifter.flush()
        tags: list[bytes] = []
        sifting = self.sifting
        result.good = result.good and not (
            sifting.astray
            or self.all.crowded
            or frozenset(state.opendkim_names) != result.names
            or any(not state.hosts[name].spaces for name in sifting.early)
        )
        assert self.tally is not None
        self.tally.fold(self.known, everything=True)
        result.tables = self.tally.tables()
        result.ids = b"\n".join([*self.ids, *sifting.proofs])
        result.lines = b"".join(sifter.kept)
        for tag, origin in self.writers.items():
            if origin.space is not None:
                tags.append(tag)
                note = _at_end(origin)
                if note != PLAIN:
                    result.writers.append((tag, note))
        result.tags = frozenset(tags)
        result.going_on = frozenset(self.all.going_on)
        result.hosts = frozenset(state.hosts)
        result.instances = max((len(host.spaces) for host in state.hosts.values()), default=0)
        result.foreign = state.foreign_lines - sifter.strangers
        result.unread = feed.unread
        result.ended = feed.clock.place()


def _is_apart(legs: list[Leg], sifting: Sifting, hosts: int) -> bool:
    """True when nothing outside of these legs has to do with them, as far as their lines tell."""
    if len(legs) > LONGEST_CHAIN:
        return False
    begin = sifting.begin
    for leg in legs:
        if leg.queue_id in sifting.unplaced:
            return False
        if leg.tainted or leg.kind == LOST or leg.first <= begin or leg.last <= begin:
            return False
        if leg.failure is not None or leg.fault is not None or leg.refusal is not None or leg.proxy is not None:
            return False
        if leg.end != REMOVED and leg.end != VANISHED and leg.end != PROBE:
            return False
        # One that another host opened may still be waiting for its name (`other_host`).
        if leg.kind == MADE and leg.first <= begin + MOVED_WITHIN and hosts > 1:
            return False
    return True


def _is_sure(legs: list[Leg], reason: str) -> bool:
    """False when the answer hangs on what OpenDKIM's build said before the part."""
    if reason != "bad-signature" and reason != "body-altered":
        return True
    run = legs[0].run or legs[0].space.host.run
    return run.ssl_lines or run.started or run.down


class Kept(Sifter):
    """The lines of a part until it is known whose they are, and after that those that are kept."""

    def __init__(self, state: State, sifting: Sifting, digest: Digest) -> None:
        super().__init__()
        self.state = state
        self.sifting = sifting
        self.digest = digest
        self.kept: list[bytes] = []
        self.bytes = 0  # of those kept
        self.strangers = 0
        self._held: deque[tuple[list[bytes], list[Owner], list[tuple[int, int]]]] = deque()
        self._moves: list[tuple[int, int]] = []
        self._count = 0

    def lines(self, lines: list[bytes]) -> None:
        """The lines of a block that is read now."""
        self._count += len(lines)
        while self._held and self._count > HELD:
            self._pass()
        self.owners = []
        self._moves = []
        self._held.append((lines, self.owners, self._moves))

    def reached(self, at: int) -> None:
        """The log came to another second."""
        if self.sifting.begin == _NEVER:
            self.sifting.begin = at + SLACK
        self._moves.append((len(self.owners), at))

    def lost(self) -> None:
        """A line was met that says nothing without the one before it."""
        self.sifting.astray = True

    def apart(self, owner: Owner | None, origin: Origin | None) -> Owner:
        """Whose a line is that nobody owns, or that tells of more than its owner."""
        self.state.wide = False
        if owner is STRANGER:
            self._counted()
        elif owner is not None and owner is not NOBODY:
            owner.tainted = True
            return owner
        if origin is None:
            return Apart(None, None)
        session = None
        if origin.connected:
            session = origin.session
            if session is None:
                session = origin.session = Session()
        return Apart(origin.leg, session)

    def _counted(self) -> None:
        """The line is another program's, is counted as that, and will be again."""
        self.strangers += 1
        lines = self._held[-1][0]
        if b": message repeated " in lines[len(self.owners)]:
            self.sifting.astray = True

    def flush(self) -> None:
        """No more lines come."""
        while self._held:
            self._pass()

    def _pass(self) -> None:
        """Decide on the block that has been held longest."""
        lines, owners, moves = self._held.popleft()
        self._count -= len(lines)
        instants = self.digest.instants
        at = 0
        for upto, instant in moves:
            self._keep(lines, owners, at, upto)
            instants.append(instant)
            at = upto
        self._keep(lines, owners, at, len(owners))

    def _keep(self, lines: list[bytes], owners: list[Owner], begin: int, end: int) -> None:
        digest = self.digest
        where = len(digest.instants) - 1
        for place in [place for place in range(begin, end) if not owners[place].dropped]:
            digest.notes.append(self._note(owners[place]))
            self.kept.append(lines[place])
            self.bytes += len(lines[place])
            digest.where.append(where)

    def _note(self, owner: Owner) -> int:
        """What the reader has to do before a kept line of this owner."""
        note = PLAIN
        if isinstance(owner, Apart):
            leg, session = owner.leg, owner.session
            if session is not None and not session.kept:
                session.kept = True
                note = NEW_SESSION
            if leg is not None:
                if not leg.dropped:
                    leg.tainted = True
                elif note == PLAIN:
                    # A leg that is over is as good as none, but for one that a milter's failure can still be
                    # said of.
                    note = NO_LEG
                    if leg.active is None:
                        self.sifting.astray = True
        elif isinstance(owner, Leg) and not owner.kept:
            owner.kept = owner.tainted = True
            session = owner.session
            if session is not None and not session.kept:
                # Its first line is the one that opened it.
                session.kept = True
                note = NEW_SESSION
        return note


class _AllWriters(Writers):
    """Writers of which none is forgotten.

    crowded: there would be too many. going_on: tags of those that may go on with a session from before the part.
    """

    def __init__(self) -> None:
        super().__init__()
        self.crowded = False
        self.going_on: set[bytes] = set()

    def add(self, state: State, tag: bytes, header: Header) -> Origin:
        if len(self.young) >= MOST_WRITERS:
            self.crowded = True
            self.young.clear()
        origin = self.make(state, tag, header)
        # b"": it is told by its lines.
        if origin.daemon in _WITH_SESSIONS and not header.payload.startswith(b"connect "):
            self.going_on.add(tag)
        return origin


def _at_end(origin: Origin) -> int:
    """What has to be done to a writer at the end of the part, since its last lines were left out."""
    if origin.connected and (origin.session is None or not origin.session.kept):
        return NEW_SESSION
    return NO_LEG if origin.leg is not None and origin.leg.dropped else PLAIN
