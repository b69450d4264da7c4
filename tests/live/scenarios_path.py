"""Mail that passes more than one queue file, comes back, waits, or never becomes mail."""

from __future__ import annotations

from .postfix import MILTER, OUT
from .register import NO_MAIL, NOT_IN_TABLE, SIGNED, register
from .rig import APP, Lab, Scenario
from .scenarios_inbound import inbound, receive
from .smtp import Arrived, reinject
from .truth import Expect

SCENARIOS: dict[str, Scenario] = {}
scenario = register(SCENARIOS)
FILTER, BACK = ("127.0.0.1", 10024), ("127.0.0.1", 10025)
WHY = {"LogWhy": "yes"}


def services(front: str, back: str, xforward: str = "no") -> str:
    """master.cf for a content filter: options of the first smtpd and of the one that mail returns to."""
    return f"""smtp inet n - n - - smtpd
{front}scan unix - - n - - smtp
  -o smtp_send_xforward_command={xforward}
{BACK[0]}:{BACK[1]} inet n - n - - smtpd
  -o content_filter=
  -o smtpd_authorized_xforward_hosts=127.0.0.0/8
{back}"""


FILTERED = {"content_filter": f"scan:[{FILTER[0]}]:{FILTER[1]}"}
NO_MILTERS = "  -o receive_override_options=no_milters\n"
NOT_AT_THE_DOOR = {**FILTERED, "smtpd_milters": "", "non_smtpd_milters": ""}


def plain(lab: Lab, xforward: bool = False) -> None:
    """A filter that hands Postfix's own answer on."""

    def handler(mail: Arrived) -> str:
        code, text = reinject(lab.rig.namespace, BACK, mail)
        return f"{code} {text}"

    lab.server(FILTER, handler, xforward)


def amavis(lab: Lab) -> None:
    """A filter that answers as amavis does."""

    def handler(mail: Arrived) -> str:
        code, text = reinject(lab.rig.namespace, BACK, mail)
        return f"250 2.0.0 from MTA(smtp:[{BACK[0]}]:{BACK[1]}): {code} {text}"

    lab.server(FILTER, handler, True)


def outgoing(lab: Lab) -> None:
    lab.smtp(SIGNED)
    lab.submit(SIGNED, sender="ann@example.org")
    lab.sendmail(SIGNED, sender="root@example.org")
    lab.smtp(SIGNED, to=["friend@example.net", "other@example.com"], source=APP)
    lab.smtp(NOT_IN_TABLE, sender="app@example.net", to="friend@example.com")
    lab.settle()


@scenario(opendkim=WHY, postfix=FILTERED, master=services("", NO_MILTERS))
def filter_signed_before(lab: Lab) -> None:
    """Signed on the way to the filter, no XFORWARD."""
    plain(lab)
    outgoing(lab)


@scenario(opendkim=WHY, postfix=NOT_AT_THE_DOOR, master=services("", f"  -o smtpd_milters={MILTER}\n"))
def filter_signed_after(lab: Lab) -> None:
    """Signed on the way back from the filter, no XFORWARD."""
    plain(lab)
    outgoing(lab)


@scenario(opendkim=WHY, postfix=NOT_AT_THE_DOOR, master=services("", f"  -o smtpd_milters={MILTER}\n", "yes"))
def filter_signed_after_xforward(lab: Lab) -> None:
    """Signed on the way back, with XFORWARD."""
    plain(lab, True)
    outgoing(lab)


@scenario(opendkim=WHY, postfix=NOT_AT_THE_DOOR, master=services("", f"  -o smtpd_milters={MILTER}\n", "yes"))
def filter_amavis(lab: Lab) -> None:
    """Signed on the way back from amavis."""
    amavis(lab)
    outgoing(lab)


@scenario(opendkim=WHY, postfix=FILTERED, master=services("", "", "no"))
def filter_inbound(lab: Lab) -> None:
    """Milters on both sides: what comes in is verified, then met as this host's mail without a table row."""
    plain(lab)
    receive(lab, inbound("pass"))
    receive(lab, inbound("none"), selector=None)
    lab.smtp(SIGNED)
    lab.settle()


@scenario(postfix={"smtpd_milters": "", "non_smtpd_milters": MILTER}, opendkim=WHY,
          master=services(f"  -o smtpd_proxy_filter={FILTER[0]}:{FILTER[1]}\n",
                          f"  -o smtpd_milters={MILTER}\n"))
def proxy_filter(lab: Lab) -> None:
    """A filter before the queue: the first smtpd has no queue file."""
    plain(lab, True)
    lab.smtp(SIGNED)
    lab.smtp(NOT_IN_TABLE, sender="app@example.net", to="friend@example.com")
    lab.settle()


THROUGH = {"relayhost": f"[{OUT[0]}]:{OUT[1]}"}


def two_instances(lab: Lab, milter: str) -> None:
    lab.postfix.second(milter)
    lab.smtp(SIGNED)
    lab.submit(SIGNED, sender="ann@example.org")
    lab.sendmail(SIGNED, sender="root@example.org")
    lab.smtp(NOT_IN_TABLE, sender="app@example.net", to="friend@example.com")
    lab.settle()


@scenario(opendkim=WHY, postfix=THROUGH)
def two_instances_first_signs(lab: Lab) -> None:
    """Mail leaves through a second instance of Postfix on the same host; the first signs."""
    two_instances(lab, "")


@scenario(opendkim=WHY, postfix={**THROUGH, "smtpd_milters": "", "non_smtpd_milters": ""})
def two_instances_second_signs(lab: Lab) -> None:
    """The same; the second signs."""
    two_instances(lab, MILTER)


@scenario(opendkim=WHY)
def bounced_and_deferred(lab: Lab) -> None:
    """Refused by the other side for good, for now, and for long."""
    waiting = {"later@example.net", "never@example.net"}
    lab.sink.refuse = lambda recipient: ("550 5.1.1 no such user" if recipient.startswith("nobody") else
                                         "450 4.2.1 come back" if recipient in waiting else None)
    lab.smtp(Expect("signed", effect="bounced"), to="nobody@example.net")
    lab.smtp(SIGNED, to=["nobody@example.net", "friend@example.net"])
    lab.smtp(SIGNED, to="later@example.net")
    lab.smtp(Expect("signed", effect="deferred"), to="never@example.net")
    lab.sendmail(Expect("unsigned", "no-signing-table-match", effect="bounced"), to="nobody@example.net",
                 sender="root@mx.example.org")
    lab.settle()
    waiting.remove("later@example.net")
    lab.rig.namespace.run("postqueue", "-f")
    lab.postfix.settle("incoming", "active")
    lab.settle()


TRANSPORTS = "inline:{{discard.example = discard:silently}, {error.example = error:5.1.2 no}}"


@scenario(postfix={"transport_maps": TRANSPORTS})
def discarded(lab: Lab) -> None:
    """The discard and error transports."""
    lab.smtp(Expect("signed", effect="discarded"), to="any@discard.example")
    lab.smtp(NO_MAIL, to="any@error.example")  # refused at RCPT, by Postfix itself
    lab.sendmail(Expect("signed", effect="bounced"), to="any@error.example", sender="root@example.org")
    lab.settle()


@scenario()
def never_mail(lab: Lab) -> None:
    """A client that vanishes in DATA, one that vanishes before, RSET, and an address probe: no mail."""
    sent, data = lab.mail(NO_MAIL)
    with lab.session() as client:
        client.ehlo()
        client.mail(sent.envelope_sender)
        client.rcpt(sent.recipients[0])
        client.docmd("DATA")
        client.send(data)
        client.close()
    sent.accepted = "vanished"
    sent, data = lab.mail(NO_MAIL)
    with lab.session() as client:
        client.ehlo()
        client.mail(sent.envelope_sender)
        client.rcpt(sent.recipients[0])
        client.close()
    sent.accepted = "vanished"
    sent, data = lab.mail(NO_MAIL)
    with lab.session() as client:
        client.ehlo()
        client.mail(sent.envelope_sender)
        client.rcpt(sent.recipients[0])
        client.docmd("RSET")
        sent.accepted = "vanished"
        lab.send(client, *lab.mail(SIGNED))
    lab.settle()


@scenario()
def probe(lab: Lab) -> None:
    """sendmail -bv asks whether an address could be delivered to; the answer comes by mail."""
    sent, _ = lab.mail(NO_MAIL, how="probe", sender="root@example.org")
    lab.rig.namespace.run("sendmail", "-bv", "-f", sent.envelope_sender, sent.recipients[0])
    lab.settle()
    lab.smtp(SIGNED)
    lab.settle()


@scenario()
def postsuper(lab: Lab) -> None:
    """Held and released, queued anew, deleted."""
    lab.sink.refuse = lambda recipient: "450 4.2.1 come back"
    held = lab.smtp(SIGNED)
    kept = lab.smtp(Expect("signed", effect="held"))
    requeued = lab.smtp(SIGNED)
    deleted = lab.smtp(Expect("signed", effect=("discarded", "deferred", "in-transit")))
    lab.settle()
    run = lab.rig.namespace.run
    run("postsuper", "-h", str(held.queue_id))
    run("postsuper", "-h", str(kept.queue_id))
    lab.sink.refuse = lambda recipient: None
    run("postsuper", "-H", str(held.queue_id))
    run("postsuper", "-r", str(requeued.queue_id))
    run("postsuper", "-d", str(deleted.queue_id))
    run("postqueue", "-f")
    lab.postfix.settle("maildrop", "incoming", "active", "deferred")


@scenario(opendkim=WHY, postfix={"header_checks": "regexp:{{/^Subject:/ WARN}}"})
def hostile(lab: Lab) -> None:
    """Texts of the daemons in what a sender writes, and in what another server answers."""
    added = "DKIM-Signature field added (s=x, d=evil.example)"
    lies = ("status=sent (250 ok: queued as ABC)", "(queue active)", "\x1b]0;owned\x07", "removed",
            "from=<a@example.org>, size=1, nrcpt=1 (queue active)", "no signing table match for 'a@b'")
    lab.sink.handler = lambda mail: "250 2.0.0 Ok: queued as 1A2B3C4D5E) " + added
    out = {"sender": "app@example.net", "to": "friend@example.com"}
    lab.smtp(NOT_IN_TABLE, **out, message_id=f"<x> {added}")
    lab.smtp(NOT_IN_TABLE, **out, subject=added)
    lab.smtp(NOT_IN_TABLE, **out, helo=f"x.{added.replace(' ', '.')}")
    for lie in lies:
        lab.smtp(NOT_IN_TABLE, **out, subject=lie, message_id=f"<a{len(lie)}> {lie}")
    lab.smtp(NOT_IN_TABLE, to="friend@example.com",
             sender='"a> , size=1, nrcpt=9 (queue active)"@example.net')
    lab.smtp(NOT_IN_TABLE, to="friend@example.com", sender="app@example.net",
             author=f'"x: {added}"@example.net')
    lab.smtp(NOT_IN_TABLE, to="friend@example.com", sender="app@example.net", author='"a\' b"@example.net')
    lab.smtp(SIGNED, subject="no signing table match for 'app@example.org'", message_id="<> removed")
    lab.smtp(SIGNED, message_id=None)
    lab.smtp(SIGNED, message_id="")
    lab.settle()
