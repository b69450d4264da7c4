"""OpenDKIM with a configuration, keys and tables of its own, started and ended as a scenario asks."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from pathlib import Path

from .dns import Dns
from .namespace import Namespace

ENDPOINT = ("127.0.0.1", 8891)
DEFAULTS = {
    "Syslog": "yes",
    "SyslogSuccess": "yes",
    "Mode": "sv",
    "Canonicalization": "relaxed/simple",
    "OversignHeaders": "From",
    "UserID": "opendkim",
    "UMask": "007",
    "Socket": f"inet:{ENDPOINT[1]}@{ENDPOINT[0]}",
    "PidFile": "/run/opendkim/opendkim.pid",
    "KeyTable": "/etc/dkimkeys/KeyTable",
    "SigningTable": "refile:/etc/dkimkeys/SigningTable",
    "InternalHosts": "/etc/dkimkeys/TrustedHosts",
    "ExternalIgnoreList": "/etc/dkimkeys/TrustedHosts",
    "Nameservers": "127.0.0.1",
}
# (name of the key, selector, domain, bits); the name is also the file's.
KEYS = (
    ("mx2026._domainkey.example.org", "mx2026", "example.org", 1024),
    ("second._domainkey.example.org", "second", "example.org", 1024),
    ("relay._domainkey.example.net", "relay", "example.net", 1024),
    ("weak._domainkey.example.org", "weak", "example.org", 512),
)


class OpenDkim:
    """One process at a time. Files lie in /etc/dkimkeys inside."""

    def __init__(self, namespace: Namespace, root: Path, dns: Dns):
        self._namespace, self._root = namespace, root
        self.keys, self.conf = root / "dkimkeys", root / "opendkim.conf"
        self._daemon: subprocess.Popen[bytes] | None = None
        self._made = root / "keys"
        self._dns = dns

    def make_keys(self) -> None:
        """Run opendkim-genkey once for each of KEYS."""
        self._made.mkdir()
        for name, selector, domain, bits in KEYS:
            work = self._made / name
            work.mkdir()
            options = ["-b", str(bits), "-d", domain, "-s", selector, "-D", str(work)]
            subprocess.run(["opendkim-genkey", *options], check=True, capture_output=True)

    def lay_out(self) -> None:
        """Good keys, tables and owners, whatever the last scenario did to them."""
        for path in self.keys.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        self._dns.records.clear()
        self._dns.broken.clear()
        self._dns.odd.clear()
        self._dns.silent = False
        for name, selector, domain, _ in KEYS:
            self.write(f"{selector}.private", (self._made / name / f"{selector}.private").read_text(), 0o600)
            record = (self._made / name / f"{selector}.txt").read_text()
            value = "".join(record.split('"')[1::2])
            self._dns.records[f"{selector}._domainkey.{domain}"] = value
        self.write("KeyTable", "".join(f"{name} {domain}:{selector}:/etc/dkimkeys/{selector}.private\n"
                                       for name, selector, domain, _ in KEYS))
        self.write("SigningTable", "*@example.org mx2026._domainkey.example.org\n")
        self.write("TrustedHosts", "127.0.0.1\nlocalhost\n10.0.0.0/24\n")

    def write(self, name: str, text: str, mode: int = 0o640) -> None:
        """Put a file into /etc/dkimkeys, owned by opendkim."""
        path = self.keys / name
        path.write_text(text)
        path.chmod(mode)
        shutil.chown(path, "opendkim", "opendkim")

    def configure(self, options: dict[str, str], text: str = "") -> dict[str, str]:
        """Write opendkim.conf: DEFAULTS changed by options, then text. Returns the settings."""
        settings = {**DEFAULTS, **options}
        lines = "".join(f"{name} {value}\n" for name, value in settings.items() if value)
        self.conf.write_text(lines + text)
        self.conf.chmod(0o644)
        return settings

    def start(self, options: dict[str, str] | None = None, wait: bool = True) -> None:
        """Start with DEFAULTS changed by options ("" leaves a setting out); wait until it listens."""
        settings = self.configure(options or {})
        if self._namespace.pids("opendkim"):
            raise RuntimeError("an opendkim is still there")
        self._daemon = self._namespace.popen("opendkim", "-f", "-x", "/etc/opendkim.conf")
        deadline = time.monotonic() + 10
        while wait and not self._listens(settings["Socket"]):
            if time.monotonic() > deadline or self._daemon.poll() is not None:
                raise RuntimeError("opendkim did not start")
            time.sleep(0.02)

    def _listens(self, endpoint: str) -> bool:
        if not endpoint.startswith("inet:"):
            return (self._root / "run/opendkim/opendkim.sock").is_socket()
        with self._namespace.socket() as probe:
            return probe.connect_ex(ENDPOINT) == 0

    def signal(self, name: str, which: int = 0) -> None:
        """TERM, KILL, STOP, CONT, USR1 or SEGV to the process, or with AutoRestart to its child (which=1).

        After TERM and KILL, wait for the end.
        """
        if self._daemon is None:
            return
        pids = self._namespace.pids("opendkim")
        self._namespace.kill(pids[which], name)
        # nsenter stops itself along with its child.
        if name in ("CONT", "KILL"):
            self._daemon.send_signal(signal.SIGCONT)
        if name in ("TERM", "KILL", "SEGV", "ABRT") and not which:
            self._ended()

    def crash_child(self) -> None:
        """With AutoRestart: SEGV to the child; wait until the parent has made another, or is gone too."""
        before = self._namespace.pids("opendkim")
        self._namespace.kill(before[-1], "SEGV")
        deadline = time.monotonic() + 10
        while self._namespace.pids("opendkim") == before or len(self._namespace.pids("opendkim")) == 1:
            if time.monotonic() > deadline:
                raise RuntimeError("the child does not die")
            time.sleep(0.02)
        while self._namespace.pids("opendkim") and not self._listens(DEFAULTS["Socket"]):
            if time.monotonic() > deadline:
                raise RuntimeError("the next child does not listen")
            time.sleep(0.02)

    def wait(self) -> None:
        """Wait until it has ended by itself."""
        self._ended()

    def _ended(self) -> None:
        if self._daemon is not None:
            self._daemon.wait(15)
        self._daemon = None
        for stale in (self._root / "run/opendkim").iterdir():
            stale.unlink()

    def reset(self) -> None:
        """End it at once, without a line in the log, and any child of it."""
        for pid in self._namespace.pids("opendkim"):
            self._namespace.kill(pid, "KILL")
        if self._daemon is not None:
            self._daemon.send_signal(signal.SIGCONT)
        self._ended()
