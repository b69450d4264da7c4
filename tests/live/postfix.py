"""Postfix with a configuration and a queue of its own; one start serves many scenarios."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping
from itertools import product
from pathlib import Path

from .namespace import Namespace
from .opendkim import ENDPOINT

OUT = ("127.0.0.1", 10027)
SINK = ("203.0.113.25", 25)
MILTER = f"inet:{ENDPOINT[0]}:{ENDPOINT[1]}"
MAIN = {
    "compatibility_level": "3.6",
    "myhostname": "mx.example.org",
    "mydestination": "mx.example.org localhost",
    "mynetworks": "127.0.0.0/8 10.0.0.0/24",
    "inet_interfaces": "127.0.0.1 192.0.2.10",
    "inet_protocols": "ipv4",
    "alias_maps": "hash:/etc/postfix/aliases",
    "alias_database": "hash:/etc/postfix/aliases",
    "virtual_mailbox_domains": "example.org",
    "virtual_mailbox_base": "/var/mail",
    "virtual_mailbox_maps": "static:all/",
    "virtual_uid_maps": "static:65534",
    "virtual_gid_maps": "static:65534",
    "relayhost": f"[{SINK[0]}]:{SINK[1]}",
    "smtp_host_lookup": "native",
    "smtpd_relay_restrictions": "permit_mynetworks permit_sasl_authenticated reject_unauth_destination",
    "smtpd_sasl_type": "dovecot",
    "smtpd_sasl_path": "/run/auth",
    "smtpd_milters": MILTER,
    "non_smtpd_milters": "$smtpd_milters",
    "milter_default_action": "accept",
    "milter_connect_timeout": "2s",
    "milter_command_timeout": "2s",
    "milter_content_timeout": "2s",
    "in_flow_delay": "0",
    "service_throttle_time": "1s",
    "biff": "no",
    "smtputf8_enable": "yes",
    "recipient_delimiter": "+",
}
SUBMISSION = """submission inet n - n - - smtpd
  -o syslog_name=postfix/submission
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject
"""
MASTER = """smtp inet n - n - - smtpd
{submission}pickup unix n - n {pickup} 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
  -o syslog_name=postfix/$service_name
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
sinkhole unix - n n - - pipe
  flags=Rq user=nobody argv=/bin/cat
"""
ALIASES = """postmaster: boss@example.org
root: boss@example.org
away: friend@example.net
"""


class Postfix:
    """`configure` writes main.cf and master.cf and reloads only when they changed."""

    def __init__(self, namespace: Namespace, root: Path):
        self._namespace, self._root = namespace, root
        self._written = ""
        self.spool = root / "spool"
        self._second: Path | None = None

    def start(self) -> None:
        """Write the default configuration and start."""
        for name in ("postfix-script", "post-install", "postfix-files", "dynamicmaps.cf"):
            source = Path("/etc/postfix", name)
            if source.exists():
                shutil.copy2(source, self._root / "postfix" / name)
        (self._root / "postfix/aliases").write_text(ALIASES)
        self._write({}, "")
        self._namespace.run("postalias", "/etc/postfix/aliases")
        self._namespace.run("postfix", "start")

    def second(self, milter: str) -> None:
        """Start an instance `postfix-out` that takes mail on OUT and relays it to the outside.

        milter: its smtpd_milters. `settle` waits for its queue too.
        """
        home = self._root / "run/out"
        for name in ("etc", "spool", "lib"):
            (home / name).mkdir(parents=True, exist_ok=True)
        shutil.chown(home / "lib", "postfix")
        for name in ("postfix-script", "post-install", "postfix-files", "dynamicmaps.cf"):
            shutil.copy2(self._root / "postfix" / name, home / "etc" / name)
        settings = {**MAIN, "multi_instance_name": "postfix-out", "queue_directory": "/run/out/spool",
                    "data_directory": "/run/out/lib", "mydestination": "", "virtual_mailbox_domains": "",
                    "smtpd_milters": milter}
        text = "".join(f"{name} = {value}\n" for name, value in settings.items())
        services = MASTER.format(pickup=60, submission="")
        files = {"main.cf": text, "master.cf": services.replace("smtp inet", f"{OUT[0]}:{OUT[1]} inet", 1)}
        for name, content in files.items():
            (home / "etc" / name).write_text(content)
            os.utime(home / "etc" / name, (time.time() - 60, time.time() - 60))
        self._namespace.run("postfix", "-c", "/run/out/etc", "start")
        self._second = home / "spool"

    def stop_second(self) -> None:
        """Stop `postfix-out`, if it runs."""
        if self._second is not None:
            self._namespace.run("postfix", "-c", "/run/out/etc", "stop", check=False)
            self._second = None

    def stop(self) -> None:
        """Stop through postfix(1)."""
        self._namespace.run("postfix", "stop", check=False)

    def _write(self, main: Mapping[str, str], master: str, pickup: int = 1) -> bool:
        settings = {**MAIN, **main}
        text = "".join(f"{name} = {value}\n" for name, value in settings.items())
        services = MASTER.format(pickup=pickup, submission=SUBMISSION)
        replaced = {tuple(line.split()[:2]) for line in master.splitlines() if not line[0].isspace()}
        kept, skip = [], False
        for line in services.splitlines():
            if not line[0].isspace():
                skip = tuple(line.split()[:2]) in replaced
            if not skip:
                kept.append(line)
        services = "\n".join(kept) + "\n" + master
        if text + services == self._written:
            return False
        (self._root / "postfix/main.cf").write_text(text)
        (self._root / "postfix/master.cf").write_text(services)
        # Postfix reads a file younger than a second again and again until it is older (util/dict.c).
        for name in ("main.cf", "master.cf"):
            os.utime(self._root / "postfix" / name, (time.time() - 60, time.time() - 60))
        self._written = text + services
        return True

    def configure(self, main: Mapping[str, str], master: str = "", pickup: int = 1) -> None:
        """main: settings over MAIN; master: services added, or put in place of those of the same name."""
        if self._write(main, master, pickup):
            self.reload()

    def reload(self) -> None:
        """postfix reload, then a moment for the old processes to go."""
        self._namespace.run("postfix", "reload")
        time.sleep(0.1)

    def files(self, *queues: str) -> list[str]:
        """Names of the queue files in these queues."""
        found = []
        spools = [spool for spool in (self.spool, self._second) if spool]
        for spool, queue in product(spools, queues):
            for _, _, names in os.walk(spool / queue):
                found += names
        return found

    def settle(self, *queues: str, seconds: float = 20) -> None:
        """Wait until no file is in these queues (by default: those of mail in motion)."""
        deadline, quiet = time.monotonic() + seconds, 0
        queues = queues or ("maildrop", "incoming", "active")
        while quiet < 3:
            quiet = 0 if self.files(*queues) else quiet + 1
            if time.monotonic() > deadline:
                raise RuntimeError(f"mail does not leave {queues}: {self.files(*queues)}")
            time.sleep(0.03)

    def empty(self) -> None:
        """Delete whatever a scenario left behind; pickup may have a file in hand, so look again."""
        everything = ("maildrop", "incoming", "active", "deferred", "hold")
        quiet = 0
        while quiet < 3:
            if self.files(*everything):
                self._namespace.run("postsuper", "-d", "ALL")
                quiet = 0
            else:
                quiet += 1
            time.sleep(0.02)
