"""Make the sample logs anew: python examples/make_logs.py, as root, where the live tests run.

Real Postfix, OpenDKIM and rsyslog write every line (see tests/live). Only the stamps are changed: each act of
the story is moved to its hour. Queue IDs differ from run to run, so expect the counts to stay, not the bytes.
"""

from __future__ import annotations

import gzip
import re
import shutil
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from tests.live.register import NOT_IN_TABLE, SIGNED, failed  # noqa: E402
from tests.live.rig import APP, STRANGER, Lab, Rig, Scenario, wait  # noqa: E402
from tests.live.scenarios_inbound import inbound, receive  # noqa: E402

Act = tuple[str, Callable[[Lab], object]]
KEY = "mx2026.private"
DOWN = failed("connect-refused")


def shop(lab: Lab) -> None:
    lab.smtp(SIGNED, source=APP, sender="shop@example.org", to="ann@example.net", helo="app.example.org")


def ann(lab: Lab) -> None:
    lab.submit(SIGNED, sender="ann@example.org", to=["bob@example.net", "eve@example.com"])


def cron(lab: Lab) -> None:
    lab.sendmail(SIGNED, sender="backup@example.org", to="admin@example.net")


def newsletter(lab: Lab) -> None:
    lab.smtp(NOT_IN_TABLE, source=APP, sender="news@lists.example.net", to="eve@example.com")


def friend(lab: Lab) -> None:
    receive(lab, inbound("pass"), to="boss@example.org")


def stranger(lab: Lab) -> None:
    receive(lab, inbound("none"), selector=None, to="boss@example.org")


def scanner(lab: Lab) -> None:
    with lab.session(STRANGER, "client.example.com") as client:
        client.ehlo()


def nobody(lab: Lab) -> None:
    lab.smtp(SIGNED, source=APP, sender="shop@example.org", to="nobody@example.net")


def stop(lab: Lab) -> None:
    lab.opendkim.signal("TERM")


def start(lab: Lab) -> None:
    lab.opendkim.start({"LogWhy": "yes"})


def shop_unsigned(lab: Lab) -> None:
    with lab.session(APP) as client:
        for to in ("ann@example.net", "kim@example.com"):
            lab.send(client, *lab.mail(DOWN, sender="shop@example.org", to=to))


def ann_unsigned(lab: Lab) -> None:
    lab.submit(DOWN, sender="ann@example.org", to="bob@example.net")


def cron_unsigned(lab: Lab) -> None:
    lab.sendmail(DOWN, sender="backup@example.org", to="admin@example.net")


def hide_key(lab: Lab) -> None:
    shutil.chown(lab.opendkim.keys / KEY, "root", "root")
    lab.smtp(failed("key", "tempfailed"), source=APP, sender="shop@example.org", to="ann@example.net")


def cron_waits(lab: Lab) -> None:
    lab.sendmail(SIGNED, sender="backup@example.org", to="admin@example.net")
    wait(lambda: b"backup" in lab.rig.syslog.read()[-900:])


def pickup(lab: Lab) -> None:
    lab.pickup()


def show_key(lab: Lab) -> None:
    shutil.chown(lab.opendkim.keys / KEY, "opendkim", "opendkim")
    pickup(lab)


EARLIER: list[Act] = [
    ("2026-11-21 00:00:04", start), ("2026-11-21 02:15:00", cron), ("2026-11-21 07:41:22", shop),
    ("2026-11-21 08:20:10", ann), ("2026-11-21 08:58:47", friend), ("2026-11-21 10:31:02", newsletter),
    ("2026-11-21 13:12:40", shop), ("2026-11-21 15:50:33", scanner), ("2026-11-21 17:25:09", shop),
    ("2026-11-21 22:04:51", stranger), ("2026-11-22 02:15:00", cron),
]
LATER: list[Act] = [
    ("2026-11-22 09:12:13", shop), ("2026-11-22 18:44:58", friend), ("2026-11-23 02:15:00", cron),
    ("2026-11-23 07:52:16", shop), ("2026-11-23 08:30:41", ann), ("2026-11-23 09:00:02", newsletter),
    ("2026-11-23 09:47:20", stranger), ("2026-11-23 11:02:35", stop), ("2026-11-23 11:06:11", shop_unsigned),
    ("2026-11-23 11:15:00", cron_unsigned), ("2026-11-23 11:18:52", ann_unsigned),
    ("2026-11-23 11:24:30", start), ("2026-11-23 11:31:07", shop), ("2026-11-23 14:20:18", hide_key),
    ("2026-11-23 14:30:00", cron_waits), ("2026-11-23 14:31:00", pickup), ("2026-11-23 14:32:00", show_key),
    ("2026-11-23 14:40:26", shop), ("2026-11-23 16:05:55", nobody), ("2026-11-23 20:19:03", friend),
    ("2026-11-24 02:15:00", cron), ("2026-11-24 07:33:48", shop),
]
STAMP = re.compile(rb"^[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d", re.MULTILINE)


def moved(log: bytes, clock: str) -> bytes:
    """The lines of one act with the first at its clock and the rest as far behind as they were."""
    to, first = datetime.fromisoformat(clock), None
    year = str(to.year)

    def stamp(match: re.Match[bytes]) -> bytes:
        nonlocal first
        at = datetime.strptime(f"{year} {match[0].decode()}", "%Y %b %d %H:%M:%S")
        first = first or at
        moment: datetime = to + (at - first if at > first else timedelta())
        return f"{moment:%b} {moment.day:2d} {moment:%H:%M:%S}".encode()

    return STAMP.sub(stamp, log)


def play(lab: Lab) -> None:
    """Play both days and write the files."""
    lab.sink.refuse = lambda to: "550 5.1.1 no such user here" if to.startswith("nobody") else None
    for acts, write in ((EARLIER, write_rotated), (LATER, (HERE / "maillog").write_bytes)):
        told = b""
        for clock, act in acts:
            lab.rig.syslog.mark()
            offset = lab.rig.syslog.size()
            act(lab)
            if act not in (cron_waits, pickup):
                lab.settle()
            lab.rig.syslog.mark()
            told += moved(lab.rig.syslog.read(offset=offset), clock)
        write(told)


def write_rotated(log: bytes) -> None:
    """As logrotate leaves it on the morning of the 22nd."""
    (HERE / "maillog-20261122.gz").write_bytes(gzip.compress(log, mtime=0))


if __name__ == "__main__":
    with Rig() as rig:
        run = rig.run(Scenario("sample", play, opendkim=None, pickup=60))
    for sent in run.messages:
        if sent.expect.outcome == "signed" and sent.copies and not sent.signed():
            raise SystemExit(f"{sent.token} arrived without a signature")
