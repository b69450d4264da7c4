"""Finished messages in a temporary file, until the input has taught what their verdicts need."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Iterator
from typing import Any

from logscan.correlate.state import Leg, State
from logscan.findings import Case, Knowledge, resolve
from logscan.message_fields import build_message
from logscan.model import Message

# Pickled together: the names of the classes are written once a batch.
BATCH = 500

# How a leg is made again, and what else of it `build_message` asks for: all but what ties it to other legs and to
# what is open.
_MADE_OF = ("queue_id", "first", "seq", "kind", "opened", "service")
_KEPT = (
    "last", "message_id", "active", "signatures", "words", "failure", "refusal", "deliveries", "held", "end", "proxy",
)  # fmt: skip


class Spool:
    """Use as a context manager: the file is gone afterwards. Memory holds one batch."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __exit__
        self._batch: list[tuple[Case, list[Any]]] = []

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def add(self, legs: list[Leg], case: Case) -> None:
        """Keep a finished message; its legs are not changed."""
        self._batch.append((case, [_loose(leg) for leg in legs]))
        if len(self._batch) >= BATCH:
            self._flush()

    def messages(self, state: State, known: Knowledge) -> Iterator[Message]:
        """All messages in the order in which they were added, judged with what is known now."""
        self._flush()
        self._file.seek(0)
        while True:
            try:
                batch = pickle.load(self._file)  # what `add` wrote, into a file that has no name
            except EOFError:
                return
            for case, rows in batch:
                yield build_message([_tied(row, state) for row in rows], resolve(case, known))

    def _flush(self) -> None:
        pickle.dump(self._batch, self._file, pickle.HIGHEST_PROTOCOL)
        self._batch = []


Loose = tuple[bytes, bytes, list[Any], list[Any]]


def _loose(leg: Leg) -> Loose:
    """A leg as (host, instance, what it is made of, its other fields), which pickles without all it belongs to."""
    kept = [getattr(leg, name) for name in _KEPT]
    if leg.failure is not None:
        # The fault row is the report's and would come along with each message.
        kept[_KEPT.index("failure")] = leg.failure._replace(fault=None)  # type: ignore[arg-type]
    return leg.space.host.name, leg.space.instance, [getattr(leg, name) for name in _MADE_OF], kept


def _tied(row: Loose, state: State) -> Leg:
    host, instance, made_of, kept = row
    leg = Leg(state.hosts[host].spaces[instance], *made_of)
    for name, value in zip(_KEPT, kept, strict=True):
        setattr(leg, name, value)
    return leg
