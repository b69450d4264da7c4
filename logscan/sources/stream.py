"""A log that comes through a pipe, as it comes. Nothing waits in here but `wait`, which tests replace."""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Iterator

from logscan.errors import SourceError
from logscan.model import SourceInfo
from logscan.sources.blocks import Cutter
from logscan.sources.follow import SIZE


class FollowedStream:
    """Standard input, a FIFO or the output of a program: what comes is read, until its end.

    wait: as select does, for so many seconds, until the descriptor has something. lasting: of a FIFO, which is
    not at its end when no writer is there. info: counted on in, where it was read from before.
    """

    def __init__(
        self,
        descriptor: int,
        name: str,
        wait: Callable[[float, list[int]], None],
        *,
        lasting: bool = False,
        info: SourceInfo | None = None,
    ) -> None:
        self.info = info or SourceInfo(name)
        self.changed: float | None = None
        self.lost = False
        self.notes: list[str] = []
        self._descriptor = descriptor
        self._wait = wait
        self._lasting = lasting
        self._quiet = False
        self._cutter = Cutter(self.info)

    def history(self, size: int) -> Iterator[bytes]:
        """Nothing: all of it comes."""
        return iter(())

    def read(self) -> bytes | None:
        """See `Followed`."""
        while select.select([self._descriptor], [], [], 0)[0]:
            try:
                data = os.read(self._descriptor, SIZE)
            except BlockingIOError:
                return b""
            except OSError as error:
                raise SourceError(self.info.name, (error.strerror or "read error").lower()) from None
            if not data:
                self._quiet = self._lasting
                return self._cutter.end() or (b"" if self._lasting else None)
            self._quiet = False
            if block := self._cutter.push(data):
                return block
        return b""

    def half(self) -> bool:
        """See `Followed`."""
        return bool(self._cutter.rest)

    def wait(self, seconds: float) -> None:
        """See `Followed`. A FIFO without a writer is always ready, so it is looked at once in the time."""
        self._wait(seconds, [] if self._quiet else [self._descriptor])

    def close(self) -> None:
        """The descriptor is its owner's."""
