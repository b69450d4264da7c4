"""The process: what the command ``logscan`` starts, or ``python -m logscan`` where it is not in the path."""

import atexit
import gc
import sys


def main() -> int:
    """Run the command line of this process and return its exit status."""
    # The process is ours and ends with the command. What it imports stays, and the memory of all goes back at the end:
    # a search for cycles among those tens of thousands of objects, at the start or then, only delays a small report.
    gc.set_threshold(100_000)
    atexit.register(gc.freeze)
    from logscan.cli import main as command

    return command()


if __name__ == "__main__":
    sys.exit(main())
