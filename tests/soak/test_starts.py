"""Starts while one of the things that the service needs is away, each in turn."""

from pathlib import Path

import pytest

from tests.faults.dependencies import dependencies
from tests.faults.starting import StartedBlind, heals
from tests.faults.world import LENIENT, Audience, settings_of

pytestmark = pytest.mark.soak


def test_it_starts_without_each(tmp_path: Path) -> None:
    with dependencies(tmp_path) as (each, urls):
        Audience(3, settings_of(tmp_path, urls, **LENIENT)).prepare()
        truth_alone = set(each) - {"postgres"}
        for away in [*({name} for name in each), truth_alone]:
            for name in away:
                each[name].kill()
            home = tmp_path / "-".join(sorted(away))  # a disk that has no version yet
            with StartedBlind(settings_of(home, urls, workers="1", **LENIENT)) as served:
                heals(served, each, away)
