"""What the administrator reads about the reasons of messages: what they mean and what to do. Pure.

Of a fault `logscan.remedies` tells the same. A meaning is one sentence of at most 200 characters, a fix at most 300.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from logscan.model import Message
from logscan.remedies.facts import (
    ADDRESS,
    CHECK,
    DOMAIN,
    JOURNAL,
    KEY_NAME,
    MEANING_LENGTH,
    PLAIN_PATH,
    RELOAD,
    RESTART,
    Advice,
    shown,
    testkey,
)
from logscan.remedies.milters import no_connection
from logscan.remedies.system import NOT_LOGGING

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
    ("undecided", "success-not-logged"): ("signatures are not logged", *NOT_LOGGING),
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
    """The command to give for this very message; the general one where it does not tell more.

    The lines to add for mail that is unsigned are those of `change`.
    """
    general = explain(message.direction, message.outcome, message.reason)[1]
    special = _MESSAGES.get((message.outcome, message.reason or ""))
    return (special(message) if special is not None else "") or general


def _reach(message: Message) -> str:
    if not message.milter:
        return ""
    return no_connection(message.milter, (message.detail or "").rpartition(": ")[2])[1]


def _test_key(message: Message) -> str:
    name = (message.detail or "").partition("'")[2].rpartition("'")[0]
    if not KEY_NAME.match(name):
        return ""
    return f"The fault of key {shown(name)} says why. Afterwards: {testkey(name)}"


_MESSAGES: dict[tuple[str, str], Callable[[Message], str]] = {
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
    log_why: set to yes; None when not known. nothing_signed: no mail in the whole input was, nobody's.
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
    nothing_signed: bool = False


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
            f"Mode in opendkim.conf is {shown(setup.mode)}: OpenDKIM checks signatures and adds none.",
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
    return f"{setup.selector or 'SELECTOR'}._domainkey.{domain}", False


def _place(setting: str, setup: Setup, default: str = "") -> str:
    path = setup.paths.get(setting, "")
    return f"{setting} ({path})" if PLAIN_PATH.match(path) else default or setting


def _signing_lines(subjects: list[str], setup: Setup) -> Change:
    plain = setup.kinds.get("SigningTable", "refile") != "refile"
    lines, new = [], ""
    for domain in subjects:
        if not DOMAIN.match(domain):
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
    selector = setup.selector if _SELECTOR.match(setup.selector) else "SELECTOR"
    line = f"{selector}._domainkey.{domain} {domain}:{selector}:/etc/dkimkeys/{domain}/{selector}.private"
    place = f"/etc/dkimkeys/{domain}"
    make = f"install -d {place}; opendkim-genkey -b 2048 -d {domain} -s {selector} -D {place};"
    make += f" chown -R opendkim:opendkim {place}"
    return f"{make}; KeyTable: `{line}`; publish the .txt in DNS"


_SELECTOR = re.compile(r"[0-9A-Za-z_][0-9A-Za-z_.-]{0,40}\Z")


def _domain_lines(subjects: list[str], setup: Setup) -> Change:
    meaning = explain("outbound", "unsigned", "no-signing-domain")[0]
    if setup.domain and setup.kinds.get("Domain") == "csl":
        known = [domain for domain in subjects if DOMAIN.match(domain)]
        whole = f"Domain {', '.join([setup.domain, *known])}"
        if known and len(whole) <= MEANING_LENGTH:
            lines = [whole, *([""] * (len(subjects) - 1))]
            return Change("opendkim.conf", meaning, f"Set the line; {CHECK}; {RESTART}", lines)
    lines = [domain if DOMAIN.match(domain) else "" for domain in subjects]
    fix = f"Add them to the list after Domain in /etc/opendkim.conf, commas between; {CHECK}; {RESTART}"
    return Change("Domain in opendkim.conf", meaning, fix, lines)


def _client_lines(subjects: list[str], setup: Setup) -> Change:
    meaning = explain("outbound", "unsigned", "not-internal")[0]
    lines = [address if ADDRESS.match(address) else "" for address in subjects]
    fix = ""
    if not setup.paths.get("InternalHosts"):
        fix = "opendkim.conf needs `InternalHosts refile:/etc/opendkim/TrustedHosts`. "
    fix += "Add only what is yours; a whole network is one line, as 192.0.2.0/24. Keep 127.0.0.1 and ::1 in the file."
    fix += f" Then {RELOAD}"
    return Change(_place("InternalHosts", setup, "TrustedHosts"), meaning, fix, lines)


def _verified_lines(subjects: list[str], setup: Setup) -> Change:
    told = _client_lines(subjects, setup)
    if setup.nothing_signed and not setup.mode:
        return Change(
            "opendkim.conf",
            "OpenDKIM checked this outgoing mail instead of signing it, and signed none at all: its Mode may be v.",
            f"See Mode first: grep -i '^Mode' /etc/opendkim.conf; {RESTART}. If it contains s, OpenDKIM takes all"
            f" clients for strangers: {told.fix[0].lower()}{told.fix[1:]}",
            ["Mode sv"] * len(subjects),
        )
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
    never = [domain for domain in subjects if domain not in setup.senders and DOMAIN.match(domain)]
    fix = ""
    if setup.nothing_signed:
        fix = "No mail at all was signed in this log: look at Mode and at the tables first. "
    elif never:
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
