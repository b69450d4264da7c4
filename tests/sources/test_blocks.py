"""Blocks of whole lines: packings, damage, overlong lines, kinds of file, permissions."""

from __future__ import annotations

import bz2
import grp
import gzip
import io
import lzma
import os
import socket
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from logscan.errors import SourceError
from logscan.model import SourceInfo
from logscan.sources import blocks
from logscan.sources.blocks import BLOCK, LONGEST_LINE, read_blocks

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": zstandard.ZstdCompressor(write_checksum=True).compress,
}
LINE = b"Nov 23 14:00:00 mx postfix/qmgr[9]: 4F2A91C03B7: removed"


def numbered(count: int, first: int = 1) -> bytes:
    """Lines that do not compress into one another."""
    return b"".join(
        b"Nov 23 14:00:00 mx postfix/qmgr[%d]: %08X: removed\n" % (n, zlib.crc32(b"%d" % n))
        for n in range(first, first + count)
    )


def read(source: str | Path | BinaryIO, *, size: int = 262144) -> tuple[bytes, SourceInfo]:
    info = SourceInfo("maillog")
    parts = list(read_blocks(source, info, size=size))
    assert all(part.endswith(b"\n") for part in parts)
    return b"".join(parts), info


class Pipe(io.RawIOBase):
    """A stream that can not be read twice, and gives a few bytes at a time."""

    def __init__(self, data: bytes, step: int = 7) -> None:
        self.inner = io.BytesIO(data)
        self.step = step

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self.inner.read(self.step if size < 0 else min(size, self.step))


@pytest.fixture(params=["igzip", "zlib"])
def gzip_reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "zlib":
        monkeypatch.setattr(blocks, "igzip_lib", None)
    elif blocks.igzip_lib is None:
        pytest.skip("isal is not installed")


def test_a_plain_file_is_read_as_it_is_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "maillog"
    path.write_bytes(b"one\ntwo\nthree\n")
    data, info = read(path)
    assert data == b"one\ntwo\nthree\n"
    assert (info.lines, info.bytes, info.cut_lines, info.ends_early) == (3, 14, 0, None)


def test_a_missing_last_newline_is_added() -> None:
    data, info = read(io.BytesIO(b"one\ntwo"))
    assert data == b"one\ntwo\n"
    assert (info.lines, info.bytes) == (2, 7)


def test_an_empty_file_gives_nothing() -> None:
    assert read(io.BytesIO(b""))[0] == b""


@pytest.mark.parametrize("kind", PACKERS)
@pytest.mark.parametrize("size", [1, 5, 1000, 262144])
def test_packed_files_are_told_by_content_and_read_with_any_block_size(
    tmp_path: Path, kind: str, size: int
) -> None:
    path = tmp_path / "maillog-20261123.txt"
    path.write_bytes(PACKERS[kind](numbered(300)))
    data, info = read(path, size=size)
    assert data == numbered(300)
    assert (info.lines, info.bytes, info.ends_early) == (300, len(data), None)


@pytest.mark.parametrize("kind", PACKERS)
@pytest.mark.parametrize("size", [1, 64, 262144])
def test_concatenated_members_are_read_whole(kind: str, size: int) -> None:
    packed = b"".join(PACKERS[kind](numbered(50, first)) for first in (1, 51, 101))
    data, info = read(io.BytesIO(packed), size=size)
    assert data == numbered(150)
    assert info.ends_early is None


@pytest.mark.usefixtures("gzip_reader")
def test_concatenated_gzip_members_are_read_whole_from_a_pipe() -> None:
    packed = gzip.compress(numbered(50)) + gzip.compress(b"") + gzip.compress(numbered(50, 51))
    data, info = read(Pipe(packed))  # type: ignore[arg-type]
    assert data == numbered(100)
    assert info.ends_early is None


@pytest.mark.parametrize("kind", PACKERS)
def test_padding_with_zero_bytes_is_no_damage(kind: str) -> None:
    packed = PACKERS[kind](numbered(5)) + b"\0" * 512 + PACKERS[kind](numbered(5, 6)) + b"\0" * 1024
    for size in (1, 10, 262144):
        data, info = read(io.BytesIO(packed), size=size)
        assert data == numbered(10)
        assert info.ends_early is None


def test_zstd_skippable_frames_are_skipped() -> None:
    skip = b"\x5e\x2a\x4d\x18\x04\0\0\0abcd"
    pack = PACKERS["zst"]
    data, info = read(io.BytesIO(skip + pack(numbered(9)) + skip), size=6)
    assert data == numbered(9)
    assert info.ends_early is None


@pytest.mark.parametrize("kind", PACKERS)
def test_an_archive_of_nothing_is_fine(kind: str) -> None:
    data, info = read(io.BytesIO(PACKERS[kind](b"")))
    assert data == b""
    assert (info.lines, info.ends_early) == (0, None)


@pytest.mark.parametrize("kind", PACKERS)
def test_a_truncated_archive_gives_what_it_holds_and_says_so(kind: str) -> None:
    whole = numbered(20000)
    packed = PACKERS[kind](whole[: len(whole) // 2]) + PACKERS[kind](whole[len(whole) // 2 :])
    data, info = read(io.BytesIO(packed[:-30]))
    assert len(data) >= len(whole) // 2
    assert whole.startswith(data[:-1])
    assert info.lines == data.count(b"\n")
    assert info.ends_early == f"ends early after line {info.lines}"


@pytest.mark.usefixtures("gzip_reader")
def test_a_truncated_gzip_gives_all_but_its_last_bytes() -> None:
    whole = numbered(20000)
    packed = gzip.compress(whole)
    data, info = read(io.BytesIO(packed[: len(packed) // 2]))
    assert len(data) > len(whole) * 0.45
    assert whole.startswith(data[:-1])
    assert info.ends_early == f"ends early after line {info.lines}"


@pytest.mark.usefixtures("gzip_reader")
def test_only_the_gzip_checksum_is_wrong_and_every_line_is_still_read() -> None:
    packed = bytearray(gzip.compress(numbered(100)))
    packed[-6] ^= 1
    data, info = read(io.BytesIO(bytes(packed)))
    assert data == numbered(100)
    assert info.ends_early == "ends early after line 100"


@pytest.mark.parametrize("kind", PACKERS)
def test_damage_in_the_middle_keeps_what_came_before(kind: str) -> None:
    first = numbered(30000)
    packed = bytearray(PACKERS[kind](first) + PACKERS[kind](numbered(30000, 30001)))
    place = len(PACKERS[kind](first)) + 40
    packed[place : place + 20] = b"\xff" * 20
    data, info = read(io.BytesIO(bytes(packed)))
    assert data.startswith(first)
    assert info.ends_early == f"ends early after line {info.lines}"


def test_a_zstd_block_before_the_damage_is_not_lost_with_it() -> None:
    compressor = zstandard.ZstdCompressor().compressobj()
    whole = compressor.compress(numbered(100)) + compressor.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
    data, info = read(io.BytesIO(whole + b"\xff" * 200))
    assert data == numbered(100)
    assert info.ends_early == "ends early after line 100"


def test_garbage_after_an_archive_is_reported() -> None:
    data, info = read(io.BytesIO(gzip.compress(b"one\n") + b"not a member"))
    assert data == b"one\n"
    assert info.ends_early == "ends early after line 1"


def test_text_that_begins_like_a_magic_is_text() -> None:
    assert read(io.BytesIO(b"BZhello\n"))[0] == b"BZhello\n"
    assert read(io.BytesIO(b"\x1f\x8b"))[0] == b"\x1f\x8b\n"


def test_an_unsupported_packing_is_named() -> None:
    with pytest.raises(SourceError, match=r"maillog: is packed with lz4; unpack it first"):
        read(io.BytesIO(b"\x04\x22\x4d\x18rest"))


def test_nul_bytes_and_invalid_utf8_are_data() -> None:
    raw = b"a\0b\n\xff\xfe\xc3\n\x85\xe2\x80\xa8\r\x0b\x0c\n"
    data, info = read(io.BytesIO(raw))
    assert data == raw
    assert info.lines == 3


@pytest.mark.parametrize("size", [100, 4096, 65536, 65537, 262144, 1 << 20])
def test_overlong_lines_are_cut_and_counted(size: int) -> None:
    exact = b"e" * LONGEST_LINE
    raw = b"a\n" + exact + b"\n" + b"x" * (LONGEST_LINE + 1) + b"\nb\n" + b"y" * 300_000 + b"\nlast"
    data, info = read(io.BytesIO(raw), size=size)
    assert data.split(b"\n") == [b"a", exact, b"x" * LONGEST_LINE, b"b", b"y" * LONGEST_LINE, b"last", b""]
    assert (info.cut_lines, info.lines, info.bytes) == (2, 6, len(raw))


def test_a_file_of_one_endless_line_is_never_held(tmp_path: Path) -> None:
    held = 0

    class Endless(io.RawIOBase):
        left = 400

        def read(self, size: int = -1) -> bytes:
            self.left -= 1
            return b"x" * size if self.left >= 0 else b""

    info = SourceInfo("maillog")
    for block in read_blocks(Endless(), info):  # type: ignore[arg-type]
        held = max(held, len(block))
    assert held == LONGEST_LINE + 1
    assert (info.lines, info.cut_lines, info.bytes) == (1, 1, 400 * BLOCK)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    raw=st.lists(st.binary(max_size=40) | st.sampled_from([LINE, b"x" * 70000]), max_size=20).map(b"\n".join),
    size=st.integers(1, 3000),
    kind=st.sampled_from(["plain", *PACKERS]),
)
def test_any_block_size_gives_the_same_bytes(raw: bytes, size: int, kind: str) -> None:
    packed = PACKERS[kind](raw) if kind != "plain" else b"\n" + raw
    expected, whole = read(io.BytesIO(packed), size=1 << 22)
    data, info = read(io.BytesIO(packed), size=size if len(raw) < 5000 else size + 2000)
    assert data == expected
    assert (info.lines, info.bytes, info.cut_lines) == (whole.lines, whole.bytes, whole.cut_lines)


@settings(max_examples=80, deadline=None)
@given(
    kind=st.sampled_from(list(PACKERS)), place=st.integers(0, 5000), value=st.binary(min_size=1, max_size=4)
)
def test_no_damage_raises(kind: str, place: int, value: bytes) -> None:
    packed = bytearray(PACKERS[kind](numbered(100)))
    place %= len(packed)
    packed[place : place + len(value)] = value
    data, info = read(io.BytesIO(bytes(packed)), size=500)
    assert info.lines == data.count(b"\n")


def test_a_read_error_half_way_ends_the_source_early() -> None:
    class Failing(io.BytesIO):
        def read1(self, size: int | None = -1) -> bytes:
            if self.tell():
                raise OSError(5, "Input/output error")
            return super().read1(size)

    data, info = read(Failing(b"one\ntwo\n" * 10), size=16)
    assert data == b"one\ntwo\n" * 2
    assert info.ends_early == "ends early after line 4"


def test_a_fifo_is_read(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(gzip.compress(b"one\ntwo\n"),))
    writer.start()
    data, _ = read(path)
    writer.join()
    assert data == b"one\ntwo\n"


def test_a_directory_a_socket_a_device_and_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="maillog: is a directory"):
        read(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "sock"))
        with pytest.raises(SourceError, match="maillog: is a socket"):
            read(tmp_path / "sock")
    with pytest.raises(SourceError, match="maillog: is a device"):
        read("/dev/zero")
    with pytest.raises(SourceError, match="maillog: no such file"):
        read(tmp_path / "none")
    with pytest.raises(SourceError, match="maillog: "):
        read("nul\0byte")


@pytest.fixture
def no_permission(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, *args: object, **kwargs: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)


@pytest.mark.usefixtures("no_permission")
def test_permission_denied_names_the_group_that_may_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "maillog"
    path.touch(0o640)
    status = path.stat()
    fields = [*status[:5], 4, *status[6:]]
    monkeypatch.setattr(Path, "stat", lambda self, **_: os.stat_result(fields))
    monkeypatch.setattr(grp, "getgrgid", lambda gid: grp.struct_group(("adm", "x", gid, [])))
    with pytest.raises(SourceError) as caught:
        read(path)
    assert str(caught.value) == (
        "maillog: permission denied; it is readable for group adm, so join it or use sudo"
    )


@pytest.mark.usefixtures("no_permission")
def test_permission_denied_without_a_group_that_helps(tmp_path: Path) -> None:
    path = tmp_path / "maillog"
    path.touch()
    path.chmod(0o600)
    with pytest.raises(SourceError, match="permission denied; only its owner may read it, so use sudo"):
        read(path)
