"""Log text made harmless: whoever sends mail decides what stands in the log, and so on the screen.

Nothing here raises, whatever the text; lone surrogates are text like any other.
"""

from __future__ import annotations

import re

# Printable by Unicode's word, but blank on the screen: fillers, joiners and variation selectors.
_BLANK = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)

# Spreadsheets take these for the beginning of a formula; the last four are their full-width twins.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")

_MARKDOWN = {
    **{ord(sign): f"\\{sign}" for sign in "\\`*_[]~"},
    # Entities where a backslash is not enough: it does not stop a table from ending a cell after `\\`.
    **{ord(sign): f"&#{ord(sign)};" for sign in "|<>&$"},
}


def escape_char(char: str) -> str:
    r"""One character as a backslash escape; a byte that Python smuggled in as a surrogate as that byte.

    >>> escape_char("\u202e"), escape_char("\x1b"), escape_char("\udce9")
    ('\\u202e', '\\x1b', '\\xe9')
    """
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:
        code -= 0xDC00
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def visible(text: str) -> str:
    r"""Show what a screen would act on or hide: control, bidi, zero-width and separator characters.

    Returns one line; letters of any script stay. Backslashes stay single: it is for eyes, not for parsers.

    >>> visible("a\x1b]0;b\x07\u2028c")
    'a\\x1b]0;b\\x07\\u2028c'
    """
    if not text.isprintable():
        text = "".join(char if char.isprintable() else escape_char(char) for char in text)
    return text if text.isascii() else _BLANK.sub(lambda match: escape_char(match[0]), text)


def ascii_only(text: str) -> str:
    r"""As `visible`, and everything outside ASCII as an escape too.

    >>> ascii_only("caf\u00e9")
    'caf\\xe9'
    """
    text = visible(text)
    return text if text.isascii() else "".join(char if char.isascii() else escape_char(char) for char in text)


def csv_cell(text: str) -> str:
    """A cell that a spreadsheet shows and never computes: an apostrophe before what could start a formula.

    >>> csv_cell("=cmd|' /C calc'!A0")
    "'=cmd|' /C calc'!A0"
    """
    shown = visible(text)
    # Some importers trim blanks first, so look behind them.
    return f"'{shown}" if text.startswith(_FORMULA) or text.lstrip().startswith(_FORMULA) else shown


def markdown_cell(text: str) -> str:
    r"""A cell of a GitHub table that stays text: no HTML, emphasis, code, link, mention or end of the cell.

    >>> markdown_cell("a|b <script> `c`")
    'a&#124;b &lt;script&gt; \\`c\\`'
    """
    text = visible(text).translate(_MARKDOWN).replace("&#60;", "&lt;").replace("&#62;", "&gt;")
    text = text.replace("://", "&#58;//")
    text = re.sub(r"(?i)\bwww\.", lambda match: f"{match[0][:-1]}&#46;", text)
    # `@name` and `#1` become mentions after Markdown is done; an empty comment between keeps them apart.
    return re.sub(r"(?<![\w;&])([@#])(?=\w)", r"\1<!-- -->", text)


def html_text(text: str) -> str:
    """Text for HTML, inside elements and quoted attributes."""
    # Its table of entities is not for every run.
    from html import escape

    return escape(visible(text), quote=True)
