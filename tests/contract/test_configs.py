"""What every store of ranking configurations promises: versions in a row, one writer at a time."""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from api.configs import ConfigStore
from core.errors import Conflict
from core.types import Change, ChangeCursor, RankingConfig, Weights
from storage.memory.configs import MemoryConfigs
from storage.postgres.changes import PostgresChanges
from storage.postgres.configs import PostgresConfigs
from tests.news import read_changes

pytestmark = pytest.mark.contract
SEED = RankingConfig(preset="seed", diversity=0.3, candidates=500)
OWN = RankingConfig(
    weights=Weights(similarity=1 / 3, popularity=0), creator_cap=1, soft_age_seconds=1
)


class Stores(msgspec.Struct):
    configs: ConfigStore
    changes: Callable[[int], Awaitable[list[Change]]]


@pytest.fixture(params=["memory", "postgres"])
def stores(request: pytest.FixtureRequest) -> Stores:
    if request.param == "memory":
        configs = MemoryConfigs()
        return Stores(configs, lambda _: _noted(configs))
    engine = request.getfixturevalue("engine")
    return Stores(PostgresConfigs(engine), lambda n: _read(PostgresChanges(engine), n))


async def _noted(configs: MemoryConfigs) -> list[Change]:
    return configs.changes


async def _read(changes: PostgresChanges, count: int) -> list[Change]:
    return (await read_changes(changes, ChangeCursor(), count))[0]


async def test_versions_follow_each_other_and_replicas_hear_of_each(stores: Stores) -> None:
    configs = stores.configs
    assert await configs.versions() == [RankingConfig()]
    second = await configs.add(SEED, 1)
    third = await configs.add(OWN, 2)
    assert second == msgspec.structs.replace(SEED, version=2)
    assert third == await configs.current() == msgspec.structs.replace(OWN, version=3)
    assert await configs.versions() == [third, second, RankingConfig()]
    assert await stores.changes(2) == [Change("config", ("2",)), Change("config", ("3",))]


@pytest.mark.parametrize("after", [0, 1, 3])
async def test_only_the_newest_can_be_replaced(stores: Stores, after: int) -> None:
    await stores.configs.add(SEED, 1)
    with pytest.raises(Conflict):
        await stores.configs.add(OWN, after)
    assert (await stores.configs.current()).version == 2


async def test_of_many_at_once_one_wins(stores: Stores) -> None:
    tried = await asyncio.gather(
        *(stores.configs.add(SEED, 1) for _ in range(8)), return_exceptions=True
    )
    assert [result for result in tried if isinstance(result, RankingConfig)] == [
        msgspec.structs.replace(SEED, version=2)
    ]
    assert sum(isinstance(result, Conflict) for result in tried) == 7
    assert len(await stores.configs.versions()) == 2
