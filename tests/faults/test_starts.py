"""A start while nothing that the service needs is there."""

from pathlib import Path

import pytest

from tests.faults.dependencies import dependencies
from tests.faults.starting import StartedBlind, heals
from tests.faults.world import LENIENT, Audience, settings_of

pytestmark = pytest.mark.e2e


def test_it_starts_without_any_and_heals(tmp_path: Path) -> None:
    with dependencies(tmp_path) as (each, urls):
        settings = settings_of(tmp_path, urls, workers="1", **LENIENT)
        Audience(3, settings).prepare()
        for dependency in each.values():
            dependency.kill()
        with StartedBlind(settings) as served:
            heals(served, each, each)
