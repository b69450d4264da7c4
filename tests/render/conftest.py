"""Reports by hand and the expected screens, whole."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

EXPECTED = Path(__file__).parent / "expected"


@pytest.fixture
def expected() -> Callable[[str, str], None]:
    """Compare text with a file in expected/; with LOGSCAN_WRITE_EXPECTED=1 the file is written instead."""

    def compare(name: str, text: str) -> None:
        path = EXPECTED / name
        if os.environ.get("LOGSCAN_WRITE_EXPECTED"):
            path.write_bytes(text.encode())
        assert text == path.read_bytes().decode()

    return compare
