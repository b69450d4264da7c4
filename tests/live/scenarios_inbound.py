"""Mail from outside for our own mailboxes: signed well, badly, or not at all."""

from __future__ import annotations

from .dkim import sign
from .postfix import MILTER
from .register import SIGNED, register
from .rig import STRANGER, Lab, Scenario
from .rows import Row
from .truth import Expect, Sent, Words

SCENARIOS: dict[str, Scenario] = {}
scenario = register(SCENARIOS)
OUTSIDER, BOSS = "friend@example.net", "boss@example.org"


def inbound(outcome: Words, reason: Words | None = None, effect: Words = "sent") -> Expect:
    """What came in."""
    return Expect(outcome, reason, "inbound", effect)


def receive(lab: Lab, expect: Expect, selector: str | None = "relay", body: tuple[bytes, bytes] | None = None,
            extra: str = "", to: str = BOSS, domain: str = "example.net", header: str = "") -> Sent:
    """One mail from outside, signed with relay's key under any selector; body: a change on the way."""
    sent, data = lab.mail(expect, sender=OUTSIDER, to=to, extra=header)
    if selector:
        key = lab.rig.root / "keys/relay._domainkey.example.net/relay.private"
        data = sign(data, domain, selector, key, extra)
    if body:
        data = data.replace(*body)
    with lab.session(STRANGER, "mail.example.net") as client:
        return lab.send(client, sent, data)


def more_keys(lab: Lab) -> None:
    """Public keys: `wrong` is another's, `revoked` empty, `nonsense` no key, `broken` cannot be asked for."""
    records = lab.rig.dns.records
    records["wrong._domainkey.example.net"] = records["mx2026._domainkey.example.org"]
    records["revoked._domainkey.example.net"] = "v=DKIM1; k=rsa; p="
    records["nonsense._domainkey.example.net"] = "v=DKIM1; k=rsa; p=AAAA"
    lab.rig.dns.broken.add("broken._domainkey.example.net")


def all_kinds(lab: Lab, none: str) -> None:
    more_keys(lab)
    receive(lab, inbound("pass"))
    receive(lab, inbound("fail", ("body-altered", "bad-signature")), body=(b"\r\nmail ", b"\r\nMAIL "))
    receive(lab, inbound("fail", "bad-signature"), body=(b"Subject: report", b"Subject: REPORT"))
    receive(lab, inbound("fail", "bad-signature"), selector="wrong")
    receive(lab, inbound("fail", "key-not-found"), selector="absent")
    receive(lab, inbound("fail", "key-unusable"), selector="revoked")
    receive(lab, inbound("fail", ("key-unusable", "bad-signature", "other")), selector="nonsense")
    receive(lab, inbound("fail", ("key-unusable", "other")), selector="broken")
    receive(lab, inbound(none), selector=None)
    lab.smtp(SIGNED)
    lab.settle()


@scenario()
def inbound_plain(lab: Lab) -> None:
    """Only SyslogSuccess: mail without a signature leaves no word."""
    all_kinds(lab, "unchecked")


@scenario(opendkim={"LogWhy": "yes"})
def inbound_why(lab: Lab) -> None:
    """With LogWhy."""
    all_kinds(lab, "none")


@scenario(opendkim={"LogWhy": "yes", "LogResults": "yes"})
def inbound_results(lab: Lab) -> None:
    """With LogWhy and LogResults."""
    all_kinds(lab, "none")


@scenario(opendkim={"On-BadSignature": "reject", "On-KeyNotFound": "tempfail"})
def inbound_policy(lab: Lab) -> None:
    """What fails is refused: a verdict on the mail, no milter error."""
    more_keys(lab)
    receive(lab, inbound("pass"))
    receive(lab, inbound("fail", ("body-altered", "bad-signature", "policy"), "rejected"),
            body=(b"\r\nmail ", b"\r\nMAIL "))
    receive(lab, inbound("fail", ("key-not-found", "policy"), "tempfailed"), selector="absent")
    lab.settle()


@scenario(opendkim={"LogResults": "yes"})
def inbound_two_signatures(lab: Lab) -> None:
    """A good signature and a bad one: any good one passes."""
    more_keys(lab)
    sent, data = lab.mail(inbound("pass"), sender=OUTSIDER, to=BOSS)
    key = lab.rig.root / "keys/relay._domainkey.example.net/relay.private"
    data = sign(data, "example.net", "wrong", key)
    data = sign(data, "example.net", "relay", key)
    with lab.session(STRANGER, "mail.example.net") as client:
        lab.send(client, sent, data)
    lab.settle()


@scenario(opendkim=None, rows=(Row("milter-unreachable", MILTER, hit=1, ongoing=True),))
def inbound_down(lab: Lab) -> None:
    """OpenDKIM is down while mail comes in."""
    receive(lab, Expect("milter-error", "connect-refused", "inbound"), selector=None)
    lab.settle()


@scenario(opendkim={"LogWhy": "yes"})
def inbound_hostile(lab: Lab) -> None:
    """Crafted texts in what OpenDKIM quotes: a signature's tags, From, Message-ID."""
    lie = "DKIM-Signature field added (s=x, d=evil.example)"
    receive(lab, inbound(("fail", "unchecked", "none")), selector=None,
            header=f"DKIM-Signature: v=1; a=rsa-sha256; d={lie}; s={lie}; h=from; bh=AAAA; b=AAAA\r\n")
    receive(lab, inbound(("fail", "unchecked", "none")), selector=None,
            header="DKIM-Signature: v=1; a=rsa-sha256; d=example.net\x1b[31m; s=x y'; h=from; bh=A; b=A\r\n")
    receive(lab, inbound("fail", "key-not-found"), selector="a': DKIM verification successful")
    receive(lab, inbound(("fail", "unchecked")), domain="added.(s=x,d=evil.example)")
    lab.settle()


ALIAS = "away@mx.example.org"


@scenario(opendkim={"LogWhy": "yes"})
def forwarded(lab: Lab) -> None:
    """An alias sends mail on to the outside: a stranger's stays inbound, our own was signed before."""
    receive(lab, inbound("none"), selector=None, to=ALIAS)
    receive(lab, inbound("pass"), to=ALIAS)
    lab.smtp(SIGNED, to=ALIAS)
    lab.settle()
