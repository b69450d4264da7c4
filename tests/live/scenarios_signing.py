"""A healthy OpenDKIM: what it signs, and what it leaves unsigned."""

from __future__ import annotations

from .opendkim import OpenDkim
from .register import NOT_IN_TABLE, SIGNED, SILENT, register
from .rig import APP, Lab, Scenario
from .rows import Row
from .truth import Expect

SCENARIOS: dict[str, Scenario] = {}
scenario = register(SCENARIOS)
WHY = {"LogWhy": "yes"}
ELSEWHERE = {"InternalHosts": "192.0.2.99", "ExternalIgnoreList": "192.0.2.99"}


def everyone(lab: Lab) -> None:
    """One mail by each way of sending, signed, and three in one session."""
    lab.smtp(SIGNED)
    lab.smtp(SIGNED, source=APP, to=["friend@example.net", "other@example.com"])
    lab.submit(SIGNED, sender="ann@example.org")
    lab.sendmail(SIGNED, sender="root@example.org")
    with lab.session() as client:
        for _ in range(3):
            lab.send(client, *lab.mail(SIGNED))
    lab.settle()


@scenario()
def signed(lab: Lab) -> None:
    """Mail from loopback, from an internal host, by submission and by sendmail, all signed."""
    everyone(lab)


@scenario(postfix={"enable_long_queue_ids": "yes"})
def signed_long_ids(lab: Lab) -> None:
    """The same with long queue IDs."""
    everyone(lab)


@scenario(syslog=("rfc3339", False))
def signed_rfc3339(lab: Lab) -> None:
    """The same with RFC 3339 stamps."""
    everyone(lab)


def two_entries(opendkim: OpenDkim) -> None:
    """Two signatures for one sender."""
    opendkim.write("SigningTable", "*@example.org mx2026._domainkey.example.org\n"
                                   "*@example.org relay._domainkey.example.net\n")


@scenario(opendkim={"MultipleSignatures": "yes"}, keys=two_entries)
def two_signatures(lab: Lab) -> None:
    """Two SigningTable entries match."""
    lab.smtp(SIGNED)
    lab.sendmail(SIGNED, sender="root@example.org")
    lab.settle()


def not_in_table(lab: Lab, expect: Expect) -> None:
    lab.smtp(SIGNED)
    lab.smtp(expect, sender="app@example.net", to="friend@example.com")
    lab.smtp(expect, sender="app@example.net", to="friend@example.com", source=APP)
    lab.submit(expect, sender="ann@example.net", to="friend@example.com")
    lab.sendmail(expect, sender="root@mx.example.org")
    lab.smtp(expect, sender="app@example.org", author="news@mailer.example.net")
    lab.smtp(SIGNED)
    lab.settle()


@scenario(opendkim=WHY)
def not_in_table_why(lab: Lab) -> None:
    """Senders without a SigningTable row; LogWhy says so."""
    not_in_table(lab, NOT_IN_TABLE)


@scenario()
def not_in_table_silent(lab: Lab) -> None:
    """Senders without a SigningTable row; nothing says so."""
    not_in_table(lab, SILENT)


def not_internal(lab: Lab, expect: Expect) -> None:
    lab.submit(SIGNED, sender="ann@example.org")
    lab.smtp(expect, source=APP)
    lab.smtp(expect)
    lab.sendmail(expect, sender="root@example.org")
    lab.submit(SIGNED, sender="bob@example.org")
    lab.settle()


@scenario(opendkim={**WHY, **ELSEWHERE})
def not_internal_why(lab: Lab) -> None:
    """InternalHosts without our own clients: only who logs in is signed for."""
    not_internal(lab, Expect("unsigned", "not-internal"))


@scenario(opendkim=ELSEWHERE)
def not_internal_silent(lab: Lab) -> None:
    """The same without LogWhy."""
    not_internal(lab, SILENT)


@scenario(opendkim={**WHY, "KeyTable": "", "SigningTable": "", "Domain": "example.org", "Selector": "mx2026",
                    "KeyFile": "/etc/dkimkeys/mx2026.private"})
def not_in_domain(lab: Lab) -> None:
    """The configuration with Domain, Selector and KeyFile, and a sender of another domain."""
    lab.smtp(SIGNED)
    lab.smtp(Expect("unsigned", "no-signing-domain"), sender="app@example.net", to="friend@example.com")
    lab.sendmail(Expect("unsigned", "no-signing-domain"), sender="root@mx.example.org")
    lab.settle()


@scenario()
def bad_from(lab: Lab) -> None:
    """No address in From to sign for; OpenDKIM speaks of some of these and is silent about others."""
    lab.smtp(SIGNED)
    for author in ("<>", "a@", "undisclosed:;", "a@example.org (unclosed"):
        lab.smtp(Expect("unsigned", "bad-from"), author=author)
    for author in ("<<>>", "nobody at all", "a b@c@"):
        lab.smtp(SILENT, author=author)
    sent, data = lab.mail(SIGNED)  # without a From, Postfix writes one of the envelope sender
    with lab.session() as client:
        lab.send(client, sent, data.split(b"\r\n", 1)[1])
    lab.settle()


def excuse(opendkim: OpenDkim) -> None:
    """A recipient whose mail is not signed."""
    opendkim.write("DontSign", "friend@example.com\n")


@scenario(opendkim={"DontSignMailTo": "/etc/dkimkeys/DontSign"}, keys=excuse)
def dont_sign_mail_to(lab: Lab) -> None:
    """DontSignMailTo excuses a recipient."""
    lab.smtp(SIGNED)
    lab.smtp(Expect("unsigned", "other"), to="friend@example.com")
    lab.settle()


UNKNOWN = Expect("undecided", ("success-not-logged", "opendkim-absent"))


@scenario(opendkim={"SyslogSuccess": "no"}, rows=(Row("not-logging", "opendkim", "warning", count=3),))
def success_not_logged(lab: Lab) -> None:
    """SyslogSuccess off: the log cannot tell, whatever arrived."""
    lab.smtp(UNKNOWN)
    lab.sendmail(UNKNOWN, sender="root@example.org")
    lab.smtp(UNKNOWN, sender="app@example.net", to="friend@example.com")
    lab.settle()


@scenario(opendkim={"SyslogSuccess": "no", **WHY}, rows=(Row("not-logging", "opendkim", "warning"),))
def success_not_logged_why(lab: Lab) -> None:
    """SyslogSuccess off, LogWhy on: what was left unsigned can be told, what was signed cannot."""
    lab.smtp(UNKNOWN)
    lab.smtp(NOT_IN_TABLE, sender="app@example.net", to="friend@example.com")
    lab.settle()


@scenario(opendkim={"SyslogSuccess": "no"},
          postfix={"milter_header_checks": "regexp:{{/^DKIM-Signature:/ INFO}}"})
def proof_by_postfix(lab: Lab) -> None:
    """SyslogSuccess off, but Postfix notes the header that the milter added."""
    lab.smtp(Expect("signed", partly=True))
    lab.sendmail(Expect("signed", partly=True), sender="root@example.org")
    lab.settle()


@scenario(opendkim={"Syslog": "no", "SyslogSuccess": "yes"})
def success_to_user_facility(lab: Lab) -> None:
    """Syslog off but SyslogSuccess on: signatures are noted under facility user, outside the mail log."""
    lab.smtp(UNKNOWN)
    lab.settle()
