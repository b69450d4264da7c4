"""What an outage or another fault did to the mail, why it began, and whose milter it was."""

from __future__ import annotations

import re

from logscan.model import Fault
from logscan.remedies.facts import UNIX, Facts, cut

# An effect (contract §1) in a sentence, after a number of messages.
_EFFECTS = {
    "sent": "sent unsigned",
    "deferred": "deferred",
    "tempfailed": "refused for now (4xx)",
    "rejected": "rejected (5xx)",
    "bounced": "returned to the sender",
    "held": "held",
    "discarded": "discarded",
    "in-transit": "still on the way",
}
# Other milters by a word of their socket's path, or by the port that they take by default.
_OTHERS = {"opendmarc": "opendmarc", "rspamd": "rspamd", "clamav": "clamav-milter", "clamsmtp": "clamav-milter",
           "amavis": "amavis", "spamass": "spamass-milter", "openarc": "openarc", "milter-greylist": "milter-greylist"}  # fmt: skip
_PORTS = {"8893": "opendmarc", "11332": "rspamd", "7357": "clamav-milter"}
_PAYLOAD = re.compile(r" [^ :]{1,64}(?:\[[0-9]+\])?: (?:opendkim: )?(.*)\Z")


def harm(fault: Fault) -> str:
    """How many messages were hit, by what became of them: `2 messages: 1 sent unsigned, 1 held.`; "" for none."""
    effects = _EFFECTS
    if fault.kind.startswith("milter-"):  # incoming mail as well, which nobody signs
        effects = _EFFECTS | {"sent": "sent without it" if is_foreign(fault) else "sent without OpenDKIM"}
    parts = [f"{fault.effects[effect]:,} {words}" for effect, words in effects.items() if fault.effects.get(effect)]
    if not parts:
        return ""
    total = sum(fault.effects.values())
    return f"{total:,} message{'' if total == 1 else 's'}: {', '.join(parts)}."


def because(fault: Fault) -> str:
    """What OpenDKIM itself had to say when the outage began; "" where it said nothing."""
    if fault.cause is None or is_foreign(fault):
        return ""
    cause, line = fault.cause
    text = line.decode("utf-8", "backslashreplace")
    said = _PAYLOAD.search(text)
    when = "The last time " if fault.spells > 1 else ""
    if cause.kind == "opendkim-stopped":
        return f"{when}OpenDKIM had been stopped."
    if cause.kind == "opendkim-crashed":
        return f"{when}OpenDKIM had crashed."
    if cause.kind == "opendkim-restart-loop":
        return f"{when}OpenDKIM had failed too often and was not started again."
    return f'{when}OpenDKIM did not start: "{cut(said[1], 110) if said else cause.kind}".'


def is_foreign(fault: Fault) -> bool:
    """True when a failing milter is another one than OpenDKIM, as the log or its name tells."""
    return fault.foreign or other_name(fault.subject) != ""


def other_name(endpoint: str) -> str:
    """The service that an endpoint of main.cf is by its name, "" when that says nothing."""
    unix = UNIX.match(endpoint)
    if unix is None:
        return _PORTS.get(endpoint.rpartition(":")[2], "") if endpoint.startswith("inet") else ""
    path = unix["path"].lower()
    return next((service for word, service in _OTHERS.items() if word in path), "") if "opendkim" not in path else ""


def others(facts: Facts, look: str) -> tuple[str, str]:
    """Advice on a milter that is not OpenDKIM. look: the command that shows who listens there."""
    name, service = facts.name or "A milter", other_name(facts.subject)
    what = {
        "milter-unreachable": f"cannot be reached ({cut(facts.cause, 40)})",
        "milter-timeout": "did not answer Postfix in time",
        "milter-lost": "closed the connection in the middle of a mail",
    }.get(facts.fault.kind, "answered what no milter says")
    status = f"systemctl status {service}; " if service else ""
    return (
        f"{name}{f' ({service})' if service else ''} is another milter than OpenDKIM, and {what}.",
        f"{status}{look}; postconf -n | grep milter. What becomes of mail then is milter_default_action.",
    )
