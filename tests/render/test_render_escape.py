"""Text from the log made harmless, character by character."""

from __future__ import annotations

import doctest
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logscan.render import escape
from logscan.render.escape import ascii_only, csv_cell, html_text, markdown_cell, visible

ANY = st.text(st.characters(exclude_categories=()), max_size=40)


def test_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(escape).failed == 0


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain [text]", "plain [text]"),
        ("M\u00fcller \u5f20", "M\u00fcller \u5f20"),
        ("\x1b]0;x\x07", "\\x1b]0;x\\x07"),
        ("\r\n\t\x00\x7f\x9b", "\\x0d\\x0a\\x09\\x00\\x7f\\x9b"),
        ("\u202e\u2066\u200f", "\\u202e\\u2066\\u200f"),
        ("\u200b\ufeff\u00ad\u3164\ufe0f", "\\u200b\\ufeff\\xad\\u3164\\ufe0f"),
        ("\u2028\u2029\x85\xa0", "\\u2028\\u2029\\x85\\xa0"),
        ("\udce9\ud800", "\\xe9\\ud800"),
        ("\U000e0041", "\\U000e0041"),
        ("a\\xe9", "a\\xe9"),
    ],
)
def test_what_acts_or_hides_becomes_visible(raw: str, shown: str) -> None:
    assert visible(raw) == shown


@given(ANY)
def test_visible_text_is_one_harmless_line(raw: str) -> None:
    shown = visible(raw)
    shown.encode("utf-8")
    assert len(shown.splitlines()) <= 1
    assert not [c for c in shown if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")]
    assert visible(shown) == shown


@given(ANY)
def test_ascii_is_ascii(raw: str) -> None:
    assert ascii_only(raw).isascii()
    assert ascii_only(raw).isprintable()


@given(st.sampled_from(["=", "+", "-", "@", "\t=", "\r", " =", "\uff1d"]), ANY)
def test_no_cell_starts_a_formula(start: str, raw: str) -> None:
    assert csv_cell(start + raw).startswith("'")


@given(ANY)
def test_markdown_cell_stays_a_cell(raw: str) -> None:
    cell = markdown_cell(raw)
    assert "|" not in cell and "\n" not in cell
    assert "<" not in cell.replace("<!-- -->", "")


@given(ANY)
def test_html_text_has_no_markup(raw: str) -> None:
    assert not set("<>\"'") & set(html_text(raw))
