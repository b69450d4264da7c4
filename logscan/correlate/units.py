"""What systemd and the kernel say of OpenDKIM's end: often the only word about it.

OpenDKIM may have told the cause itself just before, in the mail log or on standard error; then theirs is no event
of its own. A try of systemd's is one event, though three lines tell of it.
"""

from __future__ import annotations

from logscan.correlate import life
from logscan.correlate.state import Handler, Origin, State, payload_of
from logscan.parse.unit_lines import LINES

_TERM = b"15"  # asked to end, and ended


class Unit(Handler):
    """A line of systemd or the kernel. Only those about OpenDKIM matter."""

    def take(self, state: State, origin: Origin, start: bytes, rest: bytes | None, line: bytes, /) -> None:
        payload = payload_of(start, rest)
        match = LINES.lookup(payload) if b"opendkim" in payload or b"(DKIM) Milter" in payload else None
        if match is None:
            state.foreign()
            return
        host, shape = origin.host, match.shape
        status = match.fields.get("status")
        if status in (b"0", _TERM) and shape.kind in ("exit", "crash"):
            return
        last = host.said
        if host.born != state.now:
            life.ended(state, host)
        assert shape.fault is not None
        if last is not None and 0 <= state.now - last.at <= life.TOGETHER:
            ours = last.shape.name.startswith(("unit-", "kernel-"))
            if shape.kind == "again" or (shape.kind == "exit" and not ours):
                return
            if last.shape.fault == shape.fault and (shape.name != last.shape.name or not ours):
                return
        fault = state.fault(host, shape.fault, b"", "error", line)
        host.said = life.Said(state.now, shape, b"", origin.pid, False, fault)
        life.trouble(state, host, fault, line)


UNIT = Unit()
HANDLERS: dict[bytes, Handler] = {b"systemd": UNIT, b"kernel": UNIT, b"systemd-coredump": UNIT}
