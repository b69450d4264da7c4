"""Logs of several hosts over the same time."""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))

import generate

NOW = generate.START + 3 * 86400


def host_logs(folder: Path, forms: list[str], *, seed: int, lines: int = 3_000) -> list[Path]:
    """A log of each of the hosts mail0, mail1 and so on, with stamps of these forms."""
    made = []
    for number, form in enumerate(forms):
        path = folder / f"host{number}" / "maillog"
        path.parent.mkdir()
        with path.open("wb") as output:
            generate.generate(output, lines=lines, seed=seed + number, form=form, hosts=1, per_day=13 * lines)
        name = path.read_bytes().split()[3 if form == "traditional" else 1]
        path.write_bytes(path.read_bytes().replace(b" " + name + b" ", b" mail%d " % number))
        os.utime(path, (NOW, NOW))
        made.append(path)
    return made
