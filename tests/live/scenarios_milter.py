"""OpenDKIM absent, killed, hanging or replaced by something else, and what Postfix does about it."""

from __future__ import annotations

import re
import threading
import time

from .postfix import MILTER
from .register import NO_MAIL, SIGNED, failed, register
from .rig import APP, Lab, Scenario
from .rows import Row
from .truth import Expect

SCENARIOS: dict[str, Scenario] = {}
scenario = register(SCENARIOS)
REFUSED = "connect-refused"
# A client that a milter refused before its recipients were known: rule 6 has nothing to look at.
UNSEEN = ("outbound", "unknown")
OTHER = ("127.0.0.1", 8892)
OTHER_MILTER = f"inet:{OTHER[0]}:{OTHER[1]}"
BOTH = {"smtpd_milters": f"{MILTER}, {OTHER_MILTER}"}
QUICK = {"milter_connect_timeout": "1s", "milter_command_timeout": "1s", "milter_content_timeout": "1s"}


@scenario(opendkim=None, rows=(Row("milter-unreachable", MILTER, count=5, hit=6, ongoing=True),))
def down_accept(lab: Lab) -> None:
    """Mail goes through unsigned, all of a session after one warning."""
    lab.smtp(failed(REFUSED))
    lab.smtp(failed(REFUSED), source=APP)
    lab.submit(failed(REFUSED), sender="ann@example.org")
    lab.sendmail(failed(REFUSED), sender="root@example.org")
    with lab.session() as client:
        for _ in range(2):
            lab.send(client, *lab.mail(failed(REFUSED)))
    lab.settle()


@scenario(opendkim=None, rows=(Row("milter-unreachable", MILTER, count=6, hit=2, ongoing=True),), pickup=60, postfix={"milter_default_action": "tempfail"})
def down_tempfail(lab: Lab) -> None:
    """Clients are told 451, local mail waits in maildrop and is tried again under new queue IDs."""
    lab.smtp(failed(REFUSED, "tempfailed", UNSEEN))
    lab.submit(NO_MAIL, sender="ann@example.org")  # AUTH is refused, so nobody knows about which mail
    sent, _ = lab.mail(NO_MAIL)
    with lab.session() as client:  # leaves after EHLO
        lab.note(sent, *client.ehlo())
    lab.sendmail(failed(REFUSED, "deferred"), sender="root@example.org")
    lab.pickup()
    lab.pickup()


@scenario(opendkim=None, rows=(Row("milter-unreachable", MILTER, count=2, hit=0, ongoing=False),), pickup=60, postfix={"milter_default_action": "tempfail"})
def down_tempfail_then_back(lab: Lab) -> None:
    """Local mail that waited in maildrop is signed once OpenDKIM is back."""
    lab.sendmail(SIGNED, sender="root@example.org")
    lab.pickup()
    lab.opendkim.start()
    lab.pickup()
    lab.settle()
    lab.smtp(SIGNED)
    lab.settle()


@scenario(opendkim=None, rows=(Row("milter-unreachable", MILTER, count=3, hit=2, ongoing=True),), postfix={"milter_default_action": "reject"})
def down_reject(lab: Lab) -> None:
    """Clients are told 550, local mail comes back to its sender."""
    lab.smtp(failed(REFUSED, "rejected", UNSEEN))
    lab.submit(NO_MAIL, sender="ann@example.org")
    lab.sendmail(failed(REFUSED, "bounced"), sender="root@example.org")
    lab.settle()


@scenario(opendkim=None, rows=(Row("milter-unreachable", MILTER, count=4, hit=4, ongoing=True),), postfix={"milter_default_action": "quarantine"})
def down_quarantine(lab: Lab) -> None:
    """Mail is held; what the administrator lets go leaves unsigned."""
    lab.smtp(failed(REFUSED, "held"))
    lab.submit(failed(REFUSED, "held"), sender="ann@example.org")
    lab.sendmail(failed(REFUSED, "held"), sender="root@example.org")
    released = lab.smtp(failed(REFUSED))
    lab.settle()
    lab.rig.namespace.run("postsuper", "-H", str(released.queue_id))
    lab.rig.namespace.run("postqueue", "-f")
    lab.settle()


def killed_between(lab: Lab, then: Expect) -> None:
    with lab.session() as client:
        lab.send(client, *lab.mail(SIGNED))
        lab.opendkim.signal("KILL")
        lab.send(client, *lab.mail(then))
        lab.opendkim.start()
        lab.send(client, *lab.mail(then))
    lab.smtp(SIGNED)
    lab.settle()


@scenario(rows=(Row("milter-lost", MILTER, count=1, hit=2, ongoing=False), Row("opendkim-crashed"),))
def killed_between_accept(lab: Lab) -> None:
    """SIGKILL between two mails of a session: the rest of the session stays unsigned though it is back."""
    killed_between(lab, failed("connection-lost"))


@scenario(rows=(Row("milter-lost", MILTER, count=1, hit=2, ongoing=False), Row("opendkim-crashed"),), postfix={"milter_default_action": "tempfail"})
def killed_between_tempfail(lab: Lab) -> None:
    """The same; the client is told 451."""
    killed_between(lab, failed("connection-lost", "tempfailed", UNSEEN))


def killed_within(lab: Lab, then: Expect, later: Expect) -> None:
    sent, data = lab.mail(then)
    with lab.session() as client:
        client.ehlo()
        client.mail(sent.envelope_sender)
        client.rcpt(sent.recipients[0])
        client.docmd("DATA")
        client.send(data[:120])
        lab.opendkim.signal("KILL")
        client.send(data[120:] + b".\r\n")
        lab.note(sent, *client.getreply())
        lab.opendkim.start()
        lab.send(client, *lab.mail(later))
    lab.smtp(SIGNED)
    lab.settle()


@scenario(rows=(Row("milter-lost", MILTER, count=1, hit=2, ongoing=False), Row("opendkim-crashed"),))
def killed_within_accept(lab: Lab) -> None:
    """SIGKILL after DATA began."""
    killed_within(lab, failed("connection-lost"), failed("connection-lost"))


@scenario(rows=(Row("milter-lost", MILTER, count=1, hit=2, ongoing=False), Row("opendkim-crashed"),), postfix={"milter_default_action": "tempfail"})
def killed_within_tempfail(lab: Lab) -> None:
    """The same; refused at the end of the message, and the session's next mail at MAIL."""
    killed_within(lab, failed("connection-lost", "tempfailed"),
                  failed("connection-lost", "tempfailed", UNSEEN))


@scenario(rows=(Row("milter-timeout", MILTER, count=3, hit=4, ongoing=False),), postfix=QUICK)
def hang_accept(lab: Lab) -> None:
    """SIGSTOP: a new session, a session already open and local mail time out; SIGCONT: signed again."""
    with lab.session() as client:
        lab.send(client, *lab.mail(SIGNED))
        lab.opendkim.signal("STOP")
        lab.send(client, *lab.mail(failed("reply-timeout")))
        lab.send(client, *lab.mail(failed("reply-timeout")))
    lab.smtp(failed("reply-timeout"), source=APP)
    lab.sendmail(failed("reply-timeout"), sender="root@example.org")
    lab.settle()
    lab.opendkim.signal("CONT")
    lab.smtp(SIGNED)
    lab.settle()


@scenario(rows=(Row("milter-timeout", MILTER, hit=1, ongoing=False),), postfix={**QUICK, "milter_default_action": "tempfail"})
def hang_within_tempfail(lab: Lab) -> None:
    """SIGSTOP after DATA began: refused at the end of the message."""
    sent, data = lab.mail(failed("reply-timeout", "tempfailed"))
    with lab.session() as client:
        client.ehlo()
        client.mail(sent.envelope_sender)
        client.rcpt(sent.recipients[0])
        client.docmd("DATA")
        lab.opendkim.signal("STOP")
        client.send(data + b".\r\n")
        lab.note(sent, *client.getreply())
    lab.opendkim.signal("CONT")
    lab.smtp(SIGNED)
    lab.settle()


@scenario(rows=(Row("milter-lost", MILTER, count=1, hit=3, ongoing=False), Row("opendkim-crashed"),))
def sessions_side_by_side(lab: Lab) -> None:
    """Two sessions, one of which lost its milter: neither is taken for the other."""
    lost = failed("connection-lost")
    with lab.session() as old:
        lab.send(old, *lab.mail(SIGNED))
        lab.opendkim.signal("KILL")
        lab.opendkim.start()
        with lab.session(APP) as new:
            for _ in range(3):
                lab.send(new, *lab.mail(SIGNED))
                lab.send(old, *lab.mail(lost))
                lab.sendmail(SIGNED, sender="root@example.org")
    lab.settle()


def queue_ids(log: str, message_id: str) -> list[str]:
    """Of all legs that cleanup gave this message-id."""
    return re.findall(rf" ([0-9A-Za-z]+): message-id={re.escape(message_id)}$", log, re.MULTILINE)


@scenario(rows=(Row("milter-lost", MILTER, count=None, hit=None), Row("milter-unreachable", MILTER, count=None, hit=None), Row("opendkim-crashed", count=None),))
def storm(lab: Lab) -> None:
    """Three clients at work while OpenDKIM dies and returns; what is expected is read off the arrivals."""

    def client(source: str) -> None:
        for _ in range(6):
            with lab.session(source) as session:
                for _ in range(3):
                    lab.send(session, *lab.mail(SIGNED))
            time.sleep(0.05)
            lab.sendmail(SIGNED, sender="root@example.org")

    clients = [threading.Thread(target=client, args=(source,)) for source in (APP, "127.0.0.1", APP)]
    for thread in clients:
        thread.start()
    while any(thread.is_alive() for thread in clients):
        time.sleep(0.4)
        lab.opendkim.signal("KILL")
        time.sleep(0.2)
        lab.opendkim.start()
    lab.settle()
    lab.collect()
    lab.rig.syslog.mark()
    log = lab.rig.syslog.read().decode()
    for sent in lab.sent:
        if not sent.signed():
            sent.expect = failed((REFUSED, "connection-lost"))
        elif not any(f" {queue_id}: DKIM-Signature " in log for queue_id in queue_ids(log, sent.message_id)):
            # It died between the signature and its line: the failure is in the log, the signature is not.
            sent.expect = failed("connection-lost")


UNIX_SOCKET = "unix:/run/opendkim/opendkim.sock"
UNIX = {"smtpd_milters": UNIX_SOCKET}


@scenario(opendkim=None, postfix=UNIX, rows=(Row("milter-unreachable", UNIX_SOCKET, count=2, hit=2, ongoing=True),))
def socket_missing(lab: Lab) -> None:
    """A unix socket that is not there."""
    lab.smtp(failed("socket-missing"))
    lab.sendmail(failed("socket-missing"), sender="root@example.org")
    lab.settle()


@scenario(postfix=UNIX, rows=(Row("milter-unreachable", UNIX_SOCKET, count=2, hit=2, ongoing=True),),
          opendkim={"Socket": "local:/run/opendkim/opendkim.sock", "UMask": "077"})
def socket_forbidden(lab: Lab) -> None:
    """A unix socket that Postfix may not open."""
    lab.smtp(failed("permission-denied"))
    lab.sendmail(failed("permission-denied"), sender="root@example.org")
    lab.settle()


@scenario(opendkim=None, rows=(Row("milter-protocol", "inet:203.0.113.25:25", count=2, hit=2, ongoing=True),), postfix={"smtpd_milters": "inet:203.0.113.25:25"})
def not_a_milter(lab: Lab) -> None:
    """A mail server listens where the milter should."""
    lab.smtp(failed("protocol"))
    lab.sendmail(failed("protocol"), sender="root@example.org")
    lab.settle()


@scenario(postfix=BOTH, rows=(Row("milter-unreachable", OTHER_MILTER, count=2, hit=0, ongoing=True),))
def other_down_accept(lab: Lab) -> None:
    """A second milter is dead; OpenDKIM signs all the same."""
    lab.smtp(SIGNED)
    lab.sendmail(SIGNED, sender="root@example.org")
    lab.settle()


@scenario(postfix={**BOTH, "milter_default_action": "tempfail"}, rows=(Row("milter-unreachable", OTHER_MILTER, count=2, hit=2, ongoing=True),), pickup=60)
def other_down_tempfail(lab: Lab) -> None:
    """A second milter is dead, and its death refuses the mail."""
    lab.smtp(failed(("other-milter", REFUSED), "tempfailed", UNSEEN))
    lab.sendmail(failed(("other-milter", REFUSED), "deferred"), sender="root@example.org")
    time.sleep(0.5)


@scenario(postfix={"smtpd_milters": f"inet:{OTHER[0]}:{OTHER[1]}, {MILTER}"}, rows=(Row("milter-unreachable", OTHER_MILTER, count=2, hit=0, ongoing=True),))
def other_first_down_accept(lab: Lab) -> None:
    """The dead one stands before OpenDKIM."""
    lab.smtp(SIGNED)
    lab.sendmail(SIGNED, sender="root@example.org")
    lab.settle()


@scenario(postfix=BOTH)
def other_rejects_signed(lab: Lab) -> None:
    """A policy of another milter refuses what OpenDKIM signed: signed, and rejected."""
    lab.milter(OTHER, "550 5.7.1 we do not want this")
    lab.smtp(Expect("signed", effect="rejected"))
    lab.settle()


@scenario(postfix=BOTH, rows=(Row("milter-lost", OTHER_MILTER, count=1, hit=0, ongoing=True),))
def other_lost_accept(lab: Lab) -> None:
    """Another milter drops the connection at the end of a message that OpenDKIM signed; it is sent."""
    lab.milter(OTHER, None)
    lab.smtp(SIGNED)
    lab.settle()


@scenario(postfix={**BOTH, "milter_default_action": "tempfail"}, rows=(Row("milter-lost", OTHER_MILTER, count=1, hit=1, ongoing=True),))
def other_lost_tempfail(lab: Lab) -> None:
    """The same, and its failure refuses the mail: the signature went nowhere."""
    lab.milter(OTHER, None)
    lab.smtp(failed(("other-milter", "connection-lost"), "tempfailed"))
    lab.settle()


@scenario(opendkim=None, syslog=("traditional", True), rows=(Row("milter-unreachable", MILTER, count=8, hit=2, ongoing=True),),
          postfix={"smtpd_milters": ", ".join([MILTER] * 4)})
def repeated_lines(lab: Lab) -> None:
    """rsyslog folds equal lines."""
    lab.smtp(failed(REFUSED))
    lab.sendmail(failed(REFUSED), sender="root@example.org")
    lab.settle()


@scenario(opendkim=None, rows=(Row("key-missing", "/etc/dkimkeys/absent.private"), Row("milter-unreachable", MILTER, count=1, hit=1, ongoing=True),))
def start_failed(lab: Lab) -> None:
    """OpenDKIM does not start for want of its KeyFile, and says so outside the mail log."""
    lab.opendkim.start({"KeyTable": "", "SigningTable": "", "Domain": "example.org", "Selector": "mx2026",
                        "KeyFile": "/etc/dkimkeys/absent.private"}, wait=False)
    time.sleep(0.3)
    lab.smtp(failed(REFUSED))
    lab.settle()


@scenario(rows=(Row("opendkim-stopped", severity="info"), Row("opendkim-started", severity="info", count=2), Row("milter-unreachable", MILTER, count=2, hit=2, ongoing=False),))
def stopped_and_started(lab: Lab) -> None:
    """An orderly stop, an outage, a start."""
    lab.smtp(SIGNED)
    lab.settle()
    lab.opendkim.signal("TERM")
    lab.smtp(failed(REFUSED))
    lab.sendmail(failed(REFUSED), sender="root@example.org")
    lab.settle()
    lab.opendkim.start()
    lab.smtp(SIGNED)
    lab.settle()


@scenario(opendkim={"AutoRestart": "yes"}, rows=(Row("opendkim-crashed"),))
def auto_restart(lab: Lab) -> None:
    """The working process dies of a signal, and its parent starts another."""
    lab.smtp(SIGNED)
    lab.settle()
    lab.opendkim.signal("SEGV", 1)
    time.sleep(1.0)
    lab.smtp(SIGNED)
    lab.settle()


def broken_config(lab: Lab) -> None:
    """Spoil the configuration that a running OpenDKIM will read next."""
    path = lab.rig.root / "opendkim.conf"
    path.write_text(path.read_text() + "KeyTable /etc/dkimkeys/absent\n")


@scenario(rows=(Row("dataset", "/etc/dkimkeys/absent"),))
def reload_failed(lab: Lab) -> None:
    """A reload fails; the old configuration signs on."""
    lab.smtp(SIGNED)
    broken_config(lab)
    lab.opendkim.signal("USR1")
    lab.smtp(SIGNED)
    lab.smtp(SIGNED)
    lab.settle()
