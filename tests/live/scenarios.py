"""The situations, by name. Each says what the contract makes of its mails, reasoned from what the daemons do.

No expectation was taken from logscan's output. Where the contract leaves the choice, several words are given.
"""

from __future__ import annotations

from . import (
    scenarios_faults,
    scenarios_inbound,
    scenarios_keys,
    scenarios_milter,
    scenarios_path,
    scenarios_signatures,
    scenarios_signing,
)
from .rig import Scenario

SCENARIOS: dict[str, Scenario] = {
    name: found
    for part in (scenarios_signing, scenarios_milter, scenarios_keys, scenarios_inbound, scenarios_path,
                 scenarios_faults, scenarios_signatures)
    for name, found in part.SCENARIOS.items()
}
