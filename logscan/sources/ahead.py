"""Work on the next blocks in a thread while the last one is looked at.

Decompressors let go of the interpreter's lock while they work, so that unpacking goes on beside the reading of
lines where a second core is free, and costs nothing more where none is.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing, suppress
from queue import Empty, Queue
from threading import Event, Thread

# Of about a megabyte each, see READ_AHEAD in blocks.py: handing over costs little beside looking at one.
_WAITING = 2


def ahead(chunks: Generator[bytes, None, None]) -> Generator[bytes, None, None]:
    """Pass the chunks on, made by a thread of their own, which is never more than a few chunks ahead.

    What the chunks raise is raised here, after what came before it. The thread and the chunks end with this
    generator, also when it is closed early.
    """
    waiting: Queue[bytes | BaseException | None] = Queue(_WAITING)
    closed = Event()
    thread = Thread(target=_work, args=(chunks, waiting, closed), name="logscan-unpack", daemon=True)
    thread.start()
    try:
        while (chunk := waiting.get()) is not None:
            if isinstance(chunk, BaseException):
                raise chunk
            yield chunk
    finally:
        closed.set()
        # After this the thread puts at most one more before it looks, and there is room for one.
        with suppress(Empty):
            while True:
                waiting.get_nowait()
        thread.join()


def _work(chunks: Generator[bytes, None, None], waiting: Queue[bytes | BaseException | None], closed: Event) -> None:
    end: BaseException | None = None
    try:
        with closing(chunks):
            for chunk in chunks:
                waiting.put(chunk)
                if closed.is_set():
                    return
    except BaseException as error:  # whatever it is, the reader is who has to know
        end = error
    waiting.put(end)
