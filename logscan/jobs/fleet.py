"""The workers of a Dask cluster that is there already sift parts of logs for the process that reads.

Each opens the sources itself, so files have to be there under the same names, or at URLs. Needs the extra `fleet`.
"""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import Any

from logscan import __version__
from logscan.errors import UsageError
from logscan.jobs.digest import Digest, Task
from logscan.jobs.pool import Result, Workers
from logscan.jobs.sift import work

OPTION = "--scheduler"
_INSTALL = "pip install 'mail-logscan[fleet]'"
_PATIENCE = "10s"
# A part whose worker dies is given to another so many times. It may be what kills them.
_RETRIES = 3


class Fleet(Workers):
    """The workers of the cluster at an address. Raises UsageError when it cannot be used."""

    def __init__(self, address: str) -> None:
        try:
            distributed = import_module("distributed")
        except ImportError:
            raise UsageError(OPTION, "needs Dask", _INSTALL) from None
        try:
            self._client: Any = distributed.Client(address, timeout=_PATIENCE, set_as_default=False)
        except (OSError, ValueError) as error:
            problem = str(error).partition("\n")[0] or type(error).__name__
            raise UsageError(OPTION, f"no cluster at {address}: {problem}") from None
        self._failures: tuple[type[Exception], ...] = (distributed.KilledWorker, distributed.CancelledError)
        try:
            self._check()
        except UsageError:
            self.close()
            raise
        self.parts_ahead = 2 * self.workers

    def _check(self) -> None:
        """All workers have to read logs as this process does."""
        try:
            versions = self._client.run(_version)
        except Exception as error:  # whatever a worker raises comes here, ModuleNotFoundError first of all
            problem = str(error).partition("\n")[0]
            raise UsageError(OPTION, f"a worker cannot read logs: {problem}", f"there too: {_INSTALL}") from None
        self.workers = len(versions)
        if not versions:
            raise UsageError(OPTION, "the cluster has no workers")
        for worker, version in sorted(versions.items()):
            if version != __version__:
                raise UsageError(OPTION, f"the worker at {worker} has logscan {version}, this is {__version__}")

    def submit(self, task: Task) -> Result:
        """Have a part sifted by any worker."""
        return partial(self._result, self._client.submit(work, task, pure=False, retries=_RETRIES))

    def _result(self, future: Any) -> Digest | None:
        try:
            digest: Digest = future.result()
        except self._failures:
            return None
        finally:
            future.release()
        return digest

    def close(self) -> None:
        """Leave the cluster as it is."""
        self._client.close()


def _version() -> str:
    return __version__
