"""Advice on settings, tables and the socket of OpenDKIM, and on Postfix's milter settings."""

from __future__ import annotations

import re
import shlex

from logscan.remedies.facts import CHECK, JOURNAL, KEY_NAME, RELOAD, RESTART, UNIX, Advice, Facts, about, argument, cut
from logscan.remedies.milters import who_listens

CONF = "/etc/opendkim.conf"
_TABLE = re.compile(r"(?:(?:re)?file:|l?db:)?(/.*)\Z")
_SOCKETS = "`Socket inet:8891@127.0.0.1` (or local:/run/opendkim/opendkim.sock)"

_CONFIG_REASONS = {
    "unrecognized parameter": "a misspelt or removed setting, or one that this build does not have",
    "required value missing": "a setting without a value",
    "illegal value": "a value of the wrong kind: yes or no, or a number",
    "nesting too deep": "its Include lines lead back to it",
    "error reading configuration file": "it cannot be opened",
    "memory allocation failure": "no memory was left",
}
_VALUES = (
    ("unknown signing algorithm", "SignatureAlgorithm", "rsa-sha256, since 2.11 ed25519-sha256"),
    ("unknown canonicalization", "Canonicalization", "simple or relaxed, or two of them as header/body"),
    ("unknown mode", "Mode", "s, v or sv"),
    ("unknown key action", "BogusKey", "none, neutral or fail (UnprotectedKey too)"),
    ("unknown ATPS hash", "ATPSHashAlgorithm", "sha1, sha256 or none"),
    ("AutoRestartRate invalid", "AutoRestartRate", "a number and a time, as 10/1h"),
    ("error parsing ReportAddress", "ReportAddress", "one address, as postmaster@example.org"),
    ('illegal value for "Minimum"', "Minimum", "a number of bytes, a percentage as 80%, or +100"),
)
# What belongs together: words of the line, the setting that lacks another, what to write.
_TOGETHER = (
    ("use of SigningTable requires KeyTable", "SigningTable", "a KeyTable", "`KeyTable /etc/opendkim/KeyTable`"),
    ("KeyTable requires ", "KeyTable", "a SigningTable", "`SigningTable refile:/etc/opendkim/SigningTable`"),
    ("Domain requires ", "Domain", "KeyFile and Selector", "`KeyFile /etc/dkimkeys/mail.private` and `Selector mail`"),
    ("must both be defined", "KeyFile or Selector", "the other of the two", "`KeyFile /etc/dkimkeys/mail.private` and `Selector mail`"),
)
# A setting's name in the text of an error.
_OPTION = re.compile(r'(?:use of |required parameter "|illegal value for "|value for |data set type for )(\w{1,40})|(\w{1,40}) requires')


def config(facts: Facts) -> Advice:
    if facts.says("fatal: ", "unrecognized default action") or "postfix" in facts.said.partition("]: ")[0]:
        return _main_cf(facts)
    file = facts.name or "opendkim.conf"
    path = argument(facts.subject, CONF)
    check = f"opendkim -n -x {path}"
    line = facts.number(": configuration error at line ")
    if line is not None:
        reason = next((text for word, text in _CONFIG_REASONS.items() if word in facts.said), cut(facts.cause, 60))
        if not line:
            return f"OpenDKIM cannot read {file}: {reason}. {facts.so}", f"ls -l {path}; {check}; {facts.again}"
        return (
            f"{file} is wrong at line {line}: {reason}. {facts.so}",
            f"sed -n {line}p {path} shows the line; correct it; {check}; {facts.again}",
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
    if facts.says("mlfi_negotiate()", "smfi_setsymlist()", "st_optionneg"):
        return (
            "Postfix and OpenDKIM do not agree on what the milter may do, so it serves no mail.",
            "postconf -e milter_protocol=6; postfix reload",
        )
    if facts.says("_hook() failed"):
        return (
            "A Lua script of OpenDKIM failed, and the mail was deferred.",
            f"grep -i PolicyScript {CONF}; correct the script that the line names; {RELOAD}",
        )
    if facts.says("deprecated"):
        so = f" {facts.so}" if facts.says("; aborting") else ""
        return (
            f"{file} has settings that have no effect any more: {cut(facts.cause, 80)}.{so}",
            f"Remove or rename them in {path}; {check}",
        )
    return _setting(facts, file, path, check)


def _setting(facts: Facts, file: str, path: str, check: str) -> Advice:
    """A setting whose value does not do, or that lacks another."""
    so = facts.so if facts.fault.severity == "error" else "It takes its default."
    for words, option, values in _VALUES:
        if facts.says(words):
            return (
                f"{option} in {file} has a value that OpenDKIM does not know: {cut(facts.cause, 50)}. {so}",
                f"grep -n -i {option} {path}; it can be {values}; {check}; {facts.again}",
            )
    for words, option, other, example in _TOGETHER:
        if facts.says(words):
            return (
                f"{option} is set in {file} without {other}. {so}",
                f"Add {example} to {path}, or take {option} out; {check}; {facts.again}",
            )
    if facts.says("chdir()", ": open()", "fopen()", "fstat()", "read()", "early EOF", "ReplaceRules"):
        # The subject is the file that a setting names, and the line begins with the configuration's own name.
        return (
            f"OpenDKIM cannot use {facts.name or 'a file'}, which a setting names: {cut(facts.cause, 50)}. {so}",
            f"ls -ld {facts.path}; grep -n {argument(facts.subject, 'PATH')} {CONF}; {CHECK}; {facts.again}",
        )
    found = _OPTION.search(facts.cause)
    if found is not None:
        option = found[1] or found[2]
        return (
            f"{option} in {file} cannot be used: {cut(facts.cause, 60)}. {so}",
            f"grep -n -i {shlex.quote(option)} {path}; correct it; {check}; {facts.again}",
        )
    why = f": {cut(facts.cause, 60)}" if facts.cause else ""
    return f"A setting in {file} cannot be used{why}. {so}", f"{check}; correct {path}; {facts.again}"


def _main_cf(facts: Facts) -> Advice:
    """Postfix's own settings."""
    if facts.says("unrecognized default action"):
        return (
            f"milter_default_action in main.cf is {facts.name or 'a word'}, which Postfix does not know: it tells clients to"
            " try later.",
            "postconf -e milter_default_action=tempfail; postfix reload. Or accept, reject, quarantine.",
        )
    if facts.says("fatal: "):
        return (
            f"Postfix cannot use a setting and takes no mail: {cut(facts.after('fatal: '), 100)}",
            "postconf -n | grep milter; correct main.cf, e.g. smtpd_milters = inet:127.0.0.1:8891; postfix reload",
        )
    return (
        f"Postfix cannot use a milter setting: {cut(facts.after('warning: ') or facts.cause, 100)}",
        "postconf -n | grep milter; correct main.cf or the table it names; postfix reload",
    )


def keytable(facts: Facts) -> Advice:
    name = facts.name or "a key"
    if facts.says("dkimf_db_get()"):
        return (
            f"The database behind KeyTable failed when {name} was looked up; the mail was deferred.",
            f"grep -i KeyTable {CONF}; start or repair that LDAP or SQL server; {JOURNAL}",
        )
    if facts.says("cannot be resolved"):
        return (
            f"The KeyTable entry {name} takes the domain (%) from the mail's From, which has no usable one.",
            f"Write the domain out in KeyTable: {entry(facts.subject)}; {RELOAD}",
        )
    if facts.says("not found"):
        return f"KeyTable has no {name}, which a script asks for.", f"Add it: {entry(facts.subject)}; {RELOAD}"
    return (
        f"The KeyTable entry {name} is not domain:selector:/path/to/key{facts.fate('its mail is deferred')}.",
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
            f"grep -i SigningTable {CONF}; start or repair that LDAP or SQL server; {JOURNAL}",
        )
    at_load = facts.says("could not find valid key record")
    so = facts.so if at_load else "" if facts.fault.effects else "Its mail is deferred."
    again = facts.again if at_load else RELOAD
    if not facts.subject:
        return (
            f"A line of SigningTable names no key. {so}",
            f"awk 'NF == 1' SigningTable shows it. Write `*@example.org selector._domainkey.example.org`, with a name that"
            f" KeyTable has; {again}",
        )
    return (
        f"SigningTable names the key {facts.name or 'of a row'}, which KeyTable does not have. {so}".rstrip(),
        f"Add to KeyTable: {entry(facts.subject)}; then {again}",
    )


def dataset(facts: Facts) -> Advice:
    name = facts.name or "a table"
    file = _TABLE.match(facts.subject)
    path = argument(file[1] if file is not None else facts.subject)
    if facts.says("error looking up") or (facts.says("dkimf_db_get()") and not facts.subject):
        return (
            "A lookup in one of OpenDKIM's tables failed; mail that needed it was deferred.",
            f"grep -nE 'ldap|dsn:|db:' {CONF}; repair that database; {JOURNAL}",
        )
    if facts.says("No such file or directory"):
        return (
            f"The table {name} does not exist. {facts.so}",
            f"ls -l {path}; create it or correct its path in {CONF}; {facts.again}",
        )
    if facts.says("Permission denied"):
        return (
            f"OpenDKIM may not read {name}. {facts.so}",
            f"chgrp opendkim {path}; chmod 640 {path}; namei -l {path}; {facts.again}",
        )
    if facts.says("Unknown database type"):
        return (
            f"{name} begins with a table type that this build does not know. {facts.so}",
            f"Write refile:/path or file:/path in {CONF}; opendkim -V lists what it was built with; {facts.again}",
        )
    if facts.says("regular expression"):
        return (
            f"{name} has a pattern that cannot be used. {facts.so}",
            f"Only * is a wildcard there; correct {path}; {facts.again}",
        )
    if facts.says("LDAP", "SQL", "ldap:", "ldaps:", "dsn:"):
        return (
            f"The LDAP or SQL server of {name} could not be used. {facts.so}",
            f"Start it before OpenDKIM, or set `SoftStart yes` in {CONF}; {facts.again}",
        )
    if facts.says("data set type for"):
        option = facts.after("data set type for ") or "the setting"
        return (
            f"{name} is of a type that {cut(option, 40)} cannot use. {facts.so}",
            f"See opendkim.conf(5); write it as a list or as file:, not as refile:; {CHECK}; {facts.again}",
        )
    if facts.says("Invalid argument") and (facts.subject.startswith("db:") or facts.subject.endswith(".db")):
        return (
            f"{name} is no Berkeley DB, or one of another version. {facts.so}",
            f"ls -l {path}; a table of text is written refile:/path or file:/path in {CONF}; {CHECK}; {facts.again}",
        )
    if facts.subject.startswith("memcache:") and facts.says("(null)"):
        return (
            f"{name} lacks the slash and the prefix behind its hosts. {facts.so}",
            f"Write it as memcache:127.0.0.1/prefix in {CONF}; {CHECK}; {facts.again}",
        )
    look = f"ls -ld {path}; " if path != "PATH" else ""
    return (
        f"OpenDKIM cannot use {name}: {cut(facts.cause, 50)}. {facts.so}",
        f"{look}correct it in {CONF}; {CHECK}; {facts.again}",
    )


def socket(facts: Facts) -> Advice:
    name = facts.name or "its socket"
    path = facts.subject.partition(":")[2] if UNIX.match(facts.subject) else facts.subject
    word = argument(path, "/run/opendkim/opendkim.sock")
    directory = argument(path.rpartition("/")[0], "/run/opendkim")
    who = who_listens(facts.subject)
    inet = facts.subject.startswith("inet")
    if facts.says("Address already in use"):
        return (
            f"OpenDKIM did not start: another process listens on {name}, perhaps an older OpenDKIM.",
            f"{who}; stop that process or change Socket in {CONF}; {RESTART}",
        )
    if facts.says("port n", "unknown socket type", "must be specified", "missing", "as fd") or (
        facts.subject and not inet and "/" not in facts.subject
    ):
        # Without a transport it is taken for a file.
        return (
            f"OpenDKIM did not start: Socket in opendkim.conf is missing or cannot be understood{about(facts)}.",
            f"Write {_SOCKETS} in {CONF}; {RESTART}",
        )
    if inet and facts.says("Permission denied"):
        return (
            f"OpenDKIM did not start: it may not listen on {name}. Ports below 1024 are root's.",
            f"Write `Socket inet:8891@127.0.0.1` in {CONF} and smtpd_milters = inet:127.0.0.1:8891 in main.cf; {RESTART}",
        )
    if facts.says("socket cleanup failed"):
        return (
            f"OpenDKIM did not start: it may not enter the directory of {name}, or cannot remove the one of before there.",
            f"namei -l $(sed -n 's/^Socket *local://p' {CONF}); chown opendkim that directory, rm an old socket; {RESTART}",
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
            f"OpenDKIM did not start: the path {name} is too long for a socket.",
            f"Take a short one: `Socket local:/run/opendkim/opendkim.sock`; {RESTART}",
        )
    if facts.says("Unknown host name", "numeric domain spec", "Unknown protocol", "Cannot assign requested address"):
        return (
            f"OpenDKIM did not start: {name} in Socket is no address of this machine.",
            f"Write `Socket inet:8891@127.0.0.1` in {CONF}; {RESTART}",
        )
    return (
        f"OpenDKIM could not open {name}, so it does not run.",
        f"{who}; grep -i Socket {CONF}; {JOURNAL}",
    )
