"""Each dependency hangs, dies and comes back under load: short rounds."""

from pathlib import Path

import httpx
import pytest

from tests.faults.dependencies import dependencies
from tests.faults.rounds import (
    RECOVERY_SECONDS,
    check,
    figures,
    percentile,
    play,
    settle,
    settled,
    wait,
)
from tests.faults.steady import Steady
from tests.faults.world import LENIENT, Audience, settings_of
from tests.faults.writing import Writer
from tests.measured import by_name, undocumented
from tests.polling import eventually
from tests.served import Served

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

HANG_SECONDS, DEAD_SECONDS = 1.5, 1.0
# On a machine that runs other tests too; the soak asks for more.
PER_SECOND = 100
IN_VAIN_SECONDS = 2.4
"""Less than to wait for each in turn; so much half of the answers stay below though the machine
stands still meanwhile. How long an answer takes is asked by the soak."""
MOST_FALSE = 0.05
MOST_SHED = 0.5
BROKEN = [(("dependency", name),) for name in ("postgres", "redis", "milvus")]
ROUNDS = (
    ["redis"],
    ["milvus"],
    ["postgres"],
    ["bus", "artifacts"],
    ["redis", "milvus", "postgres", "bus", "artifacts"],
)


def test_lists_go_on_whatever_is_away(tmp_path: Path) -> None:
    with dependencies(tmp_path) as (each, urls):
        settings = settings_of(tmp_path, urls, **LENIENT)
        audience = Audience(3000, settings)
        audience.prepare()
        with (
            Served(settings) as server,
            Steady(settings.port, audience.ask, per_second=PER_SECOND) as load,
        ):
            wait(1)
            settle(load, 0)
            writer = Writer(audience)
            rounds = [
                play(
                    load,
                    settings.port,
                    {name: each[name] for name in names},
                    hang=HANG_SECONDS,
                    dead=DEAD_SECONDS,
                    meanwhile=writer.watch,
                )
                for names in ROUNDS
            ]
            writer.look()
            eventually(lambda: closed(measured(server)), seconds=RECOVERY_SECONDS)
            page = measured(server)
    for played in rounds:
        print(figures(load.answers, played))  # noqa: T201 - shown when something is wrong
    check(audience, load.answers, rounds, most_false=MOST_FALSE, most_shed=MOST_SHED)
    for played in rounds:
        assert percentile(settled(load.answers, played), 0.5) < IN_VAIN_SECONDS, played
    assert undocumented(page) == []
    said = by_name(page)
    for of in BROKEN:
        assert said["upnext_breaker_openings_total"][of] >= 1
        assert said["upnext_dependency_errors_total"][of] > 0


def measured(server: Served) -> str:
    return httpx.get(f"{server.address}/metrics", timeout=20).text


def closed(page: str) -> bool:
    """Whether no process leaves a dependency alone any more."""
    open_in = by_name(page)["upnext_breaker_open"]
    return all(open_in[of] == 0 for of in BROKEN)
