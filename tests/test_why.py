"""Why mail is unsigned: which causes are counted, which lines are told, and that neither grows with the mail."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from builder import NOW, OUTSIDE, STRANGER, Log, judge

from logscan import why
from logscan.advice import Change, Setup, change
from logscan.findings import Case, Knowledge
from logscan.job import Options
from logscan.pipeline import run_report
from logscan.reports.why import setup_of
from logscan.why import Why, _plain

ONE, TWO, THREE, FOUR = "4F2A91C0301", "4F2A91C0302", "4F2A91C0303", "4F2A91C0304"
INNER = "app.example.org[10.0.0.20]"
NOT_INTERNAL = ("app.example.org [10.0.0.20] not internal", "not authenticated")


def causes(log: Log, ours: tuple[str, ...] = ()) -> dict[tuple[str, bytes], tuple[int, list[bytes]]]:
    judged = judge(log, ours)
    found = judged.tally.why.causes(judged.run.known)
    return {(cause.kind, cause.subject): (seen.messages, seen.examples) for cause, seen in found.items()}


def report(log: Log, tmp_path: Path, **options: Any) -> dict[str, Any]:
    path = tmp_path / "maillog"
    path.write_bytes(log.syslog())
    asked = Options(logs=[str(path)], timezone="UTC", **options)
    return run_report(asked, warn=lambda _: None, now=NOW).doc


# --- causes ---


def test_a_missing_line_of_the_table_is_the_from_headers_domain(tmp_path: Path) -> None:
    log = Log().mail(ONE, "+").mail(TWO, "no signing table match for 'News@Lists.example.net'", sender="b-1@bounce.example")
    log.mail(THREE, "no signing table match for 'sales@lists.example.net'", sender="b-2@bounce.example")
    assert causes(log) == {
        ("no-signing-table-match", b"lists.example.net"): (2, [b"News@Lists.example.net", b"sales@lists.example.net"])
    }


def test_our_client_that_opendkim_does_not_know_is_its_address() -> None:
    log = Log().mail(ONE, "+", sasl="app").mail(TWO, *NOT_INTERNAL, client=INNER).mail(THREE, *NOT_INTERNAL, client=INNER)
    assert causes(log) == {("not-internal", b"10.0.0.20"): (2, [INNER.encode()])}


def test_the_host_itself_is_a_client_too() -> None:
    log = Log().mail(ONE, "+", sasl="app").pickup(TWO).named(TWO).words(TWO, "localhost [127.0.0.1] not internal", "not authenticated")
    log.queued(TWO, "root@example.org").sent(TWO).removed(TWO)
    assert causes(log) == {("not-internal", b"127.0.0.1"): (1, [b"localhost[127.0.0.1]"])}


def test_a_login_that_opendkim_was_not_told_of_never_trusts_the_clients_address() -> None:
    log = Log().mail(ONE, "+", sasl="app").mail(TWO, "client.example.com [198.51.100.7] not internal", "not authenticated", client=STRANGER, sasl="bob")
    assert causes(log) == {("login-not-told", b""): (1, [b"bob"])}


def test_a_strangers_mail_that_an_alias_passed_on_never_makes_it_trusted() -> None:
    log = Log().mail(ONE, "+", sasl="app")
    log.mail(TWO, "client.example.com [198.51.100.7] not internal", "not authenticated", client=STRANGER, end=False)
    log.named(THREE, f"{TWO.lower()}@app.example.org").queued(THREE)
    log.delivery(TWO, "list@example.org", "sent", f"forwarded as {THREE}", relay="local", daemon="local").removed(TWO)
    log.sent(THREE, "friend@example.net").removed(THREE)
    assert causes(log) == {("forwarded", b""): (1, [STRANGER.encode()])}


def test_local_mail_that_no_milter_saw_is_a_cause_of_its_own() -> None:
    log = Log().mail(ONE, "+", sasl="app").pickup(TWO).named(TWO).queued(TWO, "root@example.org").sent(TWO).removed(TWO)
    log.mail(THREE, sasl="bob", sender="bob@example.org")
    assert causes(log) == {
        ("local-mail", b"example.org"): (1, [b"root@example.org"]),
        ("silent", b"example.org"): (1, [b"bob@example.org"]),
    }


def test_every_silent_mail_is_counted_and_the_first_senders_are_shown() -> None:
    log = Log().mail(ONE, "+", sasl="app", sender="x@example.org")
    for number in range(12):
        log.mail(f"4F2A91C1{number:03}", sasl="app", sender=f"a{number % 6}@example.org")
        log.pickup(f"4F2A91C2{number:03}").named(f"4F2A91C2{number:03}").queued(f"4F2A91C2{number:03}", "root@example.org")
        log.sent(f"4F2A91C2{number:03}").removed(f"4F2A91C2{number:03}")
    assert causes(log) == {
        ("silent", b"example.org"): (12, [b"a0@example.org", b"a1@example.org", b"a2@example.org"]),
        ("local-mail", b"example.org"): (12, [b"root@example.org"]),
    }


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("skipping signing of mail to 'friend@example.net'", "dont-sign"),
        ("domain 'example.org' exempted, accepting", "exempt"),
        ("no signature data", "verified"),
        ("can't determine message sender; accepting", "bad-from"),
        ("no signing subdomain match for 'example.org'", "no-signing-domain"),
    ],
)
def test_the_words_of_opendkim_tell_the_cause(word: str, kind: str) -> None:
    log = Log().mail(ONE, "+", client=INNER).mail(TWO, word, client=INNER)
    [(found, _)] = causes(log)
    assert found == kind


def test_signed_incoming_undecided_and_failed_mail_has_no_cause() -> None:
    log = Log().mail(ONE, "+").mail(TWO, "mail.example.net [203.0.113.25] not internal", "no signature data", client=OUTSIDE, sender="a@example.com", local=True)
    log.connect().smtpd("warning: connect to Milter service inet:127.0.0.1:8891: Connection refused")
    log.client(THREE, sasl="app").named(THREE).queued(THREE).sent(THREE).removed(THREE).disconnect()
    assert causes(log) == {}
    # Signatures are not logged at all: nothing is known to be unsigned.
    assert causes(Log().mail(FOUR, "no other word", sasl="app")) == {}


def test_what_is_ours_is_known_at_the_end_only() -> None:
    log = Log().mail(ONE, *NOT_INTERNAL, client="far.example.com[198.51.100.9]", sender="a@example.org")
    assert causes(log) == {}
    log.mail(TWO, "+", sasl="app", sender="a@example.org")
    assert causes(log) == {("not-internal", b"198.51.100.9"): (1, [b"far.example.com[198.51.100.9]"])}


# --- bounds ---


def test_senders_without_end_do_not_grow_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(why, "KEEP", 50)
    log = Log().mail("4F2A91C00FF", "+")
    for number in range(200):
        log.mail(f"4F2A91C1{number:03}", f"no signing table match for 'a@d{number}.example.net'")
    judged = judge(log)
    found = judged.tally.why.causes(judged.run.known)
    assert len(found) == 50 and judged.tally.why.folded == 150
    assert sum(seen.messages for seen in found.values()) + judged.tally.why.folded == 200


def test_strangers_mail_gives_way_to_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(why, "KEEP", 20)
    log = Log().mail("4F2A91C00FF", "+")
    for number in range(100):
        # Relayed for a customer: nobody of ours, unless the sender's domain turns out to be.
        word = "mail.example.net [203.0.113.25] not internal"
        log.mail(f"4F2A91C1{number:03}", word, client=OUTSIDE, sender=f"a@d{number}.example.com", to="b@customer.example")
    log.mail(ONE, *NOT_INTERNAL, client=INNER)
    assert causes(log) == {("not-internal", b"10.0.0.20"): (1, [INNER.encode()])}


def test_examples_and_subjects_have_an_end() -> None:
    log = Log().mail("4F2A91C00FF", "+")
    for number in range(9):
        log.mail(f"4F2A91C1{number:03}", f"no signing table match for 'a{number}@example.net'")
    log.mail(ONE, f"no signing table match for 'a@{'x' * 900}.example'")
    found = causes(log)
    assert found["no-signing-table-match", b"example.net"] == (9, [b"a0@example.net", b"a1@example.net", b"a2@example.net"])
    assert max(len(subject) for _, subject in found) == why.LONGEST


def test_counts_add_up_by_merge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(why, "KEEP", 3)
    known = Knowledge(set(), [], set())
    made = []
    for domains in (("a", "b"), ("b", "c", "d")):
        one = Why()
        for domain in domains:
            log = judge(Log().mail(ONE, f"no signing table match for 'x@{domain}.example'"))
            for (case, cause), seen in log.tally.why._seen.items():
                one._seen[case, cause] = seen
        made.append(one)
    made[0].merge(made[1])
    assert {cause.subject: seen.messages for cause, seen in made[0].causes(known).items()} == {
        b"a.example": 1, b"b.example": 2, b"c.example": 1,
    }  # fmt: skip
    assert made[0].folded == 1


# --- the lines ---

SIGNED = Setup(signed={"example.org": "mx2026"}, selector="mx2026")


def lines(kind: str, *subjects: str, setup: Setup = SIGNED) -> list[str]:
    return change(kind, list(subjects), setup).lines


def test_a_signing_table_line_names_the_key_that_there_is() -> None:
    assert lines("no-signing-table-match", "example.org", "lists.example.org", "example.net") == [
        "*@example.org mx2026._domainkey.example.org",
        "*@lists.example.org mx2026._domainkey.example.org",
        "*@example.net mx2026._domainkey.example.net",
    ]
    fix = change("no-signing-table-match", ["example.org", "example.net"], SIGNED).fix
    assert "refile:" in fix
    assert "opendkim-genkey -b 2048 -d example.net -s mx2026" in fix
    assert "`mx2026._domainkey.example.net example.net:mx2026:/etc/dkimkeys/example.net/mx2026.private`" in fix
    assert "opendkim-genkey" not in change("no-signing-table-match", ["example.org"], SIGNED).fix
    assert lines("no-signing-table-match", "example.net", setup=Setup()) == [
        "*@example.net SELECTOR._domainkey.example.net"
    ]


def test_the_configuration_tells_the_keys_name_and_the_tables_form() -> None:
    setup = Setup(
        keys={"example.net": "main"}, kinds={"SigningTable": "file"}, paths={"SigningTable": "/etc/dkim/signing"}
    )
    told = change("no-signing-table-match", ["example.net", "a.example.net"], setup)
    assert told.lines == ["example.net main", "a.example.net main"]
    assert told.file == "SigningTable (/etc/dkim/signing)" and "refile" not in told.fix


def test_the_other_causes_have_their_lines() -> None:
    assert lines("not-internal", "192.0.2.7", "2001:db8::1") == ["192.0.2.7", "2001:db8::1"]
    assert lines("local-mail", "example.org") == ["non_smtpd_milters = $smtpd_milters"]
    assert lines("silent", "example.org") == ["LogWhy yes"]
    assert lines("silent", "example.org", setup=Setup(log_why=True)) == [""]
    for kind in ("silent", "verified", "local-mail"):
        assert lines(kind, "x", setup=Setup(mode="v")) == ["Mode sv"]
        assert lines(kind, "x", setup=Setup(mode="sv")) != ["Mode sv"]
    assert lines("no-signing-domain", "example.net") == ["example.net"]
    known = Setup(domain="example.org", kinds={"Domain": "csl"})
    assert lines("no-signing-domain", "example.net", "b.example", setup=known) == [
        "Domain example.org, example.net, b.example",
        "",
    ]


NASTY = ["", "-rf", "a b.example", "$(reboot).example", "x`id`.example.org", "e\x1b[31m.example", "é.example", "x" * 300 + ".example", "*"]


@pytest.mark.parametrize("kind", ["no-signing-table-match", "no-signing-domain", "not-internal", "verified"])
def test_no_strangers_text_comes_into_a_line(kind: str) -> None:
    told = change(kind, NASTY, SIGNED)
    assert told.lines == [""] * len(NASTY)
    assert not any(nasty and nasty in told.fix for nasty in ("reboot", "`id`", "\x1b", "x" * 50))


@pytest.mark.parametrize("setup", [Setup(), SIGNED, Setup(mode="v"), Setup(log_why=True, paths={"InternalHosts": "/x"})])
@pytest.mark.parametrize(
    "kind",
    ["no-signing-table-match", "no-signing-domain", "not-internal", "login-not-told", "forwarded", "bad-from", "verified",
     "local-mail", "silent", "exempt", "dont-sign", "other"],
)  # fmt: skip
def test_every_cause_says_what_it_means_and_what_to_do(kind: str, setup: Setup) -> None:
    told: Change = change(kind, ["lists.example.org"], setup)
    assert 0 < len(told.meaning) <= 200 and 0 < len(told.fix) <= 700
    assert len(told.lines) == 1


def test_the_signatures_of_the_log_tell_the_selectors() -> None:
    setup = setup_of({(b"Example.org", b"old"): 1, (b"example.org", b"new"): 5, (b"example.net", b"k1"): 9}, [], None)
    assert (setup.signed, setup.selector) == ({"example.org": "new", "example.net": "k1"}, "k1")


# --- the report ---


def unsigned() -> Log:
    log = Log().mail(ONE, "+", sasl="app")
    for number, domain in enumerate(("example.net", "lists.example.org", "example.net")):
        log.mail(f"4F2A91C1{number:03}", f"no signing table match for 'news@{domain}'")
    return log.mail(TWO, *NOT_INTERNAL, client=INNER)


def test_the_report_has_a_block_a_cause_most_mail_first(tmp_path: Path) -> None:
    doc = report(unsigned(), tmp_path)
    assert [(block["cause"], block["messages"], block["lines_total"]) for block in doc["why"]] == [
        ("no-signing-table-match", 3, 2),
        ("not-internal", 1, 1),
    ]
    assert doc["why"][0]["lines"][0] == {
        "line": "*@example.net k1._domainkey.example.net",
        "subject": "example.net",
        "messages": 2,
        "hosts": ["mx"],
        "examples": ["news@example.net"],
    }
    assert doc["why_others"] == 0
    assert sum(block["messages"] for block in doc["why"]) == doc["totals"]["outbound"]["unsigned"]


def test_what_has_no_place_is_counted_as_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(why, "KEEP", 1)
    doc = report(unsigned(), tmp_path)
    assert (len(doc["why"]), doc["why_others"]) == (1, 2)


def test_only_the_senders_asked_for_are_explained(tmp_path: Path) -> None:
    log = unsigned().mail(THREE, "no signing table match for 'x@other.example'", sender="x@other.example")
    doc = report(log, tmp_path, domains=["other.example"])
    assert [row["subject"] for block in doc["why"] for row in block["lines"]] == ["other.example"]


def test_of_silent_mail_the_domains_that_are_never_signed_are_named(tmp_path: Path) -> None:
    log = Log().mail(ONE, "+", sasl="app").mail(TWO, sasl="app")
    [block] = report(log, tmp_path)["why"]
    assert (block["cause"], block["fix"][:12]) == ("silent", "Set the line")
    log.mail(THREE, sasl="bob", sender="bob@lab.example.net")
    [block] = report(log, tmp_path)["why"]
    assert block["fix"].startswith("No mail of lab.example.net was signed in this log: look into SigningTable first. ")


def test_a_log_without_any_signature_asks_for_the_mode(tmp_path: Path) -> None:
    log = Log().mail(ONE, "no signature data", sasl="app").mail(FOUR, "DKIM verification successful", client=OUTSIDE, sender="a@b.example", local=True)
    [block] = report(log, tmp_path)["why"]
    assert (block["cause"], {row["line"] for row in block["lines"]}) == ("verified", {"Mode sv"})
    assert "InternalHosts" in block["fix"]
    [block] = report(log.mail(TWO, sasl="bob"), tmp_path)["why"][1:]
    assert block["fix"].startswith("No mail at all was signed in this log")
    [verified, silent] = report(log.mail(THREE, "+", sasl="app"), tmp_path)["why"]
    assert verified["lines"][0]["line"] is None and silent["fix"].startswith("Set the line")
    conf = tmp_path / "opendkim.conf"
    conf.write_text("Mode sv\n")
    assert {row["line"] for row in report(log, tmp_path, opendkim_conf=str(conf))["why"][0]["lines"]} == {None}
    conf.write_text("Mode v\n")
    blocks = report(log, tmp_path, opendkim_conf=str(conf))["why"]
    assert {row["line"] for block in blocks for row in block["lines"]} == {"Mode sv"}


def test_several_clients_of_a_network_are_told_as_one(tmp_path: Path) -> None:
    log = Log().mail(ONE, "+", sasl="app")
    for number in range(3):
        log.mail(f"4F2A91C1{number:03}", *NOT_INTERNAL, client=f"a{number}.example.org[192.168.7.{number + 1}]")
    [block] = report(log, tmp_path)["why"]
    assert block["fix"].startswith("Several are of one network: 192.168.7.0/24. ")


def test_the_configuration_is_asked_for_names(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("main example.net:s1:/etc/dkimkeys/s1.private\n")
    (tmp_path / "signing").write_text("*@example.org other\n")
    conf = tmp_path / "opendkim.conf"
    conf.write_text(f"SigningTable refile:{tmp_path}/signing\nKeyTable {tmp_path}/keys\nMode sv\n")
    doc = report(unsigned(), tmp_path, opendkim_conf=str(conf))
    assert doc["why"][0]["lines"][0]["line"] == "*@example.net main"


def test_equal_causes_of_two_hosts_are_one_line(tmp_path: Path) -> None:
    log = Log().mail(ONE, "no signing table match for 'a@example.net'")
    log.host = "mx2"
    [block] = report(log.mail(ONE, "no signing table match for 'a@example.net'"), tmp_path)["why"]
    assert block["lines"][0]["hosts"] == ["mx", "mx2"] and block["messages"] == 2


@pytest.mark.parametrize("flag", ["near", "seen", "local", "refused"])
def test_the_key_of_a_cause_keeps_all_of_a_case_that_its_verdict_hangs_on(flag: str) -> None:
    case = Case(
        b"mx", b"example.org", "outbound", "sent", "unsigned", "other", 3, b"inet:127.0.0.1:8891", "pass", "key",
        (b"example.com", b"example.net"), flag == "near", flag == "seen", flag == "local", flag == "refused",
    )  # fmt: skip
    key = case._replace(effect="", checked="", checked_reason=None)
    known = Knowledge({b"example.com"}, [], set())
    assert _plain(case, known) == (key if flag == "refused" else key._replace(relayed=(b"",)))
    ours = case._replace(relayed=(b"example.com",))
    assert _plain(ours, known) == key._replace(relayed=(b"example.com",))
