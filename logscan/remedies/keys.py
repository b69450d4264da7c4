"""Advice on private keys."""

from __future__ import annotations

import re
import shlex

from logscan.remedies.facts import JOURNAL, RELOAD, RESTART, Advice, Facts, argument, cut, shown, testkey

_FIND = 'for k in /etc/dkimkeys/*.private; do openssl pkey -noout -in "$k" || echo "bad: $k"; done'


def _for_mail(facts: Facts) -> str:
    """What a bad key does: a KeyTable's is read for each mail, a KeyFile at the start."""
    if facts.says("open()", "stat()", "read()"):
        return f". {facts.so}"
    return f"{facts.fate('mail that needs it is deferred')}."


def key_missing(facts: Facts) -> Advice:
    directory, _, file = facts.subject.rpartition("/")
    selector = shlex.quote(file.removesuffix(".private"))
    if not re.fullmatch(r"[0-9A-Za-z_][0-9A-Za-z_.-]{0,40}", selector):
        selector = "SELECTOR"
    return (
        f"The private key {facts.name or 'of a KeyTable entry'} does not exist{_for_mail(facts)}",
        f"Correct its path, or make it: opendkim-genkey -b 2048 -d example.org -s {selector}"
        f" -D {argument(directory, '/etc/dkimkeys')}; chown opendkim:opendkim {argument(facts.subject, 'KEY')};"
        " publish the .txt in DNS.",
    )


def key_unreadable(facts: Facts) -> Advice:
    return (
        f"OpenDKIM's user may not read the key {facts.name or 'file'} or enter its directory{_for_mail(facts)}",
        f"chown opendkim:opendkim {facts.path}; chmod 600 {facts.path}; namei -l {facts.path}. With SELinux also"
        " restorecon on it.",
    )


def key_insecure(facts: Facts) -> Advice:
    key = facts.name or "The key"
    effect = "OpenDKIM refuses it" if facts.fault.severity == "error" else "mail was signed all the same"
    if facts.fault.severity == "error" and facts.subject.startswith("/"):
        effect = "OpenDKIM refuses it" if facts.reload else "OpenDKIM does not start"
    told = facts.after(": key data is not secure: ") or facts.said.rpartition(": ")[2]
    where = next((told.partition(end)[0] for end in _INSECURE if end in told), "")
    path = argument(where or facts.subject)
    what = shown(where) if where != facts.subject else "it"
    if " is not owned by " in told:
        return (
            f"{key}: {what or 'the file'} belongs to neither OpenDKIM nor root; {effect}.",
            f"chown opendkim:opendkim {path}; chmod 600 {path}",
        )
    if " is writeable and owned by " in told:
        return (
            f"{key}: the directory {what or 'above it'} belongs to another user, who can replace the key; {effect}.",
            f"chown root {path}; chmod go-w {path}",
        )
    if " is in group " in told and not where.startswith("/"):
        return (
            f"{key}: a directory above the key can be written by a group with other members; {effect}.",
            f"namei -l {argument(facts.subject, '/etc/dkimkeys')} shows which; take it from the group: chmod g-w"
            " DIRECTORY",
        )
    if " is in group " in told:
        return (
            f"{key}: {what or 'the file'} is open to a group with other members; {effect}.",
            f"chown opendkim:opendkim {path}; chmod 600 {path}",
        )
    if where and where != facts.subject and not where.endswith((".private", ".pem", ".key")):
        return (
            f"{key}: others than OpenDKIM can read or write {what}; {effect}.",
            # The same words for a directory, and with mode 600 nobody could enter it.
            f'p={path}; if [ -d "$p" ]; then chmod o-w "$p"; else chown opendkim:opendkim "$p"; chmod 600 "$p"; fi',
        )
    return (
        f"{key}: {what or 'the file'} can be read or written by others; {effect}.",
        f"chown opendkim:opendkim {path}; chmod 600 {path}",
    )


_INSECURE = (
    " is not owned by the executing uid",
    " is writeable and owned by uid ",
    " is in group ",
    " can be read or written by other users",
)


def key_malformed(facts: Facts) -> Advice:
    key = facts.name or "A private key"
    openssl = f"openssl pkey -noout -in {facts.path}" if facts.path != "PATH" else _FIND
    fate = facts.fate("its mail is deferred")
    if facts.says("d2i_PrivateKey_bio"):
        return (
            f"{key} is empty or no key, or its row of KeyTable lacks the path or the / at its start{fate}.",
            f"{openssl}; a row of KeyTable is: name example.org:selector:/etc/dkimkeys/selector.private; {RELOAD}",
        )
    if facts.says("EVP_PKEY_get1_RSA"):
        return (
            f"{key} is not an RSA key, though an RSA signature is asked for{fate}.",
            f"{openssl.replace(' -noout', ' -noout -text')}; use an RSA key, or `SignatureAlgorithm ed25519-sha256` in opendkim.conf",
        )
    return (
        f"{key} is damaged, encrypted or no private key{fate}.",
        f"{openssl}; put back the right file, or make a new key: opendkim-genkey -b 2048 -d example.org -s selector",
    )


def key_weak(facts: Facts) -> Advice:
    bits, needed = facts.number("too small ("), facts.number("need at least ")
    size = f" ({bits} bits, {needed} needed)" if bits is not None and needed is not None else ""
    return (
        f"{facts.name or 'A private key'} is too short{size}{facts.fate('its mail is rejected rather than sent unsigned')}.",
        "opendkim-genkey -b 2048 -d example.org -s newselector -D /etc/dkimkeys; publish newselector.txt in DNS; put it"
        f" into KeyTable; {RELOAD}",
    )


def key_other(facts: Facts) -> Advice:
    key = facts.name or "A key"
    if facts.says("Not a regular file"):
        return (
            f"{key} is not a file{_for_mail(facts)}",
            f"ls -ld {facts.path}; let KeyTable or KeyFile name the key itself; {RELOAD}",
        )
    if facts.says("Not a directory", "symbolic links"):
        return (
            f"The path {key} leads nowhere ({cut(facts.cause, 40)}){_for_mail(facts)}",
            f"namei -l {facts.path}; correct the path in KeyTable; {RELOAD}",
        )
    if facts.says("default"):
        return (
            f"KeyFile and Selector do not give a key to sign with{facts.fate('mail is deferred')}.",
            f"grep -nE 'KeyFile|Selector|Domain' /etc/opendkim.conf; set all three; {RESTART}",
        )
    look = f"ls -l {facts.path}; " if facts.path != "PATH" else ""
    return (
        f"{key} could not be used{_for_mail(facts)}",
        f"{look}{testkey(facts.subject)}; the OpenDKIM line before it says why; {JOURNAL}",
    )
