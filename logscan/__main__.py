"""``python -m logscan``: the command, where its directory is not in the path."""

import sys

from logscan.cli import main

sys.exit(main())
