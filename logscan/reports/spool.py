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

# What ties a leg to others and to all that is open; `build_message` asks for none of it but the space.
_TIES = ("space", "run", "fault", "chain", "parent")


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


def _loose(leg: Leg) -> tuple[bytes, bytes, dict[str, Any]]:
    """A leg as (host, instance, its own fields), which can be pickled without all that it belongs to."""
    fields = {name: value for name, value in vars(leg).items() if name not in _TIES}
    if leg.failure is not None:
        # The fault row is the report's and would come along with each message.
        fields["failure"] = leg.failure._replace(fault=None)  # type: ignore[arg-type]
    return leg.space.host.name, leg.space.instance, fields


def _tied(row: tuple[bytes, bytes, dict[str, Any]], state: State) -> Leg:
    host, instance, fields = row
    leg = Leg.__new__(Leg)
    leg.space = state.hosts[host].spaces[instance]
    for name, value in fields.items():
        setattr(leg, name, value)
    return leg
