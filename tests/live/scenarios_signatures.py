"""Signatures of others, and public keys, that are odd in one way each; and odd headers.

KEYS and MADE are tables: one row is one mail from outside. None of it is a fault of ours.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from .dkim import SIGNED_HEADERS, sign
from .register import SIGNED, register
from .rig import STRANGER, Lab, Scenario
from .scenarios_inbound import BOSS, OUTSIDER, inbound, receive
from .scenarios_signing import ELSEWHERE
from .starts import WITH_KEYFILE
from .truth import Expect, Sent

SCENARIOS: dict[str, Scenario] = {}
scenario = register(SCENARIOS)
RESULTS = {"LogResults": "yes"}
# A TXT record, of which its name, type, class and time to live are there.
TXT_HEAD = struct.pack("!HHHI", 0xC00C, 16, 1, 1)


UNUSABLE, OTHER = inbound("fail", "key-unusable"), inbound("fail", "other")


@dataclass(frozen=True)
class Key:
    """A mail signed well with a public key that is odd. says: what OpenDKIM's line about it ends in.

    public: the TXT record, {} is the key itself. odd: bytes of the answer's records, in place of it.
    """

    says: str
    public: str = ""
    odd: list[bytes] | None = None
    expect: Expect = UNUSABLE
    names: tuple[str, ...] = SIGNED_HEADERS
    extra: str = ""


def result(text: str) -> str:
    """The end of a line of LogResults."""
    return f'result="{text}"'


def record(text: bytes, length: int | None = None) -> bytes:
    """A TXT record of one string. length: what it says that its string is long."""
    return TXT_HEAD + struct.pack("!HB", len(text) + 1, len(text) if length is None else length) + text


KEYS = (
    Key(result("unknown key version"), "v=DKIM2; k=rsa; p={}"),
    Key(result("unknown key version"), "v=; p={}"),
    Key(result("unknown key type"), "v=DKIM1; k=dsa; p={}"),
    Key(result("unknown key hash"), "v=DKIM1; h=md5; k=rsa; p={}"),
    Key(result("signature-key hash mismatch"), "v=DKIM1; h=sha1; k=rsa; p={}"),
    Key(result("not an e-mail key"), "v=DKIM1; s=tlsrpt; k=rsa; p={}"),
    Key(result("signing key too small"), "v=DKIM1; k=rsa; p={weak}"),
    Key(result("key DNS reply corrupt"), "=;=;"),
    Key(result("key DNS reply corrupt"), "v=DKIM1; k=rsa"),
    Key(result("key DNS reply corrupt"), odd=[record(b"x", 9)]),
    Key(result("multiple keys found"), odd=[record(b"v=DKIM1; p=AAAA"), record(b"v=DKIM1; p=BBBB")]),
    Key("key retrieval failed (s=odd11, d=example.net)", odd=[], expect=inbound("fail", ("key-unusable", "key-not-found"))),
    Key(result("unauthorized subdomain"), "v=DKIM1; k=rsa; t=s; p={}", expect=OTHER, extra="i=@sub.example.net; "),
    Key(result("header list missing required entries"), "v=DKIM1; k=rsa; p={}", expect=OTHER, names=("subject", "message-id")),
)  # fmt: skip

TAGS = {"v": "1", "a": "rsa-sha256", "c": "relaxed/relaxed", "d": "example.net", "s": "relay", "h": "from", "bh": "AAAA",
        "b": "AAAA"}


def made(**tags: str | None) -> str:
    """A signature made by hand: TAGS changed; None leaves one out."""
    return "; ".join(f"{name}={value}" for name, value in {**TAGS, **tags}.items() if value is not None)


# Signatures made by hand, and what OpenDKIM says of them.
MADE: tuple[tuple[str, str], ...] = (
    (made(v="2"), result("unsupported signature version")),
    (made(v=""), result("version empty")),
    (made(i="@example.com"), result("invalid domain coverage")),
    (made(t="1", x="2"), result("signature expired")),
    (made(t="4102444800"), result("signature timestamp in the future")),
    (made(c="loose/simple"), result("invalid header canonicalization")),
    (made(c="simple/loose"), result("invalid body canonicalization")),
    (made(a="rsa-md5"), result("signature algorithm invalid")),
    (made(l="-1"), result("body length value invalid")),
    (made(l="99999"), result("length tag value exceeds body size")),
    (made(q="http"), result("query method invalid")),
    (made(q="dns/http"), result("query option invalid")),
    (made(b=""), result("signature data empty")),
    (made(bh=None), result("body hash missing")),
    (made(bh=""), result("body hash empty")),
    (made(h=""), result("header list tag empty")),
    (made(s=None), "syntax error: missing parameter(s) in signature data"),
    (made() + "; x", "syntax error: tag without value at end of signature data"),
    (made(t="abc"), 'syntax error: invalid "t" value in signature data'),
    (made(x="abc"), 'syntax error: invalid "x" value in signature data'),
    ("=x; " + made(), "syntax error: syntax error in signature data (ASCII 0x3d at offset 1)"),
    (made() + "; \x7f=1", "syntax error: invalid character (ASCII 0x7f at offset 88) in signature data"),
)


def said(lab: Lab, sent: Sent, text: str) -> None:
    """Raise unless OpenDKIM said it of this mail: the scenario is not what it says."""
    lab.rig.syslog.mark()
    lines = [line for line in lab.rig.syslog.read().decode().splitlines() if f" {sent.queue_id}: " in line]
    if not any(" opendkim[" in line and text in line for line in lines):
        raise RuntimeError(f"not said: {text}: {lines}")


def public_half(lab: Lab, name: str) -> str:
    """The p= of a key that opendkim-genkey made."""
    return lab.rig.dns.records[name].split("p=", 1)[1]


def arrives(lab: Lab, sent: Sent, data: bytes) -> None:
    """Send it from outside."""
    with lab.session(STRANGER, "mail.example.net") as client:
        lab.send(client, sent, data)


@scenario(opendkim=RESULTS)
def odd_keys(lab: Lab) -> None:
    """Each of KEYS."""
    relay, weak = (public_half(lab, name) for name in ("relay._domainkey.example.net", "weak._domainkey.example.org"))
    cases = []
    for number, case in enumerate(KEYS):
        selector = f"odd{number}"
        name = f"{selector}._domainkey.example.net"
        if case.odd is None:
            lab.rig.dns.records[name] = case.public.format(relay, weak=weak)
        else:
            lab.rig.dns.odd[name] = case.odd
        key = "weak._domainkey.example.org/weak" if "{weak}" in case.public else "relay._domainkey.example.net/relay"
        sent, data = lab.mail(case.expect, sender=OUTSIDER, to=BOSS)
        path = lab.rig.root / f"keys/{key}.private"
        arrives(lab, sent, sign(data, "example.net", selector, path, case.extra, case.names))
        cases.append((sent, case.says))
    lab.settle()
    for sent, says in cases:
        said(lab, sent, says)


@scenario(opendkim=RESULTS)
def odd_signatures(lab: Lab) -> None:
    """Each of MADE, and one whose domain cannot be asked for."""
    cases = []
    for header, says in (*MADE, (made(d="example..net"), "'relay._domainkey.example..net' reply corrupt")):
        sent, data = lab.mail(UNUSABLE if "reply" in says else OTHER, sender=OUTSIDER, to=BOSS)
        arrives(lab, sent, f"DKIM-Signature: {header}\r\n".encode() + data)
        cases.append((sent, says))
    lab.settle()
    for sent, says in cases:
        said(lab, sent, says)


@scenario()
def selector_too_long(lab: Lab) -> None:
    """No name server can be asked for such a name; OpenDKIM refuses the mail for now. The stranger's fault alone."""
    sent, data = lab.mail(inbound("fail", "key-unusable", "tempfailed"), sender=OUTSIDER, to=BOSS)
    arrives(lab, sent, f"DKIM-Signature: {made(s='a' * 300)}\r\n".encode() + data)
    lab.settle()
    if b"resource unavailable: key query name too large" not in lab.rig.syslog.read():
        raise RuntimeError("not said")


@scenario(opendkim=RESULTS)
def more_signatures_than_are_looked_at(lab: Lab) -> None:
    """Four, of which OpenDKIM looks at three, the topmost."""
    sent, data = lab.mail(inbound("pass"), sender=OUTSIDER, to=BOSS)
    key = lab.rig.root / "keys/relay._domainkey.example.net/relay.private"
    for _ in range(4):
        data = sign(data, "example.net", "relay", key)
    with lab.session(STRANGER, "mail.example.net") as client:
        lab.send(client, sent, data)
    lab.settle()
    said(lab, sent, "ignoring 1 signature")


@scenario(opendkim={**RESULTS, "MaximumSignaturesToVerify": "0"})
def signature_of_a_third_party(lab: Lab) -> None:
    """Only the author's own domain counts, and another one signed."""
    lab.rig.dns.records["relay._domainkey.example.com"] = lab.rig.dns.records["relay._domainkey.example.net"]
    sent = receive(lab, inbound(("none", "unchecked")), domain="example.com")
    lab.settle()
    said(lab, sent, "ignoring signature from example.com")


@scenario()
def results_of_others_unreadable(lab: Lab) -> None:
    """An Authentication-Results that OpenDKIM cannot read is left alone."""
    sent = receive(lab, inbound("pass"), header="Authentication-Results: mx.example.net; nonsense\r\n")
    lab.settle()
    said(lab, sent, "failed to parse Authentication-Results: header field")


@scenario()
def header_with_a_semicolon(lab: Lab) -> None:
    """A name that cannot stand in a signature: OpenDKIM passes over the header, and signs."""
    lab.smtp(SIGNED, extra="X;odd: yes\r\n")
    receive(lab, inbound("pass"), header="X;odd: yes\r\n")
    lab.settle()
    if b"ignoring header field 'X;odd'" not in lab.rig.syslog.read():
        raise RuntimeError("not said")


@scenario()
def no_from_from_outside(lab: Lab) -> None:
    """A stranger's mail without a From: there is nobody to look for signatures of."""
    sent, data = lab.mail(inbound(("none", "unchecked")), sender=OUTSIDER, to=BOSS)
    with lab.session(STRANGER, "mail.example.net") as client:
        lab.send(client, sent, data.split(b"\r\n", 1)[1])
    lab.settle()
    said(lab, sent, "can't determine message sender; accepting")


@scenario(postfix={"local_header_rewrite_clients": ""})
def no_from_of_ours(lab: Lab) -> None:
    """A program of our own leaves From out, and Postfix was told not to add what is missing."""
    sent, data = lab.mail(Expect("unsigned", "bad-from"))
    with lab.session() as client:
        lab.send(client, sent, data.split(b"\r\n", 1)[1])
    lab.settle()
    said(lab, sent, "can't determine message sender; accepting")


@scenario(opendkim={**WITH_KEYFILE, **ELSEWHERE})
def sends_as_us(lab: Lab) -> None:
    """A host that is not in InternalHosts sends with our domain; without SigningTable OpenDKIM says so unasked."""
    sent = lab.smtp(Expect("unsigned", "not-internal"), source="10.0.0.20")
    lab.settle()
    said(lab, sent, "attempted to send as example.org")
