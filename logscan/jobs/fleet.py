"""The workers of a Dask cluster that is there already sift parts of logs for the process that reads.

Each opens the sources itself, so files have to be there under the same names, or at URLs. That it is the same file, and
that the worker counts with the same code, is made sure with each part. Needs the extra `fleet`.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import socket
import time
import warnings
from collections.abc import Iterator
from dataclasses import replace
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import logscan
from logscan import __version__
from logscan.errors import UsageError
from logscan.jobs.digest import Digest, Task
from logscan.jobs.pool import Result, Workers
from logscan.jobs.sift import work
from logscan.model import SourceInfo
from logscan.sources.remote import INSTALL
from logscan.timespan import is_named

OPTION = "--scheduler"
# In seconds. Until a cluster answers; until it has a worker, at first or again; between two looks at it.
_PATIENCE, _WORKERLESS, _LOOK = 10, 60, 5
# Of a part that failed in a worker which lives.
_RETRIES = 3
# In bytes: a packed log is one part, and to read it here would be slower by far.
_MOST = 1 << 30
# Bytes of a file's beginning that have to be the same on the worker.
_OPENING = 65536


class Seal(NamedTuple):
    """What a part is only to be read with. code: of `code`. path, opening: of the file, "" and b"" for a URL."""

    code: str
    path: str
    opening: bytes
    length: int


class Fleet(Workers):
    """The workers of the cluster at an address. Raises UsageError when it cannot be used; so do the results."""

    def __init__(self, address: str) -> None:
        self._seals: dict[Path, Seal] = {}
        # Dask tells of every worker that comes and goes.
        self._log = logging.getLogger("distributed")
        self._level = self._log.level
        self._client = self._connected(address)
        try:
            self._check()
        except BaseException:
            self.close()
            raise
        self.workers = max(1, sum(self._client.nthreads().values()))
        self.parts_ahead = 2 * self.workers
        self.most = _MOST

    def close(self) -> None:
        """Leave the cluster as it is."""
        self._client.close(timeout=_PATIENCE)
        self._log.setLevel(self._level)

    def submit(self, task: Task) -> Result:
        """Have a part sifted by any worker."""
        if not is_named(task.zone):
            raise UsageError(OPTION, "this machine's time zone has no name to tell the workers", "give --timezone")
        sealed, seal = self._sealed(task)
        # A part whose worker dies is given to others, as often as the cluster allows. It may be what kills them.
        future = self._client.submit(sift_sealed, sealed, seal, pure=False, retries=_RETRIES)
        return partial(self._digest, future)

    def _check(self) -> None:
        """All workers have to read logs as this process does."""
        try:
            self._client.wait_for_workers(1, timeout=_WORKERLESS)
        except TimeoutError:
            raise UsageError(OPTION, f"the cluster has no workers, and none came in {_WORKERLESS} seconds") from None
        try:
            found = self._client.run(code)
        except Exception as error:  # whatever a worker raises comes here, ModuleNotFoundError first of all
            raise _worded(error) from None
        for worker, other in sorted(found.items()):
            if other != code():
                raise _differs(f"the worker at {worker}", other)

    def _connected(self, address: str) -> Any:
        try:
            distributed = import_module("distributed")
        except ImportError:
            raise UsageError(OPTION, "needs Dask", INSTALL) from None
        self._log.setLevel(logging.CRITICAL + 1)
        try:
            _reach(address)
            with warnings.catch_warnings():
                # A table of many lines. What would count otherwise is found by the seals.
                warnings.simplefilter("ignore")
                return distributed.Client(address, timeout=_PATIENCE, set_as_default=False)
        except (OSError, ValueError) as error:
            self._log.setLevel(self._level)
            text = " ".join(str(error.strerror if isinstance(error, OSError) and error.strerror else error).split())
            raise UsageError(OPTION, f"no cluster at {address}: {text[:1].lower()}{text[1:]}") from None

    def _sealed(self, task: Task) -> tuple[Task, Seal]:
        """The task as another machine can be given it: with whole paths, and what the file has to begin with."""
        how = task.open
        if not isinstance(how, partial) or not how.args or not isinstance(how.args[0], Path):
            return task, Seal(code(), "", b"", 0)
        path = how.args[0].absolute()
        if path not in self._seals:
            self._seals[path] = Seal(code(), str(path), *_opening(path, _OPENING))
        return replace(task, open=partial(how.func, path, *how.args[1:], **how.keywords)), self._seals[path]

    def _digest(self, future: Any) -> Digest:
        try:
            answer = self._awaited(future)
        finally:
            future.release()
        if isinstance(answer, str):
            raise _differs("a worker", answer)
        return answer

    def _awaited(self, future: Any) -> Digest | str:
        alone_since: float | None = None
        while True:
            # Asked before: it may be done just when the wait for it is given up.
            settled = future.status != "pending"
            try:
                answer: Digest | str = future.result(timeout=_LOOK)
                return answer
            except (Exception, asyncio.CancelledError) as error:
                if settled:
                    raise _worded(error) from None
            if self._client.status != "running":
                raise UsageError(OPTION, "the cluster went away")
            # A cluster may be given new workers at any time.
            if self._client.nthreads():
                alone_since = None
            elif alone_since is None:
                alone_since = time.monotonic()
            elif time.monotonic() - alone_since > _WORKERLESS:
                raise UsageError(OPTION, f"all workers went away, and none came in {_WORKERLESS} seconds")


def _worded(error: BaseException) -> UsageError:
    if "Cancelled" in type(error).__name__:
        return UsageError(OPTION, "the cluster went away")
    if type(error).__name__ == "KilledWorker":
        return UsageError(OPTION, "several workers died over the same part of a log", "have they memory enough?")
    if any(isinstance(one, ImportError | AttributeError) for one in _causes(error)):
        return UsageError(OPTION, "a worker cannot read logs", f"it needs logscan {__version__} too: {INSTALL}")
    text = " ".join(str(error).split())[:200]
    return UsageError(OPTION, f"a worker failed: {type(error).__name__}: {text}")


def _differs(worker: str, other: str) -> UsageError:
    version = other.split()[0]
    known = "another build of it" if version == __version__ else f"logscan {version}"
    return UsageError(OPTION, f"{worker} has {known}, this is {__version__}", "install the same on all")


def sift_sealed(task: Task, seal: Seal) -> Digest | str:
    """Sift a part, on a worker. A text is the worker's `code` where it is another one.

    What is not the sender's file gives a digest that is not good.
    """
    if seal.code != code():
        return code()
    if seal.path and _opening(Path(seal.path), seal.length) != (seal.opening, seal.length):
        return Digest(SourceInfo(task.name), task.names, good=False, unreadable=True)
    return work(task)


def code() -> str:
    """The version, and what tells apart two builds that are called the same."""
    return f"{__version__} {_build()}"


@cache
def _build() -> str:
    found = hashlib.sha256()
    package = Path(logscan.__file__).parent
    for path in sorted(package.rglob("*.py")):
        found.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes())
    return found.hexdigest()


def _opening(path: Path, length: int) -> tuple[bytes, int]:
    """A hash of the file's first bytes, and how many there were; of none when it cannot be read."""
    try:
        with path.open("rb") as file:
            data = file.read(length)
    except OSError:
        return b"", 0
    return hashlib.sha256(data).digest(), len(data)


def _reach(address: str) -> None:
    """Raise OSError when no scheduler speaks at a tcp:// address, which it does first. Dask itself would wait on."""
    scheme, mark, place = address.rpartition("://")
    server, _, port = place.strip("/").rpartition(":")
    if (mark and scheme not in ("tcp", "tls")) or not server or not port.isdecimal():
        return
    with socket.create_connection((server.strip("[]"), int(port)), _PATIENCE) as scheduler:
        try:
            spoke = scheme == "tls" or scheduler.recv(1)
        except TimeoutError:
            spoke = b""
        if not spoke:
            raise OSError("what listens there is no Dask scheduler")


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__
