"""The name server of the namespace: TXT records by name, no such name for the rest, silence where asked."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading

from .namespace import Namespace

TXT, ANY_CLASS_IN = 16, 1
NO_ERROR, SERVFAIL, NXDOMAIN = 0, 2, 3


class Dns:
    """records: name without the last dot → text. broken: names answered with SERVFAIL. silent: no answer at all.

    odd: name → bytes of each record of the answer; none: there is no record of this type.
    """

    def __init__(self, namespace: Namespace):
        self.records: dict[str, str] = {}
        self.broken: set[str] = set()
        self.odd: dict[str, list[bytes]] = {}
        self.silent = False
        with namespace.network():
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 53))
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """Stop answering."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                query, client = self._socket.recvfrom(4096)
                if not query:
                    return
                if not self.silent:
                    self._socket.sendto(self._answer(query), client)
            except (IndexError, struct.error):
                continue
            except OSError:
                return

    def _answer(self, query: bytes) -> bytes:
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1 : at + 1 + query[at]].decode("latin-1"))
            at += 1 + query[at]
        question = query[12 : at + 5]
        (kind,) = struct.unpack("!H", query[at + 1 : at + 3])
        name = ".".join(labels).lower()
        text = self.records.get(name) if kind == TXT else None
        known = name in self.records or name in self.odd
        code = SERVFAIL if name in self.broken else NO_ERROR if known else NXDOMAIN
        records = self.odd.get(name, [])
        if text is not None:
            pieces = [text[start : start + 255].encode() for start in range(0, len(text), 255)]
            data = b"".join(bytes([len(piece)]) + piece for piece in pieces)
            records = [struct.pack("!HHHIH", 0xC00C, TXT, ANY_CLASS_IN, 1, len(data)) + data]
        head = query[:2] + struct.pack("!HHHHH", 0x8580 | code, 1, len(records), 0, 0)
        return head + question + b"".join(records)
