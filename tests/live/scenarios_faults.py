"""OpenDKIM runs, and something it needs for a mail is broken; or it dies, or another milter does.

BROKEN is a table: one row is one situation with one mail. The rows of faults are exact in all of these.
"""

from __future__ import annotations

import contextlib
import smtplib
import socket
import struct
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field

from .listener import Listener, bound
from .opendkim import ENDPOINT, OpenDkim
from .postfix import MILTER
from .register import SIGNED, failed, register
from .rig import MAILERS, Lab, Scenario
from .rows import Row
from .scenarios_inbound import inbound, receive
from .scenarios_milter import BOTH, OTHER, UNSEEN
from .starts import KEYS, WITH_KEYFILE, below, folder, own, put
from .truth import Expect

SCENARIOS: dict[str, Scenario] = {}
scenario = register(SCENARIOS)

NAME, FILE = "mx2026._domainkey.example.org", "mx2026.private"
PATH = f"/etc/dkimkeys/{FILE}"
REFUSED, REJECTED = failed("key", "tempfailed"), failed("key", "rejected")
INTERNAL = failed("internal", "tempfailed")
LDAP = "ldap://127.0.0.1:1/o=x?a?sub?(x=$d)"
# Signed, but the line that says so does not say which mail.
UNTOLD = Expect("undecided", "success-not-logged")


@dataclass(frozen=True)
class Broken:
    """One mail by SMTP. row: the fault, which hits it where it was not signed."""

    name: str
    row: Row | None = None
    prepare: Callable[[OpenDkim], object] | None = None
    expect: Expect = REFUSED
    opendkim: dict[str, str] = field(default_factory=dict)
    postfix: dict[str, str] = field(default_factory=dict)


def key(kind: str, subject: str = NAME, severity: str = "error") -> Row:
    """A fault of the key that hits the one mail."""
    return Row(kind, subject, severity, hit=severity == "error")


def public_key(opendkim: OpenDkim) -> None:
    """The public half in place of the private one."""
    done = subprocess.run(["openssl", "pkey", "-in", str(opendkim.keys / FILE), "-pubout"], capture_output=True, check=True)
    opendkim.write(FILE, done.stdout.decode(), 0o600)


def other_kind(opendkim: OpenDkim) -> None:
    """A key that is not of RSA."""
    done = subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519"], capture_output=True, check=True)
    opendkim.write(FILE, done.stdout.decode(), 0o600)


def loop(name: str) -> Callable[[OpenDkim], None]:
    """A link that leads to itself in place of a file."""

    def prepare(opendkim: OpenDkim) -> None:
        (opendkim.keys / name).unlink()
        (opendkim.keys / name).symlink_to(name)

    return prepare


BROKEN = (
    # The key's file, through KeyTable.
    Broken("key_is_a_directory", key("key-other", PATH), folder(FILE)),
    Broken("key_below_a_file", key("key-other", f"{KEYS}/KeyTable/{FILE}"),
           put("KeyTable", f"{NAME} example.org:mx2026:{KEYS}/KeyTable/{FILE}\n")),
    Broken("key_links_to_itself", key("key-other", PATH), loop(FILE)),
    Broken("key_is_empty", key("key-malformed", ""), put(FILE, "", 0o600)),
    Broken("key_is_public", key("key-malformed", ""), public_key),
    Broken("key_of_other_kind", key("key-malformed", ""), other_kind),
    Broken("key_of_another", key("key-insecure"), own(FILE, 0o644, "nobody")),
    Broken("key_of_another_allowed", key("key-insecure", severity="warning"), own(FILE, 0o644, "nobody"), SIGNED,
           {"RequireSafeKeys": "no"}),
    Broken("key_of_primary_group", key("key-insecure"), own(FILE, 0o640, "opendkim", "nogroup")),
    Broken("key_of_group", key("key-insecure"), own(FILE, 0o640, "opendkim", MAILERS)),
    Broken("key_in_open_directory", key("key-insecure"), below(0o770, "opendkim", MAILERS)),
    Broken("key_below_minimum", key("key-weak", ""), expect=REJECTED, opendkim={"MinimumKeyBits": "2048"}),
    Broken("key_in_foreign_directory", key("key-insecure"), below(0o755, "nobody", "nogroup")),
    # KeyTable's rows.
    Broken("row_without_value", key("key-malformed", ""), put("KeyTable", f"{NAME}\n")),
    Broken("row_of_one_field", key("keytable"), put("KeyTable", f"{NAME} example.org\n")),
    Broken("row_of_two_fields", key("keytable"), put("KeyTable", f"{NAME} example.org:mx2026\n")),
    Broken("row_with_relative_path", key("key-malformed", ""), put("KeyTable", f"{NAME} example.org:mx2026:keys/{FILE}\n")),
    Broken("table_is_empty", key("signingtable"), put("KeyTable", "")),
    Broken("table_is_a_directory", key("signingtable"), opendkim={"KeyTable": "/etc"}),
    # The KeyFile's content is looked at when the first mail needs it.
    Broken("keyfile_is_empty", key("key-malformed", ""), put(FILE, "", 0o600), opendkim=WITH_KEYFILE),
    Broken("keyfile_is_no_key", key("key-malformed", ""), put(FILE, "no key\n", 0o600), opendkim=WITH_KEYFILE),
    Broken("keyfile_below_minimum", key("key-weak", ""), expect=REJECTED,
           opendkim={**WITH_KEYFILE, "MinimumKeyBits": "2048"}),
    # What else a mail needs.
    Broken("temporary_directory_missing", Row("resource", "/nosuch", hit=1), expect=INTERNAL,
           opendkim={"TemporaryDirectory": "/nosuch", "KeepTemporaryFiles": "yes"}),
    Broken("ldap_of_keytable_down", key("keytable"), opendkim={"SoftStart": "yes", "KeyTable": LDAP}),
    Broken("ldap_of_signingtable_down", Row("dataset", hit=1), expect=INTERNAL,
           opendkim={"SoftStart": "yes", "SigningTable": LDAP}),
    # Settings that make it say more, or refuse and leave out what they name: no fault.
    Broken("said_body_length", None, put("Lengths", "friend@example.net\n"), SIGNED, {"BodyLengthDB": "/etc/dkimkeys/Lengths"}),
    Broken("said_mta_name", None, None, SIGNED, {"LogWhy": "yes", "MTA": "other"}),
    Broken("said_macros", None, None, SIGNED, {"LogWhy": "yes", "MacroList": "nosuch=x"}),
    Broken("said_exempt", None, None, Expect("unsigned", "other"), {"LogWhy": "yes", "ExemptDomains": "example.org"}),
    Broken("said_by_domain", None, None, Expect("unsigned", "no-signing-domain"),
           {**WITH_KEYFILE, "LogWhy": "yes", "Domain": "example.com"}),
    Broken("too_much_header", expect=Expect("unsigned", "other", effect="tempfailed"), opendkim={"MaximumHeaders": "100"}),
    Broken("no_queue_id", Row("config", severity="warning"), expect=UNTOLD, postfix={
        "milter_connect_macros": "j", "milter_helo_macros": "", "milter_mail_macros": "{auth_type}", "milter_rcpt_macros": "",
        "milter_data_macros": "", "milter_end_of_header_macros": "", "milter_end_of_data_macros": ""}),
)  # fmt: skip


def one_mail(case: Broken) -> Callable[[Lab], None]:
    """Its play: one mail and its way."""

    def play(lab: Lab) -> None:
        lab.smtp(case.expect)
        lab.settle()

    return play


SCENARIOS |= {
    case.name: Scenario(case.name, one_mail(case), case.postfix, opendkim=case.opendkim, keys=case.prepare,
                         rows=(case.row,) if case.row else ())
    for case in BROKEN
}


@scenario(opendkim={"RequiredHeaders": "yes"})
def header_twice(lab: Lab) -> None:
    """OpenDKIM refuses a mail with two Subjects, as it was told to: no fault, and not signed."""
    lab.smtp(Expect("unsigned", "other", effect="rejected"), extra="Subject: again\r\n")
    lab.settle()


@scenario(rows=(Row("resource", "/nosuch/stats", "warning"),), opendkim={"Statistics": "/nosuch/stats"})
def statistics_file_missing(lab: Lab) -> None:
    """What OpenDKIM would count of incoming mail cannot be written; mail goes on."""
    receive(lab, inbound("pass"))
    lab.smtp(SIGNED)
    lab.settle()


# --- milters: how Postfix fails at one -----------------------------------------------------------------------------


GONE = Row("milter-unreachable", MILTER, hit=1)


@dataclass(frozen=True)
class Odd:
    """smtpd_milters and what is there, and one mail through it. answer: what a listener on OTHER says at once,
    or None for no listener. count: how often Postfix complains."""

    name: str
    kind: str
    reason: str
    milter: str
    subject: str | None = None
    answer: bytes | None = None
    postfix: dict[str, str] = field(default_factory=dict)
    effect: str = "sent"
    count: int = 1


AWAY = f"inet:{OTHER[0]}:{OTHER[1]}"


def packet(command: bytes, content: bytes = b"") -> bytes:
    """A message of the milter protocol."""
    return struct.pack("!I", 1 + len(content)) + command + content


AGREES = packet(b"O", struct.pack("!III", 6, 0, 0))

ODD = (
    Odd("host_unknown", "milter-unreachable", "socket-missing", "inet:nosuch.invalid:8891"),
    Odd("address_family_off", "milter-unreachable", "socket-missing", "inet:[::1]:8891"),
    Odd("service_unknown", "milter-unreachable", "socket-missing", "inet:127.0.0.1:nosuch"),
    Odd("endpoint_without_transport", "milter-protocol", "protocol", "opendkim"),
    Odd("transport_unknown", "milter-protocol", "protocol", "tcp:127.0.0.1:8891"),
    Odd("a_web_server", "milter-protocol", "protocol", AWAY, answer=b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    Odd("a_ssh_server", "milter-protocol", "protocol", AWAY, answer=b"SSH-2.0-OpenSSH_9.2\r\n"),
    Odd("hangs_up_at_once", "milter-lost", "connection-lost", AWAY, answer=b""),
    Odd("negotiates_badly", "milter-protocol", "protocol", AWAY, answer=packet(b"c")),
    Odd("negotiates_too_new", "milter-protocol", "protocol", AWAY, answer=packet(b"O", struct.pack("!III", 99, 0, 0))),
    Odd("negotiates_too_little", "milter-protocol", "protocol", AWAY, answer=packet(b"O", b"\0\0")),
    Odd("empty_packet", "milter-protocol", "protocol", AWAY, answer=b"\0\0\0\0"),
    Odd("negotiates_short", "milter-lost", "connection-lost", AWAY, answer=b"\0\0\0\x0dO\0\0"),
    Odd("negotiates_and_leaves", "milter-lost", "connection-lost", AWAY, answer=AGREES),
    Odd("command_missing", "milter-lost", "connection-lost", AWAY, answer=AGREES + b"\0\0\0\x05"),
    Odd("packet_empty_later", "milter-protocol", "protocol", AWAY, answer=AGREES + b"\0\0\0\0"),
    Odd("reply_with_more", "milter-protocol", "protocol", AWAY, answer=AGREES + packet(b"c", b"more")),
    Odd("reply_malformed", "milter-protocol", "protocol", AWAY, answer=AGREES + packet(b"y", b"nonsense\0")),
    Odd("wants_too_much", "milter-protocol", "protocol", AWAY, answer=packet(b"O", struct.pack("!III", 6, 0x8000, 0))),
    Odd("postfix_protocol_unknown", "milter-protocol", "protocol", AWAY, answer=AGREES,
        postfix={"milter_protocol": "nonsense"}),
    Odd("answers_nonsense", "milter-protocol", "protocol", AWAY,
        answer=AGREES + packet(b"?")),
)  # fmt: skip


class Says(Listener):
    """Answers everything with the same bytes, and hangs up."""

    def __init__(self, lab: Lab, answer: bytes):
        self._answer = answer
        super().__init__(bound(lab.rig.namespace, OTHER))

    def serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.recv(1000)
            connection.sendall(self._answer)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(1000):
                pass


def past_the_odd(case: Odd) -> Callable[[Lab], None]:
    """Its play."""

    def play(lab: Lab) -> None:
        if case.answer is not None:
            lab.servers.append(Says(lab, case.answer))
        lab.smtp(failed(case.reason, case.effect))
        lab.settle()

    return play


SCENARIOS |= {
    case.name: Scenario(
        case.name, past_the_odd(case), {"smtpd_milters": case.milter, **case.postfix}, opendkim=None,
        rows=(Row(case.kind, case.subject or case.milter, count=case.count, hit=1),),
    )
    for case in ODD
}  # fmt: skip


def nobody_greets(lab: Lab) -> None:
    """smtpd dies of its milters' settings before it says anything."""
    with contextlib.suppress(smtplib.SMTPException, OSError), lab.session():
        pass


# smtpd_milters that end smtpd, and the fault's subject.
FATAL = {
    "option_unknown": (f"{{ {AWAY}, nosuch=1 }}", "nosuch = 1"),
    "option_bad_time": (f"{{ {AWAY}, connect_timeout=5y }}", "5y"),
    "definition_empty": ("{}", "{}"),
    "service_missing": ("inet:127.0.0.1", "127.0.0.1"),
    "socket_name_too_long": (f"unix:/{'x' * 120}", "main.cf"),
}
SCENARIOS |= {
    f"milter_{name}": Scenario(f"milter_{name}", nobody_greets, {"smtpd_milters": milters}, opendkim=None,
                               rows=(Row("config", subject),))
    for name, (milters, subject) in FATAL.items()
}  # fmt: skip


@scenario(opendkim=None, postfix={"milter_default_action": "explode"},
          rows=(GONE, Row("config", "explode")))
def default_action_unknown(lab: Lab) -> None:
    """A milter fails, and what is to be done then is not said."""
    lab.smtp(failed("connect-refused", "tempfailed", UNSEEN))


@scenario(opendkim=None, postfix={"smtpd_milters": AWAY, "milter_connect_timeout": "1s"},
          rows=(Row("milter-unreachable", AWAY, hit=1),))
def backlog_full(lab: Lab) -> None:
    """The kernel takes no more connections for a milter that does not accept any."""
    listener = bound(lab.rig.namespace, OTHER)
    listener.listen(0)
    crowd = [lab.rig.namespace.socket() for _ in range(3)]
    try:
        for one in crowd:
            one.setblocking(False)
            one.connect_ex(OTHER)
        lab.smtp(failed("connect-timeout"))
    finally:
        for one in (*crowd, listener):
            one.close()
    lab.settle()


@scenario(rows=(Row("config", count=2),))
def allowed_too_little(lab: Lab) -> None:
    """A mail server that lets milters change nothing: OpenDKIM will not work with it."""
    with lab.rig.namespace.socket() as client:
        client.settimeout(5)
        client.connect(ENDPOINT)
        client.sendall(packet(b"O", struct.pack("!III", 6, 0, 0x1FFFFF)))
        if client.recv(1000):
            raise RuntimeError("opendkim agrees")
    lab.smtp(SIGNED)
    lab.settle()


# --- life ----------------------------------------------------------------------------------------------------------


def dies(signal: str) -> Callable[[Lab], None]:
    """It is gone for one mail, and started again."""

    def play(lab: Lab) -> None:
        lab.smtp(SIGNED)
        lab.opendkim.signal(signal)
        lab.smtp(failed("connect-refused"))
        lab.settle()
        lab.opendkim.start()
        lab.smtp(SIGNED)
        lab.settle()

    return play


SCENARIOS |= {
    f"died_of_{signal.lower()}": Scenario(f"died_of_{signal.lower()}", dies(signal), rows=(GONE, Row("opendkim-crashed")))
    for signal in ("SEGV", "ABRT", "KILL")
}


@scenario(rows=())
def died_unnoticed(lab: Lab) -> None:
    """Killed and started while no mail came: two starts, which may be as well of two daemons."""
    lab.smtp(SIGNED)
    lab.settle()
    lab.opendkim.signal("KILL")
    lab.opendkim.start()
    lab.smtp(SIGNED)
    lab.settle()


@scenario(opendkim={"MilterDebug": "6"}, rows=(Row("opendkim-stopped", severity="warning"),))
def stopped_while_told_everything(lab: Lab) -> None:
    """An orderly stop with libmilter's own words about it."""
    lab.smtp(SIGNED)
    lab.settle()
    lab.opendkim.signal("TERM")


@scenario(opendkim={"AutoRestart": "yes", "AutoRestartCount": "2"},
          rows=(Row("opendkim-crashed", count=2), Row("opendkim-restart-loop"), GONE))
def autorestart_gives_up(lab: Lab) -> None:
    """The child dies until its parent has had enough."""
    lab.smtp(SIGNED)
    lab.settle()
    for _ in range(2):
        lab.opendkim.crash_child()
    lab.opendkim.wait()
    lab.smtp(failed("connect-refused"))
    lab.settle()


def keyless_row(opendkim: OpenDkim) -> None:
    """A row of SigningTable without a key: 2.11 crashes at the first mail that it fits."""
    opendkim.write("SigningTable", "*@example.org\n")


@scenario(keys=keyless_row, rows=(Row("milter-lost", MILTER, hit=1), Row("opendkim-crashed")))
def crash_at_a_mail(lab: Lab) -> None:
    """It dies of a mail, and is started again."""
    lab.smtp(failed("connection-lost"))
    lab.settle()
    lab.opendkim.wait()
    put("SigningTable", "*@example.org mx2026._domainkey.example.org\n")(lab.opendkim)
    lab.opendkim.start()
    lab.smtp(SIGNED)
    lab.settle()


@scenario(keys=keyless_row, opendkim={"AutoRestart": "yes"}, rows=(Row("milter-lost", MILTER, hit=1), Row("opendkim-crashed")))
def crash_at_a_mail_restarted(lab: Lab) -> None:
    """The same with AutoRestart, which says so."""
    lab.smtp(failed("connection-lost"))
    lab.settle()


@scenario(opendkim=None, rows=(Row("socket", "inet:24@127.0.0.1", count=2), Row("opendkim-restart-loop"), GONE))
def never_came_up(lab: Lab) -> None:
    """AutoRestart tries until it gives up, and a mail goes without: one outage, and its cause."""
    lab.opendkim.start({"AutoRestart": "yes", "AutoRestartCount": "2", "Socket": "inet:24@127.0.0.1"}, wait=False)
    lab.opendkim.wait()
    lab.smtp(failed("connect-refused"))
    lab.settle()


@scenario(postfix=BOTH, rows=())
def other_milter_at_work(lab: Lab) -> None:
    """A healthy second milter, and lines of programs with names like OpenDKIM's: no fault of anybody's."""
    lab.milter(OTHER, "")
    for program, text in (
        ("opendmarc", "4F2A91C03B7: example.net fail"),
        ("opendmarc", "OpenDMARC Filter: Unable to bind to port inet:8893@127.0.0.1: Address already in use"),
        ("opendmarc", "smfi_opensocket() failed"),
        ("rspamd", "(rspamd_proxy) <4f2a91>; lua; can't load key from /etc/dkimkeys/x.private: No such file or directory"),
        ("amavis", "(01234-01) Blocked BAD-HEADER-0, terminating with status 1"),
        ("opendkim-genkey", "can't load key from /etc/dkimkeys/x.private: No such file or directory"),
    ):
        lab.rig.namespace.run("logger", "-p", "mail.err", "-t", f"{program}[4242]", text)
    lab.smtp(SIGNED)
    lab.settle()


@scenario(rows=(Row("dataset", "/etc/dkimkeys/absent"),))
def reload_of_a_broken_table(lab: Lab) -> None:
    """A reload fails, and the settings of before sign on."""
    lab.smtp(SIGNED)
    lab.opendkim.configure({"KeyTable": "/etc/dkimkeys/absent"})
    lab.opendkim.signal("USR1")
    lab.smtp(SIGNED)
    lab.smtp(SIGNED)
    lab.settle()


@scenario(opendkim={"DNSTimeout": "1"}, postfix={"milter_content_timeout": "20s"},
          rows=(Row("dns", "resolver", "warning", count=5, ongoing=True),))
def resolver_dead(lab: Lab) -> None:
    """No name server answers: signatures of other domains cannot be checked, while ours are made."""
    lab.smtp(SIGNED)
    lab.rig.dns.silent = True
    for domain in ("example.net", "example.com", "example.edu", "a21-hp.com", "a21-hp.net"):
        receive(lab, inbound("fail", "key-unusable"), domain=domain)
    lab.smtp(SIGNED)
    lab.settle()


@scenario(rows=(Row("milter-timeout", MILTER, hit=1),))
def resolver_slower_than_postfix(lab: Lab) -> None:
    """The same, and Postfix does not wait for OpenDKIM so long."""
    lab.rig.dns.silent = True
    receive(lab, Expect("milter-error", "reply-timeout", "inbound"))
    lab.smtp(SIGNED)
    lab.settle()
