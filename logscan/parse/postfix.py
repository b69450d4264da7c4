"""The fields of Postfix's payloads that the correlator needs, cut so that no sender's text can move them.

Source: postfix/src/global/log_adhoc.c (delivery lines), smtpd/smtpd.c (client lines), cleanup/cleanup_milter.c
and smtpd/smtpd.c (milter actions); docs: catalogue of formats in `postfix_lines.py`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

# `to=<…>, {orig_to=<…>, }relay=…, {conn_use=…, }delay=…, delays=…, {tls=…, }dsn=…, status=… (`
# Addresses are in external form since 3.5: a local part with blanks or `>` is quoted, so it cannot end early.
# The second form is for older Postfix and info_log_address_format = internal, where nothing is quoted: there a
# recipient may look like the whole rest of the line, and a remote answer too, so the first is believed. Where a quote
# opens, it is the external form, and a line that ends before the quote does says nothing.
_TAIL: Final = (
    rb">, (?:orig_to=<(?:\"(?:[^\"\\]|\\.)*+\"[^<>\"]*|(?!\")[^>]*)>, )?relay=([^ ,]+), (?:conn_use=\d+, )?"
    rb"delay=[\d.]+, delays=[\d./]+, (?:tls=[^ ,]+, )?dsn=[\d.]+, status=([A-Za-z-]+) ?"
)
DELIVERY: Final = re.compile(rb'to=<((?:"(?:[^"\\]|\\.)*+"[^ <>"]*|[^ <>"]*))' + _TAIL)
DELIVERY_INTERNAL: Final = re.compile(rb'to=<(?!")((?:(?!>, orig_to=<").)*?)' + _TAIL)

QUEUED_AS: Final = re.compile(rb"queued as ([0-9A-Za-z]{6,40})(?=[)\s.;,]|$)")

# `milter-reject: <stage> from <client>: <text>; from=<…> to=<…> proto=… helo=<…> sasl_username=<…>`
# The text may be a stranger's, as far as a milter repeats it; what Postfix adds goes on to the end of the line.
_ACTION: Final = (
    rb"milter-(?P<action>reject|hold|discard|redirect|filter): (?P<stage>[A-Z-]+|unknown) from "
    rb"(?P<client>[^ \[]*\[[^\]]*\])(?::\d+)?: (?P<text>.*?);"
    rb"(?: from=<(?P<sender>\"(?:[^\"\\]|\\.)*+\"[^ >]*|[^ >\"]*)>)?"
    rb"(?: to=<(?P<recipient>\"(?:[^\"\\]|\\.)*+\"[^ >]*|[^ >\"]*)>)?"
)
_ACTION_WHOLE: Final = re.compile(
    _ACTION + rb"(?: proto=[^ ]*)?(?: helo=<[^<>]*>)?(?: sasl_username=<(?P<user>.*?)>?\s*)?\Z", re.DOTALL
)
_ACTION_CUT: Final = re.compile(_ACTION + rb"(?P<user>)", re.DOTALL)  # a long line breaks off

# What strangers make smtpd warn of by the thousand, so that the table of lines is not asked each time.
EVERYDAY_WARNING: Final = re.compile(
    rb"[^ \[]+\[[^ \]]*\]: SASL [^ ]+ authentication failed: |hostname [^ ]+ does not resolve to address "
    rb"|TLS library problem: "
)

SIGNATURE_HEADER: Final = re.compile(rb"milter-header-info: header DKIM-Signature: ", re.IGNORECASE)

_CLIENT: Final = re.compile(
    rb"client=(?P<client>[^ ,\[]*\[[^\]]*\])(?::\d+)?(?:, sasl_method=(?P<method>[^,]*))?"
    rb"(?:, sasl_username=(?P<user>.*?))?(?:, sasl_sender=(?:.*?))?"
    rb"(?:, orig_queue_id=(?P<parent>[0-9A-Za-z]+))?(?:, orig_client=(?P<orig>[^ ,\[]*\[[^\]]*\])(?::\d+)?)?$"
)
_PRIVATE: Final = re.compile(
    rb"(?:IPv6:)?(?:10\.|192\.168\.|172\.(?:1[6-9]|2\d|3[01])\.|169\.254\.|f[cd][0-9a-f]{2}:|fe[89ab][0-9a-f]:)", re.I
)
_LOOPBACK: Final = re.compile(rb"(?:IPv6:)?(?:127\.|::1$|::ffff:127\.|0:0:0:0:0:0:0:1$)", re.I)

REMEMBERED: Final = 300  # bytes of a client: longer ones are no host's, and must not fill the memory


def client_fields(opened: bytes) -> tuple[bytes | None, bytes | None, bytes | None]:
    """Client, SASL user name and original client (XFORWARD) of a `client=…` payload; None where not said."""
    match = _CLIENT.match(opened)
    if match is None:
        return None, None, None
    if match["user"] is not None:
        # The login name is the user's own text up to the end; a filter that passes XFORWARD does not log in.
        user = opened[match.start("user") :]
        return match["client"], user.partition(b", sasl_sender=")[0], None
    return match["client"], None, match["orig"]


def milter_action(payload: bytes) -> re.Match[bytes] | None:
    """Read a `milter-<action>: …` of smtpd or cleanup, without its queue ID.

    Groups: action, stage, client, text; sender, recipient, user (what the client logged in as), empty or None where
    the line does not say.
    """
    return _ACTION_WHOLE.match(payload) or _ACTION_CUT.match(payload)


def _address(client: bytes) -> tuple[bytes, bytes]:
    name, _, rest = client.partition(b"[")
    return name, rest.partition(b"]")[0]


def is_private(client: bytes, host: bytes) -> bool:
    """True for `name[address]` of this host, loopback or a private network. host: the log's name of this host.

    What follows the address does not matter.
    """
    return _remembered(client, host) if len(client) <= REMEMBERED else _is_private(client, host)


@lru_cache(2048)
def _remembered(client: bytes, host: bytes) -> bool:
    return _is_private(client, host)


def _is_private(client: bytes, host: bytes) -> bool:
    name, address = _address(client)
    if _LOOPBACK.match(address) or _PRIVATE.match(address) or address in (b"", b"unknown"):
        return address not in (b"", b"unknown")
    # Postfix has checked that the name leads back to the address, so only we have our whole name; the first
    # label alone is anybody's.
    return b"." in host and name == host


def is_local_client(opened: bytes, host: bytes) -> bool:
    """True when a `client=…` payload names this host, loopback or a private address, as a content filter's does."""
    if opened.startswith(b"client=localhost[127.0.0.1]"):
        return True  # as nearly every filter's client is called
    return opened.startswith(b"client=") and is_private(opened[7:], host)


def relay_of(route: bytes) -> bytes:
    """The relay of `relay=<name>[<address>]:<port>, delay=…`, as far as a delivery was read; or of itself alone."""
    return route.partition(b",")[0].removeprefix(b"relay=")


def is_local_relay(relay: bytes, host: bytes) -> bool:
    """True when a delivery went to this host, loopback, a private address or a local socket: perhaps a filter."""
    return b"[" not in relay or relay.partition(b"[")[2].startswith(b"/") or is_private(relay, host)


def is_loopback(relay: bytes) -> bool:
    """True when a delivery stayed on this machine's loopback or a local socket, as to a content filter."""
    address = relay.partition(b"[")[2].partition(b"]")[0]
    return address.startswith(b"/") or _LOOPBACK.match(address) is not None


def active_sender(active: bytes) -> bytes:
    """The envelope sender of `from=<…>, size=<n>, nrcpt=<n> (queue active)`; cut at the fixed tail's last place."""
    return active.rpartition(b">, size=")[0][6:]


def requeued_from(opened: bytes) -> bytes:
    """The old ID of `uid=<n> from=<…> orig_id=<id>`, b"" for mail that is new.

    The sender may be called so, but ends with its bracket.
    """
    place = opened.rfind(b"> orig_id=")
    return opened[place + 10 :] if place > 0 and opened[-1:] != b">" else b""


def pickup_sender(opened: bytes) -> bytes | None:
    """The sender of `uid=<n> from=<…>{ orig_id=<id>}`; None when the payload is of no such form."""
    place = opened.find(b" from=<")
    end = opened.rfind(b">")
    return opened[place + 7 : end] if 0 < place < end else None
