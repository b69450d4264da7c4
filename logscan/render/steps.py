"""A fix in its steps, so that each command stands whole on a line of its own and can be pasted."""

from __future__ import annotations

import re

# A text of advice is sentences and commands, parted by semicolons, colons and full stops.
_PROGRAMS = (
    r"adduser|apt-get|awk|chgrp|chmod|chown|coredumpctl|df|dig|dmesg|dnf|for|free|getent|grep|id|if \[|install -d"
    r"|journalctl|kill|ls|mkdir|mv|namei|opendkim(?:-genkey|-testkey)?|openssl|postconf|postfix|postmap|postsuper|restorecon|rm"
    r"|sestatus|ss|stat|systemctl|touch|ulimit|usermod"
)
_COMMAND = re.compile(rf"(?:{_PROGRAMS}|[a-z]=\S+;)(?= |\Z)")
_BREAK = re.compile("; |: |[.] ")
_BLOCKS = {"for ": "done", "if [": "fi"}
# A command in a sentence: "postconf -n | grep milter lists them".
_SENTENCE = re.compile(r" (?:shows?|lists|tells?|says?|on the|in [a-z/]+\.c[fo]\w+|the|them|it|which|must)(?: |[.]?\Z)")
# Text of the log is quoted for the shell, or stands in backquotes.
_QUOTED = re.compile(r"""(?<![^\s=(])(['"`])(.*?)\1""", re.DOTALL)


def steps(text: str) -> list[tuple[str, bool]]:
    """The parts of a fix in order: (text, whether it is a command).

    A text whose quotes hold what looks like the end of a part is left as it is: nothing that a stranger wrote may
    come to stand at the begin of a line as a command.

    >>> steps("chown opendkim:opendkim /k; chmod 600 /k. With SELinux also restorecon on it.")
    [('chown opendkim:opendkim /k', True), ('chmod 600 /k', True), ('With SELinux also restorecon on it.', False)]
    >>> steps("Make it: opendkim-genkey -b 2048; publish the .txt in DNS.")
    [('Make it:', False), ('opendkim-genkey -b 2048', True), ('publish the .txt in DNS.', False)]
    >>> steps("chmod 600 '/k; rm -rf /'")
    [("chmod 600 '/k; rm -rf /'", False)]
    """
    if "'\"'\"'" in text or any(_BREAK.search(quoted[2]) for quoted in _QUOTED.finditer(text)):
        return [(text, False)]
    parts: list[tuple[str, bool]] = []
    at = 0
    while at < len(text):
        command = _COMMAND.match(text, at) is not None
        end, gap = _end(text, at, command)
        piece = text[at:end]
        command = command and _SENTENCE.search(piece) is None
        if not command:
            piece += "" if gap == "; " else gap.rstrip()
            if parts and not parts[-1][1]:
                before = parts.pop()[0]
                piece = f"{before}{' ' if before.endswith(('.', ':')) else '; '}{piece}"
        parts.append((piece, command))
        at = end + len(gap)
    return parts


def _end(text: str, at: int, command: bool) -> tuple[int, str]:
    """Where the part that begins at `at` ends, and what parts it from the next."""
    begin = at
    if command:
        word = next((word for first, word in _BLOCKS.items() if first in text[at : at + 60]), None)
        closed = re.search(rf"\b{word}\b", text[at:]) if word is not None else None
        begin += closed.end() if closed is not None else 0
    for found in _BREAK.finditer(text, begin):
        if command and found[0] != ": ":
            return found.start(), found[0]
        if not command and _COMMAND.match(text, found.end()):
            return found.start(), found[0]
    return len(text), ""
