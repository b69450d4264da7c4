"""The build that was asked for is the one that the tests run against."""

from __future__ import annotations

import importlib
import os
from importlib.machinery import EXTENSION_SUFFIXES

import pytest

from logscan.engine import COMPILED, is_compiled

WANTED = os.environ.get("LOGSCAN_COMPILE") == "1"


@pytest.mark.parametrize("name", COMPILED)
def test_each_module_of_the_engine_is_of_the_build_that_was_asked_for(name: str) -> None:
    """A compiled module that was left lying beside its source would go before it, without a word."""
    file = importlib.import_module(name).__file__
    assert file is not None
    assert file.endswith(tuple(EXTENSION_SUFFIXES)) == WANTED


def test_the_engine_knows_which_build_it_is() -> None:
    assert is_compiled() == WANTED
