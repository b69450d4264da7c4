"""A log that grows: a file by its name, as `tail -F` follows it. No clock and no waiting in here but in `wait`, which
tests replace.
"""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC
from pathlib import Path
from typing import Protocol

from logscan.errors import SourceError
from logscan.model import SourceInfo
from logscan.parse.header import first_stamp
from logscan.sources import rotated
from logscan.sources.blocks import Cutter, open_source, packing, permission_hint

SIZE = 262144
# So much before the place that was read to is compared at each look: a file that was emptied and has grown
# past that place again does not show it by its length.
_KNOWN = 4096
# Lines of one file may be out of order by so much, in seconds.
_LATE = 600
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
        # When the copy was made that ends where ours begins, in ns, and its end; None while ours was not emptied.
        self._after: int | None = None
        self._ended = b""
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
            begin = os.pread(opened.fileno(), _KNOWN, 0)
            if kind := packing(begin):
                raise SourceError(self.info.name, f"is packed ({kind}) and does not grow", "logscan report reads it")
        if status.st_size < size:
            yield from self._before(size - status.st_size, begin)
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

    def _before(self, size: int, begin: bytes) -> Iterator[bytes]:
        """The end of the file that was renamed last, if it is plain, may be read, and is no copy of ours, which begins
        so."""
        found = rotated.beside(self._path.resolve(), but=(0, 0))
        for _, path, _, _ in found[-1:]:
            try:
                with path.open("rb", buffering=0) as old:
                    head = os.pread(old.fileno(), _KNOWN, 0)
                    if packing(head) or _same(head, begin):
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
        self._after = None
        self._missing = 0
        return True

    def _more(self, size: int) -> bytes | None:
        """The lines that were added; b"" for none. None when the file is not what it was: emptied."""
        assert self._file is not None
        while True:
            known = len(self._known)
            data = os.pread(self._file, known + size, self._offset - known)
            if data[:known] != self._known or (self._after is not None and not self._offset and self._next_copy()):
                return None
            new = data[known:]
            if not new:
                return b""
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
            elif os.fstat(self._copy).st_size <= self._offset:
                made = os.fstat(self._copy).st_mtime_ns
                self._leave_copy()
                # One that was not followed by an emptying is no end: a later copy has more.
                self._copy = self._best_copy(self._offset + 1)
                if self._copy is None:
                    self._begin(made)
                    self._next_copy()
        return b""

    def _leave_copy(self) -> None:
        assert self._copy is not None
        os.close(self._copy)
        self._copy = None

    def _begin(self, made: int) -> None:
        """Go on at the beginning of what follows a copy. What was written between its making and the emptying is
        nowhere, and a line without its end proves nothing."""
        self._after, self._ended = made, self._known
        self._offset, self._known, self._head = 0, b"", b""
        self._cutter.drop()
        self.lost = True

    def _find_copy(self) -> None:
        """Go on in the copy of what we read of ours. Without any, at the beginning of what follows."""
        self._copy = self._best_copy()
        if self._copy is None:
            youngest = max((file.written for file in self._rotated()), default=0)
            self._begin(youngest if self._after is None else self._after)
            self._next_copy()

    def _best_copy(self, least: int = 0) -> int | None:
        """The youngest rotated file that has our last lines just where we read them, or else one that begins as ours
        did: it was made before our last lines came. least: a file of which so many bytes are there."""
        best, rank = None, 0
        for file in self._rotated():
            descriptor = rotated.opened(file) if file.size >= least else None
            if descriptor is None:
                continue
            known = self._known
            here = 0
            if _piece(descriptor, self._offset - len(known), len(known)) == known:
                here = 3 if file.size > self._offset else 2
            elif not least:
                here = int(_same(_piece(descriptor, 0, _KNOWN), self._head))
            if here and here >= rank:
                best, rank, descriptor = descriptor, here, best
            if descriptor is not None:
                os.close(descriptor)
        return best

    def _next_copy(self) -> bool:
        """Go on in the first copy that was made since: ours was emptied again before we read any of it. False when
        there is none."""
        assert self._after is not None
        before = self._after
        for file in self._rotated():
            if file.written <= self._after or not file.size:
                continue
            descriptor = rotated.opened(file)
            if descriptor is None:
                continue
            if not packing(_piece(descriptor, 0, 6)) and self._goes_on(descriptor, file.written):
                self._copy, self._after = descriptor, before
                return True
            os.close(descriptor)
            before = file.written
        return False

    def _goes_on(self, descriptor: int, written: int) -> bool:
        """False for one that begins before the last copy ended: that was copied, or written anew, by somebody else."""
        last = self._ended.rstrip(b"\n").rpartition(b"\n")[2]
        first = _piece(descriptor, 0, _KNOWN).partition(b"\n")[0]
        upper = written // 10**9
        end, begin = first_stamp(last, upper, UTC), first_stamp(first, upper, UTC)
        return end is None or begin is None or begin >= end - _LATE

    # --- beside ours ---

    def _find_missed(self, ours: os.stat_result) -> None:
        """Find what was rotated after our file, and before we had a look: as when we were stopped for days."""
        files = self._rotated()
        names = {file.path.name for file in files}
        begin = _piece(self._file, 0, _KNOWN) if self._file is not None else b""
        for file in files:
            if file.written < ours.st_mtime_ns or file.identity == (ours.st_dev, ours.st_ino):
                continue
            descriptor = rotated.opened(file)
            head = b"" if descriptor is None else _piece(descriptor, 0, _KNOWN)
            if descriptor is not None and not packing(head) and not _same(head, begin):
                self._behind.append(descriptor)
                continue
            if descriptor is not None:
                os.close(descriptor)
                if not packing(head):
                    continue  # a copy of ours, which is to be emptied yet
            # Not of one that is just being packed.
            if file.written > ours.st_mtime_ns and file.path.stem not in names:
                what = "cannot be read" if descriptor is None else "was packed before it was read"
                self.lost = True
                self.notes.append(f"warning: {file.path.name}: {what}; its lines are lost")

    def _rotated(self) -> list[rotated.Beside]:
        return rotated.beside(self._path.resolve(), but=self._identity)


def _same(one: bytes, other: bytes) -> bool:
    """Two files that begin so hold the same lines, as far as they both go. Less than a line proves nothing."""
    return b"\n" in one and b"\n" in other and (one.startswith(other) or other.startswith(one))


def _piece(descriptor: int, offset: int, size: int) -> bytes:
    """A piece of a rotated file; b"" where it cannot be read."""
    try:
        return os.pread(descriptor, size, offset)
    except OSError:
        return b""


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None
