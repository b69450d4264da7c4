"""Where output goes: results to standard output or a file, notices and a progress bar to standard error."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from logscan.errors import UsageError
from logscan.render.escape import visible

if TYPE_CHECKING:
    from types import TracebackType

    from rich.progress import Progress, TaskID

# A run shorter than this shows no bar; a bar is drawn at most ten times a second.
_PATIENCE = 0.6
_REDRAW = 0.1


def notice(text: str) -> None:
    """One line on standard error, begun with our name; what a terminal would act on is made visible."""
    with contextlib.suppress(OSError, ValueError):
        line = f"logscan: {visible(text)}\n"
        encoding = sys.stderr.encoding or "utf-8"
        sys.stderr.write(line.encode(encoding, "backslashreplace").decode(encoding))
        sys.stderr.flush()


def colored(mode: str) -> bool:
    """Colour on standard output? `always`, `never`, or on a terminal unless NO_COLOR or TERM says no."""
    if mode != "auto":
        return mode == "always"
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def write(text: str, output: str | None) -> None:
    """The result to standard output (None or ``-``) or to a file, which appears whole or not at all.

    A reader of standard output that went away is no error. UsageError if the file cannot be written.
    """
    if output is None or output == "-":
        _to_stdout(text)
        return
    try:
        _to_file(text.encode("utf-8", "backslashreplace"), Path(output))
    except OSError as error:
        what = (error.strerror or str(error)).lower()
        raise UsageError(f"--output {output}", what, "nothing was written there") from error


def _to_stdout(text: str) -> None:
    encoding = (sys.stdout.encoding or "utf-8") if sys.stdout.isatty() else "utf-8"
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode(encoding, "backslashreplace"))
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        forget_stdout()


def open_closed() -> None:
    """Where we were started without standard input, output or error, they are empty: Python has None for them."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115 - to the end of the process


def forget_stdout() -> None:
    """Let what is buffered for a closed pipe go nowhere, or Python complains about it on its way out."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _to_file(data: bytes, path: Path) -> None:
    with whole_file(path) as out:
        out.write(data)


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write that appears under its name whole, at the end, or after an exception not at all.

    The link stays a link, and a device or a pipe is written to, not replaced by a file. Raises OSError.
    """
    mode: int | None = None
    if path.exists():
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            # As it is named: what /dev/stdout leads to may be a pipe, which has no other name.
            with path.open("wb") as out:
                yield out
            return
    path = path.resolve()
    import tempfile

    handle, name = tempfile.mkstemp(prefix=f".{path.name[:100]}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        Path(name).chmod(stat.S_IMODE(mode) if mode is not None else 0o666 & ~_umask())
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


class Bar:
    """A progress bar on standard error while input is read, if that is a terminal; it leaves nothing behind.

    Pass `progress` and `warn` to the engine. Use as a context manager.
    """

    def __init__(self) -> None:
        self._shown: Progress | None = None
        self._task: TaskID | None = None
        self._wanted = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._next = time.monotonic() + _PATIENCE

    def __enter__(self) -> Bar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown is not None:
            self._shown.stop()
            self._shown = None

    def progress(self, done: int, total: int | None) -> None:
        """done of total bytes are read; total is None where nobody knows. Cheap enough for every block."""
        if not self._wanted or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _REDRAW
        if self._shown is None:
            self._shown = _bar()
            self._task = self._shown.add_task("reading", total=total)
            self._shown.start()
        if self._task is not None:
            self._shown.update(self._task, completed=done, total=total)

    def warn(self, text: str) -> None:
        """A warning on a line of its own, above the bar. Texts that begin with ``note: `` or ``error: `` are
        none: what is no error says so, and an error needs no word for it."""
        kind, _, rest = text.partition(": ")
        text = rest if kind in ("note", "error") else f"warning: {text.removeprefix('warning: ')}"
        if self._shown is None:
            notice(text)
        else:
            from rich.text import Text

            self._shown.console.print(Text(f"logscan: {visible(text)}"), soft_wrap=True)


def _bar() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        auto_refresh=True,
    )
