"""The texts about faults and reasons: all there, short enough, true to the line, and safe to paste."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from logscan.advice import REASONS, brief, explain, explain_message
from logscan.model import Fault, Message
from logscan.remedies import FIX_LENGTH, MEANING_LENGTH, advise

# The contract's words, §2 and §1.
KINDS = ["milter-unreachable", "milter-timeout", "milter-lost", "milter-protocol", "opendkim-start-failed", "opendkim-stopped", "opendkim-crashed", "opendkim-restart-loop", "opendkim-started", "config", "keytable", "signingtable", "dataset", "socket", "key-missing", "key-unreadable", "key-insecure", "key-malformed", "key-weak", "key-other", "not-logging", "dns", "resource", "library", "log-gap"]
CONTRACT_REASONS = {
    "unsigned": "no-signing-table-match no-signing-domain not-internal bad-from silent other",
    "milter-error": "connect-refused connect-timeout socket-missing permission-denied reply-timeout connection-lost"
    " protocol key internal other-milter",
    "fail": "bad-signature body-altered key-not-found key-unusable policy other",
    "undecided": "success-not-logged opendkim-absent log-gap in-transit",
}
PAIRS = [(outcome, reason) for outcome, reasons in CONTRACT_REASONS.items() for reason in reasons.split()]


def fault(kind: str, subject: str = "", *lines: str, **fields: Any) -> Fault:
    tag = "postfix/smtpd[7]" if kind.startswith("milter") else "opendkim[9]"
    logged = [f"Nov 23 10:00:00 mx {tag}: {line}".encode() for line in lines]
    return Fault(kind, fields.pop("severity", "error"), "mx", subject, 0, 0, 1, lines=logged, **fields)


def told(kind: str, subject: str = "", *lines: str, **fields: Any) -> tuple[str, str]:
    meaning, fix = advise(fault(kind, subject, *lines, **fields))
    assert 0 < len(meaning) <= MEANING_LENGTH, meaning
    assert 0 < len(fix) <= FIX_LENGTH, fix
    assert ".." not in meaning.replace("...", ""), meaning
    return meaning, fix


# Lines of the daemons, by the kind and the subject that they make: with words that meaning and fix must have.
SAMPLES = [
    ("milter-unreachable", "inet:127.0.0.1:8891", "warning: connect to Milter service inet:127.0.0.1:8891: Connection refused",
     "Nobody listens on inet:127.0.0.1:8891", "ss -ltnp | grep 8891|Socket inet:8891@127.0.0.1|journalctl -u opendkim"),
    ("milter-unreachable", "inet:[::1]:8891", "warning: connect to Milter service inet:[::1]:8891: Connection refused",
     "Nobody listens", "Socket inet:8891@[::1]"),
    ("milter-unreachable", "unix:opendkim/opendkim.sock",
     "warning: connect to Milter service unix:opendkim/opendkim.sock: No such file or directory",
     "no socket unix:opendkim/opendkim.sock", "Socket local:/var/spool/postfix/opendkim/opendkim.sock"),
    ("milter-unreachable", "unix:/run/opendkim/opendkim.sock",
     "warning: connect to Milter service unix:/run/opendkim/opendkim.sock: No such file or directory",
     "chrooted", "ls -l /run/opendkim/opendkim.sock"),
    ("milter-unreachable", "unix:/run/opendkim/opendkim.sock",
     "warning: connect to Milter service unix:/run/opendkim/opendkim.sock: Permission denied",
     "may not open", "usermod -aG opendkim postfix|UMask 007|namei -l /run/opendkim/opendkim.sock"),
    ("milter-unreachable", "inet:192.0.2.9:8891",
     "warning: connect to Milter service inet:192.0.2.9:8891: Connection timed out", "in time", "firewall"),
    ("milter-unreachable", "inet:nosuch.example.org:8891",
     "warning: connect to Milter service inet:nosuch.example.org:8891: Cannot assign requested address",
     "did not resolve", "inet:127.0.0.1:8891"),
    ("milter-unreachable", "unix:a", "message repeated 71 times: [ warning: connect to Milter service unix:a: Connection refused]",
     "Nobody listens on unix:a", "Socket local:/var/spool/postfix/a"),
    ("milter-timeout", "inet:127.0.0.1:8891",
     "warning: milter inet:127.0.0.1:8891: can't read SMFIC_BODYEOB reply packet header: Connection timed out",
     "in time", "milter_content_timeout"),
    ("milter-timeout", "inet:127.0.0.1:8891",
     "warning: milter inet:127.0.0.1:8891: can't read SMFIC_MAIL reply packet header: Connection timed out",
     "in time", "milter_command_timeout"),
    ("milter-lost", "inet:127.0.0.1:8891",
     "warning: milter inet:127.0.0.1:8891: can't read SMFIC_EOH reply packet header: Success",
     "closed the connection", "journalctl -k"),
    ("milter-protocol", "inet:127.0.0.1:80",
     "warning: milter inet:127.0.0.1:80: unreasonable packet length: 1213486160 > 1073741823",
     'a web server answered there (its first bytes are "HTTP")', "ss -ltnp | grep 80"),
    ("milter-protocol", "inet:127.0.0.1:25",
     "warning: milter inet:127.0.0.1:25: unreasonable packet length: 842149920 > 1073741823", "an SMTP server", "grep 25"),
    ("milter-protocol", "inet:127.0.0.1:22",
     "warning: milter inet:127.0.0.1:22: unreasonable packet length: 1397966893 > 1073741823", "an SSH server", "grep 22"),
    ("milter-protocol", "inet:127.0.0.1:99",
     "warning: milter inet:127.0.0.1:99: unreasonable packet length: 9999999999 > 1073741823", "no milter", "grep 99"),
    ("milter-protocol", "inet:", 'warning: Milter service needs transport:endpoint instead of "inet:"', "no endpoint",
     "inet:127.0.0.1:8891"),
    ("milter-protocol", "inet:127.0.0.1:8891",
     "warning: milter inet:127.0.0.1:8891: protocol version 9 conflict with MTA protocol version 6", "version",
     "milter_protocol=6"),
    ("opendkim-start-failed", "dkim", "no such user or uid 'dkim'", "no dkim, which UserID", "UserID opendkim"),
    ("config", "/run/opendkim/opendkim.pid",
     "can't write pid to /run/opendkim/opendkim.pid: No such file or directory", "PID|opendkim.pid",
     "install -d -o opendkim -g opendkim /run/opendkim"),
    ("opendkim-start-failed", "", "exited with status 78", "status 78: its configuration is wrong", "opendkim -n -x"),
    ("opendkim-start-failed", "", "opendkim: invalid value for -p", "command line", "ExecStart"),
    ("opendkim-stopped", "", "OpenDKIM Filter v2.11.0 terminating with status 71, errno = 12", "status 71", "start"),
    ("opendkim-crashed", "", "terminated with signal 11, restarting", "signal 11, a segmentation fault", "journalctl -k"),
    ("opendkim-crashed", "", "exited with status 69, restarting", "status 69", "journalctl -u opendkim"),
    ("opendkim-crashed", "", "OpenDKIM Filter v2.11.0 starting (args: -f)", "started though", "AutoRestart"),
    ("opendkim-restart-loop", "", "maximum restart rate exceeded", "too often and is not started", "systemctl start opendkim"),
    ("opendkim-started", "", "OpenDKIM Filter v2.11.0 starting (args: -f)", "OpenDKIM 2.11.0", "Nothing to do"),
    ("config", "/etc/opendkim.conf",
     "opendkim: /etc/opendkim.conf: configuration error at line 12: unrecognized parameter",
     "/etc/opendkim.conf is wrong at line 12: a misspelt", "sed -n 12p /etc/opendkim.conf|opendkim -n -x /etc/opendkim.conf"),
    ("config", "/etc/opendkim.conf",
     "/etc/opendkim.conf: configuration error at line 0: error reading configuration file", "cannot read", "ls -l"),
    ("config", "/etc/opendkim.conf", "/etc/opendkim.conf: use of SigningTable requires KeyTable",
     "SigningTable is set in /etc/opendkim.conf without a KeyTable", "Add `KeyTable /etc/opendkim/KeyTable`"),
    ("config", "/etc/opendkim.conf", "/etc/opendkim.conf: Domain requires KeyFile and Selector", "Domain", "KeyFile /etc/dkimkeys/mail.private"),
    ("config", "/etc/opendkim.conf", '/etc/opendkim.conf: illegal value for "Minimum"', "Minimum", "-i Minimum"),
    ("config", "/etc/opendkim.conf", '/etc/opendkim.conf: unknown mode "x"', "Mode", "s, v or sv"),
    ("config", "", "WARNING: symbol 'i' not available", "queue ID", "milter_end_of_header_macros"),
    ("config", "", "A1B2C3D4: dkimf_lua_screen_hook() failed: syntax error", "Lua", "PolicyScript"),
    ("keytable", "k1._domainkey.example.org", "KeyTable entry for 'k1._domainkey.example.org' corrupt",
     "k1._domainkey.example.org is not domain:selector:/path", "example.org:k1:/etc/dkimkeys/k1.private"),
    ("keytable", "k1", "key 'k1': dkimf_db_get(): Can't contact LDAP server", "k1", "KeyTable"),
    ("signingtable", "k9", "A1B2C3D4: signing table references unknown key 'k9'", "k9", "Add to KeyTable: `k9 "),
    ("signingtable", "", '/etc/opendkim.conf: could not find valid key record "" in KeyTable', "no key", "*@example.org"),
    ("dataset", "refile:/etc/opendkim/SigningTable",
     "/etc/opendkim.conf: refile:/etc/opendkim/SigningTable: dkimf_db_open(): No such file or directory",
     "does not exist", "ls -l /etc/opendkim/SigningTable"),
    ("dataset", "refile:/etc/opendkim/KeyTable",
     "/etc/opendkim.conf: refile:/etc/opendkim/KeyTable: dkimf_db_open(): Permission denied", "may not read",
     "chmod 640 /etc/opendkim/KeyTable"),
    ("dataset", "foo:/x", "/etc/opendkim.conf: foo:/x: dkimf_db_open(): Unknown database type", "type", "refile:"),
    ("dataset", "/etc/opendkim/keys.db", "/etc/opendkim.conf: /etc/opendkim/keys.db: dkimf_db_open(): Invalid argument",
     "no Berkeley DB", "refile:/path"),
    ("dataset", "db:/etc/opendkim/k.db", "/etc/opendkim.conf: db:/etc/opendkim/k.db: dkimf_db_open(): Is a directory",
     "cannot use db:/etc/opendkim/k.db: Is a directory", "ls -ld /etc/opendkim/k.db"),
    ("dataset", "memcache:x", "/etc/opendkim.conf: memcache:x: dkimf_db_open(): (null)", "prefix", "memcache:127.0.0.1/"),
    ("dataset", "odd:x", "/etc/opendkim.conf: odd:x: dkimf_db_open(): Bad message", "odd:x: Bad", "correct it in"),
    ("socket", "inet:8891@127.0.0.1",
     "OpenDKIM Filter: Unable to bind to port inet:8891@127.0.0.1: Address already in use", "another process",
     "ss -ltnp | grep 8891"),
    ("socket", "local:/run/opendkim/opendkim.sock",
     "OpenDKIM Filter: Unable to bind to port local:/run/opendkim/opendkim.sock: No such file or directory",
     "directory", "install -d -o opendkim -g opendkim -m 750 /run/opendkim"),
    ("socket", "", "opendkim: milter socket must be specified", "missing", "Socket inet:8891@127.0.0.1"),
    ("key-missing", "/etc/dkimkeys/mail.private",
     "can't load key from /etc/dkimkeys/mail.private: No such file or directory", "does not exist; mail that needs it",
     "opendkim-genkey -b 2048 -d example.org -s mail -D /etc/dkimkeys"),
    ("key-missing", "/etc/dkimkeys/mail.private", "opendkim: /etc/dkimkeys/mail.private: open(): No such file or directory",
     "does not start", "-s mail"),
    ("key-unreadable", "/etc/dkimkeys/mail.private", "can't load key from /etc/dkimkeys/mail.private: Permission denied",
     "may not read", "chown opendkim:opendkim /etc/dkimkeys/mail.private|chmod 600 /etc/dkimkeys/mail.private"),
    ("key-insecure", "k1", "k1: key data is not secure: /etc/dkimkeys/k1.private can be read or written by other users",
     "/etc/dkimkeys/k1.private", "chmod 600 /etc/dkimkeys/k1.private"),
    ("key-insecure", "k1", "k1: key data is not secure: /etc/dkimkeys can be read or written by other users",
     "/etc/dkimkeys", 'p=/etc/dkimkeys; if [ -d "$p" ]'),
    ("key-insecure", "k1", "k1: key data is not secure: /k/k1 is not owned by the executing uid (112) or the superuser",
     "/k/k1 belongs to neither", "chown opendkim:opendkim /k/k1"),
    ("key-insecure", "k1",
     'k1: key data is not secure: opendkim is in group 118 which has multiple users (e.g., "postfix")',
     "a directory above", "namei -l /etc/dkimkeys|chmod g-w"),
    ("key-insecure", "k1", 'k1: key data is not secure: /k/k1 is in group 118 which has multiple users (e.g. "postfix")',
     "/k/k1 is open to a group", "chmod 600 /k/k1"),
    ("key-insecure", "k1", "k1: key data is not secure: /k is writeable and owned by uid 7 which is not the executing uid"
     " (112) or the superuser", "the directory /k", "chown root /k"),
    ("key-insecure", "/k/mail.private", "opendkim: /etc/opendkim.conf: /k/mail.private can be read or written by other users",
     "does not start", "chmod 600 /k/mail.private"),
    ("key-insecure", "k1", "k1: key data is not secure", "k1", "chmod 600"),
    ("key-malformed", "", "A1B2C3D4: dkim_eom(): resource unavailable: PEM_read_bio_PrivateKey() failed", "damaged",
     "openssl pkey"),
    ("key-malformed", "", "A1B2C3D4: dkim_eom(): resource unavailable: d2i_PrivateKey_bio() failed", "KeyTable",
     "example.org:selector:/etc|openssl pkey"),
    ("key-malformed", "", "A1B2C3D4: dkim_eom(): resource unavailable: EVP_PKEY_get1_RSA() failed", "RSA", "ed25519"),
    ("key-weak", "",
     "A1B2C3D4: signature generation error: private key too small (512 bits, need at least 1024)",
     "512 bits, 1024 needed", "opendkim-genkey -b 2048"),
    ("key-other", "/etc/dkimkeys", "can't load key from /etc/dkimkeys: Not a regular file", "not a file", "ls -ld"),
    ("key-other", "/etc/dkimkeys/t/k", "can't load key from /etc/dkimkeys/t/k: Not a directory", "leads nowhere",
     "namei -l /etc/dkimkeys/t/k"),
    ("key-other", "k1._domainkey.example.org", "A1B2C3D4: error loading key 'k1._domainkey.example.org'", "k1",
     "opendkim-testkey -d example.org -s k1 -vvv"),
    ("key-other", "odd", "A1B2C3D4: error loading key 'odd'", "odd", "opendkim-testkey -x /etc/opendkim.conf -vvv"),
    ("not-logging", "opendkim", "", "does not log its signatures", "SyslogSuccess yes|milter_header_checks|INFO"),
    ("dns", "/usr/share/dns/root.key", "/etc/opendkim.conf: /usr/share/dns/root.key: No such file or directory",
     "trust anchor", "dns-root-data"),
    ("dns", "", "can't configure DKIM library: failed to set nameserver list", "Nameservers", "Nameservers 127.0.0.1"),
    ("dns", "", "can't initialize resolver: failed", "resolver", "resolv.conf"),
    ("resource", "", "OpenDKIM Filter: accept() returned invalid socket (Too many open files), try again", "open files",
     "LimitNOFILE"),
    ("resource", "", "malloc(): Cannot allocate memory", "memory", "free -m"),
    ("resource", "/var/tmp", "A1B2C3D4: dkim_eoh(): resource unavailable: can't create temporary file at /var/tmp:"
     " Permission denied", "/var/tmp", "ls -ld /var/tmp"),
    ("resource", "/tmp", "A1B2C3D4: dkim_eoh(): resource unavailable: can't create temporary file at /tmp: No space left"
     " on device", "disk is full", "df -h"),
    ("library", "", "opendkim: incompatible SSL versions (library = 0x30000000, filter = 10101)", "libraries", "opendkim -V"),
    ("library", "", "can't configure DKIM library: failed to set DKIM clock drift limit", "clock drift", "opendkim -n"),
    ("library", "", "can't configure DKIM library: failed to set DKIM library options", "list of headers", "omitheaders"),
    ("log-gap", "imjournal", "imjournal: 96124 messages lost due to rate-limiting", "journal", "Ratelimit.Interval"),
    ("log-gap", "imuxsock opendkim", "imuxsock lost 4 messages from pid 7 due to rate-limiting", "socket", "SysSock"),
    ("log-gap", "imudp", "imudp: 4 messages lost due to rate-limiting", "imudp", "RateLimit.Interval"),
    ("log-gap", "opendkim.service", "Suppressed 1523 messages from opendkim.service", "opendkim.service",
     "systemctl edit opendkim.service|LogRateLimitIntervalSec=0"),
    ("log-gap", "systemd-journald", "Forwarding to syslog missed 12 messages.", "rsyslog", "journal:"),
    ("log-gap", "/var/log/mail.log.2.gz", "", "/var/log/mail.log.2.gz is missing", "rotate"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "subject", "line", "meaning_has", "fix_has"), SAMPLES)
def test_advice_says_what_the_line_says(kind: str, subject: str, line: str, meaning_has: str, fix_has: str) -> None:
    meaning, fix = told(kind, subject, *([line] if line else []))
    assert any(part in meaning for part in meaning_has.split("|")), meaning
    for part in fix_has.replace(" | ", " \0 ").split("|"):
        assert part.replace("\0", "|") in fix, fix


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_short_texts_with_and_without_a_subject(kind: str) -> None:
    told(kind)
    for subject in ("inet:127.0.0.1:8891", "/etc/dkimkeys/mail.private", "k1._domainkey.example.org"):
        told(kind, subject, "no line that anybody knows")
    assert kind in {sample[0] for sample in SAMPLES}


def test_a_stop_that_was_followed_by_a_start_needs_nothing() -> None:
    line = "OpenDKIM Filter v2.11.0 terminating with status 0, errno = 0"
    assert "systemctl start" in told("opendkim-stopped", "", line, ongoing=True)[1]
    assert "Nothing to do" in told("opendkim-stopped", "", line)[1]


def test_an_insecure_key_says_whether_mail_was_signed() -> None:
    line = "k1: key data is not secure: /k/k1.private can be read or written by other users"
    assert "signed all the same" in told("key-insecure", "k1", line, severity="warning")[0]
    assert "OpenDKIM refuses it" in told("key-insecure", "k1", line)[0]


def test_start_up_faults_are_said_to_be_in_the_journal() -> None:
    for kind in ("milter-unreachable", "opendkim-start-failed"):
        meaning, fix = told(kind, "inet:127.0.0.1:8891")
        assert "journalctl -u opendkim" in fix
        assert "journal only" in fix


HOSTILE = [
    "/etc/x; rm -rf /",
    "/etc/$(reboot)/`id`",
    "/etc/it's; reboot '",
    "-R /",
    "/etc/a\nreboot\n",
    "/etc/\x1b[2J\u202ekey",
    "/" + "a" * 5000,
    "/" + "'" * 30,
    "'" * 5000,
    "inet:127.0.0.1:8891; reboot",
    "unix:/run/$(reboot)/s",
    "refile:/etc/x`reboot`",
    "$(reboot)._domainkey.example.org",
    "[bold]x[/bold]<b>",
    "=cmd|x",
]


def shows_unquoted(text: str, evil: str) -> bool:
    """True when a shell that is given the text would see the evil part outside of single quotes."""
    outside = "".join(text.split("'")[::2])
    return evil in outside


@pytest.mark.parametrize("subject", HOSTILE)
@pytest.mark.parametrize("kind", KINDS)
def test_a_hostile_subject_stays_in_quotes_and_in_bounds(kind: str, subject: str) -> None:
    lines = {line for other, _, line, _, _ in SAMPLES if other == kind}
    for line in sorted(lines) + [subject, f"{subject}: key data is not secure: {subject} is not owned by x"]:
        fix = told(kind, subject, line)[1]
        assert "\n" not in fix
        assert "\x1b" not in fix
        for evil in ("; rm", "; reboot", "$(reboot)", "`reboot`", "`id`"):
            assert evil not in subject or "'" in subject or not shows_unquoted(fix, evil), fix


@pytest.mark.parametrize("path", ["/etc/x; rm -rf /", "/etc/it's; reboot '", "/etc/$(reboot)/`id`"])
def test_a_path_is_one_word_for_the_shell(path: str) -> None:
    fix = told("key-unreadable", path, f"can't load key from {path}: Permission denied")[1]
    assert f"chmod 600 {shlex.quote(path)};" in fix
    chmod = fix.partition("; namei")[0].rpartition("; chmod")
    assert shlex.split(chmod[1] + chmod[2]) == [";", "chmod", "600", path]


@pytest.mark.parametrize("path", ["-R /", "relative/key", "/etc/a\nreboot\n", "/" + "a" * 5000])
def test_what_is_no_plain_path_is_not_put_into_a_command(path: str) -> None:
    fix = told("key-unreadable", path, f"can't load key from {path}: Permission denied")[1]
    assert "chmod 600 PATH" in fix


def test_odd_bytes_and_unknown_kinds_are_no_error() -> None:
    assert advise(fault("no-such-kind", "x")) == ("", "")
    for kind in KINDS:
        row = fault(kind, "\ufffd\x00")
        row.lines = [b"\xff\xfe\x00: : : ", b"", b"\xff" * 500]
        assert all(advise(row))


# --- reasons ---


def test_the_contracts_reasons_are_all_there() -> None:
    assert sorted(REASONS) == sorted(PAIRS)


@pytest.mark.parametrize(("outcome", "reason"), PAIRS)
def test_every_reason_has_short_texts(outcome: str, reason: str) -> None:
    meaning, fix = explain("inbound" if outcome == "fail" else "outbound", outcome, reason)
    assert 0 < len(meaning) <= MEANING_LENGTH
    assert 0 < len(fix) <= FIX_LENGTH
    assert 0 < len(brief(outcome, reason)) <= 30
    assert (meaning + fix).isascii()


def test_a_reason_names_the_line_to_change() -> None:
    table = explain("outbound", "unsigned", "no-signing-table-match")[1]
    assert "*@example.org mail._domainkey.example.org" in table
    assert "refile:" in table
    assert "InternalHosts" in explain("outbound", "unsigned", "not-internal")[1]
    silent = explain("outbound", "unsigned", "silent")[1]
    assert all(word in silent for word in ("LogWhy yes", "non_smtpd_milters", "Mode"))
    untold = explain("outbound", "undecided", "success-not-logged")[1]
    assert all(word in untold for word in ("SyslogSuccess yes", "milter_header_checks", "INFO"))


def test_what_is_well_needs_no_words() -> None:
    assert explain("outbound", "signed", None) == ("", "")
    assert explain("inbound", "none", None) == ("", "")
    assert brief("signed", None) == ""
    assert "--our-domain" in explain("unknown", "undecided", None)[1]


def message(outcome: str, reason: str, **fields: Any) -> Message:
    base: dict[str, Any] = {
        "host": "mx", "queue_ids": ["A1B2C3D4"], "first": 0, "last": 0, "direction": "outbound", "origin": "smtpd",
        "client": "app.example.net[192.0.2.7]", "sasl_username": None, "envelope_sender": "app@example.net",
        "envelope_recipients": [], "message_id": None, "outcome": outcome, "reason": reason, "effect": "sent",
        "signatures": [], "verified": [], "milter": None, "detail": None,
    }  # fmt: skip
    return Message(**(base | fields))


def test_a_milter_error_is_about_the_messages_own_milter_or_key() -> None:
    refused = message(
        "milter-error", "connect-refused", milter="inet:127.0.0.1:12301",
        detail="connect to Milter service inet:127.0.0.1:12301: Connection refused",
    )  # fmt: skip
    assert "ss -ltnp | grep 12301" in explain_message(refused)
    key = message("milter-error", "key", detail="error loading key 'k1._domainkey.example.net'")
    assert "opendkim-testkey -d example.net -s k1 -vvv" in explain_message(key)


@pytest.mark.parametrize(("outcome", "reason"), PAIRS)
@pytest.mark.parametrize("evil", ["a@$(reboot)", "a@x; reboot", "`reboot`", "x[`reboot`]", "@" * 3000, "", "\n", "a@.b"])
def test_a_hostile_message_gets_the_general_advice(outcome: str, reason: str, evil: str) -> None:
    for fields in ({"detail": f"no signing table match for '{evil}'"}, {"detail": f"error loading key '{evil}'"}, {}):
        row = message(outcome, reason, envelope_sender=evil, client=evil, milter=evil, **fields)
        fix = explain_message(row)
        assert 0 < len(fix) <= FIX_LENGTH
        assert not shows_unquoted(fix.replace("`", " "), "reboot")
        assert fix == explain_message(row)
