"""The nine rules of direction, each with a case on either side of it.

`sent` is relayed on to mail.example.net outside, `boxed` is delivered on this host. Ours is example.org, by a
signature that the log begins with, or ends with.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from builder import HERE, LATER, OPENDKIM, STRANGER, Log, judge

from logscan.correlate.state import RECIPIENT_CAP

A, B = "4F2A91C0301", "4F2A91C0302"
PRIVATE = "app.example.org[10.0.0.20]"
NOT_INTERNAL = ("client.example.com [198.51.100.7] not internal", "not authenticated")
NO_MATCH = "no signing table match for 'x@example.com'"
VERIFIED = "DKIM verification successful"
ELSEWHERE = "ann@example.com"
CASES: list[tuple[str, str, Callable[[Log], Log]]] = []


def case(direction: str, about: str) -> Callable[[Callable[[Log], Log]], Callable[[Log], Log]]:
    """Note a case: what the first message of the ID A has to be."""

    def note(make: Callable[[Log], Log]) -> Callable[[Log], Log]:
        CASES.append((direction, about, make))
        return make

    return note


def mail(
    log: Log, *words: str, to: str = "friend@example.net", sender: str = ELSEWHERE, **more: object
) -> Log:
    """A mail of somebody else's, from nowhere near."""
    return log.mail(A, *words, to=to, sender=sender, **{"client": STRANGER, **more})


def opened(log: Log, client: str = STRANGER, sender: str = ELSEWHERE, service: str = "") -> Log:
    """The same, up to the queue."""
    return log.connect(client, service=service).client(A, client, service=service).named(A).queued(A, sender)


def refused(log: Log, client: str, sender: str, to: str = "friend@example.net", *words: str) -> Log:
    """Refused at the end of the message, before any delivery."""
    log.connect(client).client(A, client).named(A).words(A, *words)
    tail = f"from=<{sender}> to=<{to}> proto=ESMTP helo=<app.example.org>"
    return log.cleanup(f"{A}: milter-reject: END-OF-MESSAGE from {client}: {LATER}; {tail}").disconnect(
        client
    )


# 1. null envelope sender
case("bounce", "1: null sender, though a user submitted it")(lambda log: mail(log, sender="", sasl="ann"))
case("bounce", "1: null sender, though signed")(lambda log: mail(log, "+", sender=""))
case("bounce", "1: null sender from outside, delivered here")(
    lambda log: mail(log, sender="", to="boss@example.org", local=True)
)
case("bounce", "1: null sender, refused")(lambda log: refused(log, STRANGER, ""))
case("outbound", "1: not null: the same user")(lambda log: mail(log, sasl="ann"))
case("inbound", "1: `<>` only looks null in quotes")(
    lambda log: mail(log, sender='"<>"@example.com', to="boss@example.org", local=True)
)

# 2. submitted, or signed
case("outbound", "2: pickup, delivered here")(
    lambda log: log.pickup(A, ELSEWHERE).named(A).queued(A, ELSEWHERE).boxed(A).removed(A)
)
case("inbound", "2: pickup of a requeue is none: delivered here (8)")(
    lambda log: (
        log.pickup(A, ELSEWHERE, 102, " orig_id=4F2A91C0399")
        .named(A)
        .queued(A, ELSEWHERE)
        .boxed(A)
        .removed(A)
    )
)
case("unknown", "2: pickup of a requeue is none: sent on (9)")(
    lambda log: (
        log.pickup(A, ELSEWHERE, 102, " orig_id=4F2A91C0399").named(A).queued(A, ELSEWHERE).sent(A).removed(A)
    )
)
case("outbound", "2: a login, delivered here, verified")(
    lambda log: mail(log, VERIFIED, sasl="ann", to="boss@example.org", local=True)
)
case("inbound", "2: no login: the same is incoming (3)")(
    lambda log: mail(log, VERIFIED, to="boss@example.org", local=True)
)
for _service in ("submission/", "submissions/", "smtps/"):
    case("outbound", f"2: {_service} without a login")(
        lambda log, s=_service: (
            log.connect(STRANGER, 150)
            .say(f"postfix/{s}smtpd", f"{A}: client={STRANGER}", 151)
            .named(A)
            .queued(A, ELSEWHERE)
            .boxed(A)
            .removed(A)
        )
    )
case("inbound", "2: another service's name")(
    lambda log: (
        log.say("postfix/inbound/smtpd", f"{A}: client={STRANGER}", 151)
        .named(A)
        .queued(A, ELSEWHERE)
        .boxed(A)
        .removed(A)
    )
)
case("inbound", "2: an instance called submission is no service")(
    lambda log: (
        log.say("submission/smtpd", f"{A}: client={STRANGER}", 151)
        .say("submission/cleanup", f"{A}: message-id=<x@y>", 152)
        .say("submission/qmgr", f"{A}: from=<{ELSEWHERE}>, size=1, nrcpt=1 (queue active)", 153)
        .say(
            "submission/virtual",
            f"{A}: to=<boss@example.org>, relay=virtual, delay=1, delays=1/0/0/0, dsn=2.0.0, status=sent (delivered to maildir)",
            154,
        )
        .say("submission/qmgr", f"{A}: removed", 153)
    )
)
case("outbound", "2: signed, delivered here")(lambda log: mail(log, "+", to="boss@example.org", local=True))
case("outbound", "2: signed on a later leg")(
    lambda log: (
        opened(log)
        .client(B, pid=102)
        .named(B, A.lower() + "@app.example.org", 202)
        .added(B)
        .queued(B, ELSEWHERE)
        .sent(A, told=f"250 2.0.0 Ok: queued as {B}", relay="127.0.0.1[127.0.0.1]:10024")
        .removed(A)
        .boxed(B)
        .removed(B)
    )
)

# 3. OpenDKIM took it for incoming, and every delivery was here
case("inbound", "3: verified and delivered here, though the tables were asked")(
    lambda log: mail(log, NO_MATCH, VERIFIED, to="boss@example.org", local=True, client=HERE)
)
case("inbound", "3: not internal and delivered here, from our own domain")(
    lambda log: mail(log, *NOT_INTERNAL, sender="app@example.org", to="boss@example.org", local=True)
)
case("outbound", "3: verified, but one of two went on (4)")(
    lambda log: opened(log, HERE).words(A, NO_MATCH, VERIFIED).boxed(A).sent(A).removed(A)
)
for _daemon, _relay in (
    ("local", "local"),
    ("virtual", "virtual"),
    ("lmtp", "mx.example.org[private/dovecot-lmtp]"),
    ("pipe", "maildrop"),
):
    case("inbound", f"3: {_daemon} is local")(
        lambda log, d=_daemon, r=_relay: (
            opened(log)
            .words(A, *NOT_INTERNAL)
            .delivery(A, "boss@example.org", "sent", "ok", relay=r, daemon=d)
            .removed(A)
        )
    )

# 4. the tables were asked
case("outbound", "4: no signing table match")(lambda log: mail(log, NO_MATCH))
case("outbound", "4: no signing domain match")(
    lambda log: mail(
        log, "no signing domain match for 'example.com'", "no signing subdomain match for 'example.com'"
    )
)
case("outbound", "4: asked, delivered here, nothing verified")(
    lambda log: mail(log, NO_MATCH, to="boss@example.org", local=True)
)
case("outbound", "4: asked, and refused for its key")(
    lambda log: refused(log, STRANGER, ELSEWHERE, "friend@example.net", "error loading key 'k1'")
)
case("unknown", "4: not asked (9)")(lambda log: mail(log))
case("inbound", "4: asked on the way back from a filter only")(
    lambda log: (
        opened(log)
        .client(B, pid=102)
        .named(B, A.lower() + "@app.example.org", 202)
        .words(B, NO_MATCH)
        .queued(B, ELSEWHERE)
        .sent(A, "boss@example.org", f"250 2.0.0 Ok: queued as {B}", relay="127.0.0.1[127.0.0.1]:10024")
        .removed(A)
        .boxed(B)
        .removed(B)
    )
)

# 5. from a domain of ours, sent on to one that is not
case("outbound", "5: ours to theirs, though not internal")(
    lambda log: mail(log, *NOT_INTERNAL, sender="app@example.org")
)
case("outbound", "5: ours in capitals")(lambda log: mail(log, sender="App@EXAMPLE.org"))
case("outbound", "5: to us and to them")(
    lambda log: opened(log, sender="app@example.org").sent(A, "x@example.org").sent(A).removed(A)
)
case("unknown", "5: ours to ours (9)")(lambda log: mail(log, sender="app@example.org", to="x@example.org"))
case("inbound", "5: ours to ours, not internal (7)")(
    lambda log: mail(log, *NOT_INTERNAL, sender="app@example.org", to="x@example.org")
)
case("unknown", "5: theirs to theirs (9)")(lambda log: mail(log))
case("unknown", "5: a domain that only ends like ours (9)")(
    lambda log: mail(log, sender="app@notexample.org")
)
case("inbound", "5: ours, delivered here (8)")(
    lambda log: mail(log, sender="app@example.org", to="boss@example.org", local=True)
)
case("unknown", "5: ours to theirs, refused before any delivery: only 1, 2, 4 and 6 count")(
    lambda log: refused(log, STRANGER, "app@example.org")
)

# 6. from this host or a private address to the outside
for _client, _direction in (
    (HERE, "outbound"), ("localhost[::1]", "outbound"), ("unknown[127.8.8.8]", "outbound"), (PRIVATE, "outbound"),
    ("unknown[172.16.0.1]", "outbound"), ("unknown[172.31.255.254]", "outbound"), ("unknown[192.168.7.7]", "outbound"),
    ("unknown[fd12:3456::1]", "outbound"),
    ("unknown[172.15.255.254]", "unknown"), ("unknown[172.32.0.1]", "unknown"), ("unknown[11.0.0.1]", "unknown"),
    ("unknown[192.169.0.1]", "unknown"), ("unknown[128.0.0.1]", "unknown"), ("unknown[2001:db8::1]", "unknown"),
    ("localhost[198.51.100.7]", "unknown"), ("10.0.0.1.example.com[198.51.100.7]", "unknown"),
    ("mx.example.com[198.51.100.7]", "unknown"), ("unknown[unknown]", "unknown"),
):  # fmt: skip
    case(_direction, f"6: {_client} to the outside")(lambda log, c=_client: mail(log, client=c))
case("outbound", "6: private to the outside, not internal")(
    lambda log: mail(log, *NOT_INTERNAL, client=PRIVATE)
)
case("unknown", "6: private to a domain of ours (9)")(
    lambda log: mail(log, client=PRIVATE, to="x@example.org")
)
case("inbound", "6: private, delivered here (8)")(
    lambda log: mail(log, client=PRIVATE, to="boss@example.org", local=True)
)
case("outbound", "6: private to the outside, refused before any delivery")(
    lambda log: refused(log, PRIVATE, ELSEWHERE)
)
case("unknown", "6: a stranger's, refused before any delivery (9)")(
    lambda log: refused(log, STRANGER, ELSEWHERE)
)
case("unknown", "6: private to a domain of ours, refused (9)")(
    lambda log: refused(log, PRIVATE, ELSEWHERE, "x@example.org")
)

# 7. OpenDKIM took it for incoming
case("inbound", "7: verified, sent on to another server of ours")(
    lambda log: mail(log, VERIFIED, to="x@example.org")
)
case("inbound", "7: not internal, sent on")(lambda log: mail(log, *NOT_INTERNAL))
case("inbound", "7: verified, and refused")(
    lambda log: refused(log, STRANGER, ELSEWHERE, "x@example.org", VERIFIED)
)
case("inbound", "7: the signature was bad")(lambda log: mail(log, "bad signature data"))
case("inbound", "7: the key was not found")(
    lambda log: mail(
        log, "key retrieval failed (s=k9, d=example.com): 'k9._domainkey.example.com' record not found"
    )
)
case("unknown", "7: not a word (9)")(lambda log: mail(log))

# 8. every delivery was here
case("inbound", "8: delivered here")(lambda log: mail(log, to="boss@example.org", local=True))
case("unknown", "8: one of two went on (9)")(lambda log: opened(log).boxed(A).sent(A).removed(A))
case("unknown", "8: no delivery at all (9)")(lambda log: opened(log))
case("inbound", "8: bounced by the mailbox")(
    lambda log: (
        opened(log)
        .delivery(A, "gone@example.org", "bounced", "unknown user", relay="virtual", daemon="virtual")
        .removed(A)
    )
)


@pytest.mark.parametrize(
    ("direction", "make"), [(d, m) for d, _, m in CASES], ids=[about for _, about, _ in CASES]
)
@pytest.mark.parametrize("known", ["before", "after"])
def test_direction(direction: str, make: Callable[[Log], Log], known: str) -> None:
    """Ours may be known only once the message is through."""
    log = Log().started()
    if known == "before":
        log.mail("4F2A91C0300", "+", sasl="ann").wait(60)
    make(log).wait(60)
    if known == "after":
        log.mail("4F2A91C0300", "+", sasl="ann")
    assert judge(log).of(A).direction == direction


def test_our_domains_may_be_given() -> None:
    log = Log().started().mail(A, client=STRANGER, sender="app@example.org")
    assert judge(log).one().direction == "unknown"
    assert judge(log, ours=["example.org"]).one().direction == "outbound"


def test_a_mail_refused_at_mail_has_no_recipient_to_judge_by() -> None:
    """Rule 2 still holds; without a login nobody can say where it would have gone."""
    for user, directions in ((" sasl_username=<ann>", {"outbound"}), ("", {"unknown"})):
        log = (
            Log()
            .connect(STRANGER)
            .smtpd(f"warning: connect to Milter service {OPENDKIM}: Connection refused")
        )
        log.smtpd(
            f"NOQUEUE: milter-reject: MAIL from {STRANGER}: 451 {LATER}; from=<{ELSEWHERE}> proto=ESMTP"
            f" helo=<x>{user}"
        )
        assert judge(log.disconnect(STRANGER)).one().direction in directions


def test_a_mail_of_hundreds_that_also_left_is_not_all_delivered_here() -> None:
    """Of recipients past the cap no domain is kept, but that one of them was outside is."""
    log = Log().started().mail(B, "+").connect(STRANGER).client(A, STRANGER).named(A).queued(A, ELSEWHERE, 203)
    for n in range(RECIPIENT_CAP):
        log.boxed(A, f"boss{n}@example.org")
    assert judge(log.boxed(A, "last@example.org")).of(A).direction == "inbound"
    assert judge(log.sent(A)).of(A).direction == "unknown"
    assert judge(log.boxed(A, "very-last@example.org").removed(A)).of(A).direction == "unknown"
