"""Each dependency away for long, hanging and dead apart, under 200 requests a second."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.dependencies import Dependency, dependencies
from tests.faults.rounds import Round, check, figures, percentile, play, settle, wait
from tests.faults.steady import Steady, silent
from tests.faults.world import Audience, settings_of
from tests.faults.writing import Writer
from tests.served import Served

pytestmark = pytest.mark.soak

AWAY_SECONDS = 25.0
SILENT = 3000
"""Connections that are open all the while and ask nothing."""
PER_SECOND = 200
P99_SECONDS = 0.5
MOST_FALSE = 0.02
MOST_SHED = 0.02


@pytest.fixture
def each(tmp_path: Path) -> Iterator[tuple[dict[str, Dependency], dict[str, str]]]:
    with dependencies(tmp_path) as made:
        yield made


def test_lists_go_on_for_as_long_as_it_takes(
    each: tuple[dict[str, Dependency], dict[str, str]], tmp_path: Path
) -> None:
    servers, urls = each
    settings = settings_of(tmp_path, urls)
    audience = Audience(12_000, settings)
    audience.prepare()
    faults = [[name] for name in servers] + [list(servers)]
    with ExitStack() as running:
        running.enter_context(Served(settings))
        running.enter_context(silent(settings.port, SILENT))
        load = running.enter_context(Steady(settings.port, audience.ask, per_second=PER_SECOND))
        wait(2)
        settle(load, 0)
        writer = Writer(audience)
        began = time.monotonic()
        wait(10)
        calm = Round(frozenset(), began, *[time.monotonic()] * 3)
        rounds = [
            play(
                load,
                settings.port,
                {name: servers[name] for name in names},
                hang=hang,
                dead=AWAY_SECONDS - hang,
                meanwhile=writer.watch,
            )
            for names in faults
            for hang in (AWAY_SECONDS, 0.0)
        ]
        writer.look()
    for played in [calm, *rounds]:
        print(figures(load.answers, played))  # noqa: T201 - what a soak is run for
    check(audience, load.answers, rounds, most_false=MOST_FALSE, most_shed=MOST_SHED)
    for played in rounds:
        during = load.since(played.began, played.recovered)
        assert percentile(during, 0.99) < P99_SECONDS, played
