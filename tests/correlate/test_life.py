"""OpenDKIM's own faults: one row and one count for one event, and what is no crash."""

from __future__ import annotations

from builder import Judged, Log, judge

from logscan.model import Fault

CONF = "/etc/opendkim.conf"
KEY = "/etc/dkimkeys/mail.private"
OPEN = f"{KEY} can be read or written by other users"
BIND = "OpenDKIM Filter: Unable to bind to port local:/run/opendkim/opendkim.sock: No such file or directory"
CREATE = "OpenDKIM Filter: Unable to create listening socket on conn local:/run/opendkim/opendkim.sock"
REFUSED = "warning: connect to Milter service inet:127.0.0.1:8891: Connection refused"


def rows(judged: Judged) -> list[tuple[str, str, str, int]]:
    """(kind, subject, severity, count) of every row that is not information."""
    return [(f.kind, f.subject, f.severity, f.count) for f in judged.faults if f.severity != "info"]


def opendkim(*said: str, pid: int = 7) -> Log:
    log = Log()
    for text in said:
        log.opendkim(text, pid)
    return log


def test_a_socket_that_cannot_be_made_is_one_event_though_three_lines_tell() -> None:
    log = opendkim(BIND, CREATE, "smfi_opensocket() failed", "opendkim: smfi_opensocket() failed")
    assert rows(judge(log)) == [("socket", "local:/run/opendkim/opendkim.sock", "error", 1)]
    log.wait(60)
    for text in (BIND, CREATE, "smfi_opensocket() failed"):
        log.opendkim(text, 8)
    fault = judge(log).fault("socket")
    assert (fault.count, len(fault.lines)) == (2, 2)
    assert all(b"Unable to bind" in line for line in fault.lines)


def test_a_reason_without_the_socket_gets_it_from_the_line_after() -> None:
    log = opendkim("OpenDKIM Filter: unknown port name milter", f"{CREATE[:-33]}inet:milter", "smfi_opensocket() failed")
    assert rows(judge(log)) == [("socket", "inet:milter", "error", 1)]
    for _ in range(2):
        log.wait(60).opendkim("OpenDKIM Filter: unknown port name milter", 9)
        log.opendkim(f"{CREATE[:-33]}inet:milter", 9).opendkim("smfi_opensocket() failed", 9)
    assert rows(judge(log)) == [("socket", "inet:milter", "error", 3)]


def test_what_syslog_and_standard_error_both_say_counts_once() -> None:
    log = opendkim("no such user or uid 'dkim'", "opendkim: no such user 'dkim'")
    assert rows(judge(log)) == [("opendkim-start-failed", "dkim", "error", 1)]
    # Standard error alone: each line is an event, as when systemd tries again.
    log = opendkim(*[f"opendkim: {CONF}: Domain requires KeyFile and Selector"] * 3)
    assert rows(judge(log)) == [("config", CONF, "error", 3)]


def test_a_key_file_open_to_others_is_an_error_unless_opendkim_runs_on() -> None:
    said = f"{KEY}: key data is not secure: {OPEN}"
    assert rows(judge(opendkim(said, f"{CONF}: {OPEN}"))) == [("key-insecure", KEY, "error", 1)]
    assert rows(judge(opendkim(said))) == [("key-insecure", KEY, "error", 1)]
    assert rows(judge(opendkim(said).started())) == [("key-insecure", KEY, "warning", 1)]
    reloaded = opendkim(said, f"configuration reloaded from {CONF}")
    assert rows(judge(reloaded)) == [("key-insecure", KEY, "warning", 1)]
    # Refused once, it stays an error though the next start took it.
    log = opendkim(said, f"{CONF}: {OPEN}")
    log.wait(60).opendkim(said, 8).started(8)
    assert rows(judge(log)) == [("key-insecure", KEY, "error", 2)]
    # A start of later has nothing to do with it.
    assert rows(judge(opendkim(said).wait(60).started())) == [("key-insecure", KEY, "error", 1)]


def test_a_start_after_failed_ones_is_no_crash() -> None:
    log = Log().smtpd(REFUSED)
    for text in (BIND, CREATE, "smfi_opensocket() failed", "no such user or uid 'dkim'", "opendkim: AutoRestartRate invalid"):
        log.opendkim(text, 7)
    log.wait(60).started(9)
    kinds = {fault.kind for fault in judge(log).faults}
    assert "opendkim-crashed" not in kinds
    assert "opendkim-started" in kinds


def test_a_daemon_that_only_failed_to_start_is_not_one_that_does_not_log() -> None:
    log = opendkim(BIND, CREATE, "smfi_opensocket() failed")
    log.mail("4F2A91C03B7")
    assert judge(log).one().reason == "opendkim-absent"


def cause(judged: Judged, kind: str) -> tuple[str, str] | None:
    found = judged.fault(kind).cause
    return None if found is None else (found[0].kind, found[1].decode().rpartition("]: ")[2])


def failing(log: Log, text: str = REFUSED) -> Log:
    return log.connect().smtpd(text)


def test_an_outage_has_its_cause_from_opendkim_whether_told_before_or_after() -> None:
    stop = "OpenDKIM Filter v2.11.0 terminating with status 0, errno = 0"
    assert cause(judge(failing(Log().started().stopped().wait(3000))), "milter-unreachable") == ("opendkim-stopped", stop)
    later = failing(Log()).wait(5).opendkim("no such user or uid 'dkim'", 8)
    assert cause(judge(later), "milter-unreachable") == ("opendkim-start-failed", "no such user or uid 'dkim'")
    crashed = Log().started().opendkim("terminated with signal 11, restarting", 6).started(9)
    lost = "warning: milter inet:127.0.0.1:8891: can't read SMFIC_MAIL reply packet header: Broken pipe"
    failing(crashed.wait(200), lost)
    assert cause(judge(crashed), "milter-lost") == ("opendkim-crashed", "terminated with signal 11, restarting")


def test_an_outage_has_no_cause_that_is_not_its_own() -> None:
    # It has started since, long ago.
    log = Log().started().stopped().wait(60).started(8).wait(4000)
    assert cause(judge(failing(log)), "milter-unreachable") is None
    # The milter is on another host, whether the trouble comes before or after, or nothing was said.
    later = failing(Log(), REFUSED.replace("127.0.0.1", "192.0.2.9")).started().stopped()
    assert cause(judge(later), "milter-unreachable") is None
    remote = failing(Log().started().stopped(), REFUSED.replace("127.0.0.1", "192.0.2.9"))
    assert cause(judge(remote), "milter-unreachable") is None
    assert cause(judge(failing(Log())), "milter-unreachable") is None
    # It started a minute ago, so a connection that is refused now is another matter.
    log = Log().started().stopped().started(8).wait(60)
    assert cause(judge(failing(log)), "milter-unreachable") is None


def test_a_daemon_that_is_there_is_not_explained_by_its_absence() -> None:
    for text, kind in (
        ("connect to Milter service unix:/run/o.sock: Permission denied", "milter-unreachable"),
        ("milter unix:/run/o.sock: can't read SMFIC_MAIL reply packet header: Connection timed out", "milter-timeout"),
        ("milter unix:/run/o.sock: malformed reply: x", "milter-protocol"),
    ):
        log = failing(Log().started().stopped(), f"warning: {text}")
        assert cause(judge(log), kind) is None
        assert cause(judge(log.opendkim("terminated with signal 11, restarting", 6)), kind) is None
    log = failing(Log().stopped(), "warning: connect to Milter service unix:/run/o.sock: No such file or directory")
    assert cause(judge(log), "milter-unreachable") is not None
    failing(log.started(8), "warning: connect to Milter service unix:/run/o.sock: Permission denied")
    assert cause(judge(log), "milter-unreachable") is None


def test_an_outage_ends_with_the_line_that_proves_the_milter_works() -> None:
    log = Log()
    failing(log)
    begun = log.at
    log.disconnect().wait(100).mail("4F2A91C03B7", "+")
    fault: Fault = judge(log).fault("milter-unreachable")
    assert (fault.ongoing, fault.spells, fault.first) == (False, 1, begun)
    assert fault.last >= begun + 100
    failing(log.wait(50))
    fault = judge(log).fault("milter-unreachable")
    assert (fault.ongoing, fault.spells, fault.count) == (True, 2, 2)


def test_a_refusal_that_opendkim_does_not_name_is_its_own_all_the_same() -> None:
    log = Log().connect().client("4F2A91C03B7").named("4F2A91C03B7").opendkim("too much header data")
    log.refused("4F2A91C03B7")
    message = judge(log).one()
    assert (message.outcome, message.reason, message.effect) == ("unsigned", "other", "tempfailed")
    # A refusal of later is another's, and so is one after a failure.
    log = Log().opendkim("too much header data").wait(60).connect().client("4F2A91C03B7").named("4F2A91C03B7")
    assert judge(log.refused("4F2A91C03B7")).one().reason == "other-milter"


def test_a_mail_that_lacks_a_header_was_refused_by_opendkim() -> None:
    log = Log().connect().client("4F2A91C03B7").named("4F2A91C03B7")
    log.words("4F2A91C03B7", "RFC5322 header requirement error: message has multiple From fields")
    log.refused("4F2A91C03B7", "5.0.0 message has multiple From fields")
    message = judge(log).one()
    assert (message.outcome, message.reason, message.effect) == ("unsigned", "other", "rejected")


def test_settings_of_postfix_that_end_a_process_are_faults() -> None:
    log = Log().connect().smtpd('fatal: unknown option: "nosuch = 1" in "x"').smtpd('fatal: empty milter definition: ""')
    log.cleanup("panic: milter8_body: bad buffer size: -1").cleanup("fatal: open database /etc/x.db: No such file")
    kinds = {(f.kind, f.severity) for f in judge(log).faults}
    assert ("milter-protocol", "error") in kinds
    assert ("config", "error") in kinds
    assert len(kinds) == 2


def test_signatures_without_a_queue_id_are_logged_signatures() -> None:
    log = Log().opendkim("WARNING: symbol 'i' not available")
    log.opendkim("(unknown-jobid): DKIM-Signature field added (s=k1, d=example.org)")
    log.mail("4F2A91C03B7")
    judged = judge(log)
    assert judged.one().outcome == "undecided"
    assert judged.run.state.hosts[b"mx"].nameless


def test_an_opendkim_without_queue_ids_is_there() -> None:
    log = Log().opendkim("(unknown-jobid): DKIM-Signature field added (s=k1, d=example.org)").mail("4F2A91C03B7", sasl="ann")
    message = judge(log).one()
    assert (message.outcome, message.reason) == ("undecided", "success-not-logged")


def test_a_signature_that_a_setting_refuses_is_no_failure() -> None:
    """On-BadSignature reject, and a user of ours who is not internal to OpenDKIM."""
    for told, found in (("bad DKIM signature data", ("unsigned", "other")), ("DKIM signing error", ("milter-error", "internal"))):
        log = Log().started().connect().client("4F2A91C03B7", sasl="ann").named("4F2A91C03B7")
        message = judge(log.refused("4F2A91C03B7", "5.7.0 " + told).disconnect()).one()
        assert (message.outcome, message.reason) == found


def test_repeats_that_rsyslog_folds_are_counted_each() -> None:
    log = Log().connect().smtpd(REFUSED).smtpd(f"message repeated 71 times: [ {REFUSED}]")
    assert judge(log).fault("milter-unreachable").count == 72


def loop(log: Log, times: int) -> Log:
    """AutoRestart with a socket that cannot be made, as 2.11 logs it; 5 is the parent."""
    for child in range(6, 6 + times):
        for text in (BIND, CREATE, "smfi_opensocket() failed"):
            log.opendkim(text, child)
        log.opendkim("exited with status 69, restarting", 5)
    log.opendkim("maximum restart count exceeded", 99)
    return log.opendkim("exited with status 69, restarting", 5).opendkim("maximum restart count exceeded", 5)


def test_autorestart_gives_up_once_and_fails_as_often_as_it_tried() -> None:
    socket = ("socket", "local:/run/opendkim/opendkim.sock", "error", 43)
    assert rows(judge(loop(Log(), 43))) == [socket, ("opendkim-restart-loop", "", "error", 1)]


def test_parent_and_child_of_autorestart_say_one_thing() -> None:
    said = "can't configure DKIM library: failed to set nameserver list"
    log = Log().opendkim(said, 6).opendkim("exited with status 70", 5).opendkim(said, 5)
    assert rows(judge(log)) == [("dns", "", "error", 1)]
    ended = "OpenDKIM Filter v2.11.0 terminating with status 71, errno = 12"
    log = Log().started(6).opendkim(ended, 6).opendkim("exited with status 71, restarting", 5).started(7)
    assert rows(judge(log)) == [("opendkim-stopped", "", "error", 1)]
    log = Log().started(6).opendkim("exited with status 71, restarting", 5).started(7)
    assert rows(judge(log)) == [("opendkim-crashed", "", "error", 1)]


def test_an_orderly_stop_is_a_warning_until_it_starts_again() -> None:
    assert rows(judge(Log().started().stopped())) == [("opendkim-stopped", "", "warning", 1)]
    assert rows(judge(Log().started().stopped().started())) == []


def timed_out(log: Log, *domains: str) -> Log:
    for number, domain in enumerate(domains):
        qid = f"4F2A91C0{number:03X}"
        said = f"key retrieval failed (s=k1, d={domain}): 'k1._domainkey.{domain}' query timed out"
        log.wait(30).mail(qid, said, client="mail.example.net[192.0.2.25]", to="boss@example.org", local=True)
    return log


def test_several_domains_without_an_answer_in_a_row_are_our_own_resolver() -> None:
    five = ("example.net", "example.com", "mail.example.edu", "a.example", "b.example")
    log = timed_out(Log().mail("4F2A91C03B7", "+"), *five)
    assert rows(judge(log)) == [("dns", "resolver", "warning", 5)]
    assert judge(log).fault("dns").ongoing
    log.mail("4F2A91C03B8", "DKIM verification successful", client="mail.example.net[192.0.2.25]")
    assert not judge(log).fault("dns").ongoing


def test_domains_without_an_answer_between_others_that_have_one_are_their_own_trouble() -> None:
    log = Log().mail("4F2A91C03B7", "+")
    for domain in ("example.net", "example.com", "example.edu", "example.info", "a.example", "b.example"):
        timed_out(log, domain).mail("4F2A91C03B8", "DKIM verification successful")
    assert rows(judge(log)) == []
    # One domain alone, however often and under whatever name below it; and domains that fail hours apart.
    assert rows(judge(timed_out(Log().mail("4F2A91C03B7", "+"), *["example.net"] * 9))) == []
    below = [f"d{number}.example.net" for number in range(9)]
    assert rows(judge(timed_out(Log().mail("4F2A91C03B7", "+"), *below))) == []
    log = Log().mail("4F2A91C03B7", "+")
    for domain in ("example.net", "example.com", "example.edu", "example.info", "a.example", "b.example"):
        timed_out(log.wait(3600), domain)
    assert rows(judge(log)) == []
    # Nobody knows about the answers where none are logged.
    assert rows(judge(timed_out(Log(), *[f"d{number}.example" for number in range(9)]))) == []
    many = [f"d{number}.example" for number in range(15)]
    assert rows(judge(timed_out(Log(), *many))) == [("dns", "resolver", "warning", 15)]


def test_a_database_that_fails_at_a_mail_is_one_fault_and_hits_it() -> None:
    log = Log().connect().client("4F2A91C03B7").named("4F2A91C03B7")
    log.opendkim('error looking up "app@example.org" in database: Can\'t contact LDAP server')
    log.words("4F2A91C03B7", "error reading signing table").refused("4F2A91C03B7")
    judged = judge(log)
    assert rows(judged) == [("dataset", "", "error", 1)]
    assert judged.fault("dataset").messages_hit == 1


def test_a_key_file_below_an_open_directory_is_one_row_named_by_the_file() -> None:
    open_to = 'opendkim is in group 118 which has multiple users (e.g., "postfix")'
    log = opendkim(f"{KEY}: key data is not secure: {open_to}", f"{CONF}: {open_to}")
    assert rows(judge(log)) == [("key-insecure", KEY, "error", 1)]
