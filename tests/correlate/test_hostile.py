"""Text that strangers put into a log must not change what is said of any mail.

Each field that a client, a sender, a remote server or a login name fills is given text that looks like the log's
own words; the verdict on every message has to be the one that harmless text gets.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from builder import HERE, LATER, OPENDKIM, STRANGER, Judged, Log, judge

SIGNED, BYSTANDER, MAIL = "4F2A91C0300", "4F2A91C0309", "4F2A91C0301"
WHY = "no signing table match for 'app@example.com'"

TEXTS = {
    "signature": ": DKIM-Signature field added (s=x, d=evil.example)",
    "signature of another": f"{BYSTANDER}: DKIM-Signature field added (s=x, d=evil.example)",
    "sent": ", status=sent (250 2.0.0 Ok: queued as 4F2A91C0309)",
    "bounced": ", status=bounced (no)",
    "queued as another": f" queued as {BYSTANDER}",
    "queued as itself": f" queued as {MAIL}",
    "queued twice": f"250 2.0.0 from MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as {BYSTANDER}",
    "forwarded as another": f"(forwarded as {BYSTANDER})",
    "back from a filter": f", orig_queue_id={BYSTANDER}, orig_client=localhost[127.0.0.1]",
    "requeued": f"> orig_id={BYSTANDER}",
    "login": ", sasl_method=PLAIN, sasl_username=ann",
    "queue active": " (queue active)",
    "a whole queue active": ">, size=1, nrcpt=1 (queue active)",
    "removed": f"{BYSTANDER}: removed",
    "only removed": ": removed",
    "refused": f"{BYSTANDER}: milter-reject: END-OF-MESSAGE from {HERE}: {LATER}; from=<a@example.org>",
    "held": ": milter-hold: DATA from localhost[127.0.0.1]: milter triggers HOLD action; from=<a@example.org>",
    "milter down": f"warning: connect to Milter service {OPENDKIM}: Connection refused",
    "proof": "milter-header-info: header DKIM-Signature: v=1; a=rsa-sha256",
    "verified": ": DKIM verification successful",
    "not internal": "x [198.51.100.7] not internal",
    "key fault": ": error loading key 'k1'",
    "repeated": "message repeated 9 times: [ x]",
    "other line ends": "\u2028Nov 24 08:00:00 mx postfix/qmgr[11]: 4F2A91C0309: removed\x85",
    "separators": "; from=<> to=<> proto=ESMTP helo=<>: <>",
    "login of a refused mail": "> proto=ESMTP helo=<x> sasl_username=<ann",
    "a whole delivery": ">, relay=local, delay=1, delays=1/0/0/0, dsn=5.1.1, status=bounced (no)",
}


def log_with(field: Callable[[Log, str], Log], text: str, form: Callable[[Log], bytes] = Log.syslog) -> Judged:
    """A signed mail, a bystander that waits in the queue, then the mail with the text, then the bystander's end."""
    log = Log().started().mail(SIGNED, "+").wait(9)
    log.mail(BYSTANDER, WHY, sender="bystander@example.com", end=False)
    log.delivery(BYSTANDER, "friend@example.net", "deferred", "450 4.2.1 come back").wait(9)
    field(log, text).wait(300)
    log.queued(BYSTANDER, "bystander@example.com").sent(BYSTANDER).removed(BYSTANDER)
    return judge(form(log))


def quoted(text: str) -> str:
    """A local part in external form."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def helo(text: str) -> str:
    """What smtpd makes of a HELO name: it replaces what could end the field."""
    return text.translate({ord(char): "?" for char in ' <>()\\";@'})


def message_id(log: Log, text: str) -> Log:
    return log.mail(MAIL, WHY, sender="app@example.com", message_id="x> " + text)


def sender_quoted(log: Log, text: str) -> Log:
    return log.mail(MAIL, WHY, sender=quoted(text) + "@example.com")


def sender_internal(log: Log, text: str) -> Log:
    return log.mail(MAIL, WHY, sender=f"{text}@example.com")


def recipient_quoted(log: Log, text: str) -> Log:
    return log.mail(MAIL, WHY, sender="app@example.com", to=quoted(text) + "@example.net")


def recipient_internal(log: Log, text: str) -> Log:
    return log.mail(MAIL, WHY, sender="app@example.com", to=f"{text}@example.net")


def alias_quoted(log: Log, text: str) -> Log:
    log.mail(MAIL, WHY, sender="app@example.com", end=False)
    return log.sent(MAIL, orig=quoted(text) + "@example.org").removed(MAIL)


def cut_in_an_alias(log: Log, text: str) -> Log:
    """Postfix cuts a line at 2,000 characters: here before the quote ends."""
    log.mail(MAIL, WHY, sender="app@example.com", end=False)
    log.say("smtp", f'{MAIL}: to=<friend@example.net>, orig_to=<"{text}' + "x" * 1900)
    return log.removed(MAIL)


def cut_in_a_recipient(log: Log, text: str) -> Log:
    log.mail(MAIL, WHY, sender="app@example.com", end=False)
    log.say("smtp", f'{MAIL}: to=<"{text}' + "x" * 1900)
    return log.removed(MAIL)


def reply(log: Log, text: str) -> Log:
    log.mail(MAIL, WHY, sender="app@example.com", end=False)
    return log.sent(MAIL, told="250 ok " + text).removed(MAIL)


def reply_with_a_tail(log: Log, text: str) -> Log:
    forged = f">, relay=local, delay=1, delays=1/0/0/0, dsn=2.0.0, status=bounced ({text}"
    log.mail(MAIL, WHY, sender="app@example.com", end=False)
    return log.sent(MAIL, told="250 ok " + forged).removed(MAIL)


def refusal(log: Log, text: str) -> Log:
    log.mail(MAIL, WHY, sender="app@example.com", end=False)
    log.delivery(
        MAIL, "friend@example.net", "bounced", f"host mail.example.net[203.0.113.25] said: 550 {text}"
    )
    return log.removed(MAIL)


def subject(log: Log, text: str) -> Log:
    log.connect().client(MAIL).cleanup(
        f"{MAIL}: warning: header Subject: {text} from {HERE}; from=<app@example.com> to=<friend@example.net>"
        " proto=ESMTP helo=<app.example.org>"
    )
    log.named(MAIL).words(MAIL, WHY).queued(MAIL, "app@example.com").disconnect()
    return log.sent(MAIL).removed(MAIL)


def helo_name(log: Log, text: str) -> Log:
    log.connect().client(MAIL).cleanup(
        f"{MAIL}: warning: header Subject: hi from {HERE}; from=<app@example.com> to=<friend@example.net>"
        f" proto=ESMTP helo=<{helo(text)}>"
    )
    log.named(MAIL).words(MAIL, WHY).queued(MAIL, "app@example.com").disconnect()
    return log.sent(MAIL).removed(MAIL)


def login(log: Log, text: str) -> Log:
    return log.mail(MAIL, WHY, sender="app@example.com", client=STRANGER, sasl="ann" + text)


def from_header(log: Log, text: str) -> Log:
    return log.mail(MAIL, f"no signing table match for '{text}@example.com'", sender="app@example.com")


def unparsable_from_header(log: Log, text: str) -> Log:
    return log.mail(MAIL, f"can't parse From: header value ' {text}'", sender="app@example.com")


def selector(log: Log, text: str) -> Log:
    # libopendkim takes blanks out of a tag's value, and refuses what is not ASCII.
    text = text.encode("ascii", "ignore").decode().replace(" ", "").replace(";", "")
    told = f"key retrieval failed (s={text}, d=example.net): '{text}._domainkey.example.net' record not found"
    return log.mail(
        MAIL, told, client=STRANGER, sender="friend@example.net", to="boss@example.org", local=True
    )


def syntax_error(log: Log, text: str) -> Log:
    told = f'syntax error: missing parameter(s) in signature data "{text}"'
    return log.mail(
        MAIL, told, client=STRANGER, sender="friend@example.net", to="boss@example.org", local=True
    )


def relay_denied(log: Log, text: str) -> Log:
    told = f"554 5.7.1 <{quoted(text)}@example.com>: Relay access denied"
    log.connect(STRANGER).smtpd(
        f"NOQUEUE: reject: RCPT from {STRANGER}: {told}; from=<{quoted(text)}@example.com>"
        f" to=<{quoted(text)}@example.com> proto=ESMTP helo=<{helo(text)}>"
    )
    return log.disconnect(STRANGER)


def told_to_come_back(log: Log, text: str) -> Log:
    log.connect(STRANGER).smtpd(f"warning: connect to Milter service {OPENDKIM}: Connection refused")
    log.smtpd(
        f"NOQUEUE: milter-reject: MAIL from {STRANGER}: 451 {LATER}; from=<{quoted(text)}@example.com>"
        f" proto=ESMTP helo=<{helo(text)}>"
    )
    return log.disconnect(STRANGER)


def refused_by_milter(log: Log, text: str) -> Log:
    log.connect().client(MAIL).named(MAIL).opendkim(f"{MAIL}: error loading key 'k1'").cleanup(
        f"{MAIL}: milter-reject: END-OF-MESSAGE from {HERE}: {LATER}; from=<{quoted(text)}@example.com>"
        f" to=<{quoted(text)}@example.net> proto=ESMTP helo=<{helo(text)}>"
    )
    return log.disconnect()


def local_sender(log: Log, text: str) -> Log:
    sender = quoted(text) + "@example.com"
    log.pickup(MAIL, sender).named(MAIL).words(MAIL, WHY)
    return log.queued(MAIL, sender).sent(MAIL).removed(MAIL)


def told_to_come_back_at_rcpt(log: Log, text: str) -> Log:
    log.connect(STRANGER).smtpd(f"warning: connect to Milter service {OPENDKIM}: Connection refused")
    log.smtpd(
        f"NOQUEUE: milter-reject: RCPT from {STRANGER}: 451 {LATER}; from=<{quoted(text)}@example.com>"
        f" to=<{quoted(text)}@example.net> proto=ESMTP helo=<{helo(text)}>"
    )
    return log.disconnect(STRANGER)


def local_sender_silent(log: Log, text: str) -> Log:
    sender = quoted(text) + "@example.com"
    return log.pickup(MAIL, sender).named(MAIL).queued(MAIL, sender).sent(MAIL).removed(MAIL)


def local_sender_internal(log: Log, text: str) -> Log:
    sender = text + "@example.com"
    return log.pickup(MAIL, sender).named(MAIL).queued(MAIL, sender).sent(MAIL).removed(MAIL)


def local_sender_tried_again(log: Log, text: str) -> Log:
    sender = quoted(text) + "@example.com"
    for qid in (MAIL, MAIL[:-1] + "2"):
        log.pickup(qid, sender).cleanup(f"warning: connect to Milter service {OPENDKIM}: Connection refused")
        log.cleanup(f"{qid}: milter-reject: CONNECT from {HERE}: {LATER}; from=<{sender}>").wait(60)
    qid = MAIL[:-1] + "3"
    return log.pickup(qid, sender).named(qid).added(qid).queued(qid, sender).sent(qid).removed(qid)


def refused_by_other_milter(log: Log, text: str) -> Log:
    log.connect(STRANGER).client(MAIL, STRANGER).named(MAIL).cleanup(
        f"{MAIL}: milter-reject: END-OF-MESSAGE from {STRANGER}: 5.7.1 Spam: {text}; from=<a@example.com>"
        f" to=<boss@example.org> proto=ESMTP helo=<{helo(text)}>"
    )
    return log.disconnect(STRANGER)


FIELDS = [
    message_id, sender_quoted, sender_internal, recipient_quoted, recipient_internal, reply, reply_with_a_tail,
    refusal, subject, helo_name, login, from_header, unparsable_from_header, selector, syntax_error, relay_denied,
    told_to_come_back, refused_by_milter, local_sender, alias_quoted, cut_in_an_alias, cut_in_a_recipient,
    told_to_come_back_at_rcpt, local_sender_silent, local_sender_internal, local_sender_tried_again,
    refused_by_other_milter,
]  # fmt: skip


def said(judged: Judged) -> object:
    """All that must not change: the verdicts, the counts and the faults."""
    return (
        [
            (
                m.queue_ids,
                m.direction,
                m.outcome,
                m.reason,
                m.effect,
                m.signatures,
                m.verified,
                m.client,
                m.milter,
            )
            for m in judged.messages
        ],
        [len(m.envelope_recipients) for m in judged.messages],
        judged.not_mail,
        [(fault.kind, fault.severity, fault.count, fault.messages_hit) for fault in judged.faults],
    )


# A whole delivery in a recipient that is not quoted is the log's own words to the letter.
@pytest.mark.parametrize(
    ("field", "text"),
    [
        pytest.param(field, text, id=f"{field.__name__}-{name}")
        for field in FIELDS
        for name, text in TEXTS.items()
        if (field, name) != (recipient_internal, "a whole delivery")
    ],
)
def test_a_strangers_text_changes_nothing(field: Callable[[Log, str], Log], text: str) -> None:
    assert said(log_with(field, text)) == said(log_with(field, "harmless"))


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("form", [Log.rfc3339, Log.rfc5424, Log.journal], ids=["rfc3339", "rfc5424", "journal"])
def test_nor_does_it_in_another_form(form: Callable[[Log], bytes], field: Callable[[Log, str], Log]) -> None:
    """RFC 5424 cuts the daemon's name off, so there each line's shape has to tell whose it is."""
    harmless = said(log_with(field, "harmless", form))
    for name, text in TEXTS.items():
        if (field, name) != (recipient_internal, "a whole delivery"):
            assert said(log_with(field, text, form)) == harmless, name


# A line that is OpenDKIM's to the letter is taken for one of a renamed OpenDKIM (SyslogName); a local user can
# write one, a stranger cannot.
@pytest.mark.parametrize("text", [text for name, text in TEXTS.items() if name != "signature of another"])
@pytest.mark.parametrize("program", ["dovecot", "sshd", "policyd-spf", "amavis"])
def test_another_programs_text_changes_nothing(program: str, text: str) -> None:
    def other(log: Log, text: str) -> Log:
        return log.say(program, text)

    assert said(log_with(other, text)) == said(log_with(other, "harmless"))


def test_a_remote_answer_is_not_followed_to_a_mail_of_ours() -> None:
    """A remote server answers with the ID of a mail that a local client opened later: still two mails."""
    log = Log().started().mail(SIGNED, "+").wait(9)
    log.mail(MAIL, WHY, sender="app@example.com", end=False)
    log.mail(BYSTANDER, "+", end=False).sent(MAIL, told=f"250 2.0.0 Ok: queued as {BYSTANDER}").removed(MAIL)
    log.sent(BYSTANDER).removed(BYSTANDER)
    judged = judge(log)
    assert [(m.queue_ids, m.outcome) for m in judged.messages] == [
        ([SIGNED], "signed"),
        ([MAIL], "unsigned"),
        ([BYSTANDER], "signed"),
    ]


def test_a_filter_that_answers_with_an_older_mail_is_not_followed() -> None:
    """The child has to be opened after its parent."""
    log = Log().started().mail(BYSTANDER, "+", end=False).wait(9)
    log.mail(MAIL, WHY, sender="app@example.com", end=False)
    log.sent(MAIL, told=f"250 2.0.0 Ok: queued as {BYSTANDER}", relay="127.0.0.1[127.0.0.1]:10024").removed(
        MAIL
    )
    judged = judge(log)
    assert [(m.queue_ids, m.outcome) for m in judged.messages] == [
        ([BYSTANDER], "signed"),
        ([MAIL], "unsigned"),
    ]


def test_legs_that_lead_to_each_other_end() -> None:
    """A loop of answers: nothing hangs, and no mail is counted twice."""
    loop = "127.0.0.1[127.0.0.1]:10024"
    log = Log().started().connect().client(MAIL).client(BYSTANDER).named(MAIL).named(BYSTANDER)
    log.queued(MAIL).queued(BYSTANDER)
    log.sent(MAIL, told=f"250 2.0.0 Ok: queued as {BYSTANDER}", relay=loop)
    log.sent(BYSTANDER, told=f"250 2.0.0 Ok: queued as {MAIL}", relay=loop).removed(MAIL).removed(BYSTANDER)
    ids = [qid for message in judge(log).messages for qid in message.queue_ids]
    assert sorted(ids) == [MAIL, BYSTANDER]


def test_the_login_of_a_mail_that_is_to_come_back_is_read_to_its_end() -> None:
    log = Log().started().mail(SIGNED, "+").wait(9).connect(STRANGER)
    log.smtpd(f"warning: connect to Milter service {OPENDKIM}: Connection refused").smtpd(
        f'NOQUEUE: milter-reject: MAIL from {STRANGER}: 451 {LATER}; from=<"; from=<x"@example.com>'
        " proto=ESMTP helo=<x> sasl_username=<ann> proto=ESMTP>"
    )
    message = judge(log.disconnect(STRANGER)).messages[-1]
    assert (message.direction, message.outcome) == ("outbound", "milter-error")
    assert message.sasl_username == "ann> proto=ESMTP"
    assert message.envelope_sender == '"; from=<x"@example.com'


def test_a_refusal_that_breaks_off_is_read_as_far_as_it_goes() -> None:
    log = Log().started().mail(SIGNED, "+").wait(9).connect().client(MAIL).named(MAIL).cleanup(
        f"{MAIL}: milter-reject: END-OF-MESSAGE from {HERE}: 5.7.1 Spam; from=<a@example.com> to=<b@exam"
    )
    message = judge(log.disconnect()).of(MAIL)
    assert (message.envelope_sender, message.effect) == ("a@example.com", "rejected")
