"""Events from a real bus to real stores, through consumers that are killed."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from core.settings import Settings, load
from storage.embedded.stack import EmbeddedStack
from tests.eventful import account, lists_kept, make_streams, survive, traffic

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

EVENTS, KILLS = 4_000, 3


@pytest.fixture
def own_bus(tmp_path: Path) -> Iterator[str]:
    """A bus of this test's own: what others left there would be consumed as well."""
    with EmbeddedStack(tmp_path / "bus", ["bus"]) as stack:
        yield stack.servers["bus"].url


@pytest.fixture
def settings(own_bus: str, database_url: str, redis_url: str) -> Settings:
    return load(
        {
            "bus_url": own_bus,
            "postgres_url": database_url,
            "redis_url": redis_url,
            "events_batch": "50",
        }
    )


async def test_each_event_counts_once_whenever_the_consumer_is_killed(
    settings: Settings, tmp_path: Path
) -> None:
    users = [f"{uuid4().hex}-{number}" for number in range(200)]
    sent = traffic(EVENTS, users)
    await make_streams(settings.bus_url or "")
    async with lists_kept(settings, users) as made:
        await survive(settings, sent, KILLS, tmp_path / "consumer.log")
    found = await account(settings, users)
    assert found.keys == {one.key for one in sent}
    assert len(found.keys) == EVENTS < len(sent)
    assert (found.wrong_counters, found.dead, found.stale) == (0, 0, [])
    assert len(set(made)) > 20  # so often a list was made while events flowed
