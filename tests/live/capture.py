"""Write the logs and truths of scenarios into a directory: python -m tests.live.capture DIRECTORY [NAME…]"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from .rig import Rig
from .scenarios import SCENARIOS
from .truth import Run


def save(run: Run, directory: Path) -> None:
    """maillog, messages, all and truth.json of one run."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "maillog").write_bytes(run.log)
    (directory / "messages").write_bytes(run.messages_log)
    (directory / "all").write_bytes(run.all_log)
    (directory / "truth.json").write_text(json.dumps(run.truth(), indent=1, ensure_ascii=True) + "\n")


def main() -> None:
    target, names = Path(sys.argv[1]), sys.argv[2:] or list(SCENARIOS)
    with Rig() as rig:
        for name in names:
            start = time.monotonic()
            try:
                save(rig.run(SCENARIOS[name]), target / name)
            except (RuntimeError, AssertionError, OSError) as error:
                print(f"{name}: {type(error).__name__}: {error}", flush=True)
            else:
                print(f"{name}: {time.monotonic() - start:.1f} s", flush=True)


if __name__ == "__main__":
    main()
