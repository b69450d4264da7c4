"""The man page is made from the command line itself when a wheel is built; all else is in pyproject.toml."""

import sys
from pathlib import Path

from setuptools import setup

sys.path.insert(0, str(Path(__file__).parent))

from logscan.man import page

made = Path("build/man/logscan.1")
made.parent.mkdir(parents=True, exist_ok=True)
made.write_text(page(), encoding="ascii")
setup(data_files=[("share/man/man1", [str(made)])])
