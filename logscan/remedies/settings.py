"""Advice on settings, tables and the socket of OpenDKIM, and on Postfix's milter settings."""

from __future__ import annotations

import re
import shlex

from logscan.remedies.facts import (
    CHECK,
    DATASET,
    JOURNAL,
    KEY_NAME,
    RELOAD,
    RESTART,
    UNIX,
    Advice,
    Facts,
    about,
    argument,
    cut,
)
from logscan.remedies.milters import who_listens

_CONFIG_REASONS = {
    "unrecognized parameter": "a misspelt or removed setting, or one that this build does not have",
    "required value missing": "a setting without a value",
    "illegal value": "a value of the wrong kind: yes or no, or a number",
    "nesting too deep": "Include files inside each other too deeply",
    "error reading configuration file": "a file that cannot be opened",
    "memory allocation failure": "no memory was left",
}


def config(facts: Facts) -> Advice:
    file = facts.name or "opendkim.conf"
    path = argument(facts.subject, "/etc/opendkim.conf")
    check = f"opendkim -n -x {path}"
    line = facts.number(": configuration error at line ")
    if line is not None:
        reason = next((text for word, text in _CONFIG_REASONS.items() if word in facts.said), cut(facts.cause, 60))
        if not line:
            return f"OpenDKIM cannot read {file}: {reason}.", f"ls -l {path}; {check}; {RESTART}"
        return (
            f"{file} is wrong at line {line}: {reason}.",
            f"sed -n {line}p {path} shows the line; correct it; {check}; {RESTART}. It does not start before that.",
        )
    if facts.says("can't write pid to"):
        directory = argument(facts.subject.rpartition("/")[0], "/run/opendkim")
        return (
            f"OpenDKIM could not write {facts.name or 'its PID file'}: it runs, but systemd waits for that file in vain"
            " and may end it.",
            f"install -d -o opendkim -g opendkim {directory}; {RESTART}",
        )
    if facts.says("symbol 'i' not available"):
        return (
            "Postfix does not tell OpenDKIM the queue ID, so its lines cannot be tied to messages.",
            "Let milter_end_of_header_macros and milter_end_of_data_macros in main.cf contain i (the default does):"
            " postconf -n | grep macros",
        )
    if facts.says("ignoring reload signal"):
        return "OpenDKIM runs without a configuration file, so a reload does nothing.", RESTART
    if facts.says("mlfi_negotiate()", "smfi_setsymlist()"):
        return (
            "Postfix and OpenDKIM do not agree on what the milter may do.",
            "postconf -e milter_protocol=6; postfix reload",
        )
    if facts.says("_hook() failed"):
        return (
            "A Lua script of OpenDKIM failed, and the mail was deferred.",
            f"grep -i PolicyScript /etc/opendkim.conf; correct the script that the line names; {RELOAD}",
        )
    if facts.says("fatal: "):
        return (
            f"Postfix cannot use its milter settings: {cut(facts.after('fatal: '), 100)}",
            "postconf -n | grep milter; correct main.cf, e.g. smtpd_milters = inet:127.0.0.1:8891; postfix reload",
        )
    if facts.says("deprecated"):
        return (
            f"{file} has settings that have no effect any more: {cut(facts.cause, 80)}",
            f"Remove or rename them in {path}; {check}",
        )
    for words, option, values in _VALUES:
        if facts.says(words):
            return (
                f"{option} in {file} has a value that OpenDKIM does not know: {cut(facts.cause, 60)}.",
                f"grep -n -i {option} {path}; it can be {values}; {check}; {RESTART}",
            )
    found = _OPTION.search(facts.cause)
    if found is not None:
        option = found[1] or found[2]
        return (
            f"{option} in {file} cannot be used: {cut(facts.cause, 80)}.",
            f"grep -n -i {shlex.quote(option)} {path}; correct it; {check}; {RESTART}",
        )
    about = f": {cut(facts.cause, 80)}" if facts.cause else ""
    return f"A setting in {file} cannot be used{about}.", f"{check}; correct {path}; {RESTART}"


# A setting's name in the text of an error.
_OPTION = re.compile(
    r'(?:use of |required parameter "|illegal value for "|value for |data set type for )(\w{1,40})|(\w{1,40}) requires'
)
_VALUES = (
    ("unknown signing algorithm", "SignatureAlgorithm", "rsa-sha256, since 2.11 ed25519-sha256"),
    ("unknown canonicalization", "Canonicalization", "simple or relaxed, or two of them as header/body"),
    ("unknown mode", "Mode", "s, v or sv"),
    ("unknown key action", "BogusKey", "none, neutral or fail (UnprotectedKey too)"),
    ("unknown ATPS hash", "ATPSHashAlgorithm", "sha1, sha256 or none"),
)


def keytable(facts: Facts) -> Advice:
    name = facts.name or "a key"
    if facts.says("dkimf_db_get()"):
        return (
            f"The database behind KeyTable failed when {name} was looked up; the mail was deferred.",
            f"grep -i KeyTable /etc/opendkim.conf; start or repair that LDAP or SQL server; {JOURNAL}",
        )
    if facts.says("cannot be resolved"):
        return (
            f"The KeyTable entry {name} takes the domain (%) from the mail's From, which has no usable one.",
            f"Write the domain out in KeyTable: {entry(facts.subject)}; {RELOAD}",
        )
    if facts.says("not found"):
        return f"KeyTable has no {name}, which a script asks for.", f"Add it: {entry(facts.subject)}; {RELOAD}"
    return (
        f"The KeyTable entry {name} is not domain:selector:/path/to/key, so its mail is deferred.",
        f"Rewrite the line: {entry(facts.subject)}; then {RELOAD}",
    )


def entry(name: str) -> str:
    """A KeyTable line for a key's name, filled in as far as the name tells."""
    found = KEY_NAME.match(name)
    if found is None or len(name) > 70:
        plain = re.fullmatch(r"[0-9A-Za-z_.@-]{1,70}", name) is not None
        return f"`{name if plain else 'NAME'} example.org:selector:/etc/dkimkeys/selector.private`"
    selector, domain = found["selector"], found["domain"]
    return f"`{name} {domain}:{selector}:/etc/dkimkeys/{selector}.private`"


def signingtable(facts: Facts) -> Advice:
    if facts.says("error reading signing table"):
        return (
            "The database behind SigningTable failed, and the mail was deferred.",
            f"grep -i SigningTable /etc/opendkim.conf; start or repair that LDAP or SQL server; {JOURNAL}",
        )
    if not facts.subject:
        return (
            "A line of SigningTable names no key.",
            f"Write `*@example.org selector._domainkey.example.org` there, with a name that KeyTable has; {RELOAD}",
        )
    return (
        f"SigningTable names the key {facts.name}, which KeyTable does not have: its mail is deferred.",
        f"Add to KeyTable: {entry(facts.subject)}; then {RELOAD}",
    )


def dataset(facts: Facts) -> Advice:
    name = facts.name or "a table"
    file = DATASET.match(facts.subject)
    path = argument(file[1] if file is not None else facts.subject)
    if facts.says("No such file or directory"):
        return (
            f"The table {name} does not exist, so OpenDKIM does not start or reload.",
            f"ls -l {path}; create it or correct its path in /etc/opendkim.conf; {RESTART}",
        )
    if facts.says("Permission denied"):
        return (
            f"OpenDKIM may not read {name}.",
            f"chgrp opendkim {path}; chmod 640 {path}; namei -l {path}; {RESTART}",
        )
    if facts.says("Unknown database type"):
        return (
            f"{name} begins with a table type that this build does not know.",
            "Write refile:/path or file:/path in /etc/opendkim.conf; opendkim -V lists what it was built with",
        )
    if facts.says("regular expression"):
        return f"{name} has a pattern that cannot be used.", f"Only * is a wildcard there; correct {path}; {RESTART}"
    if facts.says("LDAP", "SQL", "ldap:", "ldaps:", "dsn:"):
        return (
            f"The LDAP or SQL server of {name} could not be used.",
            f"Start it before OpenDKIM, or set `SoftStart yes` in /etc/opendkim.conf; {RESTART}",
        )
    if facts.says("error looking up", "dkimf_db_get()"):
        return (
            "A lookup in one of OpenDKIM's tables failed; mail that needed it was deferred.",
            f"grep -nE 'ldap|dsn:|db:' /etc/opendkim.conf; repair that database; {JOURNAL}",
        )
    return f"OpenDKIM cannot use {name}: {cut(facts.cause, 80)}", f"ls -l {path}; {CHECK}; {RESTART}"


def socket(facts: Facts) -> Advice:
    name = facts.name or "its socket"
    path = facts.subject.partition(":")[2] if UNIX.match(facts.subject) else facts.subject
    word = argument(path, "/run/opendkim/opendkim.sock")
    directory = argument(path.rpartition("/")[0], "/run/opendkim")
    who = who_listens(facts.subject)
    if facts.says("Address already in use"):
        return (
            f"OpenDKIM did not start: another process listens on {name}.",
            f"{who}; stop that process or change Socket in /etc/opendkim.conf; {RESTART}",
        )
    if facts.says("Permission denied", "No such file or directory"):
        return (
            f"OpenDKIM did not start: it cannot make {name}, since the directory is missing or not its own.",
            f"install -d -o opendkim -g opendkim -m 750 {directory}; {RESTART}",
        )
    if facts.says("is not a UNIX domain socket"):
        return f"{name} is a file, not a socket, so OpenDKIM does not start.", f"ls -l {word}; move it away; {RESTART}"
    if facts.says("too long"):
        return (
            f"The path {name} is too long for a socket.",
            f"Take a short one: `Socket local:/run/opendkim/opendkim.sock`; {RESTART}",
        )
    if facts.says("Unknown host name", "numeric domain spec", "Unknown protocol", "Cannot assign requested address"):
        return (
            f"OpenDKIM did not start: {name} in Socket is no address of this machine.",
            f"Write `Socket inet:8891@127.0.0.1` in /etc/opendkim.conf; {RESTART}",
        )
    if facts.says("port n", "unknown socket type", "must be specified", "missing", "as fd"):
        return (
            f"OpenDKIM did not start: Socket in opendkim.conf is missing or cannot be understood{about(facts)}.",
            "Write `Socket inet:8891@127.0.0.1` (or local:/run/opendkim/opendkim.sock) in /etc/opendkim.conf;"
            f" {RESTART}",
        )
    return (
        f"OpenDKIM could not open {name}, so it does not run.",
        f"{who}; grep -i Socket /etc/opendkim.conf; {JOURNAL}",
    )
