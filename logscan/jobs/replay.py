"""Reads what sieves kept, part after part, as if the whole log were read.

A part was sifted without what came before it. Here that is known, so each is looked at first: where anything that
is open could have to do with a message that was left out, the part is refused and has to be read itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from logscan.correlate.feed import Feed
from logscan.correlate.state import HOST_CAP, INSTANCE_CAP, LEG_CAP, PICKUP, Origin, State
from logscan.jobs.digest import Digest, Task
from logscan.jobs.sieve import SLACK
from logscan.parse.stamps import Clock, Place
from logscan.run import Run

# A clock has to know of the hours that are passed twice, or left out, for so long.
_NIGHT = 6 * 3600


def fits(run: Run, digest: Digest, task: Task, before: Place | None, *, apart: bool = False) -> bool:
    """True when a part may be replayed now.

    before: where the clock stood, None at the begin of a source. apart: no other source has lines of its hosts.
    """
    if not digest.good:
        return False
    if not digest.instants:
        return True
    state = run.state
    return (
        (before is None or _clock_fits(digest, task, before))
        and state.opendkim_names == digest.names
        and state.latest <= digest.instants[0] + SLACK
        and _room_for(state, digest)
        and not _touches(state, digest)
        and not (digest.made_early and len(digest.hosts if apart else digest.hosts.union(state.hosts)) > 1)
        and not any(
            (tag in digest.tags and _owes(origin)) or (tag in digest.going_on and _goes_on(origin))
            for tag, origin in run.writers.items()
        )
    )


def replay(run: Run, feed: Feed, digest: Digest) -> None:
    """Take the kept lines in their places, and the counts of the others."""
    lines = digest.lines.split(b"\n")
    feed.replay(digest.instants.tolist(), lines, digest.where.tolist(), bytes(digest.notes))
    take_counts(run, feed, digest)
    leave_writers(feed, digest)
    if digest.ended is not None:
        feed.resume(digest.ended)


class Step(NamedTuple):
    """What was kept of the lines of one instant, and of each what to do before."""

    at: int
    lines: list[bytes]
    notes: bytes


def steps(digest: Digest) -> Iterator[Step]:
    """The digest's way through time."""
    lines, where, notes = digest.lines.split(b"\n"), digest.where, bytes(digest.notes)
    begin, count = 0, len(where)
    for index, at in enumerate(digest.instants):
        end = begin
        while end < count and where[end] == index:
            end += 1
        yield Step(at, lines[begin:end], notes[begin:end])
        begin = end


def take_step(feed: Feed, step: Step) -> bool:
    """Take the lines of one instant. False when the feed's own clock would have read another instant."""
    if step.at != feed.state.now:
        feed.reached(step.at)
    same = True
    for line, note in zip(step.lines, step.notes, strict=True):
        same = feed.again(step.at, line, note) and same
    return same


def take_counts(run: Run, feed: Feed, digest: Digest) -> None:
    """Add what the lines that were left out came to."""
    run.state.foreign_lines += digest.foreign
    run.state.not_mail += digest.not_mail
    feed.unread += digest.unread
    assert run.tally is not None
    run.tally.take(digest.tables)


def leave_writers(feed: Feed, digest: Digest) -> None:
    """At the end of a part: leave its writers as lines that were left out would have done."""
    for tag, note in digest.writers:
        feed.forget(tag, note)


def _clock_fits(digest: Digest, task: Task, before: Place) -> bool:
    """The clock would have read the part as it was read there."""
    assert digest.begun is not None
    assert digest.ended is not None
    clock = Clock(task.zone, task.reference, task.year_hint)
    clock.resume(before)
    if clock.traditional(digest.first_stamp) is None:
        # No stamp of the source needs a year, or too many kinds of stamps are mixed.
        return before[0] is None and digest.ended[0] is None and before[2] == digest.ended[2] == 0
    same = clock.place()[:2] == digest.begun[:2]
    night = before[2]
    return same and (night == 0 or digest.instants[0] - night > _NIGHT) and digest.begun[2] == 0


def _room_for(state: State, digest: Digest) -> bool:
    """No cap can have been reached meanwhile."""
    instances = max((len(host.spaces) for host in state.hosts.values()), default=0)
    return (
        state.open_legs + digest.most_open < LEG_CAP
        and len(state.hosts) + len(digest.hosts) < HOST_CAP
        and len(state.spaces) + len(digest.hosts) * digest.instances < HOST_CAP
        and instances + digest.instances < INSTANCE_CAP
    )


def _touches(state: State, digest: Digest) -> bool:
    """A message that is open may have been meant by a line that was left out."""
    ids = frozenset(digest.ids.split(b"\n"))
    for space in state.spaces:
        if space.host.name not in digest.hosts:
            continue
        if any(queue_id in ids for queue_id in space.legs) or any(queue_id in ids for queue_id in space.closed):
            return True
        if digest.pickups and (space.retries or space.retry_ids):
            return True
        if digest.pickups and any(leg.kind == PICKUP and leg.active is None for leg in space.legs.values()):
            return True
    return False


def _owes(origin: Origin) -> bool:
    """The next line of this writer may be about what it said before, without saying so."""
    return origin.refused is not None or (origin.failure is not None and origin.daemon == b"cleanup")


def _goes_on(origin: Origin) -> bool:
    """Its session lost a milter, or may: what comes of that is seen by all mail of the host."""
    return origin.used or origin.failure is not None or (origin.leg is not None and origin.leg.failure is not None)
