"""opendkim.conf → what helps to read the log: our domains, and which milter endpoint is OpenDKIM's.

Sources: opendkim.conf(5), opendkim(8) on datasets, `opendkim/config.c` (a hash cuts the line, names match in
any case, the last of equal settings counts, `Include` nests five deep).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from logscan.errors import UsageError
from logscan.sources.blocks import permission_hint

_DEPTH = 5
_LARGEST = 1 << 26
_KINDS = ("file", "refile", "csl", "db", "dsn", "ldap", "lua", "memcache", "socket", "erlang", "mdb")


@dataclass(slots=True)
class OpenDkimConf:
    """What the configuration says.

    domains: those that OpenDKIM is to sign for, lower case. socket: as set, None when it is not. endpoint:
    the same as Postfix writes it (``inet:127.0.0.1:8891``, ``unix:/run/opendkim.sock``). mode: of ``s`` and
    ``v``. settings: all, by name in lower case. unread: the tables that cannot be read from here, as set.
    keys: the first name in KeyTable of each domain, as far as that table can be read.
    """

    domains: set[str] = field(default_factory=set)
    socket: str | None = None
    endpoint: str | None = None
    mode: str = "sv"
    settings: dict[str, str] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)
    keys: dict[str, str] = field(default_factory=dict)

    def kind(self, setting: str) -> str:
        """The kind of a setting's table: ``refile``, ``file``, ``csl`` …; "" when it is not set."""
        value = self.settings.get(setting.lower())
        return "" if value is None else _kind_of(value)[0]

    def path(self, setting: str) -> str:
        """The file of a setting's table, as set; "" when it is in none."""
        value = self.settings.get(setting.lower(), "")
        kind, rest = _kind_of(value)
        return rest if kind in ("file", "refile") and rest.startswith("/") else ""

    def is_ours(self, endpoint: str) -> bool:
        """Is this endpoint of a Postfix warning OpenDKIM's? True where nothing tells.

        The same socket has many names: localhost and 127.0.0.1, a path outside and inside Postfix's chroot.
        So ports are compared, and paths by their ends.
        """
        if self.endpoint is None:
            return True
        family, _, place = endpoint.partition(":")
        own_family, _, own = self.endpoint.partition(":")
        if family in ("unix", "local"):
            ends = sorted((place.strip("/"), own.strip("/")), key=len)
            return own_family == "unix" and (ends[0] == ends[1] or ends[1].endswith("/" + ends[0]))
        return own_family == "inet" and place.rpartition(":")[2] == own.rpartition(":")[2]


def read_conf(path: str | Path) -> OpenDkimConf:
    """Read an opendkim.conf and the tables that it names.

    Raises UsageError when it, a file that it includes, or a table in a file cannot be read. Tables of other
    kinds (databases, LDAP, Lua) are named in `unread`.
    """
    conf = OpenDkimConf()
    _settings(Path(path), conf.settings, _DEPTH)
    base = Path(conf.settings.get("basedirectory", "."))
    for name, keyed in (("signingtable", True), ("domain", False)):
        value = conf.settings.get(name)
        if value is None:
            continue
        entries = _dataset(value, base, keyed=keyed)
        if entries is None:
            conf.unread.append(value)
        else:
            conf.domains |= {domain for entry in entries if (domain := domain_of(entry)) is not None}
    conf.keys = _key_names(conf.settings.get("keytable"), base)
    conf.socket = conf.settings.get("socket")
    conf.endpoint = None if conf.socket is None else endpoint_of(conf.socket)
    conf.mode = conf.settings.get("mode", conf.mode).lower()
    return conf


def domain_of(key: str) -> str | None:
    """The domain that a key of a SigningTable or Domain entry is about; None for one about any domain.

    >>> [domain_of(key) for key in ("*@example.org", "ann@Example.net", ".example.com", "*")]
    ['example.org', 'example.net', 'example.com', None]
    """
    domain = key.rpartition("@")[2].lower().removeprefix("*").strip(".")
    return None if not domain or "*" in domain or "%" in domain else domain


def endpoint_of(socket: str) -> str | None:
    """OpenDKIM's socket specification as Postfix names that endpoint; None when it is none.

    >>> endpoint_of("inet:8891@localhost"), endpoint_of("local:/run/opendkim.sock")
    ('inet:localhost:8891', 'unix:/run/opendkim.sock')
    """
    kind, colon, place = socket.partition(":")
    if not colon:
        kind, place = "local", socket
    if kind in ("local", "unix") and place:
        return f"unix:{place}"
    if kind in ("inet", "inet6"):
        port, _, host = place.partition("@")
        return f"inet:{host or '127.0.0.1'}:{port}" if port else None
    return None


def _settings(path: Path, into: dict[str, str], depth: int) -> None:
    for line in _lines(path):
        name, value = _pair(line)
        if name.lower() == "include" and value:
            if depth == 0:
                raise UsageError(str(path), "includes nest more than five deep")
            _settings(Path(value), into, depth - 1)
        elif name and value:
            into[name.lower()] = value


def _dataset(value: str, base: Path, *, keyed: bool) -> list[str] | None:
    """The keys of a dataset; None for a kind that lies elsewhere. keyed: its entries have values too."""
    kind, rest = _kind_of(value)
    if "://" in rest or (kind == "file" and rest.endswith(".db")):
        return None
    if kind == "csl":
        entries = [entry.strip() for entry in rest.split(",")]
        return [entry.partition("=")[0].strip() if keyed else entry for entry in entries if entry]
    if kind in ("file", "refile"):
        return [key for line in _lines(base / rest) if (key := _pair(line)[0])]
    return None


def _kind_of(value: str) -> tuple[str, str]:
    """A dataset's kind, which a prefix names or its first letter tells, and the rest of it."""
    kind, colon, rest = value.partition(":")
    if not colon or kind.lower() not in _KINDS:
        return ("file" if value.startswith("/") else "csl"), value
    return kind.lower(), rest


def _key_names(value: str | None, base: Path) -> dict[str, str]:
    """domain → the name of its key. The keys' own table is asked for advice only: what cannot be read is no error."""
    kind, rest = _kind_of(value or "")
    if kind == "csl":
        pairs = [(name.strip(), told.strip()) for name, _, told in (e.partition("=") for e in rest.split(","))]
    elif kind in ("file", "refile") and "://" not in rest and not rest.endswith(".db"):
        try:
            pairs = [_pair(line) for line in _lines(base / rest)]
        except UsageError:
            return {}
    else:
        return {}
    found: dict[str, str] = {}
    for name, told in pairs:
        domain = told.partition(":")[0].lower()
        if name and domain and "%" not in domain:
            found.setdefault(domain, name)
    return found


def _pair(line: str) -> tuple[str, str]:
    """A line as name and value, both "" for a blank one; a hash begins a comment, wherever it stands."""
    words = line.partition("#")[0].strip().split(None, 1)
    return (words[0], words[1].strip('"') if len(words) > 1 else "") if words else ("", "")


def _lines(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            return file.read(_LARGEST).decode("utf-8", "replace").split("\n")
    except PermissionError:
        raise UsageError(str(path), "permission denied", permission_hint(path)) from None
    except FileNotFoundError:
        raise UsageError(
            str(path), "no such file", "name the opendkim.conf that OpenDKIM runs with"
        ) from None
    except (OSError, ValueError) as error:
        what = getattr(error, "strerror", None) or str(error)
        raise UsageError(str(path), what.lower()) from None
