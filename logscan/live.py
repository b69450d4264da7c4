"""The engine on a log that grows: what is told when, and what is kept while it runs for weeks.

A message is told once, when it is at its end, or when it is in transit for `hold` seconds and its verdict can
be given by then. What turns out otherwise later is told as a change, never silently.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import tzinfo

from logscan.correlate.feed import Feed
from logscan.correlate.state import LEG_CAP, LOST, OPEN, Host, Leg, text
from logscan.correlate.state import Run as Span
from logscan.correlate.transit import close_all, settle
from logscan.findings import Case, Verdict, examine, is_final, is_mail, resolve
from logscan.message_fields import build_message
from logscan.model import Fault, Window
from logscan.news import FaultNews, MessageNews, News, Phase, Standing
from logscan.parse.header import parse
from logscan.parse.postfix import is_local_relay, relay_of
from logscan.parse.stamps import Clock
from logscan.remedies import advise
from logscan.reports.document import signed_fraction
from logscan.run import Run

PIECE = 2048
# A fault that goes on is told again after so long, its life's events sooner: each start is news.
AGAIN, LIFE_AGAIN = 300, 10
# What was told with a verdict that later lines may change is looked at again for so long, so many at most.
UNSURE_FOR, UNSURE = 3600, 1000
# After lines were lost, a message whose beginning is missing may be one of theirs for so long.
LOST_FOR = 600
# Of so many of the last times that lines were lost.
GAPS = 256
# The clock of the stamps is told the time so often, and what grows is cut; seconds.
REFERENCE_EVERY = SWEEP_EVERY = 3600
# Of so many, those are chosen that --only asks for.
KEPT = 20_000
# So many messages make it plain that a host's OpenDKIM logs no signatures.
UNLOGGED = 5
# OpenDKIM's spans of life are answered from three flags once they are over; so many are kept whole.
SPANS = 256


@dataclass(slots=True)
class _Told:
    """A fault as it was told. since, count, hit: where this occurrence began."""

    fault: Fault
    at: int
    since: int
    seen: int = 0
    ongoing: bool = False
    count: int = 0
    hit: int = 0


@dataclass(slots=True)
class _Closed:
    """A message at its end, to be judged when it is told: what is known then decides."""

    at: int
    legs: list[Leg]
    case: Case
    was: Verdict | None


_Item = _Closed | MessageNews | FaultNews


class Live(Run):
    """A Run that tells. hold: seconds in transit until a message is told anyway.

    clock: seconds that only go forward. wall: epoch seconds, which bound the year of stamps. is_ours: tells OpenDKIM's
    endpoint from other milters', None when nobody can.
    """

    def __init__(
        self,
        zone: tzinfo,
        *,
        hold: int,
        clock: Callable[[], float],
        wall: Callable[[], float],
        is_ours: Callable[[str], bool] | None = None,
    ) -> None:
        super().__init__(Window(), zone, keep=self._closed)
        self.whole = False  # the log is watched from its very first line
        self.remembered = LEG_CAP  # verdicts in transit
        self.bounded = True  # it begins in the middle of a log: `_is_older` is asked
        self.hold = hold
        self._wall = wall
        self._reference = int(wall())
        self.log = Feed(self.state, Clock(zone, self._reference), self.writers)
        self.feeds.append(self.log)
        self.state.now = -1  # so that the feed notes its first line
        self.session: Counter[tuple[str, str, str | None]] = Counter()
        self._clock = clock
        self._is_ours = is_ours
        self._began = self._read_at = self._swept_at = clock()
        self._fresh = False  # lines were read since the last look
        self._live = False
        self._items: deque[_Item] = deque()
        self._told: dict[int, _Told] = {}  # by id: a row may get a better key
        self._reported: dict[int, Verdict] = {}  # by the first leg's seq: told while in transit
        self._held_up_to = 0  # legs up to this seq were old enough to be looked at
        self._waiting: dict[int, tuple[Leg, int]] = {}  # of those, the ones not told for good; and their `last` then
        self._retried: dict[int, int] = {}  # refused local mail that waits, as `_waiting`
        self._unsure: deque[_Closed] = deque(maxlen=UNSURE)
        self._minute: deque[tuple[int, Counter[str]]] = deque()  # by second
        self._gaps: deque[tuple[int, int]] = deque(maxlen=GAPS)  # lines were lost between
        self._gap_open = False  # and nothing was read since
        self._gap_end = -1  # the latest that was said of any of them
        self._unlogged: Counter[bytes] = Counter()  # by host: mail undecided since signatures are not logged
        self._not_logging: dict[bytes, Fault] = {}

    # --- reading ---

    def history(
        self,
        blocks: Iterable[bytes],
        show: int,
        quiet: Callable[[], float] = lambda: 0,
        only: Collection[str] = (),
    ) -> None:
        """Learn from what is there already; keep the last `show` things to tell, and the faults that go on.

        quiet: asked after it, for how many seconds nothing was written. only: outcomes of the messages to show,
        empty for all.
        """
        kept: deque[_Item] = deque(maxlen=max(show, KEPT) if only else show)
        for block in blocks:
            self._feed(block)
            kept.extend(sorted(self._items, key=_at))
            self._items.clear()
        self._read_at -= max(0.0, quiet())
        if self.state.now > 0:
            settle(self.state, self._now())
        self._check_held(self._now())
        every = sorted([*kept, *self._items], key=_at)
        kept = deque((item for item in every if not only or self._is_of(item, only)), maxlen=show)
        shown = {_key(item) for item in kept if isinstance(item, FaultNews) and item.phase == "begin"}
        self._items = deque(item for item in self._going_on() if _key(item) not in shown)
        self._items += kept

    def _is_of(self, item: _Item, only: Collection[str]) -> bool:
        """One of these outcomes by what is known now, or a fault."""
        if isinstance(item, _Closed):
            return resolve(item.case, self.known).outcome in only
        return isinstance(item, FaultNews) or item.message.outcome in only

    def block(self, block: bytes) -> None:
        """The next whole lines."""
        if self._gap_open:
            header = parse(block.partition(b"\n")[0], self.log.clock)
            begin, _ = self._gaps.pop()
            self._mark_gap(begin, self._now() if header is None else max(header.at, self.state.now))
            self._gap_open = False
        self._feed(block)

    def _feed(self, block: bytes) -> None:
        self._read_at = self._clock()
        self._fresh = True
        now = int(self._wall())
        if abs(now - self._reference) >= REFERENCE_EVERY:
            self._reference = now
            self.log.clock.move_reference(now)
        start = 0
        while start < len(block):
            # A few lines at a time, so that a fault's beginning and its end are seen each in its place.
            end = block.find(b"\n", min(start + PIECE, len(block) - 1)) + 1 or len(block)
            self.log.block(block[start:end])
            self._check_faults(self.state.now)
            start = end

    def start(self) -> None:
        """What is told from now on is of this session."""
        self._live = True
        self._began = self._clock()

    def look(self, *, half: bool = False) -> None:
        """Look at what is due: after each block, and each second while nothing is read. half: the end of the
        last line is still to come, so more of the same moment is on its way."""
        now = self._now()
        if not half and self.state.now > 0:
            settle(self.state, now)
        self._check_faults(now)
        self._check_held(now)
        if self._fresh:
            self._fresh = False
            self._check_unsure(now)
        clock = self._clock()
        if clock - self._swept_at >= SWEEP_EVERY:
            self._swept_at = clock
            _shorten(self.state.runs, self.state.hosts.values())
            while len(self._reported) > self.remembered:
                del self._reported[next(iter(self._reported))]

    def end(self) -> None:
        """No more lines will come: what is open is judged as it stands."""
        close_all(self.state)
        self._waiting.clear()
        self._check_faults(self._now())

    def lost(self, name: str) -> None:
        """Lines were lost just now, of any host. name: of the file."""
        now = self._now()
        self._gap_open = True
        self._mark_gap(max(self.state.now, 0), now)
        hosts = list(self.state.hosts)
        line = f"{name} was truncated while it was followed".encode()
        host = text(hosts[0]) if len(hosts) == 1 else ""
        fault = Fault("log-gap", "warning", host, name, now, now, count=1, lines=[line])
        fault.meaning, fault.fix = advise(fault)
        self._items.append(FaultNews(now, "begin", fault))

    def _mark_gap(self, begin: int, end: int) -> None:
        for host in self.state.hosts.values():
            host.gap_to = max(host.gap_to, end)
        self._gaps.append((begin, end))
        self._gap_end = max(self._gap_end, end)

    def _now(self) -> int:
        """The log's time: of its last line, and what has passed since that was read."""
        return max(self.state.now, 0) + int(self._clock() - self._read_at)

    def _is_older(self, leg: Leg) -> bool:
        """A message that began before what was read is none of ours, unless its beginning may have been lost."""
        host = leg.space.host
        gap_to = host.gap_to
        if self.whole:
            return False
        if self._gaps:
            if any(begin <= leg.first <= end + LOST_FOR for begin, end in self._gaps):
                return False
            gap_to = -1 if gap_to <= self._gap_end else gap_to
        return host.gap_from is None and gap_to < leg.first

    # --- messages ---

    def _closed(self, legs: list[Leg], case: Case) -> None:
        was = None
        for leg in legs:
            was = self._reported.pop(leg.seq, was) if self._reported else was
        self._items.append(_Closed(self._now(), legs, case, was))

    def _check_held(self, now: int) -> None:
        """Mail that is in transit for long enough: told if its verdict can be, else looked at again later."""
        limit = now - self.hold
        up_to = self._held_up_to
        fresh: list[Leg] = []
        retried: dict[int, int] = {}
        for space in self.state.spaces:
            for leg in reversed(space.legs.values()):
                if leg.first > limit:
                    continue
                if leg.seq <= self._held_up_to:
                    break
                up_to = max(up_to, leg.seq)
                fresh.append(leg)
            # Refused by the milter, and tried again by pickup each minute.
            for leg in _retried(space.retry_ids.values(), (w.legs for w in space.retries.values())):
                if leg.first <= limit:
                    retried[leg.seq] = leg.last
                    if self._retried.get(leg.seq) != leg.last:
                        self._hold(leg, now)
        self._held_up_to = up_to
        self._retried = retried
        fresh.sort(key=lambda leg: leg.seq)
        self._waiting.update((leg.seq, (leg, -1)) for leg in fresh)
        for seq, (leg, last) in list(self._waiting.items()):
            if leg.end != OPEN:
                del self._waiting[seq]
            elif leg.last != last or leg.active is None:
                if self._hold(leg, now):
                    del self._waiting[seq]
                else:
                    self._waiting[seq] = (leg, leg.last)

    def _hold(self, leg: Leg, now: int) -> bool:
        """Tell of a message in transit. False when there is, or may be, more to say of it later."""
        legs = leg.chain.legs if leg.chain is not None else [leg]
        first = legs[0]
        if not any(one.active is not None or one.held or one.refusal is not None for one in legs):
            return False
        if not is_mail(legs, self.state.now) or (first.kind == LOST and self._is_older(first)):
            return True
        case = examine(legs)
        verdict = resolve(case, self.known)
        final = verdict.outcome == "signed" or verdict.direction in ("inbound", "bounce")
        if verdict.outcome == "unsigned" and not _leaves(legs):
            # A filter it goes to may yet have it signed.
            verdict = verdict._replace(outcome="undecided", reason="in-transit")
        elif verdict.outcome == "unsigned":
            final = True
        was = next((self._reported[one.seq] for one in legs if one.seq in self._reported), None)
        if was is None or was[:3] != verdict[:3]:
            for one in legs:
                self._reported.pop(one.seq, None)
            self._reported[first.seq] = verdict
            # Of what was there before, told as if it had been watched.
            at = now if self._live else min(now, max(first.first + self.hold, leg.last))
            self._items.append(self._message(at, legs, verdict, was))
        return final

    def _check_unsure(self, now: int) -> None:
        """What was told before all was known that decides it: domains that are ours, signatures that are logged."""
        for _ in range(len(self._unsure)):
            item = self._unsure.popleft()
            verdict = resolve(item.case, self.known)
            if item.was is not None and verdict[:3] != item.was[:3]:
                self._items.append(self._message(now, item.legs, verdict, item.was))
                item.was = verdict
            if now - item.at < UNSURE_FOR and not is_final(item.case, self.known):
                self._unsure.append(item)

    def _message(self, at: int, legs: list[Leg], verdict: Verdict, was: Verdict | None) -> MessageNews:
        before = None if was is None else (was.direction, was.outcome, was.reason)
        return MessageNews(at, build_message(legs, verdict), before)

    # --- faults ---

    def _check_faults(self, now: int) -> None:
        for key, fault in self.state.faults.items():
            told = self._told.get(id(fault))
            if told is None:
                self._name_foreign(key)
                if fault.count:
                    self._begins(_Told(fault, fault.first, fault.first), key[0])
            elif fault.count == told.seen and fault.ongoing == told.ongoing:
                continue
            elif told.ongoing and not fault.ongoing:
                self._tell("end", told, self._end_of(fault, key[0]))
            elif fault.count != told.seen and not told.ongoing and (fault.ongoing or _is_outage(fault)):
                again = _Told(fault, fault.last, fault.last, count=told.seen, hit=fault.messages_hit)
                self._begins(again, key[0])
            elif now - told.at >= (LIFE_AGAIN if fault.kind.startswith("opendkim-") else AGAIN):
                self._tell("again", told, fault.last)
        for name, fault in list(self._not_logging.items()):
            if self.state.hosts[name].run.success:
                del self._not_logging[name]
                self._unlogged[name] = 0
                self._items.append(FaultNews(now, "end", replace(fault, last=now, ongoing=False)))

    def _begins(self, told: _Told, host: bytes) -> None:
        self._tell("begin", told, told.since)
        if _is_outage(told.fault) and not told.fault.ongoing:
            self._tell("end", told, self._end_of(told.fault, host))

    def _end_of(self, fault: Fault, host: bytes) -> int:
        """When it was over: an outage's last line is the one that proved it, a stop ends with the start."""
        return max(fault.last, self.state.hosts[host].born) if fault.kind == "opendkim-stopped" else fault.last

    def _tell(self, phase: Phase, told: _Told, at: int) -> None:
        fault = told.fault
        copy = _since(told)
        copy.ongoing = phase != "end" and (fault.ongoing or _is_outage(fault))
        copy.meaning, copy.fix = advise(copy)
        self._items.append(FaultNews(at, phase, copy))
        told.at, told.seen, told.ongoing = at, fault.count, fault.ongoing
        self._told[id(fault)] = told

    def _going_on(self) -> list[FaultNews]:
        """The faults that are going on, as they began."""
        found = [FaultNews(told.since, "begin", _since(told)) for told in self._told.values() if told.fault.ongoing]
        for news in found:
            news.fault.meaning, news.fault.fix = advise(news.fault)
        return found

    def _is_unlogged(self, host: bytes, at: int) -> None:
        """One more message that cannot be judged since this host's OpenDKIM logs no signature."""
        self._unlogged[host] += 1
        if self._unlogged[host] >= UNLOGGED and host not in self._not_logging:
            fault = Fault("not-logging", "warning", text(host), "opendkim", at, at, count=1, ongoing=True)
            fault.meaning, fault.fix = advise(fault)
            self._not_logging[host] = fault
            self._items.append(FaultNews(at, "begin", fault))

    def _name_foreign(self, key: tuple[bytes, str, bytes]) -> None:
        _, kind, subject = key
        if self._is_ours is not None and kind.startswith("milter-") and subject and not self._is_ours(text(subject)):
            self.state.foreign_endpoints.add(subject)

    # --- telling ---

    def news(self) -> Iterator[News]:
        """What is to be told since the last call, in the order in which it happened."""
        items, self._items = sorted(self._items, key=_at), deque()
        for item in items:
            found = self._judged(item) if isinstance(item, _Closed) else item
            if found is None:
                continue
            if self._live and isinstance(found, MessageNews):
                self._count(found)
            yield found
        if self._items:  # what judging them brought up
            yield from self.news()

    def _judged(self, item: _Closed) -> MessageNews | None:
        verdict = resolve(item.case, self.known)
        was, item.was = item.was, verdict
        if not is_final(item.case, self.known):
            self._unsure.append(item)
        if verdict.reason == "success-not-logged":
            self._is_unlogged(item.case.host, item.at)
        if was is not None and was[:3] == verdict[:3]:
            return None
        return self._message(item.at, item.legs, verdict, was)

    def _count(self, news: MessageNews) -> None:
        message = news.message
        if news.was is not None and self.session[news.was] > 0:
            self.session[news.was] -= 1
        self.session[message.direction, message.outcome, message.reason] += 1
        if message.direction == "outbound" and news.was is None:
            second = int(self._clock())
            if not self._minute or self._minute[-1][0] != second:
                self._minute.append((second, Counter()))
                self._forget_minute(second)
            self._minute[-1][1][message.outcome] += 1

    def standing(self) -> Standing:
        """How things stand now."""
        clock = self._clock()
        self._forget_minute(clock)
        outbound: Counter[str] = Counter()
        reasons = set()
        for (direction, outcome, reason), count in self.session.items():
            if direction == "outbound" and count:
                outbound[outcome.replace("-", "_")] += count
                reasons.add(reason)
        return Standing(
            session=dict(self.session),
            minute=sum((counts for _, counts in self._minute), Counter()),
            fraction=signed_fraction(outbound, reasons),
            milter=self._milter(),
            seconds=int(clock - self._began),
        )

    def in_transit(self) -> int:
        """Mail that is in the queue, or left it a moment ago, and was not told of."""
        legs = [leg for space in self.state.spaces for some in (space.legs, space.closed) for leg in some.values()]
        firsts = {id(leg.chain.legs[0] if leg.chain is not None else leg): leg for leg in legs if leg.active}
        return sum(
            not any(one.seq in self._reported for one in (leg.chain.legs if leg.chain is not None else [leg]))
            for leg in firsts.values()
            if leg.kind != LOST
        )

    def _forget_minute(self, clock: float) -> None:
        while self._minute and self._minute[0][0] <= clock - 60:
            self._minute.popleft()

    def _milter(self) -> str | None:
        hosts = self.state.hosts.values()
        for host in hosts:
            for fault in host.outages.values():
                return fault.kind.removeprefix("milter-")
        spans = [host.run for host in hosts]
        if any(span.down for span in spans):
            return "stopped"
        return "" if any(span.seen for span in spans) else None


def _since(told: _Told) -> Fault:
    """The fault as it is since this occurrence began."""
    fault = told.fault
    first = told.count == 0
    return replace(
        fault,
        first=told.since,
        count=fault.count - told.count,
        messages_hit=fault.messages_hit - told.hit,
        lines=list(fault.lines) if first else fault.lines[-1:],
        effects=dict(fault.effects) if first else {},
        spells=min(fault.spells, 1),
    )


def _at(item: _Item) -> int:
    return item.at


def _key(news: FaultNews) -> tuple[str, str, str, int]:
    fault = news.fault
    return fault.host, fault.kind, fault.subject, fault.first


def _is_outage(fault: Fault) -> bool:
    """A fault with a beginning and an end."""
    return fault.kind.startswith("milter-") or fault.kind == "opendkim-stopped"


def _retried(by_id: Iterable[Leg], waiting: Iterable[Iterable[Leg]]) -> Iterator[Leg]:
    yield from by_id
    for legs in waiting:
        yield from legs


def _leaves(legs: list[Leg]) -> bool:
    """Some copy of it was tried to a server outside, so no filter here comes between any more."""
    for leg in legs:
        for daemon, route, _, linked in (leg.deliveries or {}).values():
            relay = relay_of(route)
            if daemon == b"smtp" and not linked and relay != b"none":
                return not is_local_relay(relay, leg.space.host.name)
    return False


def _shorten(spans: list[Span], hosts: Iterable[Host]) -> None:
    """Let spans of OpenDKIM's life that are over share one object for each answer they can give."""
    current = {id(host.run) for host in hosts}
    same: dict[tuple[bool, bool, bool], Span] = {}
    for number, span in enumerate(spans[:-SPANS]):
        if id(span) not in current:
            spans[number] = same.setdefault((span.success, span.seen, span.down), span)
