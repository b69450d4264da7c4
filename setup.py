"""What a build makes beside the package: the man page, and with LOGSCAN_COMPILE=1 the compiled engine.

The modules that see every line compile with mypyc as they are; the rest is the same either way, and so is every
answer. All other settings are in pyproject.toml.
"""

import os
import sys
from pathlib import Path
from typing import Any

from setuptools import setup

sys.path.insert(0, str(Path(__file__).parent))

from logscan.engine import COMPILED, MYPYC
from logscan.man import page

made = Path("build/man/logscan.1")
made.parent.mkdir(parents=True, exist_ok=True)
made.write_text(page(), encoding="ascii")

compiled: dict[str, Any] = {}
if os.environ.get("LOGSCAN_COMPILE") == "1":
    # The compiler is asked for only where it is used.
    compiled["setup_requires"] = [MYPYC]
    if {"bdist_wheel", "editable_wheel", "build_ext"} & set(sys.argv):
        from mypyc.build import mypycify

        # Without the settings of pyproject.toml: they are for checks, which need stubs that a build has not got.
        paths = [f"{name.replace('.', '/')}.py" for name in COMPILED]
        compiled["ext_modules"] = mypycify(["--config-file=", "--ignore-missing-imports", *paths], opt_level="3")
setup(data_files=[("share/man/man1", [str(made)])], **compiled)
