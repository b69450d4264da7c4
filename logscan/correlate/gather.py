"""The lines of each leg while it is open: what `trace` shows, gathered beside the engine.

Every writer's handler is wrapped, so that the engine itself does all reading; which leg a line went to is asked of
it right after. Lines without a queue ID are kept with the session (smtpd), with the process (cleanup, smtp) or with
the host (OpenDKIM's word on a key) until the engine ties them to a leg in the same way.

Nothing here runs unless a trace is asked for. Memory: lines of legs that are open or whose message is, `LINES` a leg
and `TOTAL` in all; what goes over that is counted and said.
"""

from __future__ import annotations

from itertools import islice
from typing import NamedTuple

from logscan.correlate.state import OPEN, RETRY_AGE, Handler, Host, Leg, Origin, State, payload_of, shown
from logscan.correlate.transit import find_leg
from logscan.correlate.writers import Writers
from logscan.model import Fault
from logscan.parse.header import Header
from logscan.parse.postfix import QUEUED_AS

LINES = 300  # of a leg: a mail to thousands of recipients, or one that is tried for days
ENDS = 4  # of a leg, first and last ones, when all legs together have too many
TOTAL = 500_000
RECORDS = 150_000
SESSIONS = 10_000
LONGEST = 4_000  # bytes of a line
BEFORE = 20  # lines of a session that are shared by its mails, or of a process that wait for their leg

_MILTER_CLIENTS = frozenset({b"smtpd", b"qmqpd"})
_SENDERS = frozenset({b"smtp", b"lmtp"})


class Line(NamedTuple):
    """One line. number: its place in the log. at: epoch seconds. payload: what follows the tag. line: as logged."""

    number: int
    at: int
    program: bytes
    pid: bytes
    payload: bytes
    line: bytes


class Record:
    """The lines of one leg in the order of the log; `left_out` is how many in the middle were not kept."""

    __slots__ = ("left_out", "lines")

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.left_out = 0


class _Session:
    """What a process said without a queue ID.

    begun: lines that all mails of an smtpd session share. lately: those since its last mail, or for a process that
    has no sessions those since it last named a leg. leg: the mail that is being handed in, or was the last.
    """

    __slots__ = ("begun", "lately", "leg")

    def __init__(self) -> None:
        self.begun: list[Line] = []
        self.lately: list[Line] = []
        self.leg: Leg | None = None


class Gatherer:
    """Gathers the lines of one run. Give `writers()` to it before it reads, and `take` each finished message."""

    def __init__(self) -> None:
        self._records: dict[Leg, Record] = {}
        self._sessions: dict[Origin, _Session] = {}
        self._keys: dict[Host, list[tuple[Line, Fault]]] = {}
        self._number = 0
        self._line = self._shown = b""
        self._kept = 0
        self._shed_at = TOTAL

    def writers(self) -> Writers:
        """Writers whose lines are gathered."""
        return _Watched(self)

    def take(self, legs: list[Leg]) -> tuple[list[tuple[Leg, Line]], int]:
        """The lines of a message in the order of the log, each once, and how many were not kept. They are let go."""
        found: dict[int, tuple[Leg, Line]] = {}
        left_out = 0
        for leg in legs:
            record = self._records.pop(leg, None)
            if record is not None:
                self._kept -= len(record.lines)
                left_out += record.left_out
                for line in record.lines:
                    found.setdefault(line.number, (leg, line))
        return [found[number] for number in sorted(found)], left_out

    def watch(self, origin: Origin) -> None:
        """Gather all further lines of a writer."""
        origin.handler = _Watch(self, origin.handler)

    # --- which leg a line went to ---

    def took(self, state: State, origin: Origin, payload: bytes, line: bytes) -> None:
        """A line of the engine's own daemons, which the engine has just read."""
        self._number += 1
        if line is not self._line:
            # One object for a line that is taken several times: a repeated one is told by that.
            self._line, self._shown = line, shown(line, LONGEST)
        said = Line(self._number, state.now, origin.program, origin.pid, payload, self._shown)
        word, _, rest = payload.partition(b": ")
        if word == b"warning":
            word = rest.partition(b": ")[0]
        space = origin.space
        if space is None:
            self._opendkim(state, origin, word, said)
            return
        leg = space.legs.get(word) or space.closed.get(word)
        if leg is None:
            self._without_id(origin, word, said)
            return
        session = self._sessions.get(origin)
        if session is not None:
            if origin.daemon in _MILTER_CLIENTS:
                if session.leg is not leg and rest.startswith(b"client="):
                    for before in sorted(session.begun + session.lately):
                        self._add(leg, before)
                    session.lately = []
                    session.leg = leg
            elif session.lately and origin.failure is None:
                # cleanup's milter failed while it got ready for this mail; smtp's talk was about this one.
                for before in session.lately:
                    self._add(leg, before)
                session.lately = []
        elif origin.daemon in _MILTER_CLIENTS and rest.startswith(b"client="):
            self._session(origin).leg = leg
        self._add(leg, said)

    def _without_id(self, origin: Origin, word: bytes, said: Line) -> None:
        payload = said.payload
        if origin.daemon in _MILTER_CLIENTS:
            self._smtpd(origin, word, said)
        elif origin.daemon == b"cleanup":
            if b"ilter" not in payload:
                return
            if origin.failure is not None:
                _keep(self._session(origin).lately, said)
            elif origin.leg is not None:
                self._add(origin.leg, said)
        elif origin.daemon in _SENDERS:
            _keep(self._session(origin).lately, said)

    def _smtpd(self, origin: Origin, word: bytes, said: Line) -> None:
        session = self._session(origin)
        payload = said.payload
        leg = session.leg
        if payload.startswith(b"connect from "):
            session.begun, session.lately, session.leg = [said], [], None
        elif payload.startswith(b"warning: ") and b"ilter" in payload:
            _keep(session.begun, said)
            if leg is not None and leg.active is None and leg.end == OPEN:
                self._add(leg, said)
        elif origin.refused is not None and word == b"NOQUEUE":
            if origin.refused not in self._records:
                for before in sorted(session.begun + session.lately):
                    self._add(origin.refused, before)
                session.lately = []
            self._add(origin.refused, said)
        elif word == b"proxy-accept":
            self._proxy(origin, session, said)
        elif leg is None or word == b"NOQUEUE":
            _keep(session.begun if word != b"NOQUEUE" else session.lately, said)
        else:
            self._add(leg, said)
        if payload.startswith(b"disconnect from "):
            self._sessions.pop(origin, None)

    def _proxy(self, origin: Origin, session: _Session, said: Line) -> None:
        """The front smtpd of a filter before the queue: its session is the one that the client saw."""
        found = QUEUED_AS.search(said.payload.partition(b"; from=<")[0])
        leg = find_leg(origin.host, found[1]) if found is not None else None
        if leg is not None and leg.proxy is not None:
            for line in [*sorted(session.begun + session.lately), said]:
                self._add(leg, line)
        session.lately = []

    def _opendkim(self, state: State, origin: Origin, word: bytes, said: Line) -> None:
        host = origin.host
        leg = _opendkims(state, host, word)
        waiting = self._keys.get(host)
        if leg is None:
            trouble = host.key_trouble
            if trouble and trouble[-1][0] == said.payload:
                waiting = self._keys.setdefault(host, [])
                waiting.append((said, trouble[-1][1]))
                del waiting[:-BEFORE]
            return
        if waiting and not host.key_trouble:
            # `error loading key` has just taken its partner.
            for line, fault in waiting:
                if fault is leg.fault:
                    self._add(leg, line)
            waiting.clear()
        self._add(leg, said)

    # --- keeping ---

    def _session(self, origin: Origin) -> _Session:
        session = self._sessions.get(origin)
        if session is None:
            if len(self._sessions) >= SESSIONS:
                for old in list(islice(self._sessions, SESSIONS // 2)):
                    del self._sessions[old]
            session = self._sessions[origin] = _Session()
        return session

    def _add(self, leg: Leg, line: Line) -> None:
        record = self._records.get(leg)
        if record is None:
            if len(self._records) >= RECORDS:
                self._forget(line.at)
            record = self._records[leg] = Record()
        lines = record.lines
        if lines and lines[-1].line is line.line:
            return  # "message repeated": the same line for each time
        lines.append(line)
        self._kept += 1
        if len(lines) > LINES:
            self._drop(record, LINES // 3, LINES // 3)
        elif self._kept > self._shed_at:
            for record in self._records.values():
                self._drop(record, ENDS, ENDS)
            self._shed_at = max(TOTAL, self._kept + TOTAL // 4)

    def _drop(self, record: Record, first: int, last: int) -> None:
        gone = len(record.lines) - first - last
        if gone > 0:
            del record.lines[first:-last]
            record.left_out += gone
            self._kept -= gone

    def _forget(self, now: int) -> None:
        """Legs that no message will bring: those cut out of a chain without end."""
        old = [leg for leg in self._records if leg.end != OPEN and leg.last < now - RETRY_AGE]
        for leg in old or list(islice(self._records, RECORDS // 2)):
            self._kept -= len(self._records.pop(leg).lines)


class _Watch(Handler):
    """The handler of one writer, and after it the gatherer."""

    def __init__(self, gatherer: Gatherer, inner: Handler) -> None:
        self._gatherer = gatherer
        self._inner = inner

    def take(self, state: State, origin: Origin, start: bytes, rest: bytes | None, line: bytes, /) -> None:
        self._inner.take(state, origin, start, rest, line)
        if origin.handler is not self:
            # It turned out to be an OpenDKIM under another name.
            self._inner, origin.handler = origin.handler, self
        if origin.space is not None or origin.program in state.opendkim_names:
            self._gatherer.took(state, origin, payload_of(start, rest), line)


class _Watched(Writers):
    def __init__(self, gatherer: Gatherer) -> None:
        super().__init__()
        self._gatherer = gatherer

    def add(self, state: State, tag: bytes, header: Header) -> Origin:
        origin = super().add(state, tag, header)
        self._gatherer.watch(origin)
        return origin


def _keep(lines: list[Line], line: Line) -> None:
    """Remember a line, of too many the first and the last ones."""
    lines.append(line)
    if len(lines) > BEFORE:
        del lines[BEFORE // 2]


def _opendkims(state: State, host: Host, queue_id: bytes) -> Leg | None:
    """The leg that OpenDKIM has just spoken of: of two instances' the one that is not queued yet."""
    for space in host.spaces.values() if host.only is None else ():
        leg = space.legs.get(queue_id)
        if leg is not None and leg.active is None:
            return leg
    leg = find_leg(host, queue_id)
    if leg is None and not host.spaces:
        found = [leg for other in state.hosts.values() if (leg := find_leg(other, queue_id)) is not None]
        leg = found[0] if len(found) == 1 else None
    return leg
