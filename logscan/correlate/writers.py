"""Who writes the lines: (host, program, pid), by the tag in front of them, and which handler takes what it writes."""

from __future__ import annotations

from typing import Final

from logscan.correlate import daemon, gaps, postfix, units
from logscan.correlate.common import known
from logscan.correlate.state import NAME_CAP, Handler, Host, Origin, State, payload_of
from logscan.parse.header import Header, guess_daemon

# Writers are remembered in two generations: the young one is filled, and when it is full it becomes the old
# one. A writer that is silent for a whole generation is forgotten, so memory follows the writers at work.
GENERATION: Final = 5_000


def tag_of(header: Header) -> bytes:
    """A writer's tag as it stands in a line of syslog: ``mx postfix/smtpd[123]``."""
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

    def items(self) -> list[tuple[bytes, Origin]]:
        """All that are remembered."""
        return [*self.young.items(), *self.old.items()]

    def add(self, state: State, tag: bytes, header: Header) -> Origin:
        """Remember a new writer."""
        if len(self.young) >= GENERATION:
            busy = [(other, origin) for other, origin in self.old.items() if _is_busy(origin)]
            self.old = dict(self.young)
            self.young.clear()
            self.young.update(busy[-GENERATION // 2 :])
        return self.make(state, tag, header)

    def make(self, state: State, tag: bytes, header: Header) -> Origin:
        """A new writer."""
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
        # Another host's or process's line may have told since that the name is an OpenDKIM's.
        if origin.program in state.opendkim_names:
            origin.handler = daemon.OPENDKIM
            origin.handler.take(state, origin, start, rest, line)
            return
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


def _is_busy(origin: Origin) -> bool:
    """True when a later line of this writer means something else than of a new one."""
    leg = origin.leg
    if origin.used or origin.failure is not None:
        return True
    return leg is not None and (leg.active is None or leg.failure is not None)


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
