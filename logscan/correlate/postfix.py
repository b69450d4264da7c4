"""Which function takes the lines of which Postfix daemon: `HANDLERS`, by the last part of the program's name."""

from __future__ import annotations

from typing import Final

from logscan.correlate.cleanup import Cleanup
from logscan.correlate.common import known
from logscan.correlate.queue import Bounce, Delivers, Postsuper, Qmgr
from logscan.correlate.smtpd import Pickup, Qmqpd, Smtpd
from logscan.correlate.state import (
    NOBODY,
    Handler,
    Origin,
    State,
    payload_of,
)


class Quiet(Handler):
    """A daemon whose lines never speak of one mail's way through the milter (anvil, tlsmgr, postscreen …)."""

    def take(self, state: State, origin: Origin, start: bytes, rest: bytes | None, line: bytes, /) -> None:
        state.owner = NOBODY


class Master(Handler):
    """Postfix starts, stops and reloads: the sessions of the instance are over, queued legs live on."""

    def take(self, state: State, origin: Origin, start: bytes, rest: bytes | None, line: bytes, /) -> None:
        known(state, origin, payload_of(start, rest))


class Other(Handler):
    """A Postfix program that no one here speaks for."""

    def take(self, state: State, origin: Origin, start: bytes, rest: bytes | None, line: bytes, /) -> None:
        known(state, origin, payload_of(start, rest))


OTHER: Final = Other()
HANDLERS: Final[dict[bytes, Handler]] = {
    b"smtpd": Smtpd(),
    b"pickup": Pickup(),
    b"qmqpd": Qmqpd(),
    b"cleanup": Cleanup(),
    b"qmgr": Qmgr(),
    b"oqmgr": Qmgr(),
    b"nqmgr": Qmgr(),
    b"postsuper": Postsuper(),
    b"master": Master(),
    b"postfix-script": Master(),
    **dict.fromkeys((b"smtp", b"lmtp", b"local", b"virtual", b"pipe", b"error", b"retry", b"discard"), Delivers()),
    **dict.fromkeys((b"bounce", b"defer", b"trace"), Bounce()),
    **dict.fromkeys((b"anvil", b"tlsmgr", b"postscreen", b"dnsblog", b"tlsproxy", b"scache", b"verify"), Quiet()),
    **dict.fromkeys((b"flush", b"showq", b"proxymap", b"proxywrite", b"trivial-rewrite", b"spawn"), Quiet()),
    **dict.fromkeys((b"postlogd", b"sendmail", b"postdrop", b"postqueue", b"postmap", b"postalias"), OTHER),
    **dict.fromkeys((b"postconf", b"postlog", b"postcat", b"postkick", b"postmulti", b"error-filter"), OTHER),
}
