"""What can go wrong, as fields. `cli.py` alone turns them into words on standard error."""


class LogscanError(Exception):
    """Base of all errors that the command line reports as one line and status 2."""


class SourceError(LogscanError):
    """An input could not be read, or only in part.

    name: as given by the user or found by us. problem: what happened, in a few words.
    hint: what to do about it, or "".
    """

    def __init__(self, name: str, problem: str, hint: str = "") -> None:
        # `journal:` ends in a colon by itself.
        super().__init__(f"{name.removesuffix(':')}: {problem}" + (f"; {hint}" if hint else ""))
        self.name = name
        self.problem = problem
        self.hint = hint


class TimeError(LogscanError):
    """A word given as a time is none. option: the flag; text: the word; hint: what would work."""

    def __init__(self, option: str, text: str, hint: str) -> None:
        super().__init__(f"{option} {text!r}: not a time; {hint}")
        self.option = option
        self.text = text
        self.hint = hint


class UsageError(LogscanError):
    """Flags that do not go together, or a value that is not allowed. subject, problem, hint as in SourceError."""

    def __init__(self, subject: str, problem: str, hint: str = "") -> None:
        super().__init__(f"{subject}: {problem}" + (f"; {hint}" if hint else ""))
        self.subject = subject
        self.problem = problem
        self.hint = hint


class NotApartError(Exception):
    """A host is in two of the logs that were read apart, or one cannot be told without another: read them as one."""
