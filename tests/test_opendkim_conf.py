"""opendkim.conf and its tables: settings, our domains, the socket by Postfix's name."""

from __future__ import annotations

from pathlib import Path

import pytest

from logscan.errors import UsageError
from logscan.opendkim_conf import OpenDkimConf, domain_of, endpoint_of, read_conf


def conf(folder: Path, text: str) -> OpenDkimConf:
    path = folder / "opendkim.conf"
    path.write_text(text)
    return read_conf(path)


def test_settings_are_read_as_opendkim_reads_them(tmp_path: Path) -> None:
    found = conf(
        tmp_path,
        "# a comment\n\n  Mode\ts # signing only\nSYSLOG yes\n"
        "Socket local:/run/one.sock\nsocket\tinet:8891@127.0.0.1\n"
        'Selector "mx2026"\nNoValue\n',
    )
    assert found.settings == {
        "mode": "s", "syslog": "yes", "socket": "inet:8891@127.0.0.1", "selector": "mx2026",
    }  # fmt: skip
    assert (found.mode, found.socket, found.endpoint) == ("s", "inet:8891@127.0.0.1", "inet:127.0.0.1:8891")
    assert found.domains == set()


def test_an_empty_configuration(tmp_path: Path) -> None:
    found = conf(tmp_path, "")
    assert (found.mode, found.socket, found.endpoint, found.domains) == ("sv", None, None, set())
    assert found.is_ours("inet:127.0.0.1:8891")


@pytest.mark.parametrize("prefix", ["refile:", "file:", "", "REFILE:"])
def test_the_signing_table_names_our_domains(prefix: str, tmp_path: Path) -> None:
    (tmp_path / "table").write_text(
        "# who signs\n*@example.org key1\nann@Example.NET key2 # hers\n"
        ".example.com key3\nexample.edu key4\n* key5\n\n"
    )
    found = conf(tmp_path, f"SigningTable {prefix}{tmp_path / 'table'}\n")
    assert found.domains == {"example.org", "example.net", "example.com", "example.edu"}


def test_lists_in_the_configuration(tmp_path: Path) -> None:
    found = conf(
        tmp_path, "Domain example.org, Example.net\nSigningTable csl:*@example.com=key1,example.edu=key2\n"
    )
    assert found.domains == {"example.org", "example.net", "example.com", "example.edu"}


def test_the_domains_of_a_file_under_the_base_directory(tmp_path: Path) -> None:
    (tmp_path / "domains").write_text("example.org\nexample.net\n")
    assert conf(tmp_path, f"BaseDirectory {tmp_path}\nDomain file:domains\n").domains == {
        "example.org",
        "example.net",
    }


def test_tables_elsewhere_are_named(tmp_path: Path) -> None:
    found = conf(tmp_path, "SigningTable dsn:mysql://user:word@localhost/db/table=t?keycol=a?datacol=b\n")
    assert found.unread == ["dsn:mysql://user:word@localhost/db/table=t?keycol=a?datacol=b"]
    assert conf(tmp_path, "SigningTable db:/etc/table.db\n").unread == ["db:/etc/table.db"]


def test_included_files(tmp_path: Path) -> None:
    (tmp_path / "more").write_text("Domain example.org\n")
    assert conf(tmp_path, f"Include {tmp_path / 'more'}\n").domains == {"example.org"}


def test_a_file_that_includes_itself(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="five deep"):
        conf(tmp_path, f"Include {tmp_path / 'opendkim.conf'}\n")


def test_what_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        read_conf(tmp_path / "nothing")
    with pytest.raises(UsageError, match="is a directory"):
        read_conf(tmp_path)
    with pytest.raises(UsageError, match="table: no such file"):
        conf(tmp_path, f"SigningTable {tmp_path / 'table'}\n")


def test_any_bytes_are_read(tmp_path: Path) -> None:
    path = tmp_path / "opendkim.conf"
    path.write_bytes(bytes(range(256)) * 20 + b"\nDomain example.org\n")
    assert "example.org" in read_conf(path).domains


@pytest.mark.parametrize(
    ("key", "domain"),
    [
        ("*@example.org", "example.org"),
        ("example.org", "example.org"),
        (".example.org", "example.org"),
        ("*@*.example.org", "example.org"),
        ("ann@example.org", "example.org"),
        ("*", None),
        ("*@*", None),
        ("ann@*", None),
        ("%", None),
        ("", None),
    ],
)
def test_patterns(key: str, domain: str | None) -> None:
    assert domain_of(key) == domain


@pytest.mark.parametrize(
    ("socket", "endpoint"),
    [
        ("inet:8891@127.0.0.1", "inet:127.0.0.1:8891"),
        ("inet:8891", "inet:127.0.0.1:8891"),
        ("inet6:8891@[::1]", "inet:[::1]:8891"),
        ("local:/run/x.sock", "unix:/run/x.sock"),
        ("unix:/run/x.sock", "unix:/run/x.sock"),
        ("/run/x.sock", "unix:/run/x.sock"),
        ("inet:", None),
        ("smtp:25", None),
    ],
)
def test_sockets(socket: str, endpoint: str | None) -> None:
    assert endpoint_of(socket) == endpoint


@pytest.mark.parametrize(
    ("socket", "endpoint", "ours"),
    [
        ("inet:8891@localhost", "inet:127.0.0.1:8891", True),
        ("inet:8891@localhost", "inet:127.0.0.1:8892", False),
        ("inet:8891@localhost", "unix:rspamd/milter.sock", False),
        # Postfix names it from inside its chroot.
        ("local:/var/spool/postfix/opendkim/opendkim.sock", "unix:opendkim/opendkim.sock", True),
        ("local:/var/spool/postfix/opendkim/opendkim.sock", "unix:/opendkim/opendkim.sock", True),
        ("local:/var/spool/postfix/opendkim/opendkim.sock", "unix:rspamd/opendkim.sock", False),
        ("local:/run/opendkim.sock", "local:/run/opendkim.sock", True),
        ("local:/run/opendkim.sock", "inet:127.0.0.1:8891", False),
    ],
)
def test_one_socket_has_many_names(socket: str, endpoint: str, ours: bool) -> None:
    assert OpenDkimConf(endpoint=endpoint_of(socket)).is_ours(endpoint) is ours


@pytest.mark.parametrize("prefix", ["refile:", "file:", ""])
def test_the_key_table_names_the_keys_of_domains(prefix: str, tmp_path: Path) -> None:
    table = tmp_path / "keys"
    table.write_text("# keys\nmain Example.org:s1:/etc/k1\nsecond example.org:s2:/etc/k2\nany %:s:/etc/k\nbroken\n")
    found = conf(tmp_path, f"KeyTable {prefix}{table}\n")
    assert found.keys == {"example.org": "main"}
    assert (found.kind("KeyTable"), found.path("KeyTable")) == (prefix.rstrip(":") or "file", str(table))


def test_keys_in_a_list_and_tables_that_cannot_be_read(tmp_path: Path) -> None:
    assert conf(tmp_path, "KeyTable csl:main=example.org:s1:/k1,b=example.net:s2:/k2\n").keys == {
        "example.org": "main", "example.net": "b",
    }  # fmt: skip
    # Names of keys are for advice only: without them there is less of it, and no error.
    for value in (f"refile:{tmp_path}/none", "ldap://server/x", "dsn:mysql://a/b", "db:/etc/keys.db"):
        found = conf(tmp_path, f"KeyTable {value}\n")
        assert (found.keys, found.kind("SigningTable"), found.path("SigningTable")) == ({}, "", "")
