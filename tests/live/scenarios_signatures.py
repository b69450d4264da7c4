"""Signatures of others, and public keys, that are odd in one way each; and odd headers.

CHECKED is a table: one row is one mail from outside. None of it is a fault of ours.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
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


@dataclass(frozen=True)
class Checked:
    """says: how OpenDKIM's line about it ends. public: the key in DNS ({} is relay's own).

    odd: bytes for the record. names: the headers that are signed. header: a signature made by hand, in place of ours.
    """

    name: str
    expect: Expect
    says: str
    public: str | None = None
    odd: bytes | None = None
    names: tuple[str, ...] = SIGNED_HEADERS
    header: str = ""
    key: str = "relay._domainkey.example.net/relay.private"


UNUSABLE, OTHER = inbound("fail", "key-unusable"), inbound("fail", "other")

CHECKED = (
    # The public key.
    Checked("key_version_unknown", UNUSABLE, 'result="unknown key version"', "v=DKIM2; k=rsa; p={}"),
    Checked("key_type_unknown", UNUSABLE, 'result="unknown key type"', "v=DKIM1; k=dsa; p={}"),
    Checked("key_for_other_hash", UNUSABLE, 'result="signature-key hash mismatch"', "v=DKIM1; h=sha1; k=rsa; p={}"),
    Checked("key_too_small", UNUSABLE, 'result="signing key too small"', "v=DKIM1; k=rsa; p={weak}",
            key="weak._domainkey.example.org/weak.private"),
    Checked("key_is_nonsense", UNUSABLE, 'result="key DNS reply corrupt"', "=;=;"),
    Checked("key_of_no_text", inbound("fail", ("key-unusable", "key-not-found")),
            "key retrieval failed (s=odd, d=example.net)", odd=b""),
    Checked("key_record_cut", UNUSABLE, 'result="key DNS reply corrupt"', odd=TXT_HEAD + b"\0\x02\x09x"),
    # The signature.
    Checked("from_not_signed", OTHER, 'result="header list missing required entries"', "v=DKIM1; k=rsa; p={}",
            names=("subject", "message-id")),
    Checked("signature_without_selector", OTHER, "syntax error: missing parameter(s) in signature data",
            header="v=1; a=rsa-sha256; d=example.net; h=from; bh=AAAA; b=AAAA"),
    Checked("signature_ends_in_a_tag", OTHER, "syntax error: tag without value at end of signature data",
            header="v=1; a=rsa-sha256; d=example.net; s=odd; h=from; bh=AAAA; b=AAAA; x"),
)  # fmt: skip


def said(lab: Lab, sent: Sent, text: str) -> None:
    """Raise unless OpenDKIM said it of this mail: the scenario is not what it says."""
    lab.rig.syslog.mark()
    lines = [line for line in lab.rig.syslog.read().decode().splitlines() if f" {sent.queue_id}: " in line]
    if not any(" opendkim[" in line and text in line for line in lines):
        raise RuntimeError(f"not said: {text}: {lines}")


def public_half(lab: Lab, name: str) -> str:
    """The p= of a key that opendkim-genkey made."""
    return lab.rig.dns.records[name].split("p=", 1)[1]


def check(case: Checked) -> Callable[[Lab], None]:
    """Its play: one mail."""

    def play(lab: Lab) -> None:
        odd = "odd._domainkey.example.net"
        if case.public is not None:
            lab.rig.dns.records[odd] = case.public.format(public_half(lab, "relay._domainkey.example.net"),
                                                          weak=public_half(lab, "weak._domainkey.example.org"))
        if case.odd is not None:
            lab.rig.dns.odd[odd] = case.odd
        sent, data = lab.mail(case.expect, sender=OUTSIDER, to=BOSS)
        if case.header:
            data = f"DKIM-Signature: {case.header}\r\n".encode() + data
        else:
            data = sign(data, "example.net", "odd", lab.rig.root / "keys" / case.key, names=case.names)
        with lab.session(STRANGER, "mail.example.net") as client:
            lab.send(client, sent, data)
        lab.settle()
        said(lab, sent, case.says)

    return play


SCENARIOS |= {f"checked_{case.name}": Scenario(f"checked_{case.name}", check(case), opendkim=RESULTS)
              for case in CHECKED}


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
