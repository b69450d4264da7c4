"""Advice on OpenDKIM's life: starts, stops, crashes."""

from __future__ import annotations

from logscan.remedies.facts import CHECK, JOURNAL, RELOAD, RESTART, Advice, Facts, shown

_STATUS = {
    64: "its command line is wrong",
    65: "the account of UserID is missing",
    69: "its socket or something else that it needs is missing",
    70: "its library refused a setting",
    71: "the system refused it something",
    78: "its configuration is wrong",
}
_SIGNALS = {
    4: "an illegal instruction",
    6: "an internal check failed",
    7: "a bus error",
    9: "killed, often for lack of memory",
    11: "a segmentation fault",
}
_KERNEL = f"journalctl -k | grep -iE 'opendkim|out of memory'; {JOURNAL}"


def start_failed(facts: Facts) -> Advice:
    status = facts.number("exited with status ")
    if status is None:
        status = facts.number(" status=")
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
    if facts.says("invalid value for -", "invalid time value", "usage: opendkim", "invalid option", "requires an argument"):
        return (
            "OpenDKIM did not start: an option on its command line is wrong.",
            f"systemctl cat opendkim; correct ExecStart or /etc/default/opendkim; {RESTART}",
        )
    if facts.says("timed out"):
        return (
            "systemd ended OpenDKIM, since it did not tell in time that it runs: PidFile and the unit do not agree.",
            f"systemctl cat opendkim | grep PIDFile; grep -i PidFile /etc/opendkim.conf; both need one path; {RESTART}",
        )
    if status is not None:
        why = f": {_STATUS[status]}" if status in _STATUS else ""
        return (
            f"OpenDKIM ended with status {status}{why}.",
            f"{CHECK}; {JOURNAL}; then systemctl start opendkim",
        )
    about = f" ({facts.name})" if facts.name else ""
    return (
        f"OpenDKIM did not start{about}: mail goes out unsigned or waits.",
        f"{CHECK}; systemctl status opendkim; {JOURNAL}. The reason is often in the journal only, not in the mail log.",
    )


def stopped(facts: Facts) -> Advice:
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
        f"Nothing to do now. After a change of a table {RELOAD} is enough. So that mail waits while OpenDKIM is away:"
        " postconf -e milter_default_action=tempfail; postfix reload",
    )


def crashed(facts: Facts) -> Advice:
    if facts.says("OOM killer", "ut of memory", "oom-kill"):
        return (
            "The kernel killed OpenDKIM for lack of memory; the mail of that moment lost its milter.",
            f"free -m; systemctl show opendkim -p MemoryMax; {_KERNEL}. `Restart=on-failure` in the unit brings it back.",
        )
    if facts.says(" starting", "connect to Milter", "reply packet header"):
        return (
            "OpenDKIM started though nothing says that it had stopped: it crashed or was killed before.",
            f"{_KERNEL}. To have it come back by itself: AutoRestart yes in opendkim.conf.",
        )
    signal = facts.number("terminated with signal ")
    status = facts.number("exited with status ")
    if signal is None and facts.says("segfault", "dumped core", "traps: "):
        signal = 11
    if signal is None:
        signal = facts.number(" status=")
    if signal is not None:
        how = f"signal {signal}" + (f", {_SIGNALS[signal]}" if signal in _SIGNALS else "")
    else:
        how = f"status {status}" if status is not None else "it is not said how"
    again = " and was started again" if facts.says("restarting") else ""
    return (
        f"OpenDKIM crashed ({how}){again}; the mail of that moment lost its milter.",
        f"{_KERNEL}. Rows of SigningTable without a key name crash it: awk 'NF == 1' SigningTable must print nothing.",
    )


def restart_loop(facts: Facts) -> Advice:
    return (
        "OpenDKIM failed too often and is not started again: it stays down and nothing is signed.",
        f"{CHECK}; {JOURNAL}; repair what they name, then systemctl reset-failed opendkim; systemctl start opendkim",
    )


def started(facts: Facts) -> Advice:
    version = facts.after("OpenDKIM Filter v", " ")
    return f"OpenDKIM{' ' + shown(version) if version else ''} was started and listens.", "Nothing to do."
