"""logscan: what Postfix and OpenDKIM did to every message, read from the mail log.

Importing this package costs nothing: `messages` and `report` load the engine (and pandas) when called for.
"""

from typing import Any

__version__ = "0.1.0"
__all__ = ["__version__", "messages", "report"]


def __getattr__(name: str) -> Any:
    if name in ("messages", "report"):
        from logscan import api

        return getattr(api, name)
    raise AttributeError(f"module 'logscan' has no attribute {name!r}")
