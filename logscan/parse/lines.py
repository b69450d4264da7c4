"""Which known line is this payload? The matcher behind the tables of lines, one table per daemon.

The slow path: asked only about payloads that a daemon's own parser does not claim. A table is a tuple of
rows, and a new line is taught by adding one row; see `opendkim_lines.ROWS`.

The notation of a row's format:

    <name>           a field: the shortest text before what follows, of the kind that the table's FIELDS names
    <name+>          a field of any text, the longest that lets the rest of the line match
    <a|b>  <n=a|b>   one of these words; with a name, it is kept as a field
    {text}  {text}*  may be there once; may be there any number of times (fields in a `*` are not kept)
    <@name>          a part of a line that several rows share, from the table's PARTS
    everything else  itself; a `<` that opens none of these is literal, as in `from=<<sender>>`

Every format is anchored at both ends: senders decide much of what stands in the middle of a line. A field is
settled at the first text that can follow it and never given back, so that time stays linear in the length;
only `<name+>` looks back, and a row has at most one.

Nothing is parsed before the first `Lines.lookup`, and only rows whose rarest word a payload has are compiled.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from itertools import chain
from operator import attrgetter
from typing import Final, NamedTuple

# Short form, or the long form (seconds and microseconds in base 52, z, inode in base 51).
QUEUE_ID: Final = (
    rb"[0-9A-F]{6,21}|"
    rb"[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-z]{10,20}z[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-y]{1,16}"
)
WORD: Final = rb"[^ ]+?"
NUMBER: Final = rb"-?[0-9]+?"

# Longer payloads are looked at no further than this. rsyslog ends a line at 8,096 bytes, Postfix at 2,000.
LONGEST: Final = 8192
# Sets of words whose rows are kept in order: a log says few kinds of things, a hostile one as many as it likes.
RANKED: Final = 500
# What was found is remembered of so many payloads that name no message, of this length at most: through an outage
# every session says the same.
REMEMBERED: Final = 500
SHORT: Final = 300
# A cut payload is told by how it begins; fewer fixed bytes than this say too little.
_LEAST_BEGINNING: Final = 8

_ANY: Final = rb".*?"


class Shape(NamedTuple):
    """One known kind of line.

    name: the row's, fixed. format: in the notation above. kind: a word for what it says. severity: "error",
    "warning" or "info". fault: the contract's kind of fault (§2), or None. subject: the field that names
    the fault's subject, or None. reason: the contract's word for the message (§1), or None. daemon: the
    programs that it takes, separated by blanks, where the text alone fits another row too; else "".
    """

    name: str
    format: str
    kind: str
    severity: str
    fault: str | None = None
    subject: str | None = None
    reason: str | None = None
    daemon: str = ""

    @property
    def per_message(self) -> bool:
        """True when the line names the message that it is about by its queue ID."""
        return "<queue_id>" in self.format

    @property
    def message_fault(self) -> bool:
        """True when the line says that OpenDKIM itself failed on the message that it names."""
        return self.reason in ("key", "internal") and self.per_message


class Match(NamedTuple):
    """A recognised payload: its shape, and the fields that it has, to be read only. cut: only its beginning was
    compared."""

    shape: Shape
    fields: Mapping[str, bytes]
    cut: bool = False


# A row is what Shape takes, from the left; trailing defaults are left out.
Row = tuple[str | None, ...]


class Lines:
    """A table of lines, looked up by payload."""

    def __init__(
        self,
        rows: tuple[Row, ...],
        fields: Mapping[str, bytes],
        parts: Mapping[str, str] | None = None,
        prefix: bytes = b"",
    ) -> None:
        """rows: as in `Row`. fields: regular expression by field name, lazy, without groups that keep.

        parts: format by name, for `<@name>`. prefix: a program name that may stand before the payload once.
        """
        self._rows = rows
        self._fields = fields
        self._parts = parts or {}
        self._prefix = prefix
        # Rows by number: few of them are ever made ready.
        self._by_word: dict[bytes, list[int]] | None = None
        self._wordless: list[int] = []
        self._entries: dict[int, _Entry] = {}
        self._ranked: dict[tuple[frozenset[bytes], bool], list[_Entry]] = {}
        self._remembered: dict[tuple[bytes, str, bool], Match] = {}

    @property
    def shapes(self) -> list[Shape]:
        """Every row, in the order of the table."""
        return [Shape(*row) for row in self._rows]  # type: ignore[arg-type]

    def lookup(self, payload: bytes, daemon: str = "", *, anything: bool = False) -> Match | None:
        """Recognise a payload: what follows ``program[pid]: ``, without the line end.

        The row with the most fixed text wins, rows of kind ``generic`` come last. daemon: the last
        part of the program's name, for the few texts that several daemons share; "" when it is not known.
        anything: also accept rows without any fixed text (what a local script logs). None for a payload
        that no row fits; nothing is raised, whatever the bytes. Only the first `LONGEST` bytes are read.
        """
        asked = payload, daemon, anything
        remembered = self._remembered.get(asked)
        if remembered is not None:
            return remembered
        if self._by_word is None:
            self._by_word = self._index()
        cut = len(payload) > LONGEST
        if cut:
            payload = payload[:LONGEST]
        found = self._find(payload, daemon, cut, anything)
        if (
            self._prefix
            and payload.startswith(self._prefix)
            and (found is None or found.shape.kind == "generic")
        ):
            found = self._find(payload[len(self._prefix) :], daemon, cut, anything) or found
        if found is not None and len(payload) <= SHORT and "queue_id" not in found.fields:
            if len(self._remembered) >= REMEMBERED:
                self._remembered.clear()
            self._remembered[asked] = found
        return found

    def _find(self, payload: bytes, daemon: str, cut: bool, anything: bool) -> Match | None:
        assert self._by_word is not None
        for entry in self._candidates(frozenset(self._by_word.keys() & set(payload.split(b" "))), cut):
            if payload.find(entry.literal) < 0:
                continue
            shape = entry.shape
            if shape.daemon and daemon not in shape.daemon.split():
                continue
            if not entry.fixed and not anything:
                continue
            fields = entry.beginning(payload) if cut else entry.match(payload)
            if fields is not None:
                return Match(shape, fields, cut)
        return None

    def _candidates(self, words: frozenset[bytes], cut: bool) -> list[_Entry]:
        """The rows to try on a payload with these rarest words, best first."""
        entries = self._ranked.get((words, cut))
        if entries is None:
            assert self._by_word is not None
            orders = [order for word in words for order in self._by_word[word]] + self._wordless
            entries = [self._entry(order) for order in orders]
            entries.sort(key=attrgetter("beginning_rank" if cut else "rank"))
            if len(self._ranked) >= RANKED:
                self._ranked.clear()
            self._ranked[words, cut] = entries
        return entries

    def _entry(self, order: int) -> _Entry:
        entry = self._entries.get(order)
        if entry is None:
            shape = Shape(*self._rows[order])  # type: ignore[arg-type]
            format = _expanded(shape.format, self._parts)
            entry = self._entries[order] = _Entry(order, shape, format, self._fields)
        return entry

    def _index(self) -> dict[bytes, list[int]]:
        """The rows by their rarest word. Cheap, for the first lookup of every run waits for it."""
        words_of = [_whole_words(_expanded(str(row[1]), self._parts)) for row in self._rows]
        uses = Counter(chain.from_iterable(words_of))
        by_word: dict[bytes, list[int]] = {}
        for order, words in enumerate(words_of):
            if words:
                rarest = min([(uses[word], -len(word), word) for word in words])[2]
                by_word.setdefault(rarest.encode(), []).append(order)
            else:
                self._wordless.append(order)
        return by_word


class _Item(NamedTuple):
    """A piece of a format. what: "text", "field", "longest", "choice" or "group"."""

    what: str
    text: str = ""
    choices: tuple[str, ...] = ()
    items: tuple[_Item, ...] = ()
    repeated: bool = False


# The pieces of a format, as text: re compiles and keeps them at the first lookup, not at import.
_FIELD: Final = r"<([a-z][a-z0-9_]*)(\+?)>"
_PART: Final = r"<@([a-z_]+)>"
_CHOICE: Final = r"<(?:([a-z_]+)=(?=[^<>]*\|))?([^<>|]+(?:\|[^<>|]+)+)>"
_TEXT: Final = r"[^<{}]+"
_INNERMOST_GROUP: Final = r"\{[^{}]*\}\*?"
# Stands for whatever is not fixed text.
_OPEN: Final = "\0"


def _expanded(format: str, parts: Mapping[str, str]) -> str:
    """A format with its parts put in. KeyError for an unknown part."""
    return re.sub(_PART, lambda part: parts[part[1]], format) if "<@" in format else format


def _whole_words(format: str) -> list[str]:
    """The words of the fixed text that stand between blanks or the ends of the line in every such line."""
    format = re.sub(f"{_FIELD}|{_CHOICE}", _OPEN, format)
    while "{" in format:
        format, groups = re.subn(_INNERMOST_GROUP, _OPEN, format)
        if not groups:
            break
    return [word for word in format.split(" ") if word and _OPEN not in word]


def _parse(format: str) -> tuple[_Item, ...]:
    """Cut a format into its items."""
    field_at, choice_at, text_at = (re.compile(piece).match for piece in (_FIELD, _CHOICE, _TEXT))
    items: list[_Item] = []
    stack: list[list[_Item]] = []
    at = 0
    while at < len(format):
        if field := field_at(format, at):
            items.append(_Item("longest" if field[2] else "field", field[1]))
            at = field.end()
        elif choice := choice_at(format, at):
            items.append(_Item("choice", choice[1] or "", tuple(choice[2].split("|"))))
            at = choice.end()
        elif format[at] == "{":
            stack.append(items)
            items = []
            at += 1
        elif format[at] == "}" and stack:
            repeated = format.startswith("}*", at)
            group = _Item("group", items=tuple(items), repeated=repeated)
            items = stack.pop()
            items.append(group)
            at += 2 if repeated else 1
        else:
            # A brace or an angle that opens nothing is itself.
            text = text_at(format, at)
            literal = text[0] if text else format[at]
            at += len(literal)
            if items and items[-1].what == "text":
                literal = items.pop().text + literal
            items.append(_Item("text", literal))
    return tuple(items)


class _Entry:
    """A row made ready: what to look for before its pattern is worth compiling, then the pattern."""

    __slots__ = (
        "_beginning",
        "_fields",
        "_items",
        "_match",
        "beginning_fixed",
        "beginning_rank",
        "fixed",
        "literal",
        "rank",
        "shape",
    )

    def __init__(self, order: int, shape: Shape, format: str, fields: Mapping[str, bytes]) -> None:
        items = _parse(format)
        texts = [item.text.encode() for item in items if item.what == "text"]
        self.shape = shape
        # How many bytes every such line has in common, the measure of how much a row says.
        self.fixed = sum(map(len, texts)) + sum(
            min(map(len, item.choices)) for item in items if item.what == "choice"
        )
        # A row with words is asked only where a payload has the rarest.
        self.literal = b"" if _whole_words(format) else max(texts, key=len, default=b"")
        self.beginning_fixed = sum(
            len(item.text) for item in _beginning(items, fields) if item.what == "text"
        )
        self._items = items
        self._fields = fields
        open_fields = sum(
            item.what == "longest" or (item.what == "field" and item.text not in fields) for item in items
        )
        generic = shape.kind == "generic"
        # Tried first: a row that names its daemon, then more fixed text, then fewer fields of any text.
        self.rank = (generic, not shape.daemon, -self.fixed, open_fields, order)
        # Of rows that begin alike, the one that says least about the end that is missing.
        self.beginning_rank = (generic, -self.beginning_fixed, self.fixed, order)
        self._match: re.Pattern[bytes] | None = None
        self._beginning: re.Pattern[bytes] | None = None

    def match(self, payload: bytes) -> dict[str, bytes] | None:
        """The fields of a whole payload, or None."""
        if self._match is None:
            self._match = re.compile(_regex(self._items, self._fields, set()), re.DOTALL)
        found = self._match.fullmatch(payload)
        return _present(found) if found else None

    def beginning(self, payload: bytes) -> dict[str, bytes] | None:
        """The fields before the first one of any text, or None: for a payload whose end is missing."""
        if self.beginning_fixed < _LEAST_BEGINNING:
            return None
        if self._beginning is None:
            items = _beginning(self._items, self._fields)
            self._beginning = re.compile(_regex(items, self._fields, set()) + _ANY, re.DOTALL)
        found = self._beginning.fullmatch(payload)
        return _present(found) if found else None


def _present(found: re.Match[bytes]) -> dict[str, bytes]:
    return {name: value for name, value in found.groupdict().items() if value is not None}


def _beginning(items: tuple[_Item, ...], fields: Mapping[str, bytes]) -> tuple[_Item, ...]:
    """The items before the first one whose length is open."""
    for index, item in enumerate(items):
        if item.what in ("longest", "group") or (item.what == "field" and item.text not in fields):
            return items[:index]
    return items


def _regex(items: tuple[_Item, ...], fields: Mapping[str, bytes], names: set[str], group: str = "") -> bytes:
    """The regular expression of a format.

    names: fields that have their group already, since a name keeps its first value. group: how often the
    items of a group may come, "?" or "*"; "" for the whole line.
    """
    keep = group != "*"
    out: list[bytes] = []
    settled = False
    for index, item in enumerate(items):
        after = items[index + 1] if index + 1 < len(items) else None
        if item.what == "text":
            if not settled:
                out.append(re.escape(item.text.encode()))
            settled = False
        elif item.what == "choice":
            words = b"|".join(
                re.escape(word.encode()) for word in sorted(item.choices, key=len, reverse=True)
            )
            out.append(_named(item.text, words, names, keep))
        elif item.what == "group":
            # A repetition never gives back what it took: that alone could take time without end.
            inner = _regex(item.items, fields, names, "*" if item.repeated or not keep else "?")
            out.append(b"(?:%b)%b" % (inner, b"*+" if item.repeated else b"?"))
        elif item.what == "longest":
            out.append(_named(item.text, b".*", names, keep))
        else:
            pattern = fields.get(item.text, _ANY)
            if after is not None and after.what == "text" and (group or index + 2 < len(items)):
                # Atomic: up to the first text that can follow, and no second try.
                kept = _named(item.text, pattern, names, keep)
                out.append(b"(?>%b%b)" % (kept, re.escape(after.text.encode())))
                settled = True
            else:
                # Before the last text it may grow past an early copy of it: the end of the line decides.
                if after is None or (after.what != "text" and not pattern.endswith(_ANY)):
                    pattern = pattern.removesuffix(b"?")
                out.append(_named(item.text, pattern, names, keep))
    return b"".join(out)


def _named(name: str, pattern: bytes, names: set[str], keep: bool) -> bytes:
    if not keep or not name or name in names:
        return b"(?:%b)" % pattern
    names.add(name)
    return b"(?P<%b>%b)" % (name.encode(), pattern)
