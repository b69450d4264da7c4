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
        # Rotated files that were ours for a while and that we never saw: they come before ours.
        self._behind: deque[int] = deque()
        # A copy of ours, made before it was emptied: the offset is one in it.
        self._copy: int | None = None
        self._head = b""  # what ours, and each copy of it, begins with
        # When and which the copy was that ends where ours begins; None while ours was not emptied.
        self._after: tuple[int, tuple[int, int]] | None = None
        self._cut = False  # ours was emptied, and nothing of it was read since
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
        self._head = os.pread(self._file, min(offset, _KNOWN), 0)

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
        if self._behind and (rest := self._from_behind()):
            return rest
        if self._copy is not None and (rest := self._from_copy()):
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
        for descriptor in (self._file, self._copy, *self._behind):
            if descriptor is not None:
                os.close(descriptor)
        self._file = self._copy = None
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
        self._offset, self._known, self._head = 0, b"", b""
        self._after, self._cut = None, False
        self._missing = 0
        return True

    def _more(self, size: int) -> bytes | None:
        """The lines that were added; b"" for none. None when the file is not what it was: emptied."""
        assert self._file is not None
        while True:
            known = len(self._known)
            data = os.pread(self._file, known + size, self._offset - known)
            if data[:known] != self._known or (self._cut and self._next_copy()):
                return None
            new = data[known:]
            if not new:
                return b""
            self._cut = False
            if block := self._push(new):
                return block

    def _push(self, new: bytes) -> bytes:
        """The whole lines, with what was read now."""
        if self._offset < _KNOWN:
            self._head = (self._head + new)[:_KNOWN]
        self._offset += len(new)
        self._known = (self._known + new)[-_KNOWN:]
        if self._cutter.rest == b"" and new[0] == 0:
            # A writer that did not open it for appending leaves a hole where the emptied part was.
            new = new.lstrip(b"\0")
        return self._cutter.push(new)

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
        if block is None:
            return self._emptied()
        if block:
            return block
        rest = self._cutter.end()
        assert self._file is not None
        ours = os.fstat(self._file)
        if self._open():
            self._find_missed(ours)
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

    def _from_behind(self) -> bytes:
        """The next lines of the files that we never saw, to the end of the last one."""
        while self._behind:
            data = os.read(self._behind[0], self._size)
            if not data:
                os.close(self._behind.popleft())
            if block := self._cutter.push(data) if data else self._cutter.end():
                return block
        return b""

    # --- emptied under us ---

    def _emptied(self) -> bytes:
        """The file was cut (logrotate's copytruncate). What we had not read is in the copy, if there is one."""
        self.notes.append(f"warning: {self.info.name}: was truncated; lines written just then may be lost")
        if self._copy is None:
            self._find_copy()
        return self._from_copy() or self._more(self._size) or b""

    def _from_copy(self) -> bytes:
        """The next lines of the copy and of those made after it, to where ours goes on."""
        assert self._file is not None
        while self._copy is not None:
            if data := os.pread(self._copy, self._size, self._offset):
                if block := self._push(data):
                    return block
                continue
            known = self._known
            if known and os.pread(self._file, len(known), self._offset - len(known)) == known:
                # It is being made: ours is to be emptied yet.
                self._leave_copy()
                self._cut = False
            elif os.fstat(self._copy).st_size <= self._offset:
                status = os.fstat(self._copy)
                self._leave_copy()
                self._begin(status.st_mtime_ns, (status.st_dev, status.st_ino))
                self._next_copy()
        return b""

    def _leave_copy(self) -> None:
        assert self._copy is not None
        os.close(self._copy)
        self._copy = None

    def _begin(self, made: int, identity: tuple[int, int]) -> None:
        """Go on at the beginning of what follows a copy. What was written between its making and the emptying is
        nowhere, and a line without its end proves nothing."""
        self._after = made, identity
        self._offset, self._known, self._head = 0, b"", b""
        self._cut = True
        self._cutter.rest = b""
        self.lost = True

    def _find_copy(self) -> None:
        """Go on in the rotated file that has our last lines just where we read them, or in one that begins as ours
        did: it was made before our last lines came. Without any, at the beginning of what follows."""
        known, found, last = self._known, None, (0, (0, 0))
        files = self._rotated()
        for file in files:
            last = file.written, file.identity
            if os.pread(file.descriptor, len(known), self._offset - len(known)) == known:
                found = file
                break
            head = os.pread(file.descriptor, _KNOWN, 0)
            if head.strip(b"\0") and (head.startswith(self._head) or self._head.startswith(head)):
                found = file
        for file in files:
            if file is not found:
                os.close(file.descriptor)
        if found is not None:
            self._copy = found.descriptor
        else:
            self._begin(*(self._after or last))
            self._next_copy()

    def _next_copy(self) -> bool:
        """Go on in the first copy that was made since: ours was emptied again before we read any of it. False when
        there is none."""
        assert self._after is not None
        before = self._after
        for file in self._rotated():
            if self._copy is None and self._is_younger(file) and file.size and not file.packed:
                self._copy = file.descriptor
                self._after = before
                continue
            os.close(file.descriptor)
            if self._is_younger(file):
                before = file.written, file.identity
        return self._copy is not None

    def _is_younger(self, file: rotated.Opened) -> bool:
        assert self._after is not None
        made, identity = self._after
        return file.written > made and file.identity != identity

    # --- beside ours ---

    def _find_missed(self, ours: os.stat_result) -> None:
        """Find what was rotated after our file, and before we had a look: as when we were stopped for days."""
        for file in self._rotated():
            younger = file.written > ours.st_mtime_ns and file.identity != (ours.st_dev, ours.st_ino)
            if younger and not file.packed:
                self._behind.append(file.descriptor)
                continue
            os.close(file.descriptor)
            if younger:
                self.lost = True
                self.notes.append(f"warning: {file.name}: was packed before it was read; its lines are lost")

    def _rotated(self) -> list[rotated.Opened]:
        return rotated.opened(self._path.resolve(), but=self._identity)


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
