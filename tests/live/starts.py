"""OpenDKIM started, and reloaded, with something wrong: its settings, tables, KeyFile, socket or account.

One row of STARTS is one case, played twice: as a start, and as a reload of an OpenDKIM that ran well before.
No Postfix takes part; a client of our own begins the conversation that makes a reload happen.
"""

from __future__ import annotations

import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from .opendkim import ENDPOINT, OpenDkim
from .rig import MAILERS, Rig
from .rows import Row

CONF, KEYS = "/etc/opendkim.conf", "/etc/dkimkeys"
KEY = f"{KEYS}/mx2026.private"
SUB = f"{KEYS}/sub/mx2026.private"
ABSENT = f"{KEYS}/absent"
WITH_KEYFILE = {"KeyTable": "", "SigningTable": "", "Domain": "example.org", "Selector": "mx2026", "KeyFile": KEY}
MARK = " starting (args: "

Prepare = Callable[[OpenDkim], object]


@dataclass(frozen=True)
class Start:
    """One broken setting. conf: changes over DEFAULTS, "" leaves one out. text: more lines of opendkim.conf.

    rows: the faults of a start. where: the narrowest input that has them: "mail" (the mail log), "messages"
    (with the file of the other facilities), "journal" (with what went to standard error).
    status: how the process ended, None where it runs all the same.
    reload: the faults of a reload, which are all in the mail log; None: as of a start.
    reloads: the reload went through. survives: a reload does not kill it, as what is played then has to be told.
    """

    name: str
    rows: tuple[Row, ...] = ()
    where: str = "journal"
    status: int | None = 78
    conf: dict[str, str] = field(default_factory=dict)
    text: str = ""
    prepare: Prepare | None = None
    command: tuple[str, ...] = ("opendkim", "-f", "-x", CONF)
    reload: tuple[Row, ...] | None = None
    reloads: bool = False
    survives: bool = True


@dataclass(frozen=True)
class Began:
    """What a start or a reload left: the mail log, that and the other facilities, and standard error too."""

    status: int | None
    maillog: bytes
    syslog: bytes
    journal: bytes


def put(name: str, text: str, mode: int = 0o640) -> Prepare:
    """Write a file of /etc/dkimkeys."""
    return lambda opendkim: opendkim.write(name, text, mode)


def own(name: str, mode: int, user: str = "opendkim", group: str | int = "opendkim") -> Prepare:
    """Give a file of /etc/dkimkeys another owner and mode."""

    def prepare(opendkim: OpenDkim) -> None:
        (opendkim.keys / name).chmod(mode)
        shutil.chown(opendkim.keys / name, user, group)

    return prepare


def below(mode: int, user: str, group: str | int) -> Prepare:
    """Move the key into a directory `sub` of this mode and owner; KeyTable follows."""

    def prepare(opendkim: OpenDkim) -> None:
        sub = opendkim.keys / "sub"
        sub.mkdir()
        (opendkim.keys / "mx2026.private").rename(sub / "mx2026.private")
        sub.chmod(mode)
        shutil.chown(sub, user, group)
        row = "mx2026._domainkey.example.org example.org:mx2026:/etc/dkimkeys/sub/mx2026.private\n"
        opendkim.write("KeyTable", row)

    return prepare


def folder(name: str) -> Prepare:
    """Put a directory where a file of /etc/dkimkeys was."""

    def prepare(opendkim: OpenDkim) -> None:
        (opendkim.keys / name).unlink()
        (opendkim.keys / name).mkdir()

    return prepare


def stale_socket(user: str) -> Prepare:
    """A socket that a dead process of a user left."""

    def prepare(opendkim: OpenDkim) -> None:
        path = opendkim.keys.parent / "run/opendkim/opendkim.sock"
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(path))
        shutil.chown(path, user)

    return prepare


def config(*, name: str, rows: tuple[Row, ...] = (Row("config", CONF),), **words: object) -> Start:
    """A setting that opendkim.conf(5) does not allow."""
    return Start(name, rows, **words)  # type: ignore[arg-type]


def dataset(name: str, subject: str, **words: object) -> Start:
    """A table that cannot be opened."""
    return Start(name, (Row("dataset", subject),), **words)  # type: ignore[arg-type]


def unheard(name: str, kind: str, subject: str = "", **words: object) -> Start:
    """A start that fails once the log is open; a reload does not look at that setting."""
    return Start(name, (Row(kind, subject),), "mail", reload=(), reloads=True, **words)  # type: ignore[arg-type]


def socket_fault(name: str, spec: str, subject: str | None = None, **words: object) -> Start:
    """A Socket that OpenDKIM cannot listen on."""
    return unheard(name, "socket", spec if subject is None else subject, status=69, conf={"Socket": spec}, **words)


REFILE = f"refile:{KEYS}/SigningTable"
PLAIN = {"SigningTable": f"file:{KEYS}/SigningTable"}
LONG = "local:/run/opendkim/" + "x" * 100
# The log's socket is open, but not yet under the name of the daemon with its pid.
AS_DAEMON = ("runuser", "-u", "opendkim", "--", "opendkim", "-f", "-x", CONF)

STARTS = (
    Start("good", status=None, where="mail", reloads=True),
    # Settings.
    config(name="unknown_option", text="NoSuchThing yes\n"),
    config(name="option_without_value", text="Canonicalization\n"),
    config(name="yes_or_no_wanted", conf={"SyslogSuccess": "perhaps"}),
    config(name="number_wanted", conf={"MinimumKeyBits": "many"}),
    config(name="umask_no_number", conf={"UMask": "9z"}),
    config(name="mode_unknown", conf={"Mode": "x"}),
    config(name="canonicalization_unknown", conf={"Canonicalization": "loose/simple"}),
    config(name="algorithm_unknown", conf={"SignatureAlgorithm": "rsa-md5"}),
    config(name="minimum_unknown", conf={"Minimum": "x%"}),
    config(name="key_action_unknown", conf={"BogusKey": "explode"}),
    config(name="atps_hash_unknown", conf={"ATPSHashAlgorithm": "md5"}),
    config(name="include_missing", rows=(Row("config", "/etc/nosuch.conf"),), text="Include /etc/nosuch.conf\n"),
    config(name="includes_itself", rows=(Row("config"),), text=f"Include {CONF}\n", reload=(Row("config", CONF),)),
    config(name="domain_without_key", conf={**WITH_KEYFILE, "KeyFile": "", "Selector": ""}),
    config(name="keyfile_without_selector", conf={**WITH_KEYFILE, "Selector": ""}),
    config(name="script_missing", rows=(Row("config", f"{ABSENT}.lua"),), conf={"SetupPolicyScript": f"{ABSENT}.lua"}),
    config(name="base_directory_missing", rows=(Row("config", "/nosuch"),), conf={"BaseDirectory": "/nosuch"}),
    config(name="macro_list_of_wrong_type", rows=(Row("dataset", f"refile:{KEYS}/TrustedHosts"),),
           conf={"MacroList": f"refile:{KEYS}/TrustedHosts"}),
    config(name="restart_rate_unknown", rows=(Row("config"),), reload=(), reloads=True,
           conf={"AutoRestart": "yes", "AutoRestartRate": "often"}),
    Start("report_address_unreadable", status=None, where="mail", conf={"ReportAddress": "@@<"},
          reload=(Row("config", severity="warning"),), reloads=True),
    Start("option_renamed", (Row("config", severity="warning"),), "messages", None, {"X-Header": "yes"}, reloads=True),
    # The configuration file itself.
    Start("conf_missing", (Row("config", "/etc/nosuch.conf"),), reload=(), reloads=True,
          command=("opendkim", "-f", "-x", "/etc/nosuch.conf")),
    Start("conf_unreadable", (Row("config", CONF),), reload=(Row("config", CONF),), command=AS_DAEMON,
          prepare=lambda opendkim: opendkim.conf.chmod(0)),
    Start("command_line_unknown", (Row("opendkim-start-failed"),), status=64, reload=(), reloads=True,
          command=("opendkim", "-f", "-Z")),
    # Tables.
    dataset("keytable_missing", ABSENT, conf={"KeyTable": ABSENT}),
    dataset("keytable_missing_refile", f"refile:{ABSENT}", conf={"KeyTable": f"refile:{ABSENT}"}),
    dataset("signingtable_missing", f"refile:{ABSENT}", conf={"SigningTable": f"refile:{ABSENT}"}),
    dataset("internal_hosts_missing", ABSENT, conf={"InternalHosts": ABSENT}),
    dataset("table_type_unknown", f"text:{KEYS}/KeyTable", conf={"KeyTable": f"text:{KEYS}/KeyTable"}),
    dataset("keytable_unreadable", f"{KEYS}/KeyTable", prepare=own("KeyTable", 0, "root", "root"), command=AS_DAEMON),
    dataset("signingtable_unreadable", REFILE, prepare=own("SigningTable", 0, "root", "root"), command=AS_DAEMON),
    dataset("pattern_unreadable", REFILE, prepare=put("SigningTable", "*@(example.org mx2026._domainkey.example.org\n")),
    dataset("berkeley_db_missing", f"db:{ABSENT}.db", conf={"KeyTable": f"db:{ABSENT}.db"}),
    dataset("berkeley_db_is_text", f"db:{KEYS}/KeyTable", conf={"KeyTable": f"db:{KEYS}/KeyTable"}),
    dataset("berkeley_db_is_text_by_name", f"{KEYS}/keys.db", conf={"KeyTable": f"{KEYS}/keys.db"},
            prepare=put("keys.db", "no table\n")),
    dataset("berkeley_db_is_a_directory", f"db:{KEYS}/keys.db", conf={"KeyTable": f"db:{KEYS}/keys.db"},
            prepare=lambda opendkim: (opendkim.keys / "keys.db").mkdir()),
    dataset("memcache_without_servers", "memcache:x", conf={"KeyTable": "memcache:x"}),
    dataset("ldap_down", "ldap://127.0.0.1:1/o=x?a?sub?(x=$d)",
            conf={"KeyTable": "ldap://127.0.0.1:1/o=x?a?sub?(x=$d)"}),
    config(name="signingtable_alone", conf={"KeyTable": ""}),
    config(name="keytable_alone", conf={"SigningTable": ""}),
    Start("row_without_key", (Row("signingtable"),), conf=PLAIN, prepare=put("SigningTable", "example.org\n")),
    Start("row_names_unknown_key", (Row("signingtable", "gone"),), conf=PLAIN,
          prepare=put("SigningTable", "example.org gone:a@example.org\n")),
    # The KeyFile, which is read once. Its first line goes to syslog without a pid.
    Start("keyfile_missing", (Row("key-missing", f"{ABSENT}.private"),), "messages",
          conf={**WITH_KEYFILE, "KeyFile": f"{ABSENT}.private"}),
    Start("keyfile_unreadable", (Row("key-unreadable", KEY),), "messages", conf=WITH_KEYFILE,
          prepare=own("mx2026.private", 0, "root", "root"), command=AS_DAEMON),
    Start("keyfile_open_to_all", (Row("key-insecure", KEY),), "messages", conf=WITH_KEYFILE,
          prepare=own("mx2026.private", 0o644)),
    Start("keyfile_open_to_all_allowed", (Row("key-insecure", KEY, "warning"),), "messages", None,
          {**WITH_KEYFILE, "RequireSafeKeys": "no"}, prepare=own("mx2026.private", 0o644), reloads=True),
    Start("keyfile_of_another", (Row("key-insecure", KEY),), "messages", conf=WITH_KEYFILE,
          prepare=own("mx2026.private", 0o600, "nobody"), reload=(Row("key-unreadable", KEY),)),
    Start("keyfile_of_another_allowed", (Row("key-insecure", KEY, "warning"),), "messages", None,
          {**WITH_KEYFILE, "RequireSafeKeys": "no"}, prepare=own("mx2026.private", 0o644, "nobody"), reloads=True),
    Start("keyfile_of_primary_group", (Row("key-insecure", KEY),), "messages", conf=WITH_KEYFILE,
          prepare=own("mx2026.private", 0o640, group="nogroup")),
    Start("keyfile_of_group", (Row("key-insecure", KEY),), "messages", conf=WITH_KEYFILE,
          prepare=own("mx2026.private", 0o640, group=MAILERS)),
    Start("keyfile_in_foreign_directory", (Row("key-insecure", SUB),), "messages", prepare=below(0o755, "nobody", "nogroup"),
          conf={**WITH_KEYFILE, "KeyFile": SUB}),
    Start("keyfile_in_open_directory", (Row("key-insecure", SUB),), "messages", prepare=below(0o770, "opendkim", MAILERS),
          conf={**WITH_KEYFILE, "KeyFile": SUB}),
    Start("keyfile_is_a_directory", (Row("key-other", KEY),), conf=WITH_KEYFILE, prepare=folder("mx2026.private")),
    # DNS and the library.
    Start("trust_anchor_missing", (Row("dns", "/nosuch/root.key"),), conf={"TrustAnchorFile": "/nosuch/root.key"}),
    Start("nameserver_no_address", (Row("dns"),), "mail", 70, {"Nameservers": "not-an-address"}),
    Start("resolver_file_missing", (Row("dns"),), "mail", 70, {"ResolverConfiguration": "/nosuch/unbound.conf"}),
    Start("header_list_unreadable", (Row("library"),), "mail", 70, {"SignHeaders": "From,Subject(,To"}),
    # Account and directories.
    unheard("user_unknown", "opendkim-start-failed", "nosuchuser", status=65, conf={"UserID": "nosuchuser"}),
    unheard("user_number_unknown", "opendkim-start-failed", "4242424", status=65, conf={"UserID": "4242424"}),
    unheard("group_unknown", "opendkim-start-failed", "nosuch", status=65, conf={"UserID": "opendkim:nosuch"}),
    unheard("root_directory_missing", "opendkim-start-failed", "/nosuch", status=71,
            conf={"ChangeRootDirectory": "/nosuch"}),
    # It runs, but who waits for the PID file takes it for failed.
    Start("pid_file_folder_missing", (Row("config", "/run/nosuch/opendkim.pid", "warning"),), "mail", None,
          {"PidFile": "/run/nosuch/opendkim.pid"}, reload=(), reloads=True),
    Start("chroot_without_user", (Row("config", severity="warning"),), "mail", None,
          {"ChangeRootDirectory": "/", "UserID": ""}, reload=(), reloads=True),
    # The build crashes of it, and says nothing; only systemd and the kernel would.
    Start("facility_unknown", status=-11, conf={"SyslogFacility": "nosuch"}, survives=False),
    Start("script_with_an_error", status=-11, conf={"SetupPolicyScript": f"{KEYS}/x.lua"}, survives=False,
          prepare=put("x.lua", "this is not lua(\n")),
    # The socket.
    Start("socket_not_set", (Row("socket"),), conf={"Socket": ""}, reload=(), reloads=True),
    Start("socket_stale", (), "mail", None, {"Socket": "local:/run/opendkim/opendkim.sock"}, reloads=True,
          prepare=stale_socket("opendkim")),
    socket_fault("socket_stale_of_another", "local:/run/opendkim/opendkim.sock", "", prepare=stale_socket("root")),
    Start("socket_told", (), "mail", None, {"MilterDebug": "6"}, reloads=True),
    Start("socket_tried_again", (Row("socket", "inet:24@127.0.0.1", count=2), Row("opendkim-restart-loop")), "mail", 69,
          {"AutoRestart": "yes", "AutoRestartRate": "2/1h", "Socket": "inet:24@127.0.0.1"}, reload=(), reloads=True),
    socket_fault("socket_in_use", "inet:587@192.0.2.10", command=("opendkim", "-f", "-u", "root", "-x", CONF)),
    socket_fault("socket_port_of_root", "inet:24@127.0.0.1"),
    socket_fault("socket_folder_missing", "local:/run/nosuch/opendkim.sock"),
    socket_fault("socket_folder_forbidden", "local:/var/spool/postfix/private/opendkim.sock", ""),
    socket_fault("socket_without_transport", "8891"),
    socket_fault("socket_transport_unknown", "tcp:8891@127.0.0.1", "tcp"),
    socket_fault("socket_port_unknown", "inet:milter@127.0.0.1", "inet:milter"),
    socket_fault("socket_port_empty", "inet:"),
    socket_fault("socket_host_unknown", "inet:8891@nosuch.invalid"),
    socket_fault("socket_address_wrong", "inet:8891@[999]"),
    socket_fault("socket_address_of_another", "inet:8891@192.88.99.1"),
    socket_fault("socket_name_too_long", LONG),
)  # fmt: skip


class Starts:
    """Plays the cases on a rig; its log files are shared, so one case at a time."""

    def __init__(self, rig: Rig):
        self._rig = rig

    def start(self, case: Start) -> Began:
        """Start OpenDKIM in the foreground until it ends or listens."""
        sizes = self._lay_out(case)
        process = subprocess.Popen(self._rig.namespace.argv(*case.command), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        deadline = time.monotonic() + 10
        while process.poll() is None and MARK.encode() not in self._rig.syslog.read("all", sizes[1]):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{case.name}: opendkim neither starts nor ends")
            time.sleep(0.01)
        status = process.poll()
        self._rig.opendkim.reset()
        said = process.communicate()[1]
        return self._collect(status, sizes, said)

    def reload(self, case: Start) -> Began:
        """Let a good OpenDKIM read the broken configuration; raises when it does not serve on."""
        self._rig.opendkim.reset()
        self._rig.opendkim.lay_out()
        self._rig.opendkim.start()
        sizes = self._lay_out(case, running=True)
        self._rig.opendkim.signal("USR1")
        deadline = time.monotonic() + 10
        while self._rig.syslog.size("maillog") == sizes[0]:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{case.name}: opendkim does not say how the reload went")
            self._negotiate()
            time.sleep(0.01)
        self._negotiate()
        began = self._collect(None, sizes, b"")
        self._rig.opendkim.reset()
        return began

    def _lay_out(self, case: Start, running: bool = False) -> tuple[int, int]:
        opendkim = self._rig.opendkim
        if not running:
            opendkim.reset()
            opendkim.lay_out()
        opendkim.configure(case.conf, case.text)
        if case.prepare is not None:
            case.prepare(opendkim)
        self._rig.syslog.mark()
        return self._rig.syslog.size("maillog"), self._rig.syslog.size("all")

    def _collect(self, status: int | None, sizes: tuple[int, int], said: bytes) -> Began:
        self._rig.syslog.mark()
        maillog, syslog = self._rig.syslog.read("maillog", sizes[0]), self._rig.syslog.read("all", sizes[1])
        if said:
            # What systemd makes of standard error, in the journal and in what it forwards.
            self._rig.namespace.run("logger", "-p", "daemon.info", "-t", "opendkim[99]", stdin=said)
            self._rig.syslog.mark()
        return Began(status, maillog, syslog, self._rig.syslog.read("all", sizes[1]))

    def _negotiate(self) -> None:
        """Begin a milter conversation as Postfix does, and leave."""
        with self._rig.namespace.socket() as client:
            client.settimeout(5)
            client.connect(ENDPOINT)
            client.sendall(struct.pack("!IcIII", 13, b"O", 6, 0x1FF, 0x1FFFFF))
            if client.recv(5, socket.MSG_WAITALL)[4:] != b"O":
                raise RuntimeError("opendkim does not negotiate")
            client.sendall(struct.pack("!Ic", 1, b"Q"))
