"""What a trace asks for: a queue ID, a Message-ID, an address or a domain, compared with the legs of a message."""

from __future__ import annotations

import re
from collections.abc import Iterable

from logscan.correlate.state import PICKUP, Leg
from logscan.errors import UsageError
from logscan.parse.postfix import DELIVERY, DELIVERY_INTERNAL, active_sender, pickup_sender

_HEX = re.compile(r"[0-9A-Fa-f]{5,21}")
_ORIGINAL = b">, orig_to=<"
_RELAY = b">, relay="


class Query:
    """A word to look for, with what it can be.

    A word with @ may be a Message-ID or an address, one without a queue ID, a Message-ID or an address without a
    domain, as cron's `root` is. `<…>` around it means nothing; `@example.org` is every address of that domain.
    Addresses are equal in any case; short queue IDs too, since Postfix writes them in capitals only.

    Raises UsageError for a word that can be nothing of it.
    """

    def __init__(self, word: str) -> None:
        asked = word.strip()
        if asked.startswith("<") and asked.endswith(">"):
            asked = asked[1:-1].strip()
        if not asked or asked == "@":
            raise UsageError(
                f"trace {word!r}", "nothing to look for", "give a queue ID, a Message-ID or an address"
            )
        self.text = asked
        raw = asked.encode("utf-8", "surrogateescape")
        self.queue_id = raw.upper() if _HEX.fullmatch(asked) else raw
        self.domain = raw[1:].lower() if asked.startswith("@") else b""
        self.message_id = b"" if self.domain else raw
        self.address = b"" if self.domain else raw.lower()
        self._needle = b"@" + self.domain if self.domain else self.address

    def holds(self, legs: Iterable[Leg], payloads: Iterable[bytes]) -> bool:
        """True when the message is one of those asked for. payloads: what was logged of it, after the tag.

        The legs remember the first hundreds of recipients only, and not the address that an alias had, so
        the deliveries' own lines are asked too.
        """
        return any(self._leg(leg) for leg in legs) or any(self._delivery(payload) for payload in payloads)

    def _leg(self, leg: Leg) -> bool:
        if leg.queue_id == self.queue_id and leg.queue_id:
            return True
        if leg.message_id is not None and self.message_id:
            found = leg.message_id
            if self.message_id in (found, found.strip().removeprefix(b"<").removesuffix(b">")):
                return True
        if leg.active is not None and self._address(active_sender(leg.active)):
            return True
        if leg.kind == PICKUP and self._address(pickup_sender(leg.opened)):
            return True
        refusal = leg.refusal
        if refusal is not None and (self._address(refusal.sender) or self._address(refusal.recipient)):
            return True
        return any(self._address(recipient) for recipient in leg.deliveries or ())

    def _address(self, address: bytes | None) -> bool:
        if not address:
            return False
        if self.domain:
            return address.rpartition(b"@")[2].lower() == self.domain
        return address.lower() == self.address

    def _delivery(self, payload: bytes) -> bool:
        """A recipient of `<queue_id>: to=<…>, orig_to=<…>, relay=…`."""
        if self._needle not in payload.lower():
            return False
        rest = payload.partition(b": ")[2]
        found = DELIVERY.match(rest) or DELIVERY_INTERNAL.match(rest)
        if found is None:
            return False
        between = rest[found.end(1) : found.start(2)]
        original = between[len(_ORIGINAL) : -len(_RELAY)] if between.startswith(_ORIGINAL) else None
        return self._address(found[1]) or self._address(original)
