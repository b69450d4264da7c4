"""What a fault means and what to do about it: a text for each kind, by topic.

A meaning is a sentence of at most 200 characters, and where it is known why an outage began and what a fault did to
mail, a sentence for each more, 450 in all. A fix is at most 300.

Source: the lines of Postfix 2.6 to 3.12 and OpenDKIM 2.3 to 2.11, opendkim.conf(5), postconf(5), milter8.c.
"""

from __future__ import annotations

from collections.abc import Callable

from logscan.model import Fault
from logscan.remedies import keys, life, milters, outage, settings, system
from logscan.remedies.facts import FIX_LENGTH, MEANING_LENGTH, WHOLE_LENGTH, Advice, Facts


def advise(fault: Fault) -> Advice:
    """What a fault means and what to do about it, by its kind, its subject and its last line (contract §2).

    Returns (meaning, fix); ("", "") for a kind that is not known. Nothing is raised, whatever subject and lines.
    """
    write = _WORDS.get(fault.kind)
    if write is None:
        return "", ""
    facts = Facts(fault)
    meaning, fix = write(facts)
    if len(meaning) > MEANING_LENGTH or len(fix) > FIX_LENGTH:
        # Half a command is worse than one without the name.
        facts.take("")
        meaning, fix = write(facts)
    why = outage.because(fault)
    if why and fault.cause is not None:
        # Who knows the cause mends that, and need not look for it.
        fix = advise(fault.cause[0])[1]
    for more in (why, _spells(fault), outage.harm(fault)):
        if more and len(meaning) + 1 + len(more) <= WHOLE_LENGTH:
            meaning += f" {more}"
    return meaning, fix


def _spells(fault: Fault) -> str:
    return f"There were {fault.spells:,} outages in all." if fault.spells > 1 else ""


_WORDS: dict[str, Callable[[Facts], Advice]] = {
    "milter-unreachable": milters.unreachable,
    "milter-timeout": milters.timeout,
    "milter-lost": milters.lost,
    "milter-protocol": milters.protocol,
    "opendkim-start-failed": life.start_failed,
    "opendkim-stopped": life.stopped,
    "opendkim-crashed": life.crashed,
    "opendkim-restart-loop": life.restart_loop,
    "opendkim-started": life.started,
    "config": settings.config,
    "keytable": settings.keytable,
    "signingtable": settings.signingtable,
    "dataset": settings.dataset,
    "socket": settings.socket,
    "key-missing": keys.key_missing,
    "key-unreadable": keys.key_unreadable,
    "key-insecure": keys.key_insecure,
    "key-malformed": keys.key_malformed,
    "key-weak": keys.key_weak,
    "key-other": keys.key_other,
    "not-logging": system.not_logging,
    "dns": system.dns,
    "resource": system.resource,
    "library": system.library,
    "log-gap": system.log_gap,
}
