"""An open file, ``.gz``, ``.bz2``, ``.xz``, ``.zst`` or stream → blocks of whole lines, as bytes.

The packing is told by the first bytes, never by the name. No line is looked at on its own: a block is cut at
its last newline, and what follows waits for the next read.
"""

from __future__ import annotations

import bz2
import grp
import lzma
import os
import stat
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, nullcontext, suppress
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import zstandard

from logscan.errors import SourceError
from logscan.model import SourceInfo
from logscan.sources.ahead import ahead

igzip_lib: Any = None
with suppress(ImportError):  # not a dependency, only faster
    igzip_lib = import_module("isal.igzip_lib")

# No daemon writes lines near this length (rsyslog stops at 8 KiB); past it a "line" is garbage or an attack.
LONGEST_LINE = 65536

# Read at once: it stays in the processor's cache, and the allocator needs no fresh pages for it.
BLOCK = 65536
# How much a thread unpacks at once. The interpreter's lock changes hands every 5 ms, so small pieces wait for it.
READ_AHEAD = 1 << 20

_MAGIC = (
    (b"\x1f\x8b\x08", "gz"),
    (b"BZh", "bz2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x28\xb5\x2f\xfd", "zst"),
)
_FOREIGN_MAGIC = (
    (b"\x1f\x9d", "compress (.Z)"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"LZIP", "lzip"),
    (b"PK\x03\x04", "zip"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
)


# bz2 reports damage as OSError.
_DAMAGE: tuple[type[Exception], ...] = (zlib.error, OSError, EOFError, lzma.LZMAError, zstandard.ZstdError)
if igzip_lib is not None:
    _DAMAGE += (igzip_lib.IsalError,)


class _Decoder(Protocol):
    """What bz2, lzma and igzip share: decode one member, at most max_length bytes a call."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


def read_blocks(
    source: str | Path | BinaryIO, info: SourceInfo, *, size: int = BLOCK, threaded: bool = False
) -> Generator[bytes, None, None]:
    """Read a log as blocks of whole lines, each block ending with a newline; a missing last one is added.

    source: a path, or a binary stream, which is left open. size: how much is read, and about how much is
    unpacked, at once. Fills `info` as it goes: lines, bytes (unpacked, as read), cut_lines and, where packed
    data is truncated or damaged or reading fails half-way, ends_early; what came before that is yielded.
    A line longer than LONGEST_LINE is cut to that length and the rest is dropped without being held.
    threaded: unpack in a thread beside the reader, which has to close the generator. Not for what can keep a
    read waiting, as pipes do: the thread is waited for.
    Raises SourceError when it cannot be opened, or is packed in a way that is not supported.
    """
    with open_source(source, info.name) if isinstance(source, str | Path) else nullcontext(source) as stream:
        chunks = _unpacked(stream, info, READ_AHEAD if threaded else size)
        with closing(ahead(chunks) if threaded else chunks) as taken:
            yield from line_blocks(taken, info)
    if info.ends_early is not None:
        info.ends_early = f"ends early after line {info.lines}"


def read_range(
    path: str | Path, start: int, end: int | None, info: SourceInfo, *, size: int = BLOCK
) -> Generator[bytes, None, None]:
    """Read a part of a plain file as blocks of whole lines, counted into `info` as by `read_blocks`.

    start: the byte at which a line begins. end: the one at which another begins, None for the end of the file.
    Raises SourceError when the file cannot be opened.
    """
    with open_source(path, info.name) as stream:
        yield from line_blocks(_part(stream, start, end, info, size), info)
    if info.ends_early is not None:
        info.ends_early = f"ends early after line {info.lines}"


def _part(stream: BinaryIO, start: int, end: int | None, info: SourceInfo, size: int) -> Iterator[bytes]:
    try:
        stream.seek(start)
        while data := stream.read(size if end is None else min(size, end - start)):
            start += len(data)
            yield data
    except OSError as error:
        info.ends_early = error.strerror or "read error"


def packing(head: bytes) -> str:
    """How data that begins so is packed: "gz", "bz2", "xz", "zst", or "" for plain."""
    for magic, name in _MAGIC:
        if head.startswith(magic):
            # "BZh" could begin a text; the digit and the block's own magic could not.
            return name if name != "bz2" or head[3:4].isdigit() else ""
    # Skippable frames, which parallel zstd writers put first: 0x184D2A50 to 0x184D2A5F, little-endian.
    return "zst" if head[1:4] == b"\x2a\x4d\x18" and head[0] & 0xF0 == 0x50 else ""


def line_blocks(chunks: Iterator[bytes], info: SourceInfo) -> Iterator[bytes]:
    """Cut chunks of any size into blocks of whole lines, counted into `info`.

    The blocks' bytes, joined, are the same however the input was chunked.
    """
    cutter = Cutter(info)
    for chunk in chunks:
        if block := cutter.push(chunk):
            yield block
    if block := cutter.end():
        yield block


class Cutter:
    """Cuts what comes in chunks at its last newline. rest: the line that is not at its end yet."""

    __slots__ = ("_info", "_skipping", "rest")

    def __init__(self, info: SourceInfo) -> None:
        self._info = info
        self._skipping = False
        self.rest = b""

    def push(self, chunk: bytes) -> bytes:
        """Take a chunk and give the whole lines that it completes, counted; b"" for none."""
        info = self._info
        info.bytes += len(chunk)
        if self._skipping:
            end = chunk.find(b"\n") + 1
            if not end:
                return b""
            chunk = chunk[end:]
            self._skipping = False
        block = b""
        cut = chunk.rfind(b"\n") + 1
        if cut:
            block = b"".join((self.rest, memoryview(chunk)[:cut]))
            self.rest = chunk[cut:]
            if len(block) > LONGEST_LINE:
                block = _shortened(block, info)
            if not info.split:
                info.lines += block.count(b"\n")
        else:
            self.rest += chunk
        if len(self.rest) > LONGEST_LINE:
            info.cut_lines += 1
            info.lines += not info.split
            block += self.rest[:LONGEST_LINE] + b"\n"
            self.rest = b""
            self._skipping = True
        return block

    def drop(self) -> None:
        """Forget the line that is not at its end yet: it never will be."""
        self._skipping = False
        self.rest = b""

    def end(self) -> bytes:
        """The last line, when its end never came, with a newline added; b"" if there is none."""
        self._skipping = False
        if not self.rest:
            return b""
        self._info.lines += not self._info.split
        block, self.rest = self.rest + b"\n", b""
        return block


def _shortened(block: bytes, info: SourceInfo) -> bytes:
    """The block with its overlong lines cut. Looks at one newline per LONGEST_LINE bytes, not at each."""
    parts: list[bytes] = []
    done = start = 0
    while len(block) - start > LONGEST_LINE:
        end = block.rfind(b"\n", start, start + LONGEST_LINE + 1)
        if end < 0:
            info.cut_lines += 1
            parts.append(block[done : start + LONGEST_LINE])
            done = end = block.index(b"\n", start)
        start = end + 1
    return b"".join((*parts, block[done:])) if parts else block


def open_source(path: str | Path, name: str) -> BinaryIO:
    """Open a file or FIFO for reading, unbuffered. name: what the user calls it, for the errors.

    Raises SourceError: missing, no permission, or a kind of file that holds no log.
    """
    try:
        mode = Path(path).stat().st_mode
        kinds = ((stat.S_ISDIR, "a directory"), (stat.S_ISSOCK, "a socket"), (stat.S_ISBLK, "a device"))
        for test, kind in (*kinds, (stat.S_ISCHR, "a device")):
            if test(mode):
                raise SourceError(name, f"is {kind}, not a log")
        # Unbuffered: a FIFO's data is passed on when it comes, and blocks need no second buffer.
        return Path(path).open("rb", buffering=0)
    except PermissionError:
        raise SourceError(name, "permission denied", permission_hint(path)) from None
    except FileNotFoundError:
        raise SourceError(name, "no such file") from None
    except (OSError, ValueError) as error:
        raise SourceError(name, (getattr(error, "strerror", None) or str(error)).lower()) from None


def permission_hint(path: str | Path) -> str:
    """Which group may read the file; "use sudo" where none may or its directory is closed to us."""
    try:
        status = Path(path).stat()
    except OSError:
        return "use sudo"
    if not status.st_mode & stat.S_IRGRP or status.st_gid == 0:
        return "only its owner may read it, so use sudo"
    try:
        group = grp.getgrgid(status.st_gid).gr_name
    except KeyError:
        group = str(status.st_gid)
    return f"it is readable for group {group}, so join it or use sudo"


def _unpacked(stream: BinaryIO, info: SourceInfo, size: int) -> Generator[bytes, None, None]:
    """The stream's data in chunks of at most about `size`. Sets info.ends_early when it breaks off."""
    raw = _Raw(stream, size)
    try:
        head = raw.head()
        kind = packing(head)
        if not kind:
            for magic, name in _FOREIGN_MAGIC:
                if head.startswith(magic):
                    raise SourceError(info.name, f"is packed with {name}", "unpack it first")
            yield from raw
            return
        while True:
            # Zero bytes between members are padding: of tapes for gz, of 4-byte alignment for xz.
            while not raw.ahead.strip(b"\0"):
                raw.ahead = raw.read()
                if not raw.ahead:
                    return
            raw.ahead = raw.ahead.lstrip(b"\0")
            while len(raw.ahead) < 6 and (more := raw.read()):
                raw.ahead += more
            kind = packing(raw.ahead)
            if not kind or not (yield from _member(raw, kind, size)):
                info.ends_early = "damaged or truncated"
                return
    except OSError as error:
        info.ends_early = error.strerror or "read error"


class _Raw:
    """The packed bytes, with `ahead`: those read but not yet used, and where in the file they begin."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        # read1 returns what a pipe holds now; read would wait for a full block.
        read: Callable[[int], bytes | None] = getattr(stream, "read1", stream.read)
        self._read = read
        self._size = max(size, 1)
        self._stream = stream
        self.ahead = b""
        self.taken = 0

    def read(self) -> bytes:
        data = self._read(self._size) or b""
        self.taken += len(data)
        return data

    def head(self) -> bytes:
        """The first bytes, enough to tell the packing; they stay in `ahead`."""
        while len(self.ahead) < 6 and (data := self.read()):
            self.ahead += data
        return self.ahead[:6]

    def __iter__(self) -> Iterator[bytes]:
        data = self.ahead
        while data:
            yield data
            data = self.read()

    def reread(self, start: int) -> Iterator[bytes]:
        """The bytes from offset `start` of the stream on, again; none when the stream is no file."""
        try:
            if not self._stream.seekable():
                return
            self._stream.seek(start - self.taken, os.SEEK_CUR)
        except OSError:
            return
        while data := self._read(self._size):
            yield data


def _member(raw: _Raw, kind: str, size: int) -> Generator[bytes, None, bool]:
    """Unpack one member (gz), stream (bz2, xz) or frame (zst) and leave what follows in raw.ahead.

    The generator's value is False when it is truncated or damaged.
    """
    start = raw.taken - len(raw.ahead)
    decoder = _decoder(kind)
    data = raw.ahead
    done = 0
    while True:
        try:
            chunk = decoder.decompress(data, size)
        except _DAMAGE:
            yield from _last_words(raw.reread(start), kind, done, getattr(decoder, "fed", 0))
            return False
        if chunk:
            done += len(chunk)
            yield chunk
        if decoder.eof:
            raw.ahead = decoder.unused_data
            return True
        data = b""
        if decoder.needs_input:
            data = raw.read()
            if not data:
                raw.ahead = b""
                return False


def _last_words(again: Iterator[bytes], kind: str, done: int, fed: int) -> Iterator[bytes]:
    """What a damaged member holds after its first `done` bytes.

    A decoder that fails keeps to itself what it had unpacked in that call. Unpacked once more, byte by byte
    from there on, it has given everything away before it fails. At most one block is read in that slow way;
    nothing is read again, and so nothing more is found, when the input is a pipe.
    """
    decoder = _decoder(kind, careful_from=fed)
    words = bytearray()
    seen = 0
    with suppress(*_DAMAGE):
        for data in again:
            piece = data
            while not decoder.eof:
                out = decoder.decompress(piece, min(max(done - seen, 1), LONGEST_LINE))
                seen += len(out)
                if seen > done:
                    words += out[-min(seen - done, len(out)) :]
                piece = b""
                if decoder.needs_input:
                    break
    yield bytes(words)


class _Gzip:
    """zlib with the interface of bz2's decompressor."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)
        self._pending = b""
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        out = self._inner.decompress(self._pending + data, max_length)
        self._pending = self._inner.unconsumed_tail
        self.needs_input = not self._pending and len(out) < max_length
        return out


class _Zstd:
    """zstandard with the interface of bz2's decompressor.

    It has no limit for what one call unpacks, so it is fed in small steps: even 1 KiB can hold 256 blocks of
    128 KiB. fed: how much it took without failing. careful_from: where in its input steps of one byte begin.
    """

    def __init__(self, careful_from: int | None = None) -> None:
        self._inner = zstandard.ZstdDecompressor().decompressobj()
        self._pending = b""
        self._at = 0
        self._careful_from = careful_from
        self.fed = 0

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return self._at >= len(self._pending)

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data + self._pending[self._at :]

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        if data:
            self._pending, self._at = self._pending[self._at :] + data, 0
        step = 1024
        if self._careful_from is not None and self.fed + step > self._careful_from:
            step = max(self._careful_from - self.fed, 1)
        piece = self._pending[self._at : self._at + step]
        out = self._inner.decompress(piece) if piece else b""
        self._at += len(piece)
        self.fed += len(piece)
        return out


def _decoder(kind: str, careful_from: int | None = None) -> _Decoder:
    """A decoder for one member. careful_from: asked for after damage, see _Zstd; igzip is not exact then."""
    if kind == "bz2":
        return bz2.BZ2Decompressor()
    if kind == "xz":
        return lzma.LZMADecompressor(memlimit=1 << 29)
    if kind == "zst":
        return _Zstd(careful_from)
    if igzip_lib is not None and careful_from is None:
        # Three times as fast as zlib.
        decoder: _Decoder = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
        return decoder
    return _Gzip()
