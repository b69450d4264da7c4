"""A DKIM signer of the tests' own (relaxed/relaxed, rsa-sha256), for mail that comes in from outside.

It shares no code with what it is checked by; the arithmetic is openssl's.
"""

from __future__ import annotations

import base64
import hashlib
import re
import subprocess
from pathlib import Path

SIGNED_HEADERS = ("from", "subject", "message-id")


def sign(data: bytes, domain: str, selector: str, key: Path, extra: str = "",
         names: tuple[str, ...] = SIGNED_HEADERS) -> bytes:
    """Put a DKIM-Signature on top of a message with CRLF lines. extra: more tags, as "x=1; ". names: of headers."""
    head, _, body = data.partition(b"\r\n\r\n")
    digest = hashlib.sha256(_relaxed_body(body)).digest()
    value = (f"v=1; a=rsa-sha256; c=relaxed/relaxed; d={domain}; s={selector}; {extra}"
             f"h={':'.join(names)}; bh={base64.b64encode(digest).decode()}; b=")
    fields = {line.split(b":", 1)[0].lower().decode(): line.split(b":", 1)[1]
              for line in re.sub(rb"\r\n[ \t]+", b" ", head).split(b"\r\n")}
    lines = [_relaxed_header(name, fields[name]) for name in names if name in fields]
    text = b"\r\n".join([*lines, _relaxed_header("dkim-signature", value.encode())])
    made = subprocess.run(["openssl", "dgst", "-sha256", "-sign", str(key)], input=text, capture_output=True,
                          check=True)
    return f"DKIM-Signature: {value}{base64.b64encode(made.stdout).decode()}\r\n".encode() + data


def _relaxed_header(name: str, value: bytes) -> bytes:
    return name.encode() + b":" + re.sub(rb"[ \t]+", b" ", value).strip()


def _relaxed_body(body: bytes) -> bytes:
    lines = [re.sub(rb"[ \t]+", b" ", line).rstrip(b" ") for line in body.split(b"\r\n")]
    while lines and not lines[-1]:
        lines.pop()
    return b"".join(line + b"\r\n" for line in lines)
