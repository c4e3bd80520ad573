"""Weights of what a model learns from."""

import pyarrow as pa
import pytest

from core.watch_shares import FEWEST, STEPS, WatchShares
from ingest.weights import WatchWeights
from upnext.jobs.weighing import weighed

pytestmark = pytest.mark.unit

HOURS = WatchShares(bucket=4, shares=tuple(n / 2 / STEPS for n in range(STEPS + 1)), watches=FEWEST)


def test_watches_of_a_known_share_are_weighed_anew() -> None:
    """Nobody watches more than half of what is longer than an hour."""
    rows: list[tuple[str, float, float | None, float | None]] = [
        ("a watch of a fifth", 0.2, 800.0, 4_000.0),
        ("a watch of a clip", 0.3, 15.0, 30.0),
        ("a watch of something", 0.7, 800.0, None),
        ("a watch for some time", 0.8, None, 4_000.0),
        ("a watch of nothing", 0.9, 0.0, 0.0),
        ("a rating", 0.6, None, None),
    ]
    names = ("user_id", "weight", "watched_seconds", "video_seconds")
    table = pa.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))
    found = weighed(table, WatchWeights.of([HOURS]))
    assert found.column("weight").to_pylist() == [0.4, 0.5, 0.7, 0.8, 0.9, 0.6]
    assert found.drop_columns(["weight"]) == table.drop_columns(["weight"])
    assert weighed(table.slice(0, 0), WatchWeights.of([])).num_rows == 0
