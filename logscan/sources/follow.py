"""A log that grows: a file by its name, as `tail -F` follows it, or a stream. No clock and no waiting in here but
in `wait`, which tests replace.
"""

from __future__ import annotations

import os
import select
import stat
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from logscan.errors import SourceError
from logscan.model import SourceInfo
from logscan.sources import rotated
from logscan.sources.blocks import Cutter, open_source, packing, permission_hint

SIZE = 262144
# So much before the place that was read to is compared at each look: a file that was emptied and has grown
# past that place again does not show it by its length.
_KNOWN = 256
# Looks (one a second while nothing happens) before a missing name is spoken of: in a rotation it is missing
# for a moment.
_PATIENCE = 3


class Followed(Protocol):
    """What `tail` reads from. info: counts of what was read; its name is how the user calls it.

    lost: set when lines may have been lost; whoever acts on it clears it. notes: what happened, one line each.
    changed: epoch seconds of the last writing before it was followed, None when that is not known.
    """

    info: SourceInfo
    changed: float | None
    lost: bool
    notes: list[str]

    def history(self, size: int) -> Iterator[bytes]:
        """About the last `size` bytes that are there already, as blocks of whole lines. To be asked first."""

    def read(self) -> bytes | None:
        """Whole lines that are there now; b"" for none, None once no more can come."""

    def half(self) -> bool:
        """True when the end of the last line is still to come."""

    def wait(self, seconds: float) -> None:
        """Return when there may be something to read, or after the time."""

    def close(self) -> None:
        """Give back what is open."""


class FollowedFile:
    """The file that has this name now. Follows renaming, new files, emptying, deletion and return.

    path need not exist yet, nor its directory. wait: returns when the file may have changed, or after the
    seconds that it is given.
    """

    def __init__(self, path: Path, name: str, wait: Callable[[float], None], *, size: int = SIZE) -> None:
        self.info = SourceInfo(name)
        self.changed: float | None = None
        self.lost = False
        self.notes: list[str] = []
        self.wait = wait
        self._path = path
        self._size = size
        self._cutter = Cutter(self.info)
        self._file: int | None = None
        self._identity = (0, 0)
        self._offset = 0
        self._known = b""
        # Rotated files that hold what comes before the rest of ours, each with the place to read on from.
        self._behind: deque[tuple[int, int]] = deque()
        self._cut = False  # ours was emptied, and they are its copies
        self._missing = 0
        self._said = ""

    # --- what was there before ---

    def history(self, size: int) -> Iterator[bytes]:
        """See `Followed`. Where the file is shorter, the youngest rotated one is read first.

        Raises SourceError for what can never be followed, and for a file that may not be read.
        """
        status = _status(self._path)
        if status is None:
            self._say("no such file; waiting for it")
            return
        with open_source(self._path, self.info.name) as opened:
            if kind := packing(os.pread(opened.fileno(), 6, 0)):
                raise SourceError(self.info.name, f"is packed ({kind}) and does not grow", "logscan report reads it")
        if status.st_size < size:
            yield from self._before(size - status.st_size)
        self.changed = status.st_mtime
        if not self._open():
            return
        assert self._file is not None
        end = os.fstat(self._file).st_size
        self._skip_to(max(0, end - size))
        while self._offset < end and (block := self._more(min(self._size, end - self._offset))) is not None:
            if block:
                yield block

    def _skip_to(self, offset: int) -> None:
        """Begin with the first whole line after an offset."""
        assert self._file is not None
        while offset:
            data = os.pread(self._file, self._size, offset - 1)
            end = data.find(b"\n")
            if end >= 0:
                offset += end
                break
            if not data:
                break
            offset += len(data)
        self._offset = offset
        self._known = os.pread(self._file, min(offset, _KNOWN), max(0, offset - _KNOWN))

    def _before(self, size: int) -> Iterator[bytes]:
        """The end of the file that was renamed last, if it is plain and may be read."""
        place = self._path.resolve()
        found = sorted(((status.st_mtime, path) for path in rotated.siblings(place) if (status := _status(path))),
                       reverse=True)  # fmt: skip
        for _, path in found[:1]:
            try:
                with path.open("rb", buffering=0) as old:
                    if packing(old.read(6)):
                        return
                    start = max(0, old.seek(0, os.SEEK_END) - size)
                    old.seek(max(0, start - 1))
                    data = old.read(size + 1)
            except OSError:
                return
            if start:
                data = data[data.find(b"\n") + 1 :]
            cutter = Cutter(SourceInfo(str(path)))
            yield cutter.push(data) + cutter.end()

    # --- what comes ---

    def read(self) -> bytes | None:
        """See `Followed`. Never None: a name may always get a file again."""
        if (self._behind or self._cut) and (rest := self._from_behind()):
            return rest
        if self._file is None and not self._open():
            return b""
        block = self._more(self._size)
        if block is None:
            return self._emptied()
        return block or self._turn()

    def half(self) -> bool:
        """See `Followed`."""
        return bool(self._cutter.rest)

    def close(self) -> None:
        """See `Followed`."""
        for descriptor in (self._file, *(descriptor for descriptor, _ in self._behind)):
            if descriptor is not None:
                os.close(descriptor)
        self._file = None
        self._behind.clear()

    def _open(self) -> bool:
        """Open what has the name now, at its beginning. False when there is nothing, or nothing we may read."""
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except (FileNotFoundError, NotADirectoryError):
            self._gone()
            return False
        except PermissionError:
            self._say(f"permission denied; {permission_hint(self._path)}")
            return False
        except OSError as error:
            self._say((error.strerror or "cannot be opened").lower())
            return False
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            self._say("is no file any more; waiting for one")
            return False
        if self._file is not None:
            os.close(self._file)
            self._say("there is a new file of this name; reading on in it")
        elif self._said:
            self._say("is there now")
        self._said = ""
        self._file, self._identity = descriptor, (status.st_dev, status.st_ino)
        self._offset, self._known = 0, b""
        self._missing = 0
        return True

    def _more(self, size: int) -> bytes | None:
        """The lines that were added; b"" for none. None when the file is not what it was: emptied."""
        assert self._file is not None
        while True:
            known = len(self._known)
            data = os.pread(self._file, known + size, self._offset - known)
            if data[:known] != self._known:
                return None
            new = data[known:]
            if not new:
                return b""
            self._offset += len(new)
            self._known = data[-_KNOWN:]
            if self._cutter.rest == b"" and new[0] == 0:
                # A writer that did not open it for appending leaves a hole where the emptied part was.
                new = new.lstrip(b"\0")
            if block := self._cutter.push(new):
                return block

    def _turn(self) -> bytes:
        """At the end of our file: has the name another one by now?

        The writer goes on in the old one until it is told, so a new file counts once something is in it, and
        the old one is read to its end after that was seen.
        """
        try:
            status = self._path.stat()
        except (FileNotFoundError, NotADirectoryError):
            self._gone()
            return b""
        except OSError as error:
            self._say((error.strerror or "cannot be looked at").lower())
            return b""
        self._missing = 0
        if (status.st_dev, status.st_ino) == self._identity:
            if self._said:
                self._say("is back")
                self._said = ""
            return b""
        if status.st_size == 0:
            return b""
        block = self._more(self._size)
        if block:
            return block
        rest = self._cutter.end()
        assert self._file is not None
        ours = os.fstat(self._file)
        if self._open():
            missed = self._younger(ours.st_mtime_ns, (ours.st_dev, ours.st_ino))
            self._behind.extend((descriptor, 0) for descriptor in missed)
        return rest or self._from_behind() or self._more(self._size) or b""

    def _gone(self) -> None:
        self._missing += 1
        if self._missing == _PATIENCE or self._file is None:
            self._say("no such file; waiting for it" if self._file is None else
                      "was removed or renamed; waiting for a new one")  # fmt: skip

    def _say(self, what: str) -> None:
        """Tell once."""
        if what != self._said:
            self._said = what
            self.notes.append(f"{self.info.name}: {what}")

    # --- emptied under us ---

    def _emptied(self) -> bytes:
        """The file was cut (logrotate's copytruncate). What we had not read is in the copy, if there is one."""
        self.notes.append(f"warning: {self.info.name}: was truncated; lines written just then may be lost")
        self._find_copy()
        self._cut = True
        self._offset, self._known = 0, b""
        return self._from_behind() or self._more(self._size) or b""

    def _from_behind(self) -> bytes:
        """The next lines of the files behind ours, to the end of the last one."""
        while self._behind:
            descriptor, offset = self._behind[0]
            data = os.pread(descriptor, self._size, offset)
            self._behind[0] = (descriptor, offset + len(data))
            if not data:
                os.close(descriptor)
                self._behind.popleft()
            if block := self._cutter.push(data) if data or self._cut else self._cutter.end():
                return block
        if self._cut:
            # What was written between the copying and the cutting is nowhere. A line without its end proves nothing.
            self._cut = False
            self.lost = True
            self._cutter.rest = b""
        return b""

    def _find_copy(self) -> None:
        """Of the rotated files, the one that has our last lines just where we read them, and those made after it."""
        known = self._known
        for path in rotated.siblings(self._path.resolve()) if known else ():
            try:
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            except OSError:
                continue
            if os.pread(descriptor, len(known), self._offset - len(known)) == known:
                self._behind.append((descriptor, self._offset))
                made = os.fstat(descriptor)
                later = self._younger(made.st_mtime_ns, (made.st_dev, made.st_ino))
                self._behind.extend((descriptor, 0) for descriptor in later)
                return
            os.close(descriptor)

    def _younger(self, than: int, but: tuple[int, int]) -> list[int]:
        """The plain rotated files, oldest first, that were written to after an instant (ns): rotated before we had
        a look at them, as when we were stopped for days. but: not this one."""
        found: list[tuple[int, int]] = []
        for path in rotated.siblings(self._path.resolve()):
            try:
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            except OSError:
                continue
            status = os.fstat(descriptor)
            other = (status.st_dev, status.st_ino)
            if status.st_mtime_ns < than or other in (but, self._identity):
                os.close(descriptor)
            elif packing(os.pread(descriptor, 6, 0)):
                os.close(descriptor)
                if status.st_mtime_ns > than:  # not the file that we have just read, packed
                    self.lost = True
                    self.notes.append(f"warning: {path.name}: was packed before it was read; its lines are lost")
            else:
                found.append((status.st_mtime_ns, descriptor))
        return [descriptor for _, descriptor in sorted(found)]


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


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None
