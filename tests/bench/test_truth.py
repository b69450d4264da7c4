"""logscan says of each message of a made log what the generator made."""

from __future__ import annotations

import io
import json
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from logscan.job import Options
from logscan.pipeline import collected, report_of

sys.path.insert(0, str(Path(__file__).parent))

import generate as g

NOW = g.START + 40 * 86400


@pytest.fixture(scope="module", params=[("traditional", False, 2, 21), ("rfc3339", True, 3, 22)], ids=["short", "long"])
def made(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any], list[list[Any]]]:
    """A log, the truth about it and about each message."""
    form, long_ids, hosts, seed = request.param
    path = tmp_path_factory.mktemp("truth") / "maillog"
    messages = io.StringIO()
    with path.open("wb") as output:
        truth = g.generate(
            output,
            lines=40_000,
            seed=seed,
            form=form,
            long_ids=long_ids,
            hosts=hosts,
            per_day=200_000,
            messages=messages,
        )
    os.utime(path, (g.START + 2 * 86400,) * 2)
    return path, truth, [json.loads(line) for line in messages.getvalue().splitlines()]


def test_totals_and_tables_are_those_that_were_made(made: tuple[Path, dict[str, Any], list[list[Any]]]) -> None:
    path, truth, _ = made
    _, doc = report_of(Options([str(path)], timezone="UTC"), warn=pytest.fail, now=NOW)
    for name in ("totals", "signed_fraction", "by_domain", "by_signature", "by_reason"):
        assert doc[name] == truth[name], name
    made_hours = {row["hour"]: row for row in truth["by_hour"]}
    assert [row for row in doc["by_hour"] if row["hour"] in made_hours] == truth["by_hour"]
    assert doc["input"]["lines"] == truth["lines"]
    assert doc["input"]["not_mail"] == truth["not_mail"]
    assert doc["input"]["not_understood"] == {"opendkim": 0, "postfix": 0}
    assert truth["totals"]["outbound"]["milter_error"] > 10 < truth["totals"]["outbound"]["unsigned"]


def test_every_message_is_judged_as_it_was_made(made: tuple[Path, dict[str, Any], list[list[Any]]]) -> None:
    path, _, rows = made
    found: Counter[tuple[Any, ...]] = Counter()
    with collected(Options([str(path)], timezone="UTC"), warn=pytest.fail, now=NOW) as (_, messages):
        for m in messages:
            queue_id = m.queue_ids[0] if m.queue_ids else ""
            found[m.host, queue_id, m.first, m.direction, m.outcome, m.reason, m.effect] += 1
    expected = Counter(tuple(row) for row in rows)
    assert (found - expected, expected - found) == (Counter(), Counter())
    assert found.total() > 2_000
