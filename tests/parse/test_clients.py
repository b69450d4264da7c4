"""Whose addresses are our own: asked of every client that Postfix names."""

import pytest

from logscan.parse import postfix
from logscan.parse.postfix import is_private


@pytest.mark.parametrize(
    ("client", "private"),
    [
        (b"localhost[127.0.0.1]", True),
        (b"localhost[::1]", True),
        (b"x[10.0.0.9]", True),
        (b"x[IPv6:fd00:1::2]", True),
        (b"mx.example.org[192.0.2.1]", True),  # the log's own host
        (b"mx[192.0.2.1]", False),
        (b"client.example.com[198.51.100.7]", False),
        (b"unknown[unknown]", False),
        (b"", False),
        (b"x[10.0.0.9], sasl_username=" + b"a" * 1_000, True),
        (b"x[198.51.100.7], sasl_username=" + b"[127.0.0.1]" * 100, False),
    ],
)
def test_what_is_private(client: bytes, private: bool) -> None:
    assert is_private(client, b"mx.example.org") is private
    assert is_private(client, b"mx.example.org") is private  # remembered or not


def test_long_texts_are_not_remembered() -> None:
    before = postfix._remembered.cache_info().currsize
    assert not is_private(b"c" * 60_000 + b"[198.51.100.7]", b"mx.example.org")
    assert postfix._remembered.cache_info().currsize == before
