"""rsyslogd with one socket, /dev/log of the namespace, and files that the tests read."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from .namespace import Namespace

TEMPLATES = {"traditional": "RSYSLOG_TraditionalFileFormat", "rfc3339": "RSYSLOG_FileFormat"}


class Syslog:
    """`maillog` (mail.*), `messages` (everything else) and `all` (both, in order) under /var/log inside."""

    def __init__(self, namespace: Namespace, root: Path):
        self._namespace, self._root = namespace, root
        self._daemon: subprocess.Popen[bytes] | None = None
        self._marks = 0
        self._shape = ""

    def start(self, template: str = "traditional", repeated: bool = False) -> None:
        """Start, or start anew when the shape of the lines changes. repeated: fold equal lines."""
        shape = f"{template} {repeated}"
        if shape == self._shape:
            return
        self.stop()
        name = TEMPLATES[template]
        config = (
            'module(load="imuxsock" SysSock.Use="off")\n'
            'input(type="imuxsock" Socket="/dev/log" CreatePath="on" RateLimit.Interval="0")\n'
            f"$RepeatedMsgReduction {'on' if repeated else 'off'}\n"
            f"$ActionFileDefaultTemplate {name}\n"
            "local7.* /var/log/marks\n& stop\n"
            "*.* /var/log/all\n"
            "mail.* /var/log/maillog\n& stop\n"
            "*.* /var/log/messages\n"
        )
        (self._root / "postfix/rsyslog.conf").write_text(config)
        self._daemon = self._namespace.popen(
            "rsyslogd", "-n", "-f", "/etc/postfix/rsyslog.conf", "-i", "/run/rsyslogd.pid")
        deadline = time.monotonic() + 10
        while not self._alive():
            if time.monotonic() > deadline or self._daemon.poll() is not None:
                raise RuntimeError("rsyslogd did not start")
            time.sleep(0.02)
        self._shape = shape

    def _alive(self) -> bool:
        return self._namespace.run("test", "-S", "/dev/log", check=False).returncode == 0

    def stop(self) -> None:
        """Stop by its number; what it had received is written before it ends."""
        if self._daemon is None:
            return
        pid = int((self._root / "run/rsyslogd.pid").read_text())
        self._namespace.kill(pid, "TERM")
        self._daemon.wait(10)
        self._daemon, self._shape = None, ""

    def mark(self) -> None:
        """Return once everything logged before this call is in the files."""
        self._marks += 1
        text = f"mark-{self._marks}."
        self._namespace.run("logger", "-p", "local7.info", "-t", "live", text)
        marks, deadline = self._root / "log/marks", time.monotonic() + 10
        while not (marks.exists() and text.encode() in marks.read_bytes()):
            if time.monotonic() > deadline:
                raise RuntimeError("rsyslogd does not write")
            time.sleep(0.01)

    def size(self, name: str = "maillog") -> int:
        """Bytes in a file so far."""
        path = self._root / "log" / name
        return path.stat().st_size if path.exists() else 0

    def read(self, name: str = "maillog", offset: int = 0) -> bytes:
        """What a file holds from offset on."""
        path = self._root / "log" / name
        return path.read_bytes()[offset:] if path.exists() else b""
