"""LOG arguments that are URLs: logs on other machines and in object storage, read through fsspec.

fsspec is an extra, and imported only when a URL is given. Whatever it or the library behind it raises becomes a
SourceError of one line, or ends the log early: a name or password in a URL is never shown.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Generator
from contextlib import closing
from datetime import UTC, datetime, tzinfo
from importlib import import_module
from typing import Any, BinaryIO, cast

from logscan.errors import SourceError
from logscan.model import SourceInfo
from logscan.sources import rotated
from logscan.sources.blocks import packing, read_blocks
from logscan.sources.rotated import TAIL, Ends, LogFile

INSTALL = "pip install 'mail-logscan[fleet]'"

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_FILE = re.compile(r"file://(?:localhost(?=/))?", re.IGNORECASE)
_SECRET = re.compile(r"(://[^/@:]*):[^/]*@")
# Seconds without a word from an HTTP server. By itself aiohttp would give a log five minutes in all.
_PATIENCE = 60
# Read at once where only a beginning or an end is looked at.
_LOOK = TAIL
# What the file systems call the time of a file's last change.
_CHANGED = ("mtime", "LastModified", "Last-Modified", "last_modified", "updated", "modified", "created")
_MESSAGE = 200
# Errors of aiohttp and botocore that have nothing but a long text to say it.
_LOST = ("ClientPayloadError", "ServerDisconnectedError", "IncompleteReadError", "ResponseStreamingError")


def is_url(log: str) -> bool:
    """True for ``scheme://…`` that is no file of this machine by another name (see `local`).

    >>> is_url("s3://logs/mx1/maillog.gz"), is_url("file:///var/log/maillog"), is_url("/var/log/maillog")
    (True, False, False)
    """
    return _URL.match(log) is not None and _FILE.match(log) is None


def local(log: str) -> str:
    """``file://`` in front of a path taken away.

    >>> local("file:///var/log/maillog"), local("maillog")
    ('/var/log/maillog', 'maillog')
    """
    return _FILE.sub("", log, count=1) if _FILE.match(log) else log


def shown(url: str) -> str:
    """The URL as it may be shown: without a password, and without the query, which may be a signature.

    >>> shown("https://me:secret@logs.example.org/maillog?Signature=c2VjcmV0")
    'https://me@logs.example.org/maillog?...'
    """
    url, mark, _ = _SECRET.sub(r"\1@", url).partition("?")
    return url + (mark and "?...")


def expand(url: str) -> list[str]:
    """The URLs that a pattern stands for, by name; the URL itself where it is none.

    Raises SourceError when the place cannot be listed or nothing matches.
    """
    # In a web address "?" begins the query, and an IPv6 server is in brackets.
    magic = r"://[^/]*/[^?]*[*\[]" if _is_web(url) else r"[*?\[]"
    if not re.search(magic, url):
        return [url]
    place = _Place(url)
    try:
        names = sorted(place.fs.glob(place.path))
    except Exception as error:
        raise _problem(url, error) from None
    if not names:
        raise SourceError(shown(url), "no file matches")
    return [place.url_of(name) for name in names]


def siblings(url: str) -> list[str]:
    """The rotated files beside a live log, by name. [] when its directory cannot be listed."""
    directory, leaf = _parted(url)
    try:
        place = _Place(directory + "/")
        leaves = sorted(name.rpartition("/")[2] for name in place.fs.ls(place.path, detail=False))
    except Exception:
        return []
    found = {name: rotated.rotation(name) for name in leaves}
    return [f"{directory}/{name}" for name, its in found.items() if its and its.base == leaf]


def look(url: str, now: int, zone: tzinfo) -> LogFile:
    """As `rotated.look`, for what stands at a URL. Raises SourceError when it cannot be read."""
    name = shown(url)
    place = _Place(url)
    try:
        info = place.fs.info(place.path)
        if info.get("type") == "directory":
            raise SourceError(name, "is a directory", "name the logs in it, or a pattern of them")
        with closing(_Stream(place, _LOOK)) as stream:
            opening = rotated.opening(cast(BinaryIO, stream), name)
    except Exception as error:
        raise _problem(url, error) from None
    if stream.failure and not opening:
        raise SourceError(name, stream.failure)
    size = info.get("size") or 0
    packed = packing(stream.head)
    ends = Ends(packed, opening, b"" if packed else place.tail(size))
    return rotated.looked_at(None, name, _parted(url), size, _changed(info), url, ends, now, zone)


def read(url: str, info: SourceInfo) -> Generator[bytes, None, None]:
    """As `read_blocks`, for what stands at a URL. Raises SourceError when it cannot be opened."""
    try:
        stream = _Stream(_Place(url))
    except Exception as error:
        raise _problem(url, error) from None
    with closing(stream):
        # The next bytes are fetched and unpacked while the last ones are looked at.
        yield from read_blocks(cast(BinaryIO, stream), info, threaded=True)
    if info.ends_early is not None and stream.failure:
        info.ends_early += f" ({stream.failure})"


class _Place:
    """Where a URL leads. fs: fsspec's file system; path: what it calls the file. Raises SourceError."""

    def __init__(self, url: str) -> None:
        self._url = url
        scheme = _scheme(url)
        try:
            fsspec = import_module("fsspec")
        except ImportError:
            raise SourceError(shown(url), "reading URLs needs fsspec", INSTALL) from None
        try:
            # Not url_to_fs, which takes "::" for a chain of file systems: it is in IPv6 addresses too.
            kind = fsspec.get_filesystem_class(scheme)
            self.fs = kind(**kind._get_kwargs_from_urls(url), **(_web_options() if _is_web(url) else {}))
            # What was listed a while ago in this process is out of date: logs are rotated and grow.
            self.fs.invalidate_cache()
            self.path = str(kind._strip_protocol(url))
        except Exception as error:
            raise _problem(url, error) from None

    def open(self, block: int | None) -> Any:
        """The file at its beginning. block: bytes fetched at once, None for the file system's own measure."""
        if _is_web(self._url):
            # One answer to the end: not every server gives parts, and each part would be a question more.
            block = 0
        return self.fs.open(self.path, "rb", **({} if block is None else {"block_size": block}))

    def tail(self, size: int) -> bytes:
        """The last whole lines of `size` bytes; b"" where the server gives no parts."""
        start = max(0, size - TAIL)
        try:
            with self.fs.open(self.path, "rb", block_size=_LOOK) as file:
                file.seek(start)
                data = bytes(file.read(TAIL)) if size else b""
        except Exception:
            return b""
        return data.partition(b"\n")[2] if start else data

    def url_of(self, name: str) -> str:
        """The URL of another file of the file system, which calls it so."""
        # Some file systems leave the server out of their names.
        if self._url.endswith(self.path):
            return self._url.removesuffix(self.path) + name
        return str(self.fs.unstrip_protocol(name))


class _Stream:
    """What `read_blocks` wants of a file. Failures of any kind are OSErrors; failure: the last one, in words.

    block: as of `_Place.open`. head: its first bytes, enough to tell the packing.
    """

    def __init__(self, place: _Place, block: int | None = None) -> None:
        self._place = place
        self._block = block
        self._file = place.open(block)
        self._at = 0
        self.head = b""
        self.failure = ""

    def read(self, size: int) -> bytes:
        try:
            data = bytes(self._file.read(size))
        except Exception as error:
            self.failure = _worded(error)
            raise OSError(errno.EIO, self.failure) from error
        self.head += data[: max(6 - len(self.head), 0)]
        self._at += len(data)
        return data

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int) -> int:
        """Go back, which is done once in a damaged log. A connection has no way back: it is read again."""
        target = offset + (self._at if whence == os.SEEK_CUR else 0)
        try:
            self._file.seek(target)
            self._at = target
        except Exception:
            self.close()
            self._file = self._place.open(self._block)
            self._at = 0
            while self._at < target and self.read(min(target - self._at, TAIL)):
                pass
        return self._at

    def close(self) -> None:
        self._file.close()


def _scheme(url: str) -> str:
    return url.partition("://")[0].lower()


def _is_web(url: str) -> bool:
    return _scheme(url) in ("http", "https")


def _web_options() -> dict[str, Any]:
    timeout = import_module("aiohttp").ClientTimeout(total=None, sock_connect=_PATIENCE, sock_read=_PATIENCE)
    # The bytes as they are: a server that calls a .gz an encoding would have it unpacked by aiohttp, which keeps
    # nothing of a truncated one. Proxies and .netrc of the environment, as other clients.
    plain = {"auto_decompress": False, "headers": {"Accept-Encoding": "identity"}}
    return {"client_kwargs": {"timeout": timeout, "trust_env": True, **plain}}


def _parted(url: str) -> tuple[str, str]:
    """Its directory and its name there, without a query."""
    directory, _, leaf = url.partition("?")[0].rpartition("/")
    return directory, leaf


def _changed(info: dict[str, Any]) -> int:
    """When the file was last changed, in epoch seconds; 0 when that is not known."""
    from dateutil import parser as dates  # only here, as it takes as long as a small report

    for key in _CHANGED:
        value = info.get(key)
        try:
            if isinstance(value, str):
                value = dates.parse(value)
            if isinstance(value, datetime):
                return int((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp())
            if isinstance(value, int | float):
                return int(value)
        except (ValueError, OverflowError):
            continue
    return 0


def _problem(url: str, error: Exception) -> SourceError:
    if isinstance(error, SourceError):
        return error
    text = _worded(error)
    name = shown(url)
    # Libraries like to repeat the address.
    secret = _SECRET.search(url)
    parts = (url, url.partition("?")[2], secret and secret[0][len(secret[1]) + 1 : -1])
    for part in parts:
        text = text.replace(part, name if part == url else "...") if part else text
    return SourceError(name, text)


def _worded(error: BaseException) -> str:
    """What happened, in a few words."""
    # For HTTP everything is "not found", with the reason behind it.
    if isinstance(error, FileNotFoundError) and error.__cause__ is not None:
        error = error.__cause__
    status = getattr(error, "status", None)
    if isinstance(error, FileNotFoundError) or status in (404, 410):
        return "no such file"
    if isinstance(error, PermissionError) or status in (401, 403):
        return "permission denied"
    if isinstance(status, int):
        return f"the server answers with status {status}"
    if isinstance(error, TimeoutError):
        return f"no answer within {_PATIENCE} seconds"
    if type(error).__name__ in _LOST:
        return "connection lost"
    number = getattr(error, "errno", None)
    if isinstance(error, OSError) and isinstance(number, int) and number > 0:
        return os.strerror(number).lower()
    text = " ".join(str(getattr(error, "strerror", None) or error).split())[:_MESSAGE]
    return text or type(error).__name__
