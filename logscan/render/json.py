"""The report as JSON: the contract's object, in the contract's order."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def report(doc: Mapping[str, Any]) -> str:
    """The dict as indented ASCII JSON with a line end."""
    return json.dumps(doc, indent=2, ensure_ascii=True, allow_nan=False) + "\n"


def line(value: Mapping[str, Any]) -> str:
    """One object on one line, with its line end: for jsonl and for streams."""
    return json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":")) + "\n"
