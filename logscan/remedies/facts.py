"""What the texts about faults are made of: a fault's facts, its subject made fit for a sentence and for a command.

A subject is text of the log, which anybody may have written: in a command it is quoted for the shell, and one that
is no plain path is not put there at all.
"""

from __future__ import annotations

import re
import shlex

from logscan.model import Fault

Advice = tuple[str, str]  # (meaning, fix)

MEANING_LENGTH = 200
FIX_LENGTH = 300
WHOLE_LENGTH = 450  # of a meaning with what the fault did and why it began
_SHOWN = 60  # characters of a subject in a sentence
_QUOTED = 70  # characters of a subject in a command; a longer one is left out, never cut

JOURNAL = "journalctl -u opendkim -n 50"
CHECK = "opendkim -n -x /etc/opendkim.conf"
RESTART = "systemctl restart opendkim"
RELOAD = "systemctl reload opendkim"

DATASET = re.compile(r"(?:re)?file:(/.*)\Z")
INET = re.compile(r"inet6?:(?P<host>\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z.-]+):(?P<port>[0-9]{1,5})\Z")
UNIX = re.compile(r"(?:unix|local):(?P<path>.+)\Z")
PLAIN_PATH = re.compile(r"/[0-9A-Za-z_./-]{1,60}\Z")
CONN = re.compile(r"inet6?:(?P<port>[0-9]{1,5})(?:@.*)?\Z")
KEY_NAME = re.compile(r"(?P<selector>[0-9A-Za-z_.-]{1,60}?)\._domainkey\.(?P<domain>[0-9A-Za-z.-]{1,60})\Z")
DOMAIN = re.compile(r"(?=.{1,50}\Z)[0-9A-Za-z_](?:[0-9A-Za-z_-]*[0-9A-Za-z_])?(?:\.[0-9A-Za-z_-]+)+\Z")
ADDRESS = re.compile(r"(?=.{2,45}\Z)(?:[0-9]+(?:\.[0-9]+){3}|[0-9A-Fa-f]*:[0-9A-Fa-f:.]*)\Z")
NUMBER = re.compile(r"[0-9]{1,10}")


class Facts:
    """A fault as its texts need it: `name` in a sentence, `path` in a command, `said` by its last line."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.take(fault.subject)
        self.said = fault.lines[-1].decode("utf-8", "backslashreplace").rstrip(" ]") if fault.lines else ""
        self.cause = self.said.rpartition(": ")[2]
        # At a start OpenDKIM speaks to standard error, or to syslog before it has its pid; at a reload it runs.
        self.reload = "opendkim[" in self.said and " opendkim: " not in self.said
        self.again = RELOAD if self.reload else RESTART

    def take(self, subject: str) -> None:
        """Speak of this subject."""
        self.subject = subject
        self.name = shown(subject)
        self.path = argument(subject)

    @property
    def so(self) -> str:
        """What a broken setting or table comes to."""
        if self.reload:
            return "The reload failed: OpenDKIM runs on with what it had, and would not start with this."
        return "OpenDKIM does not start."

    def fate(self, words: str) -> str:
        """What becomes of mail by default, after a semicolon; "" where the log has told what became of it."""
        return "" if self.fault.effects else f"; {words}"

    def says(self, *words: str) -> bool:
        """True when the line holds one of these."""
        return any(word in self.said for word in words)

    def after(self, words: str, end: str = "") -> str:
        """What follows the words in the line, up to `end`; "" without them."""
        rest = self.said.partition(words)[2]
        return rest.partition(end)[0] if end else rest

    def number(self, words: str) -> int | None:
        """The number right after the words."""
        found = NUMBER.match(self.after(words))
        return int(found[0]) if found is not None else None


def cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 3] + "..."


def shown(subject: str, default: str = "") -> str:
    """A subject in a sentence: in quotes as soon as it is more than one plain word, so that it ends visibly."""
    if not subject:
        return default
    quoted = shlex.quote(cut(subject, _SHOWN))
    return quoted if len(quoted) <= _SHOWN + 12 else "that name"


def argument(path: str, default: str = "PATH") -> str:
    """A path as one word of a shell command. What is no absolute path in print (an option, a control character), or
    too long to be shown whole, is not put into a command: the default stands for it.
    """
    quoted = shlex.quote(path)
    return quoted if path.startswith("/") and path.isprintable() and len(quoted) <= _QUOTED else default


def testkey(name: str) -> str:
    """The command that compares a key with what DNS has: of one key when the name tells, else of all."""
    found = KEY_NAME.match(name)
    if found is None or found["domain"].startswith("-") or found["selector"].startswith("-"):
        return "opendkim-testkey -x /etc/opendkim.conf -vvv"
    return f"opendkim-testkey -d {shlex.quote(found['domain'])} -s {shlex.quote(found['selector'])} -vvv"


def about(facts: Facts) -> str:
    return f" ({facts.name})" if facts.name else ""
