
"""Write a realistic mail log of any length, with the truth about every message counted beside it.

    python tests/bench/generate.py --lines 1000000 --seed 7 --form traditional --long-ids --hosts 2 \
        --output big.log --truth big.json

The same arguments give the same bytes. Memory does not grow with the length of the log: what is kept is the
mail in flight and the counts. Stamps are UTC; the order of the lines is the order in which daemons write them.

Hosts differ, so that one log holds several kinds of evidence:

- even hosts: LogWhy yes, milter on TCP, milter_default_action=accept (an outage lets mail out unsigned);
- odd hosts: LogWhy no (what is not signed is silent), milter on a UNIX socket, tempfail (an outage refuses).

What is in it, as on a small provider's mail hosts (shares of the lines; measured on a million of them):

===================  ====  ==========================================================================
smtpd                22 %  strangers' sessions: connect, TLS, client, disconnect; rejects by DNSBL, HELO, recipient
qmgr                 16 %  active and removed, and again for every try of what is deferred
opendkim             13 %  signatures added, verifications, LogWhy's reasons, its own starts and stops
dovecot              11 %  IMAP logins and logouts, failed logins, LMTP's "saved mail"
submission/smtpd     10 %  users with SASL and TLS, and robots that guess passwords
cleanup               8 %  message-id, and a milter's failures and refusals
smtp                  8 %  deliveries, TLS, deferrals that end after up to six tries, bounces
postscreen            4 %  CONNECT, PREGREET, DNSBL rank, PASS OLD, DISCONNECT
lmtp, virtual         4 %  local deliveries
amavis, its smtpd     2 %  a fifth of the mail goes through a filter and comes back under another queue ID
anvil, pickup, ...    2 %  statistics, cron's mail, forwards, notifications, CRON, kernel, sshd, systemd, rspamd
===================  ====  ==========================================================================

Arrivals follow the hours of a working day. Now and then OpenDKIM is restarted, crashes for minutes, or misses a key.
--stuck leaves a share of the mail in the queue for good: for a look at memory, not for totals, since what is in transit
longer than a program remembers cannot be judged by it.

The truth (one JSON object) uses the words of the JSON report for outbound, inbound, bounce, unknown,
signatures, by_domain, by_signature, by_reason and by_hour, and adds:

- ``effects``: outbound messages by effect;
- ``not_mail``: queue IDs that never became mail (clients that vanished, address probes);
- ``refused_without_queue_id``: what a tempfail outage refused before a queue ID existed: ``sessions`` with a refused
  CONNECT, which are no mail, and the ``mail_commands`` refused in them or later, which are messages;
- ``rejects``, ``incidents``, ``legs``, ``lines``, ``arrivals_end`` and ``last`` (when the last mail came, and when
  the last line was written about what was still in the queue then; epoch seconds).

``by_hour`` has the hours with outgoing mail only. --messages writes the truth about each message as a line of JSON:
[host, queue ID of the first leg, time, direction, outcome, reason, effect].

Inbound ``unchecked`` is mail about which OpenDKIM logged nothing although it worked (LogWhy no): the log does not
say that there was no signature. It is never mixed with ``none``, where it says so. Forwarded to the outside, such
mail is ``unknown``: nothing tells whose it was.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from bisect import bisect_left
from collections import Counter
from contextlib import ExitStack
from heapq import heappop, heappush
from pathlib import Path
from typing import Any, BinaryIO, TextIO

sys.path.insert(0, str(Path(__file__).parent))

import world as w

SECOND = 1_000_000  # all times here are whole microseconds since the epoch
START = 1_780_290_000  # 2026-06-01 05:00:00 UTC
LINES_PER_ARRIVAL = 7.26  # measured on this mixture; turns --per-day into a rate of arrivals
FLUSH_AT = 20_000
PAD = 200

Pid = tuple[int, int, int, str]  # free again at, pid, sessions served, "host program[pid]: "
Incident = tuple[str, int, int, str]  # kind, start, end, domain whose key is missing


def key_of(domain: str) -> tuple[str, str] | None:
    """The key that mail from this domain is signed with first, None where there is none."""
    return w.SIGNED.get(domain, [None])[0]


class Pool:
    """The processes of one Postfix service on one host: each serves one session at a time, then another."""

    def __init__(self, host: Host, program: str) -> None:
        self.host = host
        self.program = program
        self.idle: list[Pid] = []

    def take(self, at: int) -> Pid:
        while self.idle and self.idle[0][0] <= at:
            free, pid, served, prefix = heappop(self.idle)
            if served < 100 and at - free < 100 * SECOND:  # max_use, max_idle
                return free, pid, served + 1, prefix
        pid = self.host.new_pid()
        return at, pid, 1, f"{self.host.name} {self.program}[{pid}]: "

    def give(self, process: Pid, until: int) -> None:
        heappush(self.idle, (until, *process[1:]))


class Host:
    """One mail server: its processes, inodes and incidents."""

    def __init__(self, index: int, rng: random.Random, long_ids: bool) -> None:
        self.rng = rng
        self.name = f"mx{index + 1}"
        self.fqdn = f"{self.name}.example.org"
        self.log_why = index % 2 == 0
        self.accepts = index % 2 == 0
        self.milter = "inet:localhost:8891" if index % 2 == 0 else "unix:opendkim/opendkim.sock"
        self.refusal = "Connection refused" if index % 2 == 0 else "No such file or directory"
        self.refusal_reason = "connect-refused" if index % 2 == 0 else "socket-missing"
        self.long_ids = long_ids
        self.last_pid = rng.randrange(1000, 30000)
        self.smtpd = Pool(self, "postfix/smtpd")
        self.submission = Pool(self, "postfix/submission/smtpd")
        self.reinject = Pool(self, "postfix/amavis/smtpd" if index % 2 == 0 else "postfix/smtpd")
        self.cleanup = Pool(self, "postfix/cleanup")
        self.qmgr = self.prefix("postfix/qmgr")
        self.pickup = self.prefix("postfix/pickup")
        self.anvil = self.prefix("postfix/anvil")
        self.postscreen = self.prefix("postfix/postscreen")
        self.bounce = self.prefix("postfix/bounce")
        self.amavis = self.prefix("amavis")
        self.opendkim = self.prefix("opendkim")
        self.smtp = [self.prefix("postfix/smtp") for _ in range(8)]
        self.lmtp = [self.prefix("postfix/lmtp") for _ in range(3)]
        self.local = [self.prefix("postfix/local") for _ in range(2)]
        self.virtual = [self.prefix("postfix/virtual") for _ in range(2)]
        self.freed: list[tuple[int, int, str]] = []
        self.inodes = 0x20000 + rng.randrange(0x60000)
        self.second = -1
        self.second_text = ""
        self.incident: Incident = ("none", 0, 0, "")
        self.begun = True

    def new_pid(self) -> int:
        self.last_pid += 1 + int(self.rng.random() * 3)
        if self.last_pid > 4_000_000:
            self.last_pid = 1000
        return self.last_pid

    def prefix(self, program: str) -> str:
        return f"{self.name} {program}[{self.new_pid()}]: "

    def open_id(self, at: int) -> tuple[str, tuple[int, str]]:
        """A queue ID for a file opened at `at`, and the inode to give back. A freed inode is used again."""
        if self.freed and self.freed[0][0] <= at:
            inode = heappop(self.freed)[1:]
        else:
            self.inodes += 1
            inode = (self.inodes, w.base51(self.inodes) if self.long_ids else f"{self.inodes:X}")
        second, micro = divmod(at, SECOND)
        if not self.long_ids:
            return f"{micro:05X}{inode[1]}", inode
        if second != self.second:
            self.second, self.second_text = second, w.base52(second, 6)
        return f"{self.second_text}{w.PAIRS[micro // 2704]}{w.PAIRS[micro % 2704]}z{inode[1]}", inode

    def close_id(self, inode: tuple[int, str], at: int) -> None:
        heappush(self.freed, (at + 1, *inode))


class Generator:
    """Makes arrivals in order of time; each writes all its lines into `pending`, which is flushed in order."""

    def __init__(self, *, lines: int, seed: int, form: str, long_ids: bool, hosts: int, per_day: int, output: BinaryIO,
                 messages: TextIO | None = None, stuck: float = 0.0):  # fmt: skip
        self.rng = random.Random(seed)
        self.random = self.rng.random
        self.bits = self.rng.getrandbits
        self.lines = lines
        self.rfc3339 = form == "rfc3339"
        self.output = output
        self.messages = messages
        self.stuck = stuck
        self.per_day = per_day
        self.hosts = [Host(n, self.rng, long_ids) for n in range(hosts)]
        self.pending: list[tuple[int, str]] = []
        self.add = self.pending.append
        self.written = 0
        self.stamp_second = -1
        self.stamp = ""
        self.day = -1
        self.day_text = ""
        self.delays = [self._delays() for _ in range(512)]
        # What is true, counted as it is made.
        self.by_reason: Counter[tuple[str, str, str | None]] = Counter()
        self.by_domain: Counter[tuple[str, str]] = Counter()
        self.by_hour: Counter[tuple[int, str]] = Counter()
        self.by_signature: Counter[tuple[str, str]] = Counter()
        self.effects: Counter[str] = Counter()
        self.other: Counter[str] = Counter()
        self.incidents: Counter[str] = Counter()

    def _delays(self) -> str:
        a, b, c, d = (round(self.rng.expovariate(k), 2) for k in (5.0, 50.0, 4.0, 3.0))
        return f"delay={a + b + c + d:.3g}, delays={a:.2g}/{b:.2g}/{c:.2g}/{d:.2g}"

    # -- the clock and the writing -------------------------------------------------------------------

    def run(self) -> None:
        """Write about `lines` lines; exactly as many unless the last arrivals had more to say."""
        at = START * SECOND
        for host in self.hosts:
            self.plan_incident(host, at)
        mean = self.per_day / LINES_PER_ARRIVAL / sum(w.DAY)  # arrivals per hour and unit of weight
        flush_at = FLUSH_AT
        pending, exponential, rand = self.pending, self.rng.expovariate, self.random
        kinds, count = self.kinds(), len(self.hosts)
        while self.written + len(pending) < self.lines - PAD:
            rate = mean * w.DAY[at // (3600 * SECOND) % 24]
            at += 1 + int(exponential(rate) * 3600 * SECOND)
            host = self.hosts[int(rand() * count)]
            if at >= host.incident[1]:
                self.step_incident(host, at)
            kinds[int(rand() * 128)](host, at)
            if len(pending) >= flush_at:
                self.flush(at)
                flush_at = len(pending) + FLUSH_AT
        for host in self.hosts:
            if not host.begun and host.incident[1] < at + 600 * SECOND:
                self.begin_incident(host)
        self.other["arrivals_end"] = at
        for n in range(self.lines - self.written - len(pending)):
            self.add((at + n * 50_000, f"{self.hosts[n % count].name} dovecot: master: Warning: time moved forwards by 0.1s"))
        self.flush(1 << 62)

    def kinds(self) -> list[Any]:
        """The mixture of arrivals, as 128 draws."""
        mixture: list[tuple[int, Any]] = [
            (14, self.submission), (6, self.from_app), (5, self.from_pickup), (29, self.from_internet),
            (13, self.reject), (10, self.prober), (7, self.postscreen_only), (36, self.imap), (4, self.anvil),
            (1, self.vanished), (3, self.odds),
        ]  # fmt: skip
        kinds = [kind for count, kind in mixture for _ in range(count)]
        assert len(kinds) == 128
        return kinds

    def flush(self, until: int) -> None:
        """Write what lies before `until`, in order; later lines stay."""
        pending = self.pending
        pending.sort()
        end = bisect_left(pending, (until,))
        parts: list[str] = []
        part = parts.append
        second, stamp = self.stamp_second, self.stamp
        for at, text in pending[:end]:
            if at // SECOND != second:
                second = at // SECOND
                stamp = self.stamp_of(second)
            if self.rfc3339:
                part(f"{stamp}{at % SECOND:06d}+00:00 {text}\n")
            else:
                part(f"{stamp}{text}\n")
        self.stamp_second, self.stamp = second, stamp
        self.output.write("".join(parts).encode("ascii"))
        self.written += end
        del pending[:end]

    def stamp_of(self, second: int) -> str:
        day, rest = divmod(second, 86400)
        if day != self.day:
            self.day = day
            moment = time.gmtime(second)
            if self.rfc3339:
                self.day_text = time.strftime("%Y-%m-%dT", moment)
            else:
                self.day_text = f"{time.strftime('%b', moment)} {moment.tm_mday:2d} "
        clock = f"{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}"
        return f"{self.day_text}{clock}{'.' if self.rfc3339 else ' '}"

    # -- incidents -----------------------------------------------------------------------------------

    def plan_incident(self, host: Host, after: int) -> None:
        """Choose what goes wrong next on this host: a restart, a crash, or a key file that vanished for a while."""
        hours = self.rng.uniform(0.5, 5.0) * min(1.0, self.per_day / 1_000_000)
        start = after + int(hours * 3600 * SECOND)
        kind = ("restart", "crash", "key")[int(self.random() * 3)]
        seconds = self.rng.uniform(*{"restart": (1, 4), "crash": (60, 700), "key": (400, 1500)}[kind])
        domain = "example.net" if self.random() < 0.5 else "example.org"
        host.incident = (kind, start, start + int(seconds * SECOND), domain)
        host.begun = False

    def step_incident(self, host: Host, at: int) -> None:
        if not host.begun:
            self.begin_incident(host)
        # Sessions that lost their milter may go on for minutes; the next one is hours away.
        if at > host.incident[2] + 1200 * SECOND:
            self.plan_incident(host, at)

    def begin_incident(self, host: Host) -> None:
        """Write the lines of OpenDKIM's own life; what Postfix and the messages log comes with the messages."""
        kind, start, end, _ = host.incident
        host.begun = True
        self.incidents[kind] += 1
        if kind == "key":
            return
        if kind == "restart":
            self.add((start, f"{host.opendkim}OpenDKIM Filter v2.11.0 terminating with status 0, errno = 0"))
        host.opendkim = host.prefix("opendkim")
        self.add((end, f"{host.opendkim}OpenDKIM Filter v2.11.0 starting (args: -x /etc/opendkim.conf)"))

    def milter_down(self, host: Host, at: int) -> bool:
        kind, start, end, _ = host.incident
        return start <= at < end and kind != "key"

    def near_incident(self, host: Host, at: int) -> bool:
        _, start, end, _ = host.incident
        return start - 90 * SECOND < at < end + 90 * SECOND

    # -- counting ------------------------------------------------------------------------------------

    def count(self, host: Host, qid: str, at: int, direction: str, outcome: str, reason: str | None, effect: str,
              domain: str = "") -> None:  # fmt: skip
        """One message, by the contract's words. qid: of its first leg, "" where it never had one. domain: the sender's."""
        self.by_reason[direction, outcome, reason] += 1
        if direction == "outbound":
            self.by_domain[domain, outcome] += 1
            self.by_hour[at // (3600 * SECOND) * 3600, outcome] += 1
            self.effects[effect] += 1
        if self.messages is not None:
            row = [host.name, qid, at // SECOND, direction, outcome, reason, effect]
            self.messages.write(json.dumps(row) + "\n")

    # -- pieces of a message's life ------------------------------------------------------------------

    def message_id(self, domain: str) -> str:
        number = self.bits(64)
        if number & 7 == 0:
            return f"<CA+{number:x}@mail.{domain}>"
        if number & 7 == 1:
            return f"<{number % 100000000}.{number >> 40}.{1780000000 + number % 9999999}@{domain}>"
        return f"<{number:016x}@{domain}>"

    def recipients(self, remote: bool) -> list[tuple[str, int]]:
        """(address, index into REMOTE or -1 for one of our own mailboxes), one as a rule and up to three."""
        rand = self.random
        draw = rand()
        found = []
        for _ in range(1 if draw < 0.86 else 2 if draw < 0.96 else 3):
            user = w.USERS[int(rand() * len(w.USERS))]
            if remote:
                index = int(rand() * len(w.REMOTE))
                found.append((f"{user}@{w.REMOTE[index]}", index))
            else:
                found.append((f"{user}@{w.LOCAL_DOMAINS[int(rand() * 3)]}", -1))
        return found

    def deliver(self, host: Host, qid: str, at: int, sender: str, rcpts: list[tuple[str, int]], mid: str) -> tuple[int, str]:
        """From `queue active` to `removed`: returns (time of the end, effect)."""
        add, rand, delays = self.add, self.random, self.delays
        active = f"{host.qmgr}{qid}: from=<{sender}>, size={900 + int(rand() ** 6 * 4e6)}, nrcpt={len(rcpts)} (queue active)"
        add((at, active))
        if self.stuck and sender and rand() < self.stuck:
            return self.never_deliver(host, qid, at, rcpts)
        end, sent, failed = at, False, ""
        for rcpt, index in rcpts:
            draw = rand()
            t = at + 30_000 + int(draw * 900_000)
            delay = delays[int(rand() * 512)]
            if index < 0:
                sent = True
                user = rcpt.split("@")[0]
                if draw < 0.7:
                    add((t, f"{host.name} dovecot: lmtp({user})<{host.last_pid}><{qid[:8]}>: msgid={mid}: saved mail to INBOX"))
                    t += 900
                    add((t, f"{host.lmtp[int(rand() * 3)]}{qid}: to=<{rcpt}>, relay={host.fqdn}[private/dovecot-lmtp],"
                            f" {delay}, dsn=2.0.0, status=sent (250 2.0.0 <{rcpt}> {self.bits(40):x}AAA Saved)"))  # fmt: skip
                else:
                    add((t, f"{host.virtual[int(rand() * 2)]}{qid}: to=<{rcpt}>, relay=virtual, {delay}, dsn=2.0.0,"
                            " status=sent (delivered to maildir)"))  # fmt: skip
            else:
                agents = host.smtp
                if rand() < 0.01:
                    agents[int(rand() * 8)] = host.prefix("postfix/smtp")
                agent, mx = agents[int(rand() * 8)], w.MX[index]
                if draw >= 0.955:
                    wait = 300 * SECOND
                    relay, dsn, text = w.DEFERRALS[int(rand() * 4)]
                    for attempt in range(1 + int(rand() * 6)):
                        if attempt:
                            add((t - 40_000, active))
                            delay = f"delay={(t - at) // SECOND}, delays={(t - at) // SECOND - 1}/0.02/0.5/0.3"
                        if relay == "none":
                            add((t - 200, f"{agent}{text.format(host=mx)}"))
                        add((t, f"{agent}{qid}: to=<{rcpt}>, relay={relay.format(host=mx)}, {delay}, dsn={dsn},"
                                f" status=deferred ({text.format(host=mx, rcpt=rcpt)})"))  # fmt: skip
                        t += wait + int(rand() * 60 * SECOND)
                        wait = min(wait * 2, 4000 * SECOND)
                        agent = agents[int(rand() * 8)]
                    add((t - 40_000, active))
                    delay = f"delay={(t - at) // SECOND}, delays={(t - at) // SECOND - 1}/0.02/0.5/0.3"
                if draw < 0.6 or draw > 0.96:
                    add((t - 15_000, f"{agent}Untrusted TLS connection established to {mx}:25: {w.TLS[int(rand() * 3)]}"))
                if 0.945 < draw < 0.955 or draw > 0.993:
                    failed = rcpt
                    add((t, f"{agent}{qid}: to=<{rcpt}>, relay={mx}:25, {delay}, dsn=5.1.1, status=bounced (host {mx}"
                            f" said: {w.BOUNCES[int(rand() * 3)].format(rcpt=rcpt)})"))  # fmt: skip
                else:
                    sent = True
                    answer = f"queued as {self.bits(40):X}" if draw < 0.5 else f"{self.bits(48):x} - esmtp"
                    add((t, f"{agent}{qid}: to=<{rcpt}>, relay={mx}:25, {delay}, dsn=2.0.0, status=sent"
                            f" (250 2.0.0 Ok: {answer})"))  # fmt: skip
            if t > end:
                end = t
        if failed and sender:
            end = self.notify(host, qid, end + 8_000, sender)
        end += 700
        add((end, f"{host.qmgr}{qid}: removed"))
        return end, "sent" if sent else "bounced"

    def never_deliver(self, host: Host, qid: str, at: int, rcpts: list[tuple[str, int]]) -> tuple[int, str]:
        """Mail for a host that is down for longer than the log lasts: it stays in the queue."""
        for number, (rcpt, _) in enumerate(rcpts):
            self.add((at + 30_000 + number, f"{host.smtp[0]}{qid}: to=<{rcpt}>, relay=none, delay=30, delays=0.1/0/30/0,"
                                            " dsn=4.4.1, status=deferred (connect to mx1.acme.example[192.0.2.1]:25:"
                                            " Connection timed out)"))  # fmt: skip
        return at + 30 * 86400 * SECOND, "deferred"

    def notify(self, host: Host, parent: str, at: int, sender: str) -> int:
        """The bounce that Postfix makes, a message of its own, in the order of releases up to 3.10."""
        qid, inode = host.open_id(at)
        cleaner = host.cleanup.take(at)
        self.add((at, f"{cleaner[3]}{qid}: message-id=<{at // SECOND}.{qid}@{host.fqdn}>"))
        end, effect = self.deliver(host, qid, at + 4_000, "", [(sender, -1)], "<>")
        self.add((at + 6_000, f"{host.bounce}{parent}: sender non-delivery notification: {qid}"))
        host.cleanup.give(cleaner, at + 5_000)
        host.close_id(inode, end)
        self.count(host, qid, at, "bounce", "unchecked", None, effect)
        self.other["legs"] += 1
        return at + 7_000

    def sign(self, host: Host, qid: str, at: int, user: str, domain: str) -> tuple[str, str | None]:
        """OpenDKIM on mail of a trusted client: returns (outcome, reason)."""
        signatures = w.SIGNED.get(domain)
        if signatures is None and domain == host.fqdn:
            signatures = w.SIGNED["example.org"]
        if signatures is None:
            if not host.log_why:
                return "unsigned", "silent"
            self.add((at, f"{host.opendkim}{qid}: no signing table match for '{user}@{domain}'"))
            self.add((at + 40, f"{host.opendkim}{qid}: no signature data"))
            return "unsigned", "no-signing-table-match"
        if host.log_why and self.random() < 0.02:
            self.add((at - 400, f"{host.opendkim}{qid}: no MTA name match (host={host.fqdn}, MTA=ORIGINATING)"))
        for number, (d, s) in enumerate(signatures):
            self.by_signature[d, s] += 1
            self.add((at + number * 30, f"{host.opendkim}{qid}: DKIM-Signature field added (s={s}, d={d})"))
        return "signed", None

    def not_internal(self, host: Host, qid: str, at: int, client: str) -> tuple[str, str | None]:
        """OpenDKIM on mail of our own submitter that it takes for a stranger."""
        if not host.log_why:
            return "unsigned", "silent"
        name, address = client[:-1].split("[")
        self.add((at, f"{host.opendkim}{qid}: {name} [{address}] not internal"))
        self.add((at + 30, f"{host.opendkim}{qid}: not authenticated"))
        self.add((at + 60, f"{host.opendkim}{qid}: no signature data"))
        return "unsigned", "not-internal"

    def verify(self, host: Host, qid: str, at: int, client: str, domain: str, trusted: bool, draw: float) -> tuple[str, str | None]:
        """OpenDKIM on mail from elsewhere: returns (outcome, reason). trusted: it came back from a filter here."""
        add, dkim = self.add, host.opendkim
        if host.log_why:
            if trusted:
                add((at, f"{dkim}{qid}: no signing table match for '{w.USERS[int(draw * 99)]}@{domain}'"))
            else:
                name, address = client[:-1].split("[")
                add((at, f"{dkim}{qid}: {name} [{address}] not internal"))
                add((at + 30, f"{dkim}{qid}: not authenticated"))
        t = at + 9_000
        if draw < 0.28:
            if host.log_why:
                add((t, f"{dkim}{qid}: no signature data"))
                return "none", None
            return "unchecked", None
        selector = ("s1", "google", "k2.mail", "20230601")[int(draw * 4096) & 3]
        if draw < 0.90:
            add((t, f"{dkim}{qid}: DKIM verification successful"))
            add((t + 20, f"{dkim}{qid}: s={selector} d={domain} a=rsa-sha256 SSL "))
            return "pass", None
        if draw < 0.95:
            error = "error:0200008A:rsa routines::invalid padding; error:02000072:rsa routines::padding check failed"
            add((t, f"{dkim}{qid}: s={selector} d={domain} a=rsa-sha256 SSL {error if draw < 0.92 else ''}"))
            add((t + 20, f"{dkim}{qid}: bad signature data"))
            return "fail", "bad-signature" if draw < 0.92 else "body-altered"
        if draw < 0.985:
            qname = f"{selector}._domainkey.{domain}"
            add((t, f"{dkim}{qid}: key retrieval failed (s={selector}, d={domain}): '{qname}' record not found"))
            return "fail", "key-not-found"
        add((t, f"{dkim}{qid}: key revoked (s={selector}, d={domain}, a=rsa-sha256)"))
        return "fail", "key-unusable"

    def through_filter(self, host: Host, parent: str, at: int, sender: str, client: str, rcpts: list[tuple[str, int]],
                       mid: str, milter: Any) -> tuple[int, str, tuple[str, str | None] | None]:  # fmt: skip
        """After the first leg's cleanup: to the filter, back under another queue ID, and delivered.

        milter: called with (qid, at) of the second leg, or None where it has no milters.
        Returns (end of both legs, effect, what `milter` said).
        """
        add, rand = self.add, self.random
        add((at, f"{host.qmgr}{parent}: from=<{sender}>, size={1200 + int(rand() * 60000)}, nrcpt={len(rcpts)} (queue active)"))
        t = at + 400_000 + int(rand() * 2_000_000)
        server, cleaner = host.reinject.take(t), host.cleanup.take(t)
        qid, inode = host.open_id(t + 1_500)
        add((t, f"{server[3]}connect from localhost[127.0.0.1]"))
        trace = "" if host.log_why and rand() < 0.3 else f", orig_queue_id={parent}, orig_client={client}"
        add((t + 1_500, f"{server[3]}{qid}: client=localhost[127.0.0.1]{trace}"))
        add((t + 3_000, f"{cleaner[3]}{qid}: message-id={mid}"))
        said = milter(qid, t + 20_000) if milter else None
        t += 50_000
        end, effect = self.deliver(host, qid, t, sender, rcpts, mid)
        add((t + 1_000, f"{server[3]}disconnect from localhost[127.0.0.1] ehlo=1 xforward=2 mail=1 rcpt={len(rcpts)} data=1 quit=1"
                        f" commands={6 + len(rcpts)}"))  # fmt: skip
        if host.log_why:
            add((t + 2_000, f"{host.amavis}({self.bits(16):05d}-{self.bits(4):02d}) Passed CLEAN {{RelayedInbound}},"
                            f" [{client.split('[')[1]} <{sender}> -> <{rcpts[0][0]}>, Queue-ID: {parent}, Message-ID: {mid},"
                            f" mail_id: {self.bits(60):x}, Hits: -1.9, size: 4711, queued_as: {qid}, 812 ms"))  # fmt: skip
            answer = f"250 2.0.0 from MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as {qid}"
        else:
            answer = f"250 2.0.0 Ok: queued as {qid}"
        agent = host.smtp[int(rand() * 8)]
        for number, (rcpt, _) in enumerate(rcpts):
            add((t + 3_000 + number, f"{agent}{parent}: to=<{rcpt}>, relay=127.0.0.1[127.0.0.1]:10024,"
                                     f" {self.delays[int(rand() * 512)]}, dsn=2.0.0, status=sent ({answer})"))  # fmt: skip
        add((t + 4_000, f"{host.qmgr}{parent}: removed"))
        host.reinject.give(server, t + 1_001)
        host.cleanup.give(cleaner, t + 500)
        host.close_id(inode, end)
        self.other["legs"] += 1
        return max(end, t + 4_000), effect, said

    # -- SMTP sessions -------------------------------------------------------------------------------

    def submission(self, host: Host, at: int) -> None:
        """A user's mail program on port 587."""
        rand = self.random
        domain = w.SENDER_DOMAINS[int(rand() * len(w.SENDER_DOMAINS))]
        user = w.USERS[int(rand() * len(w.USERS))]
        client = w.ROAMING[int(rand() * len(w.ROAMING))]
        login = f", sasl_method=PLAIN, sasl_username={user}@{domain}"
        self.session(host, host.submission, at, client, "submission", login, user, domain)

    def from_app(self, host: Host, at: int) -> None:
        """An application server of mynetworks, with a mail or several, all of them to the outside."""
        rand = self.random
        forgotten = rand() < 0.05
        servers = w.FORGOTTEN_APPS if forgotten else w.APPS
        name, address = servers[int(rand() * len(servers))]
        domain = "example.org" if forgotten else w.SENDER_DOMAINS[int(rand() * len(w.SENDER_DOMAINS))]
        kind = "forgotten" if forgotten else "app"
        self.session(host, host.smtpd, at, f"{name}[{address}]", kind, "", "noreply", domain)

    def from_internet(self, host: Host, at: int) -> None:
        rand = self.random
        client, _, index = w.CLIENTS[int(rand() * len(w.CLIENTS))]
        if host.log_why and rand() < 0.5:
            port, address = 20000 + self.bits(14), client.split("[")[1]
            self.add((at - 300, f"{host.postscreen}CONNECT from [{address}:{port} to [192.0.2.1]:25"))
            self.add((at - 100, f"{host.postscreen}PASS OLD [{address}:{port}"))
        user = "bounces" if rand() < 0.1 else w.USERS[int(rand() * len(w.USERS))]
        self.session(host, host.smtpd, at, client, "internet", "", user, w.REMOTE[index])

    def session(self, host: Host, pool: Pool, at: int, client: str, kind: str, login: str, user: str, domain: str) -> None:
        """connect, one mail or more, disconnect. A milter lost in a session stays lost to its end."""
        add, rand = self.add, self.random
        server = pool.take(at)
        smtpd = server[3]
        add((at, f"{smtpd}connect from {client}"))
        lost, t = "", at + 2_000
        helo = client.split("[")[0]
        if self.milter_down(host, at):
            lost = host.refusal_reason
            add((t, f"{smtpd}warning: connect to Milter service {host.milter}: {host.refusal}"))
            if not host.accepts:
                self.refuse_session(host, server, pool, at, client, kind, user, domain)
                return
        t += 20_000 + int(rand() * 60_000)
        tls = kind != "app" and rand() < 0.9
        if tls:
            add((t, f"{smtpd}Anonymous TLS connection established from {client}: {w.TLS[int(rand() * 3)]}"))
        mails = 1
        if kind == "app" or kind == "forgotten":
            mails = 1 + int(rand() ** 2 * 4)
        elif rand() < 0.06:
            mails = 2
        done = rcpt_count = 0
        while done < mails:
            t += 30_000 + int(rand() * 150_000)
            start = host.incident[1]
            if not lost and host.incident[0] != "key" and at < start < t:
                add((t, f"{smtpd}warning: milter {host.milter}: can't read SMFIC_MAIL reply packet header: Application error"))
                lost = "connection-lost"
            elif lost == "broken":
                add((t, f"{smtpd}warning: milter {host.milter}: can't read SMFIC_MAIL reply packet header: Broken pipe"))
                lost = "connection-lost"
            if lost and not host.accepts:
                known = f" sasl_username=<{user}@{domain}>" if login else ""
                add((t + 100, f"{smtpd}NOQUEUE: milter-reject: MAIL from {client}: 451 4.7.1 Service unavailable - try again"
                              f" later; from=<{user}@{domain}> proto=ESMTP helo=<{helo}>{known}"))  # fmt: skip
                self.refused_mail(host, t + 100, kind, lost, domain)
                break
            done += 1
            t, count, lost = self.one_mail(host, smtpd, t + 1_000, client, kind, login, user, domain, lost)
            rcpt_count += count
        t += 10_000
        counts = f"ehlo={1 + tls}{' starttls=1' if tls else ''}{' auth=1' if login else ''} mail={done} rcpt={rcpt_count}"
        commands = 2 + 2 * tls + bool(login) + 2 * done + rcpt_count
        add((t, f"{smtpd}disconnect from {client} {counts} data={done} quit=1 commands={commands}"))
        pool.give(server, t + 1)

    def refuse_session(self, host: Host, server: Pid, pool: Pool, at: int, client: str, kind: str, user: str, domain: str) -> None:
        """tempfail at CONNECT stays for EHLO, AUTH and MAIL; a mail program gives up when AUTH fails."""
        text = f"from {client}: 451 4.7.1 Service unavailable - try again later;"
        helo = client.split("[")[0]
        self.add((at + 2_100, f"{server[3]}NOQUEUE: milter-reject: CONNECT {text} proto=SMTP"))
        self.add((at + 40_000, f"{server[3]}NOQUEUE: milter-reject: EHLO {text} proto=SMTP helo=<{helo}>"))
        self.other["refused_sessions"] += 1
        counts = "ehlo=0/1 auth=0/1 quit=1 commands=1/3"
        if kind != "submission":
            counts = "ehlo=0/1 mail=0/1 quit=1 commands=1/3"
            self.refused_mail(host, at + 80_000, kind, host.refusal_reason, domain)
            self.add((at + 80_000, f"{server[3]}NOQUEUE: milter-reject: MAIL {text} from=<{user}@{domain}> proto=ESMTP helo=<{helo}>"))
        self.add((at + 120_000, f"{server[3]}disconnect from {client} {counts}"))
        pool.give(server, at + 120_001)

    def refused_mail(self, host: Host, at: int, kind: str, reason: str, domain: str) -> None:
        """A mail refused at MAIL is a message without a queue ID, and nobody knows yet where it was to go.

        It is ours where the client logged in, or has a private address and a sender whose domain is one of those that
        sign (d=), which are all that the log tells (contract, rules 2 and 6).
        """
        ours = kind == "submission" or (kind in ("app", "forgotten") and domain in w.SIGNING)
        self.other["refused_mail_commands"] += 1
        self.count(host, "", at, "outbound" if ours else "unknown", "milter-error", reason, "tempfailed", domain)

    def one_mail(self, host: Host, smtpd: str, at: int, client: str, kind: str, login: str, user: str, domain: str,
                 lost: str) -> tuple[int, int, str]:  # fmt: skip
        """One mail of a session: returns (time of the reply to DATA, recipients, reason why the milter is lost)."""
        add, rand = self.add, self.random
        inbound = kind == "internet"
        sender = f"{user}@{domain}"
        null = inbound and rand() < 0.03
        if null:
            sender = ""
        rcpts = self.recipients(remote=not inbound and (kind != "submission" or rand() < 0.8))
        qid, inode = host.open_id(at)
        add((at, f"{smtpd}{qid}: client={client}{login}"))
        self.other["legs"] += 1
        cleaner = host.cleanup.take(at)
        mid = self.message_id(domain)
        t = at + 40_000 + int(rand() ** 4 * 4_000_000)
        add((t, f"{cleaner[3]}{qid}: message-id={mid}"))
        dkim = t + 4_000 + int(rand() * 60_000)
        active = dkim + 30_000
        bad, first, last, broken = host.incident
        reject = f"from=<{sender}> to=<{rcpts[0][0]}> proto=ESMTP helo=<{client.split('[')[0]}>"
        refusal = f"{qid}: milter-reject: END-OF-MESSAGE from {client}: 4.7.1 Service unavailable - try again later; {reject}"
        said: tuple[str, str | None] | None = None
        filtered: Any = None
        through = forwarded = False
        if lost:
            said = ("milter-error", lost)
        elif bad != "key" and at < first <= active:
            lost = "broken"
            add((active - 500, f"{cleaner[3]}warning: milter {host.milter}: can't read SMFIC_BODYEOB reply packet header:"
                               " Application error"))  # fmt: skip
            said = ("milter-error", "connection-lost")
            if not host.accepts:
                add((active - 400, f"{cleaner[3]}{refusal}"))
                if null:
                    self.count(host, qid, at, "bounce", "unchecked", None, "tempfailed")
                else:
                    direction = "unknown" if inbound else "outbound"
                    self.count(host, qid, at, direction, "milter-error", "connection-lost", "tempfailed", domain)
        elif bad == "key" and first <= dkim < last and key_of(domain) == key_of(broken) and kind in ("app", "submission"):
            self.key_fault(host, qid, dkim, broken)
            add((active - 400, f"{cleaner[3]}{refusal}"))
            self.count(host, qid, at, "outbound", "milter-error", "key", "tempfailed", domain)
            said = ("refused", "key")
        else:
            draw = rand()
            through = rand() < 0.2 and kind != "forgotten" and not self.near_incident(host, at)
            if inbound:
                def check(qid: str, at: int) -> tuple[str, str | None]:
                    return self.verify(host, qid, at, client, domain, through and qid != first_qid, draw)
            elif kind == "forgotten" or (kind == "submission" and rand() < 0.01):
                def check(qid: str, at: int) -> tuple[str, str | None]:
                    return self.not_internal(host, qid, at, client)
            else:
                def check(qid: str, at: int) -> tuple[str, str | None]:
                    return self.sign(host, qid, at, user, domain)
            first_qid = qid
            # Even hosts filter after the milter, and show inbound mail to it again; odd ones only when it is back.
            if not through or host.log_why:
                said = check(qid, dkim)
            if through and (inbound or not host.log_why):
                filtered = check
        host.cleanup.give(cleaner, active)
        if said is not None and (said[0] == "refused" or (lost == "broken" and not host.accepts)):
            host.close_id(inode, active)
            return active, len(rcpts), lost
        if through:
            end, effect, later = self.through_filter(host, qid, active, sender, client, rcpts, mid, filtered)
            said = said or later
        elif inbound and not null and rand() < 0.03:
            forwarded = True
            end, effect = self.forward(host, qid, active, sender, rcpts[0][0], mid)
        else:
            end, effect = self.deliver(host, qid, active, sender, rcpts, mid)
        host.close_id(inode, end)
        assert said is not None
        outcome, reason = said
        if null:
            self.count(host, qid, at, "bounce", "unchecked", None, effect)
        elif forwarded and outcome in ("unchecked", "milter-error"):
            # It came from outside and went outside, and OpenDKIM was silent: rule 9.
            self.count(host, qid, at, "unknown", "undecided" if outcome == "unchecked" else outcome, reason, effect)
        else:
            self.count(host, qid, at, "inbound" if inbound else "outbound", outcome, reason, effect, domain)
        return active, len(rcpts), lost

    def key_fault(self, host: Host, qid: str, at: int, domain: str) -> None:
        key = w.SIGNED[domain][0][1]
        path = f"/etc/dkimkeys/{domain}/{key}.private"
        self.add((at, f"{host.opendkim}can't load key from {path}: No such file or directory"))
        self.add((at + 10, f"{host.opendkim}{qid}: error loading key '{key}._domainkey.{domain}'"))

    def forward(self, host: Host, qid: str, at: int, sender: str, rcpt: str, mid: str) -> tuple[int, str]:
        """An alias to an address outside: local hands the mail back, to be sent under another queue ID."""
        add, rand = self.add, self.random
        add((at, f"{host.qmgr}{qid}: from=<{sender}>, size={1000 + self.bits(15)}, nrcpt=1 (queue active)"))
        t = at + 30_000
        child, inode = host.open_id(t)
        cleaner = host.cleanup.take(t)
        add((t, f"{cleaner[3]}{child}: message-id={mid}"))
        index = int(rand() * len(w.REMOTE))
        # Bounces of a forward go to strangers; keep them out by choosing an end that is always reached.
        target = f"{rcpt.split('@')[0]}@{w.REMOTE[index]}"
        add((t + 5_000, f"{host.qmgr}{child}: from=<{sender}>, size={1000 + self.bits(15)}, nrcpt=1 (queue active)"))
        add((t + 6_000, f"{host.local[int(rand() * 2)]}{qid}: to=<{rcpt}>, orig_to=<team@{rcpt.split('@')[1]}>, relay=local,"
                        f" delay=0.08, delays=0.05/0.01/0/0.02, dsn=2.0.0, status=sent (forwarded as {child})"))  # fmt: skip
        add((t + 6_500, f"{host.qmgr}{qid}: removed"))
        add((t + 700_000, f"{host.smtp[int(rand() * 8)]}{child}: to=<{target}>, orig_to=<team@{rcpt.split('@')[1]}>,"
                          f" relay={w.MX[index]}:25, delay=0.7, delays=0.01/0/0.3/0.4, dsn=2.0.0, status=sent (250 2.0.0 Ok)"))  # fmt: skip
        add((t + 701_000, f"{host.qmgr}{child}: removed"))
        host.cleanup.give(cleaner, t + 5_000)
        host.close_id(inode, t + 701_000)
        self.other["legs"] += 1
        return t + 701_000, "sent"

    # -- local mail ----------------------------------------------------------------------------------

    def from_pickup(self, host: Host, at: int) -> None:
        """sendmail on this host. Refused for a key, it is tried again every minute under another queue ID."""
        add, rand = self.add, self.random
        user, uid, domain = "www-data", 33, host.fqdn
        if rand() < 0.4:
            user, uid, domain = "billing", 1004, w.SENDER_DOMAINS[int(rand() * len(w.SENDER_DOMAINS))]
        bad, start, end, broken = host.incident
        down = self.milter_down(host, at)
        if bad != "key" and not host.accepts and start - 60 * SECOND < at < end:
            return  # nobody would know the retries of a refused CONNECT for one mail: they have no message-id
        sender, rcpts = f"{user}@{domain}", self.recipients(remote=rand() < 0.7)
        mid = self.message_id(host.fqdn)
        key = key_of("example.org" if domain == host.fqdn else domain)
        # OpenDKIM reads From before it looks for a key, so such mail meets no key fault.
        opened, first_qid, bad_from = at, "", rand() < 0.01
        while True:
            qid, inode = host.open_id(at)
            first_qid = first_qid or qid
            cleaner = host.cleanup.take(at)
            add((at, f"{host.pickup}{qid}: uid={uid} from=<{sender}>"))
            self.other["legs"] += 1
            if down:
                add((at + 1_000, f"{cleaner[3]}warning: connect to Milter service {host.milter}: {host.refusal}"))
            add((at + 2_000, f"{cleaner[3]}{qid}: message-id={mid}"))
            host.cleanup.give(cleaner, at + 40_000)
            if bad_from or not (bad == "key" and start <= at + 30_000 < end and key == key_of(broken)):
                break
            self.key_fault(host, qid, at + 30_000, broken)
            add((at + 32_000, f"{cleaner[3]}{qid}: milter-reject: END-OF-MESSAGE from localhost[127.0.0.1]: 4.7.1 Service"
                              f" unavailable - try again later; from=<{sender}> to=<{rcpts[0][0]}>"))  # fmt: skip
            host.close_id(inode, at + 32_000)
            at += 60 * SECOND + int(rand() * SECOND)
        if down:
            outcome, reason = "milter-error", host.refusal_reason
        elif bad != "key" and at < start <= at + 30_000:
            add((at + 29_000, f"{cleaner[3]}warning: milter {host.milter}: can't read SMFIC_BODYEOB reply packet header:"
                              " Application error"))  # fmt: skip
            outcome, reason = "milter-error", "connection-lost"
        elif bad_from:
            add((at + 30_000, f"{host.opendkim}{qid}: can't parse From: header value 'cron daemon'"))
            outcome, reason = "unsigned", "bad-from"
        else:
            outcome, reason = self.sign(host, qid, at + 30_000, user, domain)  # type: ignore[assignment]
        end, effect = self.deliver(host, qid, at + 45_000, sender, rcpts, mid)
        host.close_id(inode, end)
        self.count(host, first_qid, opened, "outbound", outcome, reason, effect, domain)

    # -- what is no mail -----------------------------------------------------------------------------

    def reject(self, host: Host, at: int) -> None:
        if self.near_incident(host, at):
            return  # the milter would have answered first
        rand = self.random
        client = w.STRANGERS[int(rand() * len(w.STRANGERS))]
        address = client[8:-1]
        server = host.smtpd.take(at)
        self.add((at, f"{server[3]}connect from {client}"))
        t = at + 300_000
        rcpt = f"{w.USERS[int(rand() * len(w.USERS))]}@example.org"
        helo = w.REMOTE[int(rand() * len(w.REMOTE))]
        text = w.REJECTS[int(rand() * len(w.REJECTS))].format(ip=address, rcpt=rcpt, helo=helo)
        for _ in range(1 if rand() < 0.8 else 3):
            self.add((t, f"{server[3]}NOQUEUE: reject: RCPT from {client}: {text}; from=<promo@{helo}> to=<{rcpt}> proto=ESMTP"
                         f" helo=<{helo}>"))  # fmt: skip
            t += 100_000
            self.other["rejects"] += 1
        if rand() < 0.3:
            self.add((t, f"{server[3]}lost connection after RCPT from {client}"))
        self.add((t + 100, f"{server[3]}disconnect from {client} ehlo=1 mail=1 rcpt=0/1 commands=2/3"))
        host.smtpd.give(server, t + 101)

    def vanished(self, host: Host, at: int) -> None:
        """A client that goes away in the middle of DATA: a queue ID without a mail."""
        if self.near_incident(host, at):
            return
        client = w.STRANGERS[int(self.random() * len(w.STRANGERS))]
        server, cleaner = host.smtpd.take(at), host.cleanup.take(at)
        qid, inode = host.open_id(at + 200_000)
        self.add((at, f"{server[3]}connect from {client}"))
        self.add((at + 200_000, f"{server[3]}{qid}: client={client}"))
        t = at + 20 * SECOND
        if self.random() < 0.5:
            self.add((t, f"{cleaner[3]}{qid}: message-id={self.message_id('acme.example')}"))
        size = self.bits(14)
        self.add((t + 9 * SECOND, f"{server[3]}lost connection after DATA ({size} bytes) from {client}"))
        self.add((t + 9 * SECOND + 50, f"{server[3]}disconnect from {client} ehlo=1 mail=1 rcpt=1 data=0/1 commands=3/4"))
        host.smtpd.give(server, t + 9 * SECOND + 51)
        host.cleanup.give(cleaner, t + 9 * SECOND)
        host.close_id(inode, t + 9 * SECOND)
        self.other["not_mail"] += 1
        self.other["legs"] += 1

    def probe(self, host: Host, at: int) -> None:
        """An address probe of verify(8): delivered to nobody."""
        qid, inode = host.open_id(at)
        cleaner = host.cleanup.take(at)
        index = int(self.random() * len(w.REMOTE))
        self.add((at, f"{cleaner[3]}{qid}: message-id=<{at // SECOND}.{qid}@{host.fqdn}>"))
        self.add((at + 500, f"{host.qmgr}{qid}: from=<double-bounce@{host.fqdn}>, size=288, nrcpt=1 (queue active)"))
        self.add((at + 400_000, f"{host.smtp[0]}{qid}: to=<anna@{w.REMOTE[index]}>, relay={w.MX[index]}:25, delay=0.4,"
                                " delays=0/0/0.2/0.2, dsn=2.1.5, status=deliverable (250 2.1.5 Ok)"))  # fmt: skip
        self.add((at + 400_200, f"{host.qmgr}{qid}: removed"))
        host.cleanup.give(cleaner, at + 600)
        host.close_id(inode, at + 400_200)
        self.other["not_mail"] += 1
        self.other["legs"] += 1

    def postscreen_only(self, host: Host, at: int) -> None:
        address = w.STRANGERS[int(self.random() * len(w.STRANGERS))][8:-1]
        port = 20000 + self.bits(14)
        end = f"[{address}]:{port}"
        self.add((at, f"{host.postscreen}CONNECT from {end} to [192.0.2.1]:25"))
        if self.random() < 0.5:
            self.add((at + 100_000, f"{host.postscreen}PREGREET 14 after 0.1 from {end}: EHLO ylmf-pc\\r\\n"))
        else:
            self.add((at + 2_000_000, f"{host.postscreen}DNSBL rank {3 + self.bits(2)} for {end}"))
        self.add((at + 3_000_000, f"{host.postscreen}DISCONNECT {end}"))

    def prober(self, host: Host, at: int) -> None:
        """A robot that guesses passwords on the submission service, or only looks who answers."""
        if self.near_incident(host, at):
            return
        rand = self.random
        client = w.STRANGERS[int(rand() * len(w.STRANGERS))]
        server = host.submission.take(at)
        self.add((at, f"{server[3]}connect from {client}"))
        t, draw = at + 400_000, rand()
        if draw < 0.2:
            end, counts = "UNKNOWN", "unknown=0/1 commands=0/1"
        elif draw < 0.35:
            end, counts = "EHLO", "ehlo=1 commands=1"
            self.add((t, f"{server[3]}SSL_accept error from {client}: -1"))
            self.add((t + 20, f"{server[3]}warning: TLS library problem: error:0A000102:SSL routines::unsupported"
                              " protocol:../ssl/statem/statem_srvr.c:1657:"))  # fmt: skip
        else:
            end, counts = "AUTH", "ehlo=1 auth=0/1 rset=1 commands=2/3"
            for _ in range(1 if draw < 0.8 else 2):
                t += 3 * SECOND
                self.add((t, f"{server[3]}warning: {client}: SASL LOGIN authentication failed: UGFzc3dvcmQ6,"
                             f" sasl_username={w.USERS[int(rand() * len(w.USERS))]}"))  # fmt: skip
        self.add((t + 90_000, f"{server[3]}lost connection after {end} from {client}"))
        self.add((t + 90_050, f"{server[3]}disconnect from {client} {counts}"))
        host.submission.give(server, t + 90_051)

    def imap(self, host: Host, at: int) -> None:
        """A mail program looks for new mail: logs in and out; now and then somebody else tries to."""
        rand = self.random
        user = w.USERS[int(rand() * len(w.USERS))]
        draw = rand()
        if draw < 0.06:
            address = w.STRANGERS[int(rand() * len(w.STRANGERS))][8:-1]
            self.add((at, f"{host.name} dovecot: imap-login: Disconnected: Connection closed (auth failed, 1 attempts in 2"
                          f" secs): user=<{user}>, method=PLAIN, rip={address}, lip=192.0.2.1, TLS,"
                          f" session=<{self.bits(80):x}>"))  # fmt: skip
            return
        address = w.ROAMING[int(rand() * len(w.ROAMING))].split("[")[1][:-1]
        session = f"{self.bits(80):x}"
        self.add((at, f"{host.name} dovecot: imap-login: Login: user=<{user}@example.org>, method=PLAIN, rip={address},"
                      f" lip=192.0.2.1, mpid={host.last_pid}, TLS, session=<{session}>"))  # fmt: skip
        self.add((at + int(rand() ** 3 * 600 * SECOND), f"{host.name} dovecot: imap({user}@example.org)<{host.last_pid}>"
                  f"<{session}>: Disconnected: Logged out in={self.bits(10)} out={self.bits(14)} deleted=0 expunged=0 trashed=0"
                  f" hdr_count=0 hdr_bytes=0 body_count={int(draw * 3)} body_bytes={int(draw * 90000)}"))  # fmt: skip

    def anvil(self, host: Host, at: int) -> None:
        moment = self.stamp_of(at // SECOND - 60)
        when = moment.strip(" .") if not self.rfc3339 else time.strftime("%b %e %H:%M:%S", time.gmtime(at // SECOND - 60))
        address = w.STRANGERS[int(self.random() * len(w.STRANGERS))][8:-1]
        self.add((at, f"{host.anvil}statistics: max connection rate 2/60s for (smtp:{address}) at {when}"))
        self.add((at + 10, f"{host.anvil}statistics: max connection count 1 for (smtp:{address}) at {when}"))
        self.add((at + 20, f"{host.anvil}statistics: max cache size 4 at {when}"))

    def odds(self, host: Host, at: int) -> None:
        """Whatever else shares the file."""
        draw = self.random()
        if draw < 0.2:
            self.probe(host, at)
            return
        pid = host.new_pid()
        lines = [
            f"CRON[{pid}]: (root) CMD (test -x /usr/sbin/anacron || run-parts /etc/cron.daily)",
            f"systemd[1]: Started session-{pid}.scope - Session {pid} of User root.",
            "kernel: [1203812.118231] TCP: request_sock_TCP: Possible SYN flooding on port 25. Sending cookies.",
            f"rspamd[{pid}]: <{self.bits(24):06x}>; proxy; rspamd_task_write_log: id: <{self.bits(40):x}@acme.example>, qid:"
            " <undef>, ip: 192.0.2.77, (default: F (no action): [0.10/15.00] [ARC_NA(0.00){}]), len: 3201, time: 92.1ms",
            f"postfix/smtpd[{pid}]: warning: hostname host.acme.test does not resolve to address 203.0.113.9: Name or"
            " service not known",
            f"postfix/tlsmgr[{pid}]: cache btree:/var/lib/postfix/smtpd_scache full cleanup: retained=12 dropped=3 entries",
            f"sshd[{pid}]: Connection closed by invalid user admin 203.0.113.40 port 51234 [preauth]",
        ]
        self.add((at, f"{host.name} {lines[int(draw * 997) % len(lines)]}"))

    # -- the truth -----------------------------------------------------------------------------------

    def truth(self) -> dict[str, Any]:
        """The counts as plain values; call it after `run`."""
        out: Counter[str] = Counter()
        inward: Counter[str] = Counter()
        single: Counter[str] = Counter()
        for (direction, outcome, _), count in self.by_reason.items():
            if direction == "outbound":
                out[outcome.replace("-", "_")] += count
            elif direction == "inbound":
                inward[outcome.replace("-", "_")] += count
            else:
                single[direction] += count
        outcomes = ("signed", "unsigned", "milter_error", "undecided")
        decided = sum(out[name] for name in outcomes[:3])
        domains = {domain for domain, _ in self.by_domain}
        tables: list[dict[str, Any]] = [
            {"domain": domain, **{name: self.by_domain[domain, name.replace("_", "-")] for name in outcomes}}
            for domain in domains
        ]
        tables.sort(key=lambda row: (-sum(row[name] for name in outcomes), row["domain"]))
        hours = sorted({hour for hour, _ in self.by_hour})
        return {
            "lines": self.written,
            "arrivals_end": self.other["arrivals_end"] // SECOND,
            "last": self.stamp_second,
            "totals": {
                "outbound": {"messages": sum(out.values()), **{name: out[name] for name in outcomes}},
                "inbound": {
                    "messages": sum(inward.values()),
                    **{name: inward[name] for name in ("pass", "fail", "none", "unchecked", "milter_error")},
                },
                "bounce": {"messages": single["bounce"]},
                "unknown": {"messages": single["unknown"]},
                "signatures": sum(self.by_signature.values()),
            },
            "signed_fraction": out["signed"] / decided if decided else None,
            "by_domain": tables,
            "by_signature": [
                {"signing_domain": d, "selector": s, "signatures": count}
                for (d, s), count in sorted(self.by_signature.items())
            ],
            "by_reason": [
                {"direction": direction, "outcome": outcome, "reason": reason, "messages": count}
                for (direction, outcome, reason), count in sorted(
                    self.by_reason.items(), key=lambda item: (item[0][0], item[0][1], item[0][2] or "")
                )
                if reason is not None
            ],
            "by_hour": [
                {
                    "hour": time.strftime("%Y-%m-%dT%H:00:00+00:00", time.gmtime(hour)),
                    **{name: self.by_hour[hour, name.replace("_", "-")] for name in outcomes},
                }
                for hour in hours
            ],
            "effects": dict(sorted(self.effects.items())),
            "not_mail": self.other["not_mail"],
            "refused_without_queue_id": {
                "sessions": self.other["refused_sessions"],
                "mail_commands": self.other["refused_mail_commands"],
            },
            "rejects": self.other["rejects"],
            "legs": self.other["legs"],
            "incidents": dict(sorted(self.incidents.items())),
        }


def generate(
    output: BinaryIO, *, lines: int, seed: int = 1, form: str = "traditional", long_ids: bool = False, hosts: int = 2,
    per_day: int | None = None, messages: TextIO | None = None, stuck: float = 0.0,
) -> dict[str, Any]:  # fmt: skip
    """Write a log of about `lines` lines to `output` and return the truth about it (see the module's docstring).

    form: "traditional" or "rfc3339" (microseconds, UTC). per_day: lines in a day's time, by default a million,
    fewer in a short log, so that it still spans hours. messages: gets the truth about each message.
    stuck: the share of mail that never leaves the queue.
    """
    if per_day is None:
        per_day = min(1_000_000, max(200_000, lines))
    generator = Generator(
        lines=lines, seed=seed, form=form, long_ids=long_ids, hosts=hosts, per_day=per_day, output=output,
        messages=messages, stuck=stuck,
    )  # fmt: skip
    generator.run()
    return generator.truth()


def main() -> int:
    parser = argparse.ArgumentParser(description="Write a realistic mail log and the truth about it.")
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--form", choices=("traditional", "rfc3339"), default="traditional")
    parser.add_argument("--long-ids", action="store_true", help="as with enable_long_queue_ids=yes")
    parser.add_argument("--hosts", type=int, default=2)
    parser.add_argument("--per-day", type=int, help="lines in a day's time (default: up to 1000000)")
    parser.add_argument("--stuck", type=float, default=0.0, help="share of mail that never leaves the queue")
    parser.add_argument("--output", default="-", help="file, or - for standard output")
    parser.add_argument("--truth", help="file for the truth as JSON")
    parser.add_argument("--messages", help="file for the truth about each message, a JSON array a line")
    args = parser.parse_args()
    options = {"lines": args.lines, "seed": args.seed, "form": args.form, "long_ids": args.long_ids}
    options |= {"hosts": args.hosts, "per_day": args.per_day, "stuck": args.stuck}
    with ExitStack() as opened:
        output = sys.stdout.buffer if args.output == "-" else opened.enter_context(Path(args.output).open("wb"))
        messages = None
        if args.messages:
            messages = opened.enter_context(Path(args.messages).open("w", encoding="ascii"))
        truth = generate(output, messages=messages, **options)
    if args.truth:
        Path(args.truth).write_text(json.dumps({"arguments": options, **truth}, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
