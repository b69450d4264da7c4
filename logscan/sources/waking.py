"""Waiting without polling: for data in a descriptor, for a change beside a file, for a signal, or for a time."""

from __future__ import annotations

import os
import select
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

# How often notify looks for changes and for signals, in ms. A change is told after two looks at most.
_STEP = 100


class Waker:
    """Ends a wait early. `poke` may be called by a signal handler; `descriptor` is for signal.set_wakeup_fd."""

    def __init__(self) -> None:
        self._read, self.descriptor = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self.descriptor, False)
        self._poked = False

    def poke(self) -> None:
        """End the wait that is on, or else the next one."""
        self._poked = True

    def is_set(self) -> bool:
        """True once poked: notify asks."""
        return self._poked

    def clear(self) -> None:
        """The wait is over."""
        self._poked = False
        with suppress(BlockingIOError):
            os.read(self._read, 4096)

    def wait(self, seconds: float, descriptors: Sequence[int] = ()) -> None:
        """Return when one of the descriptors has data or is at its end, when poked, or after the time."""
        if not self._poked:
            select.select([self._read, *descriptors], [], [], max(0.0, seconds))
        self.clear()

    def close(self) -> None:
        """Give the descriptors back."""
        os.close(self._read)
        os.close(self.descriptor)


class FileWatch:
    """Waits for changes of a file, whether it is there yet or not.

    The directories of the name and of what a link names are watched, or while a directory is missing the
    nearest one above it. Where the system has no notifications to give (no more watches, a file system that has
    none), the wait lasts its full time, and whoever looks again after each wait misses nothing.
    """

    def __init__(self, path: Path, waker: Waker) -> None:
        self._path = path
        self._waker = waker
        self._notify: Any = None
        self._watched: list[tuple[str, int, int]] = []

    def wait(self, seconds: float) -> None:
        """Return when something changed, or may have, when the waker was poked, or after the time."""
        places = self._places()
        if places != self._watched:
            self.close()
            self._watched = places
            self._notify = _notifier([place[0] for place in places])
            return  # what changed before it watched is for the next look to find
        if self._notify is None:
            self._waker.wait(seconds)
            return
        try:
            self._notify.watch(_STEP, _STEP, max(1, int(seconds * 1000)), self._waker)
        except (OSError, RuntimeError):
            self._notify = None  # it broke; until the directories change, the time is waited for
        self._waker.clear()

    def close(self) -> None:
        """End the notifications."""
        if self._notify is not None:
            self._notify.close()
            self._notify = None
        self._watched = []

    def _places(self) -> list[tuple[str, int, int]]:
        """Directories to watch, each with its identity: a new one of the same name has to be watched anew."""
        places: dict[str, tuple[str, int, int]] = {}
        for path in (self._path.absolute(), Path(os.path.realpath(self._path))):
            for directory in path.parents:
                try:
                    status = directory.stat()
                except OSError:
                    continue
                places[str(directory)] = (str(directory), status.st_dev, status.st_ino)
                break
        return list(places.values())


def _notifier(paths: list[str]) -> Any:
    """notify for these directories; None where it cannot be had."""
    # Imported late: it takes a twentieth of a second, and the first lines are shown before the first wait.
    try:
        from watchfiles._rust_notify import RustNotify

        return RustNotify(paths, False, False, 0, False, True)
    except (ImportError, OSError, RuntimeError):
        return None
