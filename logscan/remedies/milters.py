"""Advice on Postfix and its milter: what it cannot reach, and what answers it oddly."""

from __future__ import annotations

from logscan.remedies.facts import CONN, INET, JOURNAL, PLAIN_PATH, RESTART, UNIX, Advice, Facts, argument, shown
from logscan.remedies.outage import is_foreign, others


def who_listens(endpoint: str) -> str:
    """The command that shows what is at an endpoint of main.cf, or at a Socket of opendkim.conf."""
    found = INET.match(endpoint) or CONN.match(endpoint)
    if found is not None:
        return f"ss -ltnp | grep {found['port']}"
    name = endpoint.rpartition("/")[2]
    if PLAIN_PATH.match(f"/{name}") and ("/" in endpoint or UNIX.match(endpoint)):
        return f"ss -lxp | grep {name}"
    return "ss -lntxp"


def socket_line(endpoint: str) -> str:
    """The line of opendkim.conf that makes OpenDKIM listen where Postfix looks for it; "" when it cannot be told."""
    inet = INET.match(endpoint)
    if inet is not None:
        return f"Socket inet:{inet['port']}@{inet['host']}" if len(inet["host"]) <= 40 else ""
    unix = UNIX.match(endpoint)
    path = queue_path(unix["path"]) if unix is not None else ""
    return f"Socket local:{path}" if PLAIN_PATH.match(path) else ""


def queue_path(path: str) -> str:
    """Where a socket's path of main.cf is: a relative one is below the queue directory, an absolute one as well for
    a smtpd that runs chrooted (Debian's does), and else where it says.
    """
    return path if path.startswith("/") else "/var/spool/postfix/" + path


def unreachable(facts: Facts) -> Advice:
    if is_foreign(facts.fault):
        return others(facts, who_listens(facts.subject))
    return no_connection(facts.subject, facts.cause)


def no_connection(endpoint: str, cause: str) -> Advice:
    """endpoint: as in main.cf, "" when unknown. cause: the strerror text."""
    name = shown(endpoint, "its milter")
    cause = cause.lower()
    unix = UNIX.match(endpoint)
    path = argument(queue_path(unix["path"])) if unix is not None else "PATH"
    line = socket_line(endpoint)
    both = f"opendkim.conf needs `{line}`." if line else "Socket in opendkim.conf and smtpd_milters must agree."
    if "refused" in cause:
        return (
            f"Nobody listens on {name}: OpenDKIM is down or has another Socket.",
            f"systemctl status opendkim; {who_listens(endpoint)}. {both} Why it did not start is not in the mail log:"
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
            fix = f"See what forbids it (SELinux: ausearch -m avc -ts recent); {who_listens(endpoint)}"
        return f"Postfix may not open {name}: the socket or a directory above it is closed to user postfix.", fix
    if "timed out" in cause or "no route" in cause or "unreachable" in cause:
        return (
            f"Postfix got no connection to {name} in time: the host is away, a firewall drops it, or OpenDKIM hangs.",
            f"{who_listens(endpoint)} on the milter's host; check the firewall; systemctl status opendkim. The wait is"
            " milter_connect_timeout (30s).",
        )
    if "assign requested address" in cause and endpoint.startswith(("inet:[", "inet6:[")):
        return (
            f"Postfix does not speak IPv6 here, so it cannot reach {name}.",
            "postconf -e inet_protocols=all; systemctl restart postfix. Or let both sides use inet:127.0.0.1:8891",
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
        f"systemctl status opendkim; postconf -n | grep milter; {who_listens(endpoint)}. Start-up faults are in the"
        f" journal only: {JOURNAL}",
    )


def timeout(facts: Facts) -> Advice:
    if is_foreign(facts.fault):
        return others(facts, who_listens(facts.subject))
    limit = "milter_command_timeout (30s)"
    if facts.says("SMFIC_HEADER", "SMFIC_EOH", "SMFIC_BODY"):
        limit = "milter_content_timeout (300s)"
    return (
        f"{facts.name or 'The milter'} did not answer Postfix in time: it hangs, or waits for DNS or a database.",
        f"{JOURNAL}. Test the resolver: dig +short TXT selector._domainkey.example.org; then {RESTART}. Postfix waits"
        f" {limit}.",
    )


def lost(facts: Facts) -> Advice:
    if is_foreign(facts.fault):
        return others(facts, who_listens(facts.subject))
    return (
        f"{facts.name or 'The milter'} closed the connection in the middle of a mail: it crashed, was killed or was"
        " restarted.",
        f"journalctl -k | grep -iE 'opendkim|out of memory'; {JOURNAL}. To have it come back by itself: AutoRestart yes"
        " in opendkim.conf.",
    )


# What the first four bytes of an answer show of a service that is no milter.
_SERVICES = {"HTTP": "a web server", "220 ": "an SMTP server", "SSH-": "an SSH server", "prot": "Postfix itself"}


def protocol(facts: Facts) -> Advice:
    name = facts.name or "The milter"
    look = f"See who listens: {who_listens(facts.subject)}. Then postconf -n | grep milter"
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
    if facts.says("send milters", "receive milters", "milter receive failed"):
        return (
            "Postfix's own smtpd and cleanup did not pass the milter on, as when they are of two versions.",
            "postfix check; postfix stop; postfix start",
        )
    return (
        f"{name} answered what the milter protocol does not allow: a fault of it, or another service listens there.",
        look,
    )
