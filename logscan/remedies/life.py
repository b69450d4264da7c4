"""Advice on OpenDKIM's life: starts, stops, crashes."""

from __future__ import annotations

from logscan.remedies.facts import CHECK, JOURNAL, RELOAD, RESTART, Advice, Facts, shown


def start_failed(facts: Facts) -> Advice:
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
        f"Nothing to do. After a change of a table {RELOAD} is enough and loses no mail.",
    )


def crashed(facts: Facts) -> Advice:
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


def restart_loop(facts: Facts) -> Advice:
    return (
        "OpenDKIM crashed too often and gave up: it stays down and nothing is signed.",
        f"Repair what the lines before it name ({JOURNAL}; {CHECK}), then systemctl start opendkim",
    )


def started(facts: Facts) -> Advice:
    version = facts.after("OpenDKIM Filter v", " ")
    return f"OpenDKIM{' ' + shown(version) if version else ''} was started and listens.", "Nothing to do."
