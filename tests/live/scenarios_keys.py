"""Keys and tables that do not work: OpenDKIM runs, and refuses the mail it should sign."""

from __future__ import annotations

import shutil
import time

from .opendkim import OpenDkim
from .register import NOT_IN_TABLE, SIGNED, failed, register
from .rig import Lab, Scenario
from .rows import Row

SCENARIOS: dict[str, Scenario] = {}
scenario = register(SCENARIOS)
REFUSED, WAITING = failed("key", "tempfailed"), failed("key", "deferred")
KEY = "mx2026.private"
NAME, PATH = "mx2026._domainkey.example.org", f"/etc/dkimkeys/{KEY}"


def remove_key(opendkim: OpenDkim) -> None:
    """No file where KeyTable says."""
    (opendkim.keys / KEY).unlink()


def hide_key(opendkim: OpenDkim) -> None:
    """A file of root's that nobody may read."""
    path = opendkim.keys / KEY
    shutil.chown(path, "root", "root")
    path.chmod(0)


def expose_key(opendkim: OpenDkim) -> None:
    """A file that everybody may read."""
    (opendkim.keys / KEY).chmod(0o644)


def spoil_key(opendkim: OpenDkim) -> None:
    """A file that is no key."""
    opendkim.write(KEY, "-----BEGIN RSA PRIVATE KEY-----\nnonsense\n-----END RSA PRIVATE KEY-----\n", 0o600)


def weaken_key(opendkim: OpenDkim) -> None:
    """512 bits."""
    opendkim.write("SigningTable", "*@example.org weak._domainkey.example.org\n")


def lose_row(opendkim: OpenDkim) -> None:
    """A SigningTable row whose key is in no KeyTable row."""
    opendkim.write("SigningTable", "*@example.org gone._domainkey.example.org\n")


def one_of_two(opendkim: OpenDkim) -> None:
    """Two signatures wanted, one key absent."""
    opendkim.write("SigningTable", "*@example.org relay._domainkey.example.net\n"
                                   "*@example.org mx2026._domainkey.example.org\n")
    remove_key(opendkim)


def refused(lab: Lab) -> None:
    lab.smtp(REFUSED)
    lab.submit(REFUSED, sender="ann@example.org")
    lab.sendmail(WAITING, sender="root@example.org")
    time.sleep(2.2)


@scenario(keys=remove_key, rows=(Row("key-missing", PATH, count=None, hit=3),))
def key_missing(lab: Lab) -> None:
    """The key file is absent: clients are told 451, local mail is tried again and again."""
    refused(lab)


@scenario(keys=remove_key, rows=(Row("key-missing", PATH, count=None, hit=1),), opendkim={"LogWhy": "yes"})
def key_missing_repaired(lab: Lab) -> None:
    """The key comes back: waiting local mail is signed; a client that tries again is another message."""
    again = "<again.1@app.example.org>"
    lab.smtp(REFUSED, message_id=again)
    lab.sendmail(SIGNED, sender="root@example.org")
    lab.smtp(NOT_IN_TABLE, sender="app@example.net", to="friend@example.com")
    time.sleep(1.2)
    made = lab.rig.root / "keys/mx2026._domainkey.example.org" / KEY
    lab.opendkim.write(KEY, made.read_text(), 0o600)
    lab.settle()
    lab.smtp(SIGNED, message_id=again)
    lab.settle()


@scenario(keys=hide_key, rows=(Row("key-unreadable", PATH, count=None, hit=3),))
def key_unreadable(lab: Lab) -> None:
    """The key belongs to root."""
    refused(lab)


@scenario(keys=expose_key, rows=(Row("key-insecure", NAME, count=None, hit=3),))
def key_insecure_refused(lab: Lab) -> None:
    """Everybody may read the key, and RequireSafeKeys is on."""
    refused(lab)


@scenario(keys=expose_key, rows=(Row("key-insecure", NAME, "warning", count=2),), opendkim={"RequireSafeKeys": "no"})
def key_insecure_signed(lab: Lab) -> None:
    """Everybody may read the key, and RequireSafeKeys is off: a warning, and a signature."""
    lab.smtp(SIGNED)
    lab.sendmail(SIGNED, sender="root@example.org")
    lab.settle()


@scenario(keys=spoil_key, rows=(Row("key-malformed", count=None, hit=3),))
def key_malformed(lab: Lab) -> None:
    """The key file holds something else."""
    refused(lab)


@scenario(keys=spoil_key, rows=(Row("key-malformed", count=2, hit=2),), opendkim={"On-InternalError": "accept"})
def key_malformed_accept(lab: Lab) -> None:
    """The same, and the mail goes out unsigned."""
    lab.smtp(failed("key"))
    lab.sendmail(failed("key"), sender="root@example.org")
    lab.settle()


@scenario(keys=weaken_key, rows=(Row("key-weak", count=2, hit=2),))
def key_weak(lab: Lab) -> None:
    """A key shorter than MinimumKeyBits: the mail is refused for good."""
    lab.smtp(failed("key", "rejected"))
    lab.sendmail(failed("key", "bounced"), sender="root@example.org")
    lab.settle()


@scenario(keys=weaken_key, rows=(Row("key-weak", hit=1),), opendkim={"On-SignatureError": "accept"})
def key_weak_accept(lab: Lab) -> None:
    """The same, and the mail goes out unsigned."""
    lab.smtp(failed("key"))
    lab.settle()


@scenario(keys=lose_row, rows=(Row("signingtable", "gone._domainkey.example.org", count=None, hit=3),))
def key_row_missing(lab: Lab) -> None:
    """SigningTable names a key that KeyTable does not have."""
    refused(lab)


@scenario(keys=one_of_two, rows=(Row("key-missing", PATH, hit=1),), opendkim={"MultipleSignatures": "yes"})
def key_missing_of_two(lab: Lab) -> None:
    """One of two keys is absent: nothing is signed at all."""
    lab.smtp(REFUSED)
    lab.settle()
