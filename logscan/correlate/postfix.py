"""Which function takes the lines of which Postfix daemon: `HANDLERS`, by the last part of the program's name."""

from __future__ import annotations

from typing import Final

from logscan.correlate.cleanup import cleanup
from logscan.correlate.common import known
from logscan.correlate.queue import bounce, delivery, postsuper, qmgr
from logscan.correlate.smtpd import pickup, qmqpd, smtpd
from logscan.correlate.state import (
    NOBODY,
    Handler,
    Origin,
    State,
)


def quiet(state: State, origin: Origin, payload: bytes, line: bytes) -> None:
    """A daemon whose lines never speak of one mail's way through the milter (anvil, tlsmgr, postscreen …)."""
    state.owner = NOBODY


def master(state: State, origin: Origin, payload: bytes, line: bytes) -> None:
    """Postfix starts, stops and reloads: the sessions of the instance are over, queued legs live on."""
    known(state, origin, payload)


def other(state: State, origin: Origin, payload: bytes, line: bytes) -> None:
    """A Postfix program that no one here speaks for."""
    known(state, origin, payload)


HANDLERS: Final[dict[bytes, Handler]] = {
    b"smtpd": smtpd,
    b"pickup": pickup,
    b"qmqpd": qmqpd,
    b"cleanup": cleanup,
    b"qmgr": qmgr,
    b"oqmgr": qmgr,
    b"nqmgr": qmgr,
    b"postsuper": postsuper,
    b"master": master,
    b"postfix-script": master,
    **dict.fromkeys((b"smtp", b"lmtp", b"local", b"virtual", b"pipe", b"error", b"retry", b"discard"), delivery),
    **dict.fromkeys((b"bounce", b"defer", b"trace"), bounce),
    **dict.fromkeys((b"anvil", b"tlsmgr", b"postscreen", b"dnsblog", b"tlsproxy", b"scache", b"verify"), quiet),
    **dict.fromkeys((b"flush", b"showq", b"proxymap", b"proxywrite", b"trivial-rewrite", b"spawn"), quiet),
    **dict.fromkeys((b"postlogd", b"sendmail", b"postdrop", b"postqueue", b"postmap", b"postalias"), other),
    **dict.fromkeys((b"postconf", b"postlog", b"postcat", b"postkick", b"postmulti", b"error-filter"), other),
}
