"""What the administrator reads about a fault or a reason: what it means and what to do. Pure; all texts are here.

A meaning is one sentence of at most 200 characters, a fix at most 300. A subject is text of the log, which anybody
may have written: in a command it is quoted for the shell, and one that is no plain path is not put there at all.

Source: the lines of Postfix 2.6 to 3.12 and OpenDKIM 2.3 to 2.11, opendkim.conf(5), postconf(5), milter8.c.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from logscan.model import Fault, Message

Advice = tuple[str, str]  # (meaning, fix)

MEANING_LENGTH = 200
FIX_LENGTH = 300
_SHOWN = 60  # characters of a subject in a sentence
_QUOTED = 70  # characters of a subject in a command; a longer one is left out, never cut

JOURNAL = "journalctl -u opendkim -n 50"
CHECK = "opendkim -n -x /etc/opendkim.conf"
RESTART = "systemctl restart opendkim"
RELOAD = "systemctl reload opendkim"

_DATASET = re.compile(r"(?:re)?file:(/.*)\Z")
_INET = re.compile(r"inet6?:(?P<host>\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z.-]+):(?P<port>[0-9]{1,5})\Z")
_UNIX = re.compile(r"(?:unix|local):(?P<path>.+)\Z")
_PLAIN_PATH = re.compile(r"/[0-9A-Za-z_./-]{1,60}\Z")
_CONN = re.compile(r"inet6?:(?P<port>[0-9]{1,5})(?:@.*)?\Z")
_KEY_NAME = re.compile(r"(?P<selector>[0-9A-Za-z_.-]{1,60}?)\._domainkey\.(?P<domain>[0-9A-Za-z.-]{1,60})\Z")
_DOMAIN = re.compile(r"(?=.{1,50}\Z)[0-9A-Za-z_](?:[0-9A-Za-z_-]*[0-9A-Za-z_])?(?:\.[0-9A-Za-z_-]+)+\Z")
_ADDRESS = re.compile(r"(?=.{2,45}\Z)(?:[0-9]+(?:\.[0-9]+){3}|[0-9A-Fa-f]*:[0-9A-Fa-f:.]*)\Z")
_NUMBER = re.compile(r"[0-9]{1,10}")


def advise(fault: Fault) -> Advice:
    """What a fault means and what to do about it, by its kind, its subject and its last line (contract §2).

    Returns (meaning, fix); ("", "") for a kind that is not known. Nothing is raised, whatever subject and lines.
    """
    write = _FAULTS.get(fault.kind)
    if write is None:
        return "", ""
    facts = _Facts(fault)
    meaning, fix = write(facts)
    if len(meaning) > MEANING_LENGTH or len(fix) > FIX_LENGTH:
        # Half a command is worse than one without the name.
        facts.take("")
        meaning, fix = write(facts)
    return meaning, fix


class _Facts:
    """A fault as its texts need it: `name` in a sentence, `path` in a command, `said` by its last line."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.take(fault.subject)
        self.said = fault.lines[-1].decode("utf-8", "backslashreplace").rstrip(" ]") if fault.lines else ""
        self.cause = self.said.rpartition(": ")[2]

    def take(self, subject: str) -> None:
        """Speak of this subject."""
        self.subject = subject
        self.name = _shown(subject)
        self.path = _argument(subject)

    def says(self, *words: str) -> bool:
        """True when the line holds one of these."""
        return any(word in self.said for word in words)

    def after(self, words: str, end: str = "") -> str:
        """What follows the words in the line, up to `end`; "" without them."""
        rest = self.said.partition(words)[2]
        return rest.partition(end)[0] if end else rest

    def number(self, words: str) -> int | None:
        """The number right after the words."""
        found = _NUMBER.match(self.after(words))
        return int(found[0]) if found is not None else None


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 3] + "..."


def _shown(subject: str, default: str = "") -> str:
    """A subject in a sentence: in quotes as soon as it is more than one plain word, so that it ends visibly."""
    if not subject:
        return default
    quoted = shlex.quote(_cut(subject, _SHOWN))
    return quoted if len(quoted) <= _SHOWN + 12 else "that name"


def _argument(path: str, default: str = "PATH") -> str:
    """A path as one word of a shell command. What is no absolute path in print (an option, a control character), or
    too long to be shown whole, is not put into a command: the default stands for it.
    """
    quoted = shlex.quote(path)
    return quoted if path.startswith("/") and path.isprintable() and len(quoted) <= _QUOTED else default


def _testkey(name: str) -> str:
    """The command that compares a key with what DNS has: of one key when the name tells, else of all."""
    found = _KEY_NAME.match(name)
    if found is None or found["domain"].startswith("-") or found["selector"].startswith("-"):
        return "opendkim-testkey -x /etc/opendkim.conf -vvv"
    return f"opendkim-testkey -d {shlex.quote(found['domain'])} -s {shlex.quote(found['selector'])} -vvv"


# --- Postfix and its milter -----------------------------------------------------------------------------------------


def _who_listens(endpoint: str) -> str:
    """The command that shows what is at an endpoint of main.cf, or at a Socket of opendkim.conf."""
    found = _INET.match(endpoint) or _CONN.match(endpoint)
    if found is not None:
        return f"ss -ltnp | grep {found['port']}"
    return "ss -lxp | grep opendkim" if _UNIX.match(endpoint) or endpoint.startswith("/") else "ss -lntxp"


def _socket_line(endpoint: str) -> str:
    """The line of opendkim.conf that makes OpenDKIM listen where Postfix looks for it; "" when it cannot be told."""
    inet = _INET.match(endpoint)
    if inet is not None:
        return f"Socket inet:{inet['port']}@{inet['host']}" if len(inet["host"]) <= 40 else ""
    unix = _UNIX.match(endpoint)
    path = _queue_path(unix["path"]) if unix is not None else ""
    return f"Socket local:{path}" if _PLAIN_PATH.match(path) else ""


def _queue_path(path: str) -> str:
    """Where a socket's path of main.cf is: a relative one is below the queue directory, an absolute one as well for
    a smtpd that runs chrooted (Debian's does), and else where it says.
    """
    return path if path.startswith("/") else "/var/spool/postfix/" + path


def _unreachable(facts: _Facts) -> Advice:
    return _no_connection(facts.subject, facts.cause)


def _no_connection(endpoint: str, cause: str) -> Advice:
    """endpoint: as in main.cf, "" when unknown. cause: the strerror text."""
    name = _shown(endpoint, "its milter")
    cause = cause.lower()
    unix = _UNIX.match(endpoint)
    path = _argument(_queue_path(unix["path"])) if unix is not None else "PATH"
    line = _socket_line(endpoint)
    both = f"opendkim.conf needs `{line}`." if line else "Socket in opendkim.conf and smtpd_milters must agree."
    if "refused" in cause:
        return (
            f"Nobody listens on {name}: OpenDKIM is down or has another Socket.",
            f"systemctl status opendkim; {_who_listens(endpoint)}. {both} Why it did not start is not in the mail log:"
            f" {JOURNAL}",
        )
    if "no such file" in cause:
        meaning = f"There is no socket {name} where Postfix looks: OpenDKIM is down, or it is elsewhere"
        if path == "PATH" or (unix is not None and not unix["path"].startswith("/")):
            return f"{meaning}.", f"systemctl status opendkim; ls -l {path}. {both} If it does not start: {JOURNAL}"
        return (
            f"{meaning} for a chrooted smtpd.",
            f"ls -l {path}. If it is there, smtpd is chrooted: smtpd_milters = unix:opendkim/opendkim.sock and `Socket"
            f" local:/var/spool/postfix/opendkim/opendkim.sock`. If not: systemctl status opendkim; {JOURNAL}",
        )
    if "permission denied" in cause or "operation not permitted" in cause:
        fix = (
            f"namei -l {path}; usermod -aG opendkim postfix; set `UMask 007` in opendkim.conf;"
            " systemctl restart opendkim postfix"
        )
        if unix is None:
            fix = f"See what forbids it (SELinux: ausearch -m avc -ts recent); {_who_listens(endpoint)}"
        return f"Postfix may not open {name}: the socket or a directory above it is closed to user postfix.", fix
    if "timed out" in cause or "no route" in cause or "unreachable" in cause:
        return (
            f"Postfix got no connection to {name} in time: the host is away, a firewall drops it, or OpenDKIM hangs.",
            f"{_who_listens(endpoint)} on the milter's host; check the firewall; systemctl status opendkim. The wait is"
            " milter_connect_timeout (30s).",
        )
    if "assign requested address" in cause:
        return (
            f"The host or port of {name} did not resolve, perhaps because smtpd runs chrooted.",
            "Write address and port as numbers: smtpd_milters = inet:127.0.0.1:8891 in main.cf, then postfix reload",
        )
    if "temporarily unavailable" in cause:
        return (
            f"{name} takes no more connections: OpenDKIM is too slow or hangs.",
            f"systemctl status opendkim; {JOURNAL}; {RESTART}",
        )
    return (
        f"Postfix could not connect to {name}.",
        f"systemctl status opendkim; postconf -n | grep milter; {_who_listens(endpoint)}. Start-up faults are in the"
        f" journal only: {JOURNAL}",
    )


def _timeout(facts: _Facts) -> Advice:
    limit = "milter_command_timeout (30s)"
    if facts.says("SMFIC_HEADER", "SMFIC_EOH", "SMFIC_BODY"):
        limit = "milter_content_timeout (300s)"
    return (
        f"{facts.name or 'The milter'} did not answer Postfix in time: it hangs, or waits for DNS or a database.",
        f"{JOURNAL}. Test the resolver: dig +short TXT selector._domainkey.example.org; then {RESTART}. Postfix waits"
        f" {limit}.",
    )


def _lost(facts: _Facts) -> Advice:
    return (
        f"{facts.name or 'The milter'} closed the connection in the middle of a mail: it crashed, was killed or was"
        " restarted.",
        f"journalctl -k | grep -iE 'opendkim|out of memory'; {JOURNAL}. To have it come back by itself: AutoRestart yes"
        " in opendkim.conf.",
    )


# What the first four bytes of an answer show of a service that is no milter.
_SERVICES = {"HTTP": "a web server", "220 ": "an SMTP server", "SSH-": "an SSH server", "prot": "Postfix itself"}


def _protocol(facts: _Facts) -> Advice:
    name = facts.name or "The milter"
    look = f"See who listens: {_who_listens(facts.subject)}. Then postconf -n | grep milter"
    length = facts.number("unreasonable packet length: ")
    if length is not None:
        answer = length.to_bytes(5, "big")[1:].decode("latin-1")
        if answer.isascii() and answer.isprintable():
            who = _SERVICES.get(answer, "something else")
            return f'{name} is no milter: {who} answered there (its first bytes are "{answer}").', look
        return f"{name} answered something that no milter says: another service may listen there.", look
    if facts.says("needs transport:endpoint", "invalid transport name"):
        return (
            f"{name} in main.cf is no endpoint, so Postfix asks no milter.",
            "Write smtpd_milters = inet:127.0.0.1:8891 (or unix:opendkim/opendkim.sock) in main.cf; postfix reload",
        )
    if facts.says("protocol information", "no protocol version", "protocol version"):
        return (
            f"Postfix and {facts.name or 'the milter'} do not agree on the protocol's version.",
            "postconf -e milter_protocol=6; postfix reload",
        )
    if facts.says("unrecognized default action"):
        return (
            f"milter_default_action in main.cf has a value that Postfix does not know ({name}).",
            "postconf -e milter_default_action=tempfail; postfix reload. Or accept, reject, quarantine, shutdown.",
        )
    if facts.says("send milters", "receive milters", "milter receive failed"):
        return (
            "Postfix's own smtpd and cleanup did not pass the milter on, as when they are of two versions.",
            "postfix check; postfix stop; postfix start",
        )
    return (
        f"{name} answered what the milter protocol does not allow: a fault of it, or another service listens there.",
        look,
    )


# --- OpenDKIM's life ------------------------------------------------------------------------------------------------


def _start_failed(facts: _Facts) -> Advice:
    status = facts.number("exited with status ")
    if facts.says("no such user", "no such group"):
        return (
            f"OpenDKIM did not start: there is no {facts.name or 'account'}, which UserID in opendkim.conf names.",
            f"getent passwd opendkim; set `UserID opendkim` in /etc/opendkim.conf; {RESTART}",
        )
    if facts.says("chdir()", "chroot()"):
        return (
            f"OpenDKIM did not start: it cannot enter {facts.name or 'its root directory'}.",
            f"Create it or correct ChangeRootDirectory in /etc/opendkim.conf: ls -ld {facts.path}; {RESTART}",
        )
    if facts.says("invalid value for -", "invalid time value", "usage: opendkim"):
        return (
            "OpenDKIM did not start: an option on its command line is wrong.",
            f"systemctl cat opendkim; correct ExecStart or /etc/default/opendkim; {RESTART}",
        )
    if status is not None:
        why = {69: " (a socket or service is missing)", 70: " (an internal fault)", 78: " (configuration)"}
        return (
            f"OpenDKIM ended with status {status}{why.get(status, '')} and is not started again.",
            f"{JOURNAL}; {CHECK}; then systemctl start opendkim",
        )
    about = f" ({facts.name})" if facts.name else ""
    return (
        f"OpenDKIM did not start{about}: mail goes out unsigned or waits.",
        f"systemctl status opendkim; {JOURNAL}; {CHECK}. The reason is often in the journal only, not in the mail log.",
    )


def _stopped(facts: _Facts) -> Advice:
    status = facts.number("terminating with status ")
    if status:
        return (
            f"OpenDKIM ended with status {status}, by a fault: mail after that is not signed.",
            f"{JOURNAL}; systemctl start opendkim",
        )
    if facts.fault.ongoing:
        return (
            "OpenDKIM was stopped, and no start follows in the log: mail after that is not signed.",
            "systemctl status opendkim; systemctl start opendkim; systemctl enable opendkim",
        )
    return (
        "OpenDKIM was stopped and started again; mail in between was not signed.",
        f"Nothing to do. After a change of a table {RELOAD} is enough and loses no mail.",
    )


def _crashed(facts: _Facts) -> Advice:
    look = f"journalctl -k | grep -iE 'opendkim|out of memory'; {JOURNAL}"
    if facts.says(" starting"):
        return (
            "OpenDKIM started though nothing says that it had stopped: it crashed or was killed before.",
            f"{look}. To have it come back by itself: AutoRestart yes in opendkim.conf.",
        )
    signal = facts.number("terminated with signal ")
    status = facts.number("exited with status ")
    if signal is not None:
        why = {6: "an internal check failed", 9: "killed, often for lack of memory", 11: "a segmentation fault"}
        how = f"signal {signal}" + (f", {why[signal]}" if signal in why else "")
    else:
        how = f"status {status}" if status is not None else "it is not said how"
    return (
        f"OpenDKIM crashed ({how}) and was started again; the mail of that moment lost its milter.",
        f"{look}. Look for SigningTable lines without a key name too: they crash it.",
    )


def _restart_loop(facts: _Facts) -> Advice:
    return (
        "OpenDKIM crashed too often and gave up: it stays down and nothing is signed.",
        f"Repair what the lines before it name ({JOURNAL}; {CHECK}), then systemctl start opendkim",
    )


def _started(facts: _Facts) -> Advice:
    version = facts.after("OpenDKIM Filter v", " ")
    return f"OpenDKIM{' ' + _shown(version) if version else ''} was started and listens.", "Nothing to do."


# --- configuration and tables ---------------------------------------------------------------------------------------

_CONFIG_REASONS = {
    "unrecognized parameter": "a misspelt or removed setting, or one that this build does not have",
    "required value missing": "a setting without a value",
    "illegal value": "a value of the wrong kind: yes or no, or a number",
    "nesting too deep": "Include files inside each other too deeply",
    "error reading configuration file": "a file that cannot be opened",
    "memory allocation failure": "no memory was left",
}


def _config(facts: _Facts) -> Advice:
    file = facts.name or "opendkim.conf"
    path = _argument(facts.subject, "/etc/opendkim.conf")
    check = f"opendkim -n -x {path}"
    line = facts.number(": configuration error at line ")
    if line is not None:
        reason = next((text for word, text in _CONFIG_REASONS.items() if word in facts.said), _cut(facts.cause, 60))
        if not line:
            return f"OpenDKIM cannot read {file}: {reason}.", f"ls -l {path}; {check}; {RESTART}"
        return (
            f"{file} is wrong at line {line}: {reason}.",
            f"sed -n {line}p {path} shows the line; correct it; {check}; {RESTART}. It does not start before that.",
        )
    if facts.says("can't write pid to"):
        directory = _argument(facts.subject.rpartition("/")[0], "/run/opendkim")
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
            f"Postfix cannot use its milter settings: {_cut(facts.after('fatal: '), 100)}",
            "postconf -n | grep milter; correct main.cf, e.g. smtpd_milters = inet:127.0.0.1:8891; postfix reload",
        )
    if facts.says("deprecated"):
        return (
            f"{file} has settings that have no effect any more: {_cut(facts.cause, 80)}",
            f"Remove or rename them in {path}; {check}",
        )
    for words, option, values in _VALUES:
        if facts.says(words):
            return (
                f"{option} in {file} has a value that OpenDKIM does not know: {_cut(facts.cause, 60)}.",
                f"grep -n -i {option} {path}; it can be {values}; {check}; {RESTART}",
            )
    found = _OPTION.search(facts.cause)
    if found is not None:
        option = found[1] or found[2]
        return (
            f"{option} in {file} cannot be used: {_cut(facts.cause, 80)}.",
            f"grep -n -i {shlex.quote(option)} {path}; correct it; {check}; {RESTART}",
        )
    about = f": {_cut(facts.cause, 80)}" if facts.cause else ""
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


def _keytable(facts: _Facts) -> Advice:
    name = facts.name or "a key"
    if facts.says("dkimf_db_get()"):
        return (
            f"The database behind KeyTable failed when {name} was looked up; the mail was deferred.",
            f"grep -i KeyTable /etc/opendkim.conf; start or repair that LDAP or SQL server; {JOURNAL}",
        )
    if facts.says("cannot be resolved"):
        return (
            f"The KeyTable entry {name} takes the domain (%) from the mail's From, which has no usable one.",
            f"Write the domain out in KeyTable: {_entry(facts.subject)}; {RELOAD}",
        )
    if facts.says("not found"):
        return f"KeyTable has no {name}, which a script asks for.", f"Add it: {_entry(facts.subject)}; {RELOAD}"
    return (
        f"The KeyTable entry {name} is not domain:selector:/path/to/key, so its mail is deferred.",
        f"Rewrite the line: {_entry(facts.subject)}; then {RELOAD}",
    )


def _entry(name: str) -> str:
    """A KeyTable line for a key's name, filled in as far as the name tells."""
    found = _KEY_NAME.match(name)
    if found is None or len(name) > 70:
        plain = re.fullmatch(r"[0-9A-Za-z_.@-]{1,70}", name) is not None
        return f"`{name if plain else 'NAME'} example.org:selector:/etc/dkimkeys/selector.private`"
    selector, domain = found["selector"], found["domain"]
    return f"`{name} {domain}:{selector}:/etc/dkimkeys/{selector}.private`"


def _signingtable(facts: _Facts) -> Advice:
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
        f"Add to KeyTable: {_entry(facts.subject)}; then {RELOAD}",
    )


def _dataset(facts: _Facts) -> Advice:
    name = facts.name or "a table"
    file = _DATASET.match(facts.subject)
    path = _argument(file[1] if file is not None else facts.subject)
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
    return f"OpenDKIM cannot use {name}: {_cut(facts.cause, 80)}", f"ls -l {path}; {CHECK}; {RESTART}"


def _socket(facts: _Facts) -> Advice:
    name = facts.name or "its socket"
    path = facts.subject.partition(":")[2] if _UNIX.match(facts.subject) else facts.subject
    word = _argument(path, "/run/opendkim/opendkim.sock")
    directory = _argument(path.rpartition("/")[0], "/run/opendkim")
    who = _who_listens(facts.subject)
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
            f"OpenDKIM did not start: Socket in opendkim.conf is missing or cannot be understood{_in(facts)}.",
            "Write `Socket inet:8891@127.0.0.1` (or local:/run/opendkim/opendkim.sock) in /etc/opendkim.conf;"
            f" {RESTART}",
        )
    return (
        f"OpenDKIM could not open {name}, so it does not run.",
        f"{who}; grep -i Socket /etc/opendkim.conf; {JOURNAL}",
    )


def _in(facts: _Facts) -> str:
    return f" ({facts.name})" if facts.name else ""


# --- keys -----------------------------------------------------------------------------------------------------------


def _for_mail(facts: _Facts) -> str:
    """What a bad key does: a KeyTable's is read for each mail, a KeyFile at the start."""
    if facts.says("open()", "stat()", "read()"):
        return "OpenDKIM does not start or reload"
    return "mail that needs it is deferred"


def _key_missing(facts: _Facts) -> Advice:
    directory, _, file = facts.subject.rpartition("/")
    selector = shlex.quote(file.removesuffix(".private"))
    if not re.fullmatch(r"[0-9A-Za-z_][0-9A-Za-z_.-]{0,40}", selector):
        selector = "SELECTOR"
    return (
        f"The private key {facts.name or 'of a KeyTable entry'} does not exist; {_for_mail(facts)}.",
        f"Correct its path, or make it: opendkim-genkey -b 2048 -d example.org -s {selector}"
        f" -D {_argument(directory, '/etc/dkimkeys')}; chown opendkim:opendkim {_argument(facts.subject, 'KEY')};"
        " publish the .txt in DNS.",
    )


def _key_unreadable(facts: _Facts) -> Advice:
    return (
        f"OpenDKIM's user may not read the key {facts.name or 'file'} or enter its directory; {_for_mail(facts)}.",
        f"chown opendkim:opendkim {facts.path}; chmod 600 {facts.path}; namei -l {facts.path}. With SELinux also"
        " restorecon on it.",
    )


def _key_insecure(facts: _Facts) -> Advice:
    key = facts.name or "The key"
    effect = "its mail was refused" if facts.fault.severity == "error" else "mail was signed all the same"
    if facts.fault.severity == "error" and facts.subject.startswith("/"):
        effect = "OpenDKIM does not start or reload"
    told = facts.after(": key data is not secure: ") or facts.said.rpartition(": ")[2]
    where = next((told.partition(end)[0] for end in _INSECURE if end in told), "")
    path = _argument(where or facts.subject)
    shown = _shown(where) if where != facts.subject else "it"
    if " is not owned by " in told:
        return (
            f"{key}: {shown or 'the file'} belongs to neither OpenDKIM nor root; {effect}.",
            f"chown opendkim:opendkim {path}; chmod 600 {path}",
        )
    if " is writeable and owned by " in told:
        return (
            f"{key}: the directory {shown or 'above it'} belongs to another user, who can replace the key; {effect}.",
            f"chown root {path}; chmod go-w {path}",
        )
    if " is in group " in told and not where.startswith("/"):
        return (
            f"{key}: a directory above the key can be written by a group with other members; {effect}.",
            f"namei -l {_argument(facts.subject, '/etc/dkimkeys')} shows which; take it from the group: chmod g-w"
            " DIRECTORY",
        )
    if " is in group " in told:
        return (
            f"{key}: {shown or 'the file'} is open to a group with other members; {effect}.",
            f"chown opendkim:opendkim {path}; chmod 600 {path}",
        )
    if where and where != facts.subject and not where.endswith((".private", ".pem", ".key")):
        return (
            f"{key}: others than OpenDKIM can read or write {shown}; {effect}.",
            # The same words for a directory, and with mode 600 nobody could enter it.
            f'p={path}; if [ -d "$p" ]; then chmod o-w "$p"; else chown opendkim:opendkim "$p"; chmod 600 "$p"; fi',
        )
    return (
        f"{key}: {shown or 'the file'} can be read or written by others; {effect}.",
        f"chown opendkim:opendkim {path}; chmod 600 {path}",
    )


_INSECURE = (
    " is not owned by the executing uid",
    " is writeable and owned by uid ",
    " is in group ",
    " can be read or written by other users",
)


def _key_malformed(facts: _Facts) -> Advice:
    key = facts.name or "A private key"
    openssl = f"openssl pkey -noout -in {facts.path if facts.path != 'PATH' else 'KEY'}"
    if facts.says("d2i_PrivateKey_bio"):
        return (
            f"{key} is empty or no key, or KeyTable gives a path without / at its start; its mail is deferred.",
            f"Write the whole path in KeyTable: domain:selector:/etc/dkimkeys/selector.private; {openssl}; {RELOAD}",
        )
    if facts.says("EVP_PKEY_get1_RSA"):
        return (
            f"{key} is not an RSA key, though an RSA signature is asked for; its mail is deferred.",
            f"{openssl} -text | head -1; use an RSA key, or `SignatureAlgorithm ed25519-sha256` in opendkim.conf",
        )
    return (
        f"{key} is damaged, encrypted or no private key; its mail is deferred.",
        f"{openssl}; put back the right file, or make a new key: opendkim-genkey -b 2048 -d example.org -s selector",
    )


def _key_weak(facts: _Facts) -> Advice:
    bits, needed = facts.number("too small ("), facts.number("need at least ")
    size = f" ({bits} bits, {needed} needed)" if bits is not None and needed is not None else ""
    return (
        f"{facts.name or 'A private key'} is too short{size}; its mail is rejected rather than sent unsigned.",
        "opendkim-genkey -b 2048 -d example.org -s newselector -D /etc/dkimkeys; publish newselector.txt in DNS; put it"
        f" into KeyTable; {RELOAD}",
    )


def _key_other(facts: _Facts) -> Advice:
    key = facts.name or "A key"
    if facts.says("Not a regular file"):
        return (
            f"{key} is not a file; {_for_mail(facts)}.",
            f"ls -ld {facts.path}; let KeyTable or KeyFile name the key itself; {RELOAD}",
        )
    if facts.says("default"):
        return (
            "KeyFile and Selector do not give a key to sign with.",
            f"grep -nE 'KeyFile|Selector|Domain' /etc/opendkim.conf; set all three; {RESTART}",
        )
    look = f"ls -l {facts.path}; " if facts.path != "PATH" else ""
    return (
        f"{key} could not be used; {_for_mail(facts)}.",
        f"{look}{_testkey(facts.subject)}; the OpenDKIM line before it says why; {JOURNAL}",
    )


# --- logging and the rest -------------------------------------------------------------------------------------------


def _not_logging(facts: _Facts) -> Advice:
    return explain("outbound", "undecided", "success-not-logged")


def _dns(facts: _Facts) -> Advice:
    if facts.says("trust anchor", "TrustAnchor", "access()") or (facts.subject and facts.says(".key: ")):
        return (
            f"OpenDKIM cannot use the DNSSEC trust anchor {facts.name or '(TrustAnchorFile)'}.",
            f"apt-get install dns-root-data; grep -i TrustAnchorFile /etc/opendkim.conf; ls -l {facts.path}; {RESTART}",
        )
    if facts.says("nameserver list", "resolver list"):
        return (
            "OpenDKIM cannot use the addresses in Nameservers.",
            f"Write addresses only, as `Nameservers 127.0.0.1` in /etc/opendkim.conf; {RESTART}",
        )
    if facts.says("resolver configuration"):
        return (
            "OpenDKIM cannot use the file in ResolverConfiguration.",
            f"grep -i ResolverConfiguration /etc/opendkim.conf; unbound-checkconf FILE; {RESTART}",
        )
    return (
        f"OpenDKIM's resolver does not start or fails{_in(facts)}: {_cut(facts.cause, 60) or 'no cause is given'}.",
        f"cat /etc/resolv.conf; dig +short TXT selector._domainkey.example.org; {RESTART}",
    )


def _resource(facts: _Facts) -> Advice:
    if facts.says("Too many open files", "FD_SETSIZE", "accept()", "close-on-exec"):
        return (
            "OpenDKIM ran out of open files.",
            f"systemctl edit opendkim, with the lines [Service] and LimitNOFILE=8192; {RESTART}. Count them:"
            " ls /proc/$(pidof -s opendkim)/fd | wc -l",
        )
    if facts.says("No space left", "Disk quota"):
        return "A disk is full, so OpenDKIM cannot write its working files.", "df -h; df -i; make room on /tmp and /var"
    if facts.says("temporary file", "mkstemp()"):
        path = _argument(facts.subject, "/tmp")
        return (
            f"OpenDKIM cannot make its working file{_in(facts)}: {_cut(facts.cause, 60)}.",
            f"ls -ld {path}; make TemporaryDirectory exist, writable for user opendkim; df -h {path}",
        )
    if facts.says("fopen()"):
        return (
            f"OpenDKIM cannot write {facts.name or 'a file'}: {_cut(facts.cause, 60)}. Mail is signed all the same.",
            f"chown opendkim {facts.path}; or remove the setting (Statistics, DiagnosticDirectory) from opendkim.conf",
        )
    if facts.says("queue file", "milter8_message"):
        return (
            "Postfix could not read its queue file for the milter: disk or file system.",
            "df -h /var/spool/postfix; journalctl -k -n 50",
        )
    if facts.says("thread", "LAUNCH_WORKER", "fork()", "popen()", "start_session"):
        return (
            "OpenDKIM could not start another thread or process.",
            f"systemctl edit opendkim, with the lines [Service] and TasksMax=infinity; free -m; {RESTART}",
        )
    if facts.says("malloc", "allocate", "strdup", "dstring", "requeueing", "BIO_new"):
        return (
            "OpenDKIM ran out of memory; the mail was deferred.",
            f"free -m; journalctl -k | grep -i 'out of memory'; systemctl show opendkim -p MemoryMax; {RESTART}",
        )
    return (
        f"OpenDKIM lacks something of the system{_in(facts)}: {_cut(facts.cause, 80) or 'not said what'}.",
        f"free -m; df -h; {JOURNAL}; {RESTART}",
    )


def _library(facts: _Facts) -> Advice:
    if facts.says("incompatible SSL", "version mismatch", "without rsa-sha256", "crypto library"):
        return (
            "OpenDKIM does not fit the libraries that are installed.",
            "opendkim -V; ldd $(command -v opendkim); install opendkim, libopendkim, libmilter and OpenSSL of one"
            " distribution.",
        )
    if facts.says("can't configure DKIM library"):
        return (
            f"The DKIM library refuses a setting: {_cut(facts.after('DKIM library: ') or facts.cause, 80)}.",
            f"Correct the setting in /etc/opendkim.conf that it names; {CHECK}; {RESTART}",
        )
    if facts.says("signature generation"):
        return (
            "The signature could not be made: key and algorithm do not fit, or the system's crypto policy forbids it.",
            f"openssl pkey -in KEY -noout -text | head -1; grep -i SignatureAlgorithm /etc/opendkim.conf; {JOURNAL}",
        )
    if facts.says("regexec()"):
        return "A pattern of ReplaceRules failed.", f"grep -i ReplaceRules /etc/opendkim.conf; simplify it; {RELOAD}"
    if facts.says("header add failed", "smfi_"):
        return (
            "Postfix did not take a change that OpenDKIM made to the mail.",
            "postconf -n | grep milter; postconf -e milter_protocol=6; postfix reload",
        )
    return (
        f"OpenDKIM's library failed: {_cut(facts.cause, 80) or 'not said how'}.",
        f"{JOURNAL}; {RESTART}. If it comes back, update OpenDKIM and report the line.",
    )


def _log_gap(facts: _Facts) -> Advice:
    lost = "some mail cannot be judged"
    if facts.says("Suppressed "):
        unit = shlex.quote(facts.subject) if re.fullmatch(r"[0-9A-Za-z_.@-]{1,60}", facts.subject) else "opendkim"
        return (
            f"systemd-journald dropped lines of {facts.name or 'a service'} (rate limit): {lost}.",
            f"systemctl edit {unit}, with the lines [Service] and LogRateLimitIntervalSec=0; restart it. Before systemd"
            " 240: RateLimitIntervalSec=0 in journald.conf; systemctl restart systemd-journald",
        )
    if facts.says("Forwarding to syslog missed"):
        return (
            f"systemd-journald did not pass all lines on to rsyslog: {lost}. The journal itself may have them.",
            "Read the journal instead: logscan report journal:",
        )
    if facts.subject.startswith("imjournal"):
        return (
            f"rsyslog dropped lines that came from the journal (rate limit): {lost}.",
            'In /etc/rsyslog.conf: module(load="imjournal" StateFile="imjournal.state" Ratelimit.Interval="0");'
            " systemctl restart rsyslog",
        )
    if facts.subject.startswith("imuxsock"):
        return (
            f"rsyslog dropped lines from its log socket (rate limit; {facts.name}): {lost}.",
            'In /etc/rsyslog.conf: module(load="imuxsock" SysSock.RateLimit.Interval="0"); systemctl restart rsyslog',
        )
    if facts.says("rate-limiting"):
        return (
            f"rsyslog dropped lines from its input {facts.name} (rate limit): {lost}.",
            'Put RateLimit.Interval="0" into that input(...) in /etc/rsyslog.conf; systemctl restart rsyslog',
        )
    if facts.says("was truncated while"):
        return (
            f"{facts.name or 'The log'} was truncated: lines written just then may be lost, and {lost}.",
            "In /etc/logrotate.d/rsyslog: no `copytruncate`, but `create` and a postrotate script with"
            " /usr/lib/rsyslog/rsyslog-rotate (or kill -HUP of the syslog daemon).",
        )
    return (
        f"{facts.name or 'A log file'} is missing between others that are there: its mail is not in this report.",
        "Give that file to logscan too; how many are kept is `rotate` in /etc/logrotate.d/rsyslog.",
    )


_FAULTS: dict[str, Callable[[_Facts], Advice]] = {
    "milter-unreachable": _unreachable,
    "milter-timeout": _timeout,
    "milter-lost": _lost,
    "milter-protocol": _protocol,
    "opendkim-start-failed": _start_failed,
    "opendkim-stopped": _stopped,
    "opendkim-crashed": _crashed,
    "opendkim-restart-loop": _restart_loop,
    "opendkim-started": _started,
    "config": _config,
    "keytable": _keytable,
    "signingtable": _signingtable,
    "dataset": _dataset,
    "socket": _socket,
    "key-missing": _key_missing,
    "key-unreadable": _key_unreadable,
    "key-insecure": _key_insecure,
    "key-malformed": _key_malformed,
    "key-weak": _key_weak,
    "key-other": _key_other,
    "not-logging": _not_logging,
    "dns": _dns,
    "resource": _resource,
    "library": _library,
    "log-gap": _log_gap,
}


# --- reasons --------------------------------------------------------------------------------------------------------

# (outcome, reason): for a table, at most 30 characters; meaning; fix.
REASONS: dict[tuple[str, str], tuple[str, str, str]] = {
    ("unsigned", "no-signing-table-match"): (
        "From not in the SigningTable",
        "OpenDKIM trusts the client, but no line of SigningTable fits the From address.",
        "Add to SigningTable: `*@example.org mail._domainkey.example.org`. The * works with refile: only; with file:"
        f" write example.org in its place. The name must be in KeyTable. Then {RELOAD}",
    ),
    ("unsigned", "no-signing-domain"): (
        "From domain not in Domain",
        "OpenDKIM trusts the client, but the domain in From is not among those of Domain.",
        "Add it in /etc/opendkim.conf: `Domain example.org, example.net` (subdomains: `SubDomains yes`), or use"
        f" KeyTable and SigningTable; {RESTART}",
    ),
    ("unsigned", "not-internal"): (
        "client not in InternalHosts",
        "OpenDKIM took our own client for a stranger: it is not in InternalHosts and did not log in.",
        "In opendkim.conf: `InternalHosts refile:/etc/opendkim/TrustedHosts`, and one line a client there: 192.0.2.7 or"
        f" 192.0.2.0/24; keep 127.0.0.1 and ::1, which the list replaces. Then {RELOAD}",
    ),
    ("unsigned", "bad-from"): (
        "no usable From in the mail",
        "The mail has no From that OpenDKIM can read, so it knows no domain to sign for.",
        "Correct the program that sends it: one From header with one address, as From: app@example.org",
    ),
    ("unsigned", "silent"): (
        "no word; LogWhy yes tells why",
        "OpenDKIM logs its signatures, and logged none for this mail: it left it alone or was not asked.",
        "`LogWhy yes` in opendkim.conf tells why. Mode must contain s (`Mode sv`). Mail from sendmail(1) needs"
        " `non_smtpd_milters = $smtpd_milters` in main.cf; see no_milters in master.cf too.",
    ),
    ("unsigned", "other"): (
        "detail is in the JSON report",
        "OpenDKIM handled the mail without signing it, for the reason in its detail.",
        "See `detail` in logscan report --format json; DontSignMailTo, ExemptDomains and Mode in opendkim.conf decide.",
    ),
    ("milter-error", "connect-refused"): (
        "nobody listens on its socket",
        "Postfix could not connect: OpenDKIM is down or listens elsewhere.",
        "systemctl status opendkim; ss -ltnp | grep 8891; postconf -n | grep milter. Start-up faults are not in the"
        f" mail log: {JOURNAL}",
    ),
    ("milter-error", "connect-timeout"): (
        "connection not taken in time",
        "The milter did not take the connection in time: its host is away, a firewall drops it, or it hangs.",
        "systemctl status opendkim; ss -ltnp | grep 8891 on the milter's host; check the firewall",
    ),
    ("milter-error", "socket-missing"): (
        "its socket file is not there",
        "The socket is not where Postfix looks: OpenDKIM is down, or smtpd runs chrooted below /var/spool/postfix.",
        "smtpd_milters = unix:opendkim/opendkim.sock in main.cf goes with `Socket"
        f" local:/var/spool/postfix/opendkim/opendkim.sock` in opendkim.conf. If it is down: {JOURNAL}",
    ),
    ("milter-error", "permission-denied"): (
        "socket closed to Postfix",
        "Postfix may not open the milter's socket or a directory above it.",
        f"usermod -aG opendkim postfix; set `UMask 007` in opendkim.conf; {RESTART} postfix",
    ),
    ("milter-error", "reply-timeout"): (
        "no answer in time",
        "The milter took the connection but did not answer in time: it hangs, or waits for DNS.",
        f"{JOURNAL}; dig +short TXT selector._domainkey.example.org; {RESTART}",
    ),
    ("milter-error", "connection-lost"): (
        "milter went away during mail",
        "The milter closed the connection in the middle of a mail: it crashed, was killed or was restarted.",
        f"journalctl -k | grep -iE 'opendkim|out of memory'; {JOURNAL}; `AutoRestart yes` in opendkim.conf",
    ),
    ("milter-error", "protocol"): (
        "answers Postfix cannot follow",
        "What answered is no milter, or not one that Postfix understands.",
        "ss -ltnp | grep 8891 shows who listens; postconf -n | grep milter shows whom Postfix asks",
    ),
    ("milter-error", "key"): (
        "OpenDKIM cannot use its key",
        "OpenDKIM could not use the private key for this mail, so the mail was deferred or went out unsigned.",
        "See the key fault of that time. chown opendkim:opendkim and chmod 600 the key file;"
        " opendkim-testkey -d example.org -s selector -vvv",
    ),
    ("milter-error", "internal"): (
        "OpenDKIM itself failed",
        "OpenDKIM failed by itself: a table, its library, memory or a script.",
        f"See the fault of that time, and {JOURNAL}; {CHECK}",
    ),
    ("milter-error", "other-milter"): (
        "another milter failed",
        "A milter that is not OpenDKIM failed on this mail or refused it.",
        "postconf -n | grep milter lists them; look into the log of the other one.",
    ),
    ("fail", "bad-signature"): (
        "signature is wrong",
        "The signature does not fit the key in DNS or the signed headers.",
        "Nothing to do for others' mail. For your own: opendkim-testkey -d example.org -s selector -vvv",
    ),
    ("fail", "body-altered"): (
        "body changed on its way",
        "The body is not the one that was signed: a list, a filter or a gateway changed it on its way.",
        "Nothing to do for others' mail. For your own: let the filter run before OpenDKIM signs.",
    ),
    ("fail", "key-not-found"): (
        "no such key in DNS",
        "DNS has no key for the selector and domain of the signature.",
        "Nothing to do for others' mail. For your own, publish it: dig +short TXT selector._domainkey.example.org",
    ),
    ("fail", "key-unusable"): (
        "key in DNS cannot be used",
        "The key in DNS is revoked or malformed, or the DNS did not answer.",
        "Nothing to do for others' mail. If it is every domain's, test the resolver: dig +short TXT"
        " selector._domainkey.example.org",
    ),
    ("fail", "policy"): (
        "refused by local policy",
        "The mail was refused by a setting of OpenDKIM, not because it was broken.",
        "grep -nE 'On-|Reject|Minimum' /etc/opendkim.conf shows the settings that refuse mail.",
    ),
    ("fail", "other"): (
        "detail is in the export",
        "The signature did not verify, for the reason in its detail.",
        "logscan export --format jsonl --output - shows `detail` and `verified`; `LogResults yes` in opendkim.conf"
        " tells more.",
    ),
    ("undecided", "success-not-logged"): (
        "signatures are not logged",
        "OpenDKIM runs but does not log its signatures, so the log cannot tell.",
        f"Put `SyslogSuccess yes` into /etc/opendkim.conf; {RESTART}. Or let Postfix log them: milter_header_checks ="
        " regexp:/etc/postfix/dkim_log in main.cf, with the line /^DKIM-Signature:/ INFO in that file.",
    ),
    ("undecided", "opendkim-absent"): (
        "OpenDKIM logged nothing",
        "OpenDKIM logged nothing at that time: it is down, or its log goes elsewhere.",
        "systemctl status opendkim. opendkim.conf needs `Syslog yes` and `SyslogSuccess yes`; if its log goes to"
        " another file (SyslogFacility), give that to logscan too.",
    ),
    ("undecided", "log-gap"): (
        "lines are missing just there",
        "Lines are missing from the log, so some messages of that time cannot be judged.",
        "Give logscan the whole log: rotated files too. If rsyslog or journald dropped lines, the log-gap fault says"
        " how to stop that.",
    ),
    ("undecided", "in-transit"): (
        "no end seen yet",
        "Some messages were still on their way at the end of the log.",
        "Look again later; postqueue -p shows what waits.",
    ),
}


def brief(outcome: str, reason: str | None) -> str:
    """A reason in at most 30 characters; "" for one that is not known."""
    known = REASONS.get((outcome, reason or ""))
    return known[0] if known is not None else ""


def explain(direction: str, outcome: str, reason: str | None) -> Advice:
    """What a reason (contract §1) means for a message, and the line to change.

    Returns (meaning, fix); ("", "") where nothing is wrong or the reason is not known.
    """
    known = REASONS.get((outcome, reason or ""))
    if known is not None:
        return known[1], known[2]
    if direction == "unknown" and outcome == "undecided":
        return (
            "The log does not tell if this mail was outgoing or incoming.",
            "Name your domains: --our-domain example.org, or --opendkim-conf /etc/opendkim.conf",
        )
    return "", ""


def explain_message(message: Message) -> str:
    """The line to add or the command to give for this very message; the general one where it does not tell more.

    SigningTable is matched with the From header, which OpenDKIM's own line has (`detail`); the envelope sender
    stands in for it.
    """
    general = explain(message.direction, message.outcome, message.reason)[1]
    special = _MESSAGES.get((message.outcome, message.reason or ""))
    return (special(message) if special is not None else "") or general


def _author_domain(message: Message) -> str:
    """The domain that OpenDKIM looked for, if it is a plain name; "" otherwise."""
    detail = message.detail or ""
    address = message.envelope_sender or ""
    if detail.startswith("no signing ") and "'" in detail:
        address = detail.partition("'")[2].rpartition("'")[0]
    domain = address.rpartition("@")[2].lower()
    return domain if _DOMAIN.match(domain) else ""


def _add_to_tables(message: Message) -> str:
    domain = _author_domain(message)
    if not domain:
        return ""
    name = f"<selector>._domainkey.{domain}"
    return (
        f"SigningTable (refile:): `*@{domain} {name}`; KeyTable: `{name}"
        f" {domain}:<selector>:/etc/dkimkeys/<selector>.private`; then {RELOAD}"
    )


def _add_domain(message: Message) -> str:
    domain = _author_domain(message)
    return f"Add {domain} to Domain in /etc/opendkim.conf; {CHECK}; {RESTART}" if domain else ""


def _add_client(message: Message) -> str:
    client = message.client or ""
    address = client.rpartition("[")[2].rstrip("]")
    if message.sasl_username is not None:
        return (
            "The client logged in, but Postfix did not tell OpenDKIM: milter_mail_macros in main.cf must contain"
            " {auth_type}, as the default does: postconf -X milter_mail_macros; postfix reload"
        )
    if not client and message.origin == "pickup":
        address = "127.0.0.1"
    if not _ADDRESS.match(address):
        return ""
    kept = "" if address in ("127.0.0.1", "::1") else "; keep 127.0.0.1 and ::1 in it"
    return f"Add the line `{address}` to TrustedHosts, the file of InternalHosts in opendkim.conf{kept}; then {RELOAD}"


def _let_it_be_seen(message: Message) -> str:
    if message.origin != "pickup":
        return ""
    return (
        "Local mail reaches OpenDKIM only with `non_smtpd_milters = $smtpd_milters` in main.cf (postfix reload). If"
        " it is there, `LogWhy yes` in opendkim.conf tells why it was not signed."
    )


def _reach(message: Message) -> str:
    if not message.milter:
        return ""
    return _no_connection(message.milter, (message.detail or "").rpartition(": ")[2])[1]


def _test_key(message: Message) -> str:
    name = (message.detail or "").partition("'")[2].rpartition("'")[0]
    if not _KEY_NAME.match(name):
        return ""
    return f"The fault of key {_shown(name)} says why. Afterwards: {_testkey(name)}"


_MESSAGES: dict[tuple[str, str], Callable[[Message], str]] = {
    ("unsigned", "no-signing-table-match"): _add_to_tables,
    ("unsigned", "no-signing-domain"): _add_domain,
    ("unsigned", "not-internal"): _add_client,
    ("unsigned", "silent"): _let_it_be_seen,
    ("milter-error", "connect-refused"): _reach,
    ("milter-error", "connect-timeout"): _reach,
    ("milter-error", "socket-missing"): _reach,
    ("milter-error", "permission-denied"): _reach,
    ("milter-error", "key"): _test_key,
}


# --- what to change for mail that is unsigned -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Setup:
    """What is known of OpenDKIM's settings, from its signatures in the log and from --opendkim-conf.

    signed: signing domain -> the selector that it is signed with most. senders: the domains of senders whose mail
    was signed. selector: the one used most of all, "" when nothing was signed. keys: domain -> a name in KeyTable. kinds, paths: of the tables SigningTable, KeyTable and
    InternalHosts, by the setting's name; without an entry nothing is known. mode, domain: as set, "" when not known.
    log_why: set to yes; None when not known.
    """

    signed: Mapping[str, str] = field(default_factory=dict)
    senders: Collection[str] = ()
    selector: str = ""
    keys: Mapping[str, str] = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=dict)
    paths: Mapping[str, str] = field(default_factory=dict)
    mode: str = ""
    domain: str = ""
    log_why: bool | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """file: where the lines go. meaning, fix: as of `explain`, for all of them together. lines: one a subject, ""
    for a subject that no line can be made of."""

    file: str
    meaning: str
    fix: str
    lines: list[str]


def change(kind: str, subjects: list[str], setup: Setup) -> Change:
    """The lines that would have had mail signed, by the kind of its cause (`why.Cause`). Pure.

    subjects: sender's domains or clients' addresses, as the kind has them; they are text of the log, and none
    that is no plain domain or address comes into a line.
    """
    if "s" not in (setup.mode or "s") and kind in ("silent", "verified", "local-mail", "other"):
        return Change(
            "opendkim.conf",
            f"Mode in opendkim.conf is {_shown(setup.mode)}: OpenDKIM checks signatures and adds none.",
            f"Set the line, then {RESTART}",
            ["Mode sv"] * len(subjects),
        )
    make = _CHANGES.get(kind)
    if make is not None:
        return make(subjects, setup)
    meaning, fix = explain("outbound", "unsigned", kind if ("unsigned", kind) in REASONS else "other")
    return Change("", meaning, fix, [""] * len(subjects))


def _key_of(domain: str, setup: Setup) -> tuple[str, bool]:
    """The name of the key for a domain, and if there is one: its own, or that of a domain above it."""
    above = domain
    while "." in above:
        if above in setup.keys:
            return setup.keys[above], True
        if above in setup.signed:
            return f"{setup.signed[above]}._domainkey.{above}", True
        above = above.partition(".")[2]
    return f"{setup.selector or '<selector>'}._domainkey.{domain}", False


def _place(setting: str, setup: Setup, default: str = "") -> str:
    path = setup.paths.get(setting, "")
    return f"{setting} ({path})" if _PLAIN_PATH.match(path) else default or setting


def _signing_lines(subjects: list[str], setup: Setup) -> Change:
    plain = setup.kinds.get("SigningTable", "refile") != "refile"
    lines, new = [], ""
    for domain in subjects:
        if not _DOMAIN.match(domain):
            lines.append("")
            continue
        name, there = _key_of(domain, setup)
        new = new or ("" if there else domain)
        lines.append(f"{domain if plain else f'*@{domain}'} {name}")
    meaning = explain("outbound", "unsigned", "no-signing-table-match")[0]
    fix = "The name after the domain is a key's name in KeyTable. "
    if not plain:
        fix += "The * needs refile: before the table's path; with file: write the domain alone. "
    if new:
        fix += f"A new key: {_new_key(new, setup)}. "
    return Change(_place("SigningTable", setup), meaning, f"{fix}Then {RELOAD}", lines)


def _new_key(domain: str, setup: Setup) -> str:
    """How a domain gets a key of its own: its line of KeyTable, and the command that makes it."""
    selector = setup.selector if _SELECTOR.match(setup.selector) else "<selector>"
    line = f"{selector}._domainkey.{domain} {domain}:{selector}:/etc/dkimkeys/{domain}/{selector}.private"
    place = f"/etc/dkimkeys/{domain}"
    make = f"install -d {place}; opendkim-genkey -b 2048 -d {domain} -s {selector} -D {place};"
    make += f" chown -R opendkim:opendkim {place}"
    return f"{make}; KeyTable: `{line}`; publish the .txt in DNS"


_SELECTOR = re.compile(r"[0-9A-Za-z_][0-9A-Za-z_.-]{0,40}\Z")


def _domain_lines(subjects: list[str], setup: Setup) -> Change:
    meaning = explain("outbound", "unsigned", "no-signing-domain")[0]
    if setup.domain and setup.kinds.get("Domain") == "csl":
        known = [domain for domain in subjects if _DOMAIN.match(domain)]
        whole = f"Domain {', '.join([setup.domain, *known])}"
        if known and len(whole) <= MEANING_LENGTH:
            lines = [whole, *([""] * (len(subjects) - 1))]
            return Change("opendkim.conf", meaning, f"Set the line; {CHECK}; {RESTART}", lines)
    lines = [domain if _DOMAIN.match(domain) else "" for domain in subjects]
    fix = f"Add them to the list after Domain in /etc/opendkim.conf, commas between; {CHECK}; {RESTART}"
    return Change("Domain in opendkim.conf", meaning, fix, lines)


def _client_lines(subjects: list[str], setup: Setup) -> Change:
    meaning = explain("outbound", "unsigned", "not-internal")[0]
    lines = [address if _ADDRESS.match(address) else "" for address in subjects]
    fix = ""
    if not setup.paths.get("InternalHosts"):
        fix = "opendkim.conf needs `InternalHosts refile:/etc/opendkim/TrustedHosts`. "
    fix += "Add only what is yours; a whole network is one line, as 192.0.2.0/24. Keep 127.0.0.1 and ::1 in the file."
    fix += f" Then {RELOAD}"
    return Change(_place("InternalHosts", setup, "TrustedHosts"), meaning, fix, lines)


def _verified_lines(subjects: list[str], setup: Setup) -> Change:
    told = _client_lines(subjects, setup)
    return Change(
        told.file,
        "OpenDKIM checked this outgoing mail instead of signing it: it took the client for a stranger, or may only check.",
        f"{told.fix}. If the clients log in: postconf -X milter_mail_macros. If Mode in opendkim.conf is v: `Mode sv`"
        f" and {RESTART}. `LogWhy yes` there tells which it is.",
        told.lines,
    )


def _login_lines(subjects: list[str], setup: Setup) -> Change:
    return Change(
        "main.cf",
        "The clients logged in, but Postfix did not tell OpenDKIM, which took them for strangers.",
        "milter_mail_macros must contain {auth_type}, as it does by default: postconf -X milter_mail_macros;"
        " postfix reload",
        [""] * len(subjects),
    )


def _forwarded_lines(subjects: list[str], setup: Setup) -> Change:
    return Change(
        "",
        "A stranger's mail that bears one of your domains was passed on, as by an alias; OpenDKIM did not sign it.",
        "Nothing to do, unless the client is one of yours: then its address belongs into InternalHosts.",
        [""] * len(subjects),
    )


def _local_lines(subjects: list[str], setup: Setup) -> Change:
    return Change(
        "main.cf",
        "OpenDKIM logs its signatures, and logged none for this mail of sendmail(1) on the host itself.",
        "Postfix asks milters about local mail only with this line: postconf -e 'non_smtpd_milters=$smtpd_milters';"
        " postfix reload. If it is there, `LogWhy yes` in opendkim.conf tells why.",
        ["non_smtpd_milters = $smtpd_milters"] * len(subjects),
    )


def _silent_lines(subjects: list[str], setup: Setup) -> Change:
    meaning = explain("outbound", "unsigned", "silent")[0]
    if setup.log_why:
        return Change(
            "",
            meaning,
            "LogWhy is on, so OpenDKIM was not asked, or a PeerList exempts the client: look for no_milters and"
            " -o smtpd_milters= in master.cf, and at smtpd_milter_maps.",
            [""] * len(subjects),
        )
    never = [domain for domain in subjects if domain not in setup.senders and _DOMAIN.match(domain)]
    fix = ""
    if never:
        others = f" and {len(never) - 3} more" if len(never) > 3 else ""
        fix = f"No mail of {', '.join(never[:3])}{others} was signed in this log: look into SigningTable first. "
    fix += "Set the line, which makes OpenDKIM say why; Mode must contain s (`Mode sv`). Mail that no milter sees says"
    fix += f" nothing either: no_milters or -o smtpd_milters= in master.cf. Then {RESTART}"
    return Change("opendkim.conf", meaning, fix, ["LogWhy yes"] * len(subjects))


def _exempt_lines(subjects: list[str], setup: Setup) -> Change:
    return Change(
        "",
        "OpenDKIM was told to leave this mail alone: its domain is in ExemptDomains, or its recipient in DontSignMailTo.",
        "grep -nE 'ExemptDomains|DontSignMailTo' /etc/opendkim.conf; nothing to do if that is meant.",
        [""] * len(subjects),
    )


_CHANGES: dict[str, Callable[[list[str], Setup], Change]] = {
    "no-signing-table-match": _signing_lines,
    "no-signing-domain": _domain_lines,
    "not-internal": _client_lines,
    "login-not-told": _login_lines,
    "forwarded": _forwarded_lines,
    "verified": _verified_lines,
    "local-mail": _local_lines,
    "silent": _silent_lines,
    "exempt": _exempt_lines,
    "dont-sign": _exempt_lines,
}
