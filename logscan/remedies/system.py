"""Advice on the rest: what is not logged, DNS, resources, the library, gaps in the log."""

from __future__ import annotations

import re
import shlex

from logscan.remedies.facts import CHECK, JOURNAL, RELOAD, RESTART, Advice, Facts, about, argument, cut

NOT_LOGGING: Advice = (
    "OpenDKIM runs but does not log its signatures, so the log cannot tell.",
    f"Put `SyslogSuccess yes` into /etc/opendkim.conf; {RESTART}. Or let Postfix log them: milter_header_checks ="
    " regexp:/etc/postfix/dkim_log in main.cf, with the line /^DKIM-Signature:/ INFO in that file.",
)


def not_logging(facts: Facts) -> Advice:
    return NOT_LOGGING


def dns(facts: Facts) -> Advice:
    if facts.says("trust anchor", "TrustAnchor", "access()") or (facts.subject and facts.says(".key: ")):
        return (
            f"OpenDKIM cannot use the DNSSEC trust anchor {facts.name or '(TrustAnchorFile)'}.",
            f"apt-get install dns-root-data; grep -i TrustAnchorFile /etc/opendkim.conf; ls -l {facts.path}; {RESTART}",
        )
    if facts.subject == "resolver":
        return (
            "No name server answered OpenDKIM about the keys of several domains in a row: incoming signatures cannot be"
            " checked. Signing needs no DNS.",
            "cat /etc/resolv.conf; grep -i Nameservers /etc/opendkim.conf; dig +short TXT selector._domainkey.example.org;"
            " see that the name server runs and port 53 is open",
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
        f"OpenDKIM's resolver does not start or fails{about(facts)}: {cut(facts.cause, 60) or 'no cause is given'}.",
        f"cat /etc/resolv.conf; dig +short TXT selector._domainkey.example.org; {RESTART}",
    )


def resource(facts: Facts) -> Advice:
    if facts.says("Too many open files", "FD_SETSIZE", "accept()", "close-on-exec"):
        return (
            "OpenDKIM ran out of open files.",
            f"systemctl edit opendkim, with the lines [Service] and LimitNOFILE=8192; {RESTART}. Count them:"
            " ls /proc/$(pidof -s opendkim)/fd | wc -l",
        )
    if facts.says("No space left", "Disk quota"):
        return "A disk is full, so OpenDKIM cannot write its working files.", "df -h; df -i; make room on /tmp and /var"
    if facts.says("temporary file", "mkstemp()"):
        path = argument(facts.subject, "/tmp")
        return (
            f"OpenDKIM cannot make its working file{about(facts)}: {cut(facts.cause, 60)}.",
            f"ls -ld {path}; make TemporaryDirectory exist, writable for user opendkim; df -h {path}",
        )
    if facts.says("fopen()"):
        return (
            f"OpenDKIM cannot write {facts.name or 'a file'}: {cut(facts.cause, 60)}. Mail is signed all the same.",
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
        f"OpenDKIM lacks something of the system{about(facts)}: {cut(facts.cause, 80) or 'not said what'}.",
        f"free -m; df -h; {JOURNAL}; {RESTART}",
    )


def library(facts: Facts) -> Advice:
    if facts.says("incompatible SSL", "version mismatch", "without rsa-sha256", "crypto library"):
        return (
            "OpenDKIM does not fit the libraries that are installed.",
            "opendkim -V; ldd $(command -v opendkim); install opendkim, libopendkim, libmilter and OpenSSL of one"
            " distribution.",
        )
    if facts.says("can't configure DKIM library"):
        # A start that fails has this in the log, too.
        facts.reload = facts.says("; continuing")
        again = RELOAD if facts.reload else RESTART
        if facts.says("failed to set DKIM library options"):
            return (
                f"The DKIM library refuses a list of headers in opendkim.conf. {facts.so}",
                "grep -niE 'signheaders|omitheaders|mustbesigned' /etc/opendkim.conf; correct the list (names of headers,"
                f" with commas between); {again}",
            )
        reason = facts.after("DKIM library: ", "; continuing") or facts.cause
        return (
            f"The DKIM library refuses a setting: {cut(reason, 80)}. {facts.so}",
            f"Correct the setting in /etc/opendkim.conf that it names; {CHECK}; {again}",
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
        f"OpenDKIM's library failed: {cut(facts.cause, 80) or 'not said how'}.",
        f"{JOURNAL}; {RESTART}. If it comes back, update OpenDKIM and report the line.",
    )


def log_gap(facts: Facts) -> Advice:
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
