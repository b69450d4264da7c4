"""Small logs at whose cut something goes on that a part of them does not show."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_cuts import in_parts, whole, write

HOST = "mx"

SESSION = [
    "09:00:00 postfix/smtpd[102]: warning: connect to Milter service inet:127.0.0.1:8891: Connection refused",
    "09:01:35 postfix/smtpd[102]: connect from client.example.com[198.51.100.7]",
    "CUT",
    "09:32:00 postfix/smtpd[102]: 107A91C0302: client=localhost[127.0.0.1]",
    "09:32:00 postfix/cleanup[201]: 107A91C0302: message-id=<1@app.example.org>",
]
# Two instances hold the same ID; which of them was seen first, only the whole log tells.
TWO_INSTANCES = [
    "07:01:17 postfix/smtpd[9710]: connect from out4.example.net[198.51.100.82]",
    "CUT",
    "08:48:33 postfix-out/postscreen[9594]: CONNECT from [198.51.100.83]:28529 to [192.0.2.1]:25",
    "09:02:26 postfix/smtpd[9854]: connect from out8.example.net[203.0.113.39]",
    "09:02:27 postfix/smtpd[9854]: 4gTSdv4BVJz1jfZ: client=out8.example.net[203.0.113.39]",
    "09:02:27 postfix-out/cleanup[9848]: 4gTSdv4BVJz1jfZ: message-id=<5bd091c2f27cd296@example.net>",
    "09:02:27 opendkim[9845]: 4gTSdv4BVJz1jfZ: DKIM verification successful",
    "09:02:27 postfix/qmgr[9587]: 4gTSdv4BVJz1jfZ: from=<a@example.net>, size=500, nrcpt=1 (queue active)",
    "09:02:27 postfix/lmtp[9621]: 4gTSdv4BVJz1jfZ: to=<klara@example.com>, relay=mx[private/dovecot-lmtp], delay=0.79,"
    " delays=0.28/0.03/0.08/0.4, dsn=2.0.0, status=sent (250 2.0.0 <klara@example.com> Saved)",
    "09:02:27 postfix/qmgr[9587]: 4gTSdv4BVJz1jfZ: removed",
    "10:17:04 postfix/qmgr[9587]: 4gTSZs62vtz1jfb: removed",
]
FILTER = [
    "05:28:32 postfix/qmgr[11]: 1CA1B49796: removed",
    "CUT",
    "06:19:36 postfix-out/smtpd[904]: connect from out6.example.net[192.0.2.40]",
    "06:24:35 postfix/submission/smtpd[914]: connect from dsl-11.example.net[203.0.113.144]",
    "06:24:35 postfix/submission/smtpd[914]: B393A49797: client=dsl-11.example.net[203.0.113.144], sasl_method=PLAIN,"
    " sasl_username=carla@example.org",
    "06:24:35 postfix/cleanup[907]: B393A49797: message-id=<2@example.org>",
    "06:24:35 opendkim[886]: B393A49797: DKIM-Signature field added (s=2026a, d=example.org)",
    "06:24:37 postfix/amavis/smtpd[915]: 9552D49795: client=localhost[127.0.0.1]",
    "06:24:37 postfix-out/cleanup[913]: 9552D49795: message-id=<2@example.org>",
    "06:24:37 postfix/smtp[837]: B393A49797: to=<felix@example.net>, relay=127.0.0.1[127.0.0.1]:10024, delay=0.5,"
    " delays=0.26/0/0.13/0.11, dsn=2.0.0, status=sent (250 2.0.0 from MTA: 250 2.0.0 Ok: queued as 9552D49795)",
    "06:24:37 postfix/qmgr[11]: B393A49797: removed",
    "06:27:40 postfix/cleanup[883]: 7310F3F23C: message-id=<f2ff56ef011ebc9f@example.net>",
]
DELETED = [
    "06:40:00 postfix/smtpd[101]: 4F2A91C0301: client=localhost[127.0.0.1]",
    "CUT",
    "06:52:00 postfix/smtpd[101]: disconnect from localhost[127.0.0.1] ehlo=1 mail=1 rcpt=1 data=1 quit=1",
    "06:52:30 postfix/postsuper[601]: 4F2A91C0301: removed",
]

# The session lost its milter before the cut, so its mail does not show that the outage is over; the next one does.
OUTAGE = [
    "08:18:35 postfix/smtpd[650]: connect from out2.example.net[203.0.113.198]",
    "08:18:35 postfix/smtpd[650]: warning: connect to Milter service inet:localhost:8891: Connection refused",
    "CUT",
    "08:18:36 opendkim[649]: OpenDKIM Filter v2.11.0 starting (args: -x /etc/opendkim.conf)",
    "08:19:50 postfix/smtpd[650]: 5F93B51A12: client=app5.example.org[192.0.2.15]",
    "08:19:51 opendkim[649]: 5F93B51A12: DKIM-Signature field added (s=ed2026, d=example.com)",
    "08:20:13 postfix/smtpd[653]: connect from dsl-59.example.net[203.0.113.9]",
    "08:20:13 postfix/smtpd[653]: 480C351A13: client=dsl-59.example.net[203.0.113.9], sasl_method=PLAIN, sasl_username=u",
    "08:20:13 postfix/cleanup[644]: 480C351A13: message-id=<3@shop.example.com>",
    "08:20:13 opendkim[649]: 480C351A13: DKIM-Signature field added (s=ed2026, d=example.com)",
    "08:20:13 postfix/qmgr[12]: 480C351A13: from=<u@example.com>, size=500, nrcpt=1 (queue active)",
    "08:20:13 postfix/qmgr[12]: 480C351A13: removed",
    "08:23:21 postfix/postscreen[448]: CONNECT from [192.0.2.52]:27937 to [192.0.2.1]:25",
]
# The word on the first mail is about the mail of the other instance, which is older than the outage.
OTHER_INSTANCE = [
    "10:57:00 postfix-out/pickup[12]: 4F2A91C0304: uid=0 from=<root@example.org>",
    "11:04:00 postfix/smtpd[101]: warning: connect to Milter service inet:127.0.0.1:8891: Connection refused",
    "CUT",
    "11:08:00 postfix/qmgr[11]: 4F2A91C0302: removed",
    "11:08:18 postfix/smtpd[101]: connect from localhost[127.0.0.1]",
    "11:08:18 postfix/cleanup[201]: 4F2A91C0304: message-id=<4@app.example.org>",
    "11:08:18 opendkim[90]: 4F2A91C0304: DKIM-Signature field added (s=k1, d=example.org)",
    "11:14:00 postfix/cleanup[201]: 105E91C0302: message-id=<5@app.example.org>",
    "11:14:00 opendkim[90]: 105E91C0302: DKIM-Signature field added (s=k1, d=example.org)",
    "11:14:00 postfix/qmgr[11]: 105E91C0302: removed",
    "11:16:00 opendkim[90]: OpenDKIM Filter v2.11.0 starting (args: -f -x /etc/opendkim.conf)",
]
# What was cut off after its tag is nobody's line, whether its writer is known or not.
CUT_OFF = [
    "11:12:00 postfix/qmgr[11]: 106191C0301: removed",
    "11:12:09 postfix/smtpd[101]: connect from localhost[127.0.0.1]",
    "11:12:09 postfix/smtpd[101]",
    "CUT",
    "11:12:30 postfix/smtpd[101]",
    "11:20:09 postfix/cleanup[201]: 106391C0302: message-id=<4f2a91c0302@app.example.org>",
]
EDGES = {
    "session": SESSION,
    "two": TWO_INSTANCES,
    "filter": FILTER,
    "deleted": DELETED,
    "outage": OUTAGE,
    "other": OTHER_INSTANCE,
    "cut off": CUT_OFF,
}


@pytest.mark.parametrize("lines", EDGES.values(), ids=EDGES)
def test_what_goes_on_at_a_cut(lines: list[str], tmp_path: Path) -> None:
    cut = lines.index("CUT")
    log = [f"Nov 20 {line[:8]} {HOST}{line[8:]}".encode() for line in lines if line != "CUT"]
    path = write(tmp_path / "maillog", log)
    size = sum(len(line) + 1 for line in log[:cut])
    report, here = in_parts(path, [size])
    assert here.parts >= 2
    assert json.loads(report) == json.loads(whole(path))
