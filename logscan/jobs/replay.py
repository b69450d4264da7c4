"""Reads what sieves kept, part after part, as if the whole log were read.

A part was sifted without what came before it. Here that is known, so each is looked at first: where anything that
is open could have to do with a message that was left out, the part is refused and has to be read itself.
"""

from __future__ import annotations

from collections.abc import Callable

from logscan.correlate.feed import Feed
from logscan.correlate.smtpd import new_session
from logscan.correlate.state import HOST_CAP, INSTANCE_CAP, LEG_CAP, PICKUP, Origin, State
from logscan.jobs.digest import NEW_SESSION, NO_LEG, Digest, Task
from logscan.jobs.sieve import SLACK
from logscan.parse.stamps import Clock, Place
from logscan.run import Run

# A clock has to know of the hours that are passed twice, or left out, for so long.
_NIGHT = 6 * 3600


def fits(run: Run, digest: Digest, task: Task, before: Place | None) -> bool:
    """True when a part may be replayed now. before: where the clock stood, None at the begin of a source."""
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
        and not (digest.made_early and len(digest.hosts.union(state.hosts)) > 1)
        and not any(_owes(origin) and tag in digest.tags for tag, origin in run.writers.items())
    )


def replay(run: Run, feed: Feed, digest: Digest) -> None:
    """Take the kept lines in their places, and the counts of the others."""
    state = run.state

    def of_new_session(origin: Origin) -> None:
        new_session(state, origin)

    before: tuple[Callable[[Origin], None] | None, ...] = (None, of_new_session, _without_leg)
    lines = digest.lines.split(b"\n")
    place, count = 0, len(digest.where)
    for index, at in enumerate(digest.instants):
        if at != state.now:
            feed.reached(at)
        while place < count and digest.where[place] == index:
            feed.again(at, lines[place], before[digest.notes[place]])
            place += 1
    state.foreign_lines += digest.foreign
    state.not_mail += digest.not_mail
    feed.unread += digest.unread
    assert run.tally is not None
    run.tally.take(digest.tables)
    if digest.ended is not None:
        feed.resume(digest.ended)


def _without_leg(origin: Origin) -> None:
    origin.leg = None


assert (NEW_SESSION, NO_LEG) == (1, 2)


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
