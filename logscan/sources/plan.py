"""The LOG arguments → what to read, in which order, and what has to be merged."""

from __future__ import annotations

import glob
import stat
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from functools import partial
from pathlib import Path
from typing import BinaryIO

from logscan.errors import SourceError
from logscan.model import SourceInfo, Window
from logscan.parse.header import first_stamp, looks_like_log, parse
from logscan.parse.stamps import Clock
from logscan.sources import remote, rotated
from logscan.sources.blocks import permission_hint, read_blocks
from logscan.sources.journal import NAME as JOURNAL
from logscan.sources.journal import journal_blocks
from logscan.sources.rotated import Identity, LogFile

DEFAULT_LOGS = ("/var/log/maillog", "/var/log/mail.log", "/var/log/mail")
STDIN = "-"
# What syslog daemons call the log of facility mail, whole or by severity.
_MAIL_LOGS = ("maillog", "mail.log", "mail", "mail.info", "mail.warn", "mail.warning", "mail.err")
_PACKED_ENDS = (".gz", ".bz2", ".xz", ".zst")
_LOG_LINES_TRIED = 20


@dataclass(slots=True)
class PlannedSource:
    """One thing to read.

    open: fills a SourceInfo while it yields blocks of whole lines; raises SourceError at the first block when
    it cannot be read. It can be pickled, except for standard input. Close it: a thread may work for it.
    reference: epoch seconds that bound the year of its last line. year_hint: the year of its first line where
    that bound alone would give another one, else None. first, last: instants of its outermost lines, None
    when not known; upper: no line is later, None when not known. path: None for what is no regular file here;
    packed: "" for plain. size: in bytes, as packed. family: files with the same one follow each other and
    never overlap. begins, part: where only a part of the file is read (`seek.narrowed`), the instant of its
    first line and its bytes; start, stop: between which bytes, None for the end of the file.
    opening: some first lines, the last of which may be cut.
    """

    name: str
    open: Callable[[SourceInfo], Generator[bytes, None, None]]
    reference: int
    first: int | None = None
    last: int | None = None
    upper: int | None = None
    year_hint: int | None = None
    path: Path | None = None
    packed: str = ""
    size: int = 0
    family: tuple[str, str] = ("", "")
    begins: int | None = None
    part: int | None = None
    start: int = 0
    stop: int | None = None
    opening: bytes = b""

    def may_hold(self, window: Window) -> bool:
        """False when nothing in it can be in the window."""
        early = window.since is not None and self.upper is not None and self.upper < window.since
        late = window.until is not None and self.first is not None and self.first >= window.until
        return not early and not late


@dataclass(slots=True)
class Plan:
    """What to read.

    sources: oldest first. groups: the same sources; the groups follow each other, inside a group they overlap
    in time, see `chains`. problems: inputs that cannot be read. notes: what was chosen for the user.
    missing: rotated files that should be there, between others that are.
    """

    sources: list[PlannedSource] = field(default_factory=list)
    groups: list[list[PlannedSource]] = field(default_factory=list)
    problems: list[SourceError] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def plan(args: list[str], window: Window, *, now: int, zone: tzinfo, stdin: BinaryIO) -> Plan:
    """Decide what to read for the LOG arguments (contract §3); without any, the system's mail log.

    window: when it has a beginning, rotated siblings of a live log that can hold an instant of it are read
    too; a caller that needs lines from before or after widens it first. What was named is always read.
    now: epoch seconds. zone: of stamps that name none. stdin: read for "-".
    Nothing is raised for inputs that are missing or unreadable: each is one of `problems`. One that was named
    twice, or under two names, is read once.
    """
    result = Plan()
    search = _Search(now, zone, result)
    for arg in args or [default_log(result.notes)]:
        search.add(arg, siblings=window.since is not None)
    placed: list[tuple[int, PlannedSource]] = []
    for files in search.families():
        family = rotated.without_twins(rotated.in_order(files))
        rotated.place(family, now, zone)
        wanted = {id(file) for file in rotated.holding(family, window)}
        family = [file for file in family if file.identity in search.named or id(file) in wanted]
        result.missing += rotated.missing(family)
        placed += _begins([_from_file(file, zone) for file in family])
    placed.sort(key=lambda pair: pair[0])
    result.groups = _overlapping(placed)
    for name in search.streams:
        result.groups.append([_from_stream(name, window, now, stdin)])
    result.sources = [source for group in result.groups for source in group]
    return result


def chains(group: list[PlannedSource]) -> list[list[PlannedSource]]:
    """The group's sources by family: each chain is read in a row, and the chains are merged by time."""
    found: dict[tuple[str, str], list[PlannedSource]] = {}
    for source in group:
        found.setdefault(source.family, []).append(source)
    return list(found.values())


def are_apart(chains: list[list[PlannedSource]]) -> bool:
    """True when all begin with lines of hosts of their own, as far as their first lines tell."""
    seen: set[bytes] = set()
    for sources in chains:
        hosts: set[bytes] = set()
        for source in sources:
            clock = Clock(UTC, source.reference)
            headers = [parse(line, clock) for line in source.opening.split(b"\n")[:-1]]
            hosts.update(header.host for header in headers if header is not None)
        if not hosts or hosts & seen:
            return False
        seen |= hosts
    return True


def default_log(notes: list[str]) -> str:
    """The log that is read when none is named: the first that exists, else the journal. Says which in notes."""
    # One that we are not allowed to see exists, and is a problem to report.
    found = next((path for path in DEFAULT_LOGS if _mode(path) is not None), None)
    if found is None:
        notes.append(f"reading the journal, for none of these exists: {', '.join(DEFAULT_LOGS)}")
        return JOURNAL
    notes.append(f"reading {found}")
    return found


class _Search:
    """Collects the files and streams that the arguments stand for, each once."""

    def __init__(self, now: int, zone: tzinfo, result: Plan) -> None:
        self._now = now
        self._zone = zone
        self._result = result
        self._files: dict[Identity, LogFile] = {}
        self._failed: set[str] = set()
        self.named: set[Identity] = set()
        self.streams: list[str] = []

    def families(self) -> list[list[LogFile]]:
        found: dict[tuple[str, str], list[LogFile]] = {}
        for file in self._files.values():
            found.setdefault(file.family, []).append(file)
        return list(found.values())

    def add(self, arg: str, siblings: bool) -> None:
        """One LOG argument. siblings: look for the rotated files beside a live log."""
        if arg in (STDIN, JOURNAL):
            self._stream(arg)
            return
        if remote.is_url(arg):
            self._urls(arg, siblings)
            return
        arg = remote.local(arg)
        mode = _mode(arg)
        if mode is None:
            self._pattern(arg, siblings)
        elif stat.S_ISDIR(mode):
            self._directory(arg)
        elif stat.S_ISFIFO(mode):
            self._stream(arg)
        else:
            self._file(Path(arg), siblings=siblings)

    def _stream(self, name: str) -> None:
        if name not in self.streams:
            self.streams.append(name)

    def _pattern(self, arg: str, siblings: bool) -> None:
        """A glob that the shell was kept from expanding, or nothing at all."""
        if not glob.has_magic(arg) or "\0" in arg:
            self._problem(SourceError(arg, "no such file"))
            return
        # pathlib's glob would need the pattern taken apart, and gives ** a meaning that is not offered.
        paths = [Path(name) for name in sorted(glob.glob(arg))]  # noqa: PTH207
        paths = [path for path in paths if not stat.S_ISDIR(_mode(path) or 0)]
        if not paths:
            self._problem(SourceError(arg, "no file matches"))
        for path in paths:
            self._file(path, siblings=siblings)

    def _urls(self, arg: str, siblings: bool) -> None:
        """A URL, or a pattern of them."""
        try:
            urls = remote.expand(arg)
        except SourceError as problem:
            self._problem(problem)
            return
        for url in urls:
            self._url(url, siblings=siblings)

    def _url(self, url: str, *, siblings: bool = False, named: bool = True) -> None:
        try:
            file = remote.look(url, self._now, self._zone)
        except SourceError as problem:
            self._problem(problem)
            return
        self._keep(file, named)
        if siblings and file.rotation is None:
            for sibling in remote.siblings(url):
                self._url(sibling, named=False)

    def _keep(self, file: LogFile, named: bool) -> None:
        self._files.setdefault(file.identity, file)
        if named:
            self.named.add(file.identity)

    def _directory(self, arg: str) -> None:
        """All mail logs in it, by name; where no name is one, whatever looks like a log."""
        try:
            paths = sorted(path for path in Path(arg).iterdir() if stat.S_ISREG(_mode(path) or 0))
        except PermissionError:
            self._problem(SourceError(arg, "permission denied", permission_hint(arg)))
            return
        except OSError as error:
            self._problem(SourceError(arg, (error.strerror or "cannot be listed").lower()))
            return
        logs = [path for path in paths if _is_mail_log(path.name)]
        for path in logs:
            self._file(path)
        if not logs:
            found = [self._file(path, only_logs=True) for path in paths if not path.name.startswith(".")]
            if not any(found):
                self._problem(SourceError(arg, "no mail log in this directory"))

    def _file(
        self, path: Path, *, siblings: bool = False, only_logs: bool = False, named: bool = True
    ) -> bool:
        """Look at one file and keep it. True when it is among the inputs, or should be and cannot be read."""
        try:
            file = rotated.look(path, str(path), self._now, self._zone)
        except SourceError as problem:
            if only_logs and problem.problem != "permission denied":
                return False
            self._problem(problem)
            return True
        if only_logs and not any(map(looks_like_log, file.opening.split(b"\n")[:_LOG_LINES_TRIED])):
            return False
        self._keep(file, named)
        if siblings and file.rotation is None:
            # A link to the log often stands alone, the rotated files being where the log is.
            for sibling in rotated.siblings(path) or rotated.siblings(path.resolve()):
                self._file(sibling, named=False)
        return True

    def _problem(self, problem: SourceError) -> None:
        if problem.name not in self._failed:
            self._failed.add(problem.name)
            self._result.problems.append(problem)


def _mode(path: str | Path) -> int | None:
    """st_mode; None when there is no such file, 0 when we may not know."""
    try:
        return Path(path).stat().st_mode
    except PermissionError:
        return 0
    except (OSError, ValueError):
        return None


def _is_mail_log(name: str) -> bool:
    found = rotated.rotation(name)
    if found is not None:
        return found.base in _MAIL_LOGS
    for end in _PACKED_ENDS:
        name = name.removesuffix(end)
    return name in _MAIL_LOGS


def _from_file(file: LogFile, zone: tzinfo) -> PlannedSource:
    hint = None
    if file.first is not None and file.first_line is not None:
        alone = first_stamp(file.first_line, file.reference, zone)
        hint = None if alone == file.first else datetime.fromtimestamp(file.first, zone).year
    opened = (
        partial(remote.read, str(file.identity))
        if file.path is None
        else partial(read_blocks, file.path, threaded=bool(file.packed))
    )
    return PlannedSource(
        file.name, opened, file.reference, file.first, file.last, file.upper, hint, file.path, file.packed,
        file.size, file.family, opening=file.opening,
    )  # fmt: skip


def _from_stream(name: str, window: Window, now: int, stdin: BinaryIO) -> PlannedSource:
    """Standard input, a FIFO or the journal: nothing is known before it is read."""
    if name == JOURNAL:
        return PlannedSource(name, partial(journal_blocks, window), now, family=("", name))
    return PlannedSource(name, partial(read_blocks, stdin if name == STDIN else name), now, family=("", name))


def _begins(family: list[PlannedSource]) -> list[tuple[int, PlannedSource]]:
    """When each file of a family begins, for sorting: never later than the next younger one."""
    begins: list[int] = []
    for source in family:
        known = source.first if source.first is not None else begins[-1] if begins else source.reference
        begins.append(known)
    for index in range(len(begins) - 2, -1, -1):
        begins[index] = min(begins[index], begins[index + 1])
    return list(zip(begins, family, strict=True))


def _overlapping(placed: list[tuple[int, PlannedSource]]) -> list[list[PlannedSource]]:
    """Cut sources, sorted by their beginnings, where nothing goes on. Files of one family never overlap."""
    groups: list[list[PlannedSource]] = []
    for begin, source in placed:
        group = groups[-1] if groups else []
        if any(other.family != source.family and (other.upper or 0) >= begin for other in group):
            group.append(source)
        else:
            groups.append([source])
    return groups
