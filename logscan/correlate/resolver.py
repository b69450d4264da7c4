"""Keys of other domains that the DNS does not give: their own trouble, unless it is everybody's."""

from __future__ import annotations

from logscan.correlate.state import Host, State, shown

# So many domains without an answer, none more than so many seconds after the one before, are no accident.
DOMAINS = 5
SILENCE = 600
RESOLVER = b"resolver"
NO_ANSWER = frozenset({"key-retrieval-timeout", "key-retrieval-failed", "key-retrieval-noinit", "key-retrieval-class"})


def unanswered(state: State, host: Host, domain: bytes, line: bytes) -> None:
    """The DNS gave no answer about a domain's key. One domain's servers may be down; of several in a row, with no
    good answer between them, our own resolver is.

    Where OpenDKIM does not log its successes nobody sees the answers between them: then it takes more of them.
    """
    waiting = host.unanswered
    if waiting and state.now - waiting[-1][0] > SILENCE:
        waiting.clear()
    # A stranger may put any number of names below a domain of his into signatures; domains cost more.
    domain = b".".join(domain.lower().rsplit(b".", 2)[-2:])
    if all(domain != other for _, other, _ in waiting):
        waiting.append((state.now, domain, shown(line)))
    if len(waiting) < (DOMAINS if host.run.success else 3 * DOMAINS):
        return
    key = (host.name, "dns", RESOLVER)
    if key not in state.faults or not state.faults[key].ongoing:
        for at, _, before in waiting[:-1]:
            fault = state.fault(host, "dns", RESOLVER, "warning", before)
            fault.first = min(fault.first, at)
    state.fault(host, "dns", RESOLVER, "warning", line).ongoing = True
    del waiting[: -3 * DOMAINS]


def answered(state: State, host: Host) -> None:
    """The DNS gave somebody's key, or said that there is none."""
    host.unanswered.clear()
    fault = state.faults.get((host.name, "dns", RESOLVER))
    if fault is not None:
        fault.ongoing = False
