
"""The world that the generated log speaks of: names, addresses, texts of remote servers. Values only.

Names are of the reserved domains and the documentation networks; our own machines have private addresses.
"""

from __future__ import annotations

# Domains with a key, and the (signing_domain, selector) pairs that OpenDKIM adds for their mail.
SIGNED: dict[str, list[tuple[str, str]]] = {
    "example.org": [("example.org", "2026a")],
    "example.net": [("example.net", "k1.mx")],
    # MultipleSignatures: two keys for one domain.
    "example.com": [("example.com", "rsa2026"), ("example.com", "ed2026")],
    # Signed as the parent, as SubDomains does.
    "news.example.org": [("example.org", "2026a")],
    "shop.example.com": [("example.com", "rsa2026")],
}
SIGNING = {d for pairs in SIGNED.values() for d, _ in pairs}
UNSIGNED = "lab.example.net"  # ours too, but nobody put it into the SigningTable
SENDER_DOMAINS = ["example.org"] * 42 + ["example.net"] * 20 + ["example.com"] * 16
SENDER_DOMAINS += ["news.example.org"] * 9 + ["shop.example.com"] * 7 + [UNSIGNED] * 6
LOCAL_DOMAINS = ["example.org", "example.net", "example.com"]

_FIRST = ["anna", "ben", "carla", "david", "eva", "felix", "greta", "hugo", "ida", "jonas", "klara", "leo", "mia", "noah", "olga", "paul", "rosa", "sven", "tilda", "ute"]
USERS = _FIRST + [f"{name}.{letter}" for name in _FIRST for letter in "abkmrsw"] + ["info", "sales", "billing"]
_WORDS = ["acme", "birch", "cobalt", "delta", "ember", "falcon", "garnet", "harbor", "indigo", "juniper", "kestrel", "lumen", "maple", "nectar", "opal"]
REMOTE = [f"{word}{number or ''}.{tld}" for word in _WORDS for number in range(8) for tld in ("example", "test")]

_NETS = ["192.0.2", "198.51.100", "203.0.113"]
MX = [f"mx{n % 3 + 1}.{domain}[{_NETS[n % 3]}.{n % 250 + 1}]" for n, domain in enumerate(REMOTE)]
# Senders from the internet: (client as logged, HELO name, index into REMOTE)
CLIENTS = [
    (f"out{n % 9}.{REMOTE[n % len(REMOTE)]}[{_NETS[n % 3]}.{n * 7 % 253 + 1}]", f"out{n % 9}.{REMOTE[n % len(REMOTE)]}",
     n % len(REMOTE))
    for n in range(700)
]  # fmt: skip
STRANGERS = [f"unknown[{_NETS[n % 3]}.{n * 11 % 253 + 1}]" for n in range(500)]
ROAMING = [f"dsl-{n}.pool.acme.example[{_NETS[n % 3]}.{n * 13 % 253 + 1}]" for n in range(300)]
# Application servers in mynetworks; the last ones were forgotten in InternalHosts.
APPS = [(f"app{n}.lan.example.org", f"10.20.0.{n + 10}") for n in range(12)]
FORGOTTEN_APPS = [(f"new{n}.lan.example.org", f"10.20.9.{n + 10}") for n in range(3)]

TLS = [
    "TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange X25519 server-signature RSA-PSS"
    " (2048 bits) server-digest SHA256",
    "TLSv1.3 with cipher TLS_AES_128_GCM_SHA256 (128/128 bits) key-exchange X25519 server-signature ECDSA"
    " (prime256v1) server-digest SHA256",
    "TLSv1.2 with cipher ECDHE-RSA-AES256-GCM-SHA384 (256/256 bits)",
]
BOUNCES = [
    "550 5.1.1 <{rcpt}>: Recipient address rejected: User unknown in virtual mailbox table (in reply to RCPT TO command)",
    "550 5.7.1 <{rcpt}>: Access denied, policy restrictions apply (in reply to RCPT TO command)",
    "552 5.2.2 <{rcpt}>: Mailbox full, quota exceeded (in reply to end of DATA command)",
]
DEFERRALS = [
    ("none", "4.4.1", "connect to {host}:25: Connection timed out"),
    ("none", "4.4.1", "connect to {host}:25: Connection refused"),
    ("{host}:25", "4.2.0", "host {host} said: 450 4.2.0 <{rcpt}>: Recipient address rejected: Greylisted, see"
     " http://postgrey.example/help (in reply to RCPT TO command)"),
    ("{host}:25", "4.7.0", "host {host} said: 421 4.7.0 Try again later, closing connection. (in reply to MAIL FROM"
     " command)"),
]  # fmt: skip
REJECTS = [
    "554 5.7.1 Service unavailable; Client host [{ip}] blocked using dnsbl.example;"
    " https://dnsbl.example/query/ip/{ip}",
    "550 5.1.1 <{rcpt}>: Recipient address rejected: User unknown in virtual mailbox table",
    "554 5.7.1 <{rcpt}>: Relay access denied",
    "450 4.7.1 <{helo}>: Helo command rejected: Host not found",
    "450 4.7.25 Client host rejected: cannot find your hostname, [{ip}]",
]
# Relative number of arrivals per hour of day: office hours with a peak in the morning.
DAY = [3, 2, 2, 2, 3, 5, 9, 16, 26, 32, 31, 28, 24, 27, 29, 27, 24, 19, 14, 11, 9, 7, 5, 4]

_DIGITS = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz"


def base52(value: int, width: int) -> str:
    """value in Postfix's vowelless digits, zero-filled to width (postfix/src/global/mail_queue.h)."""
    text = ""
    while value or len(text) < width:
        value, digit = divmod(value, 52)
        text = _DIGITS[digit] + text
    return text


def base51(value: int) -> str:
    """As base52 with the digit `z` left out, which marks where the inode begins."""
    text = ""
    while value or not text:
        value, digit = divmod(value, 51)
        text = _DIGITS[digit] + text
    return text


PAIRS = [base52(n, 2) for n in range(2704)]
