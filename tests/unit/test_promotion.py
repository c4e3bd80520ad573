"""Going live and back: only with vectors, and only while someone can tell."""

import asyncio
from collections.abc import Collection

import pytest
from structlog.testing import capture_logs

from api.promotion import Promotion
from core.errors import Conflict, ModelNotFound, Unavailable
from core.types import Model, ModelStatus
from storage.memory.models import MemoryModels

pytestmark = pytest.mark.unit
STEPS: tuple[ModelStatus, ...] = ("training", "evaluating", "publishing", "ready")


class Index:
    """Has the videos' collections of some versions; can be away."""

    def __init__(self, *models: Model) -> None:
        self.names = {f"videos_{model.version}" for model in models}
        self.away = False

    async def collections(self) -> set[str]:
        if self.away:
            raise Unavailable("milvus")
        return self.names


async def ready(models: MemoryModels) -> Model:
    model, token = await models.create("content", {})
    for step in STEPS:
        model = await models.update(model.id, token, status=step)
    return model


async def test_there_and_back() -> None:
    models = MemoryModels()
    first, second = await ready(models), await ready(models)
    promotion = Promotion(models, Index(first, second).collections)
    await promotion.promote(first.id)
    assert (await promotion.promote(second.id)).status == "live"
    assert (await promotion.rollback()).id == first.id


async def test_without_vectors_nothing_changes() -> None:
    models = MemoryModels()
    first, second = await ready(models), await ready(models)
    index = Index(first, second)
    promotion = Promotion(models, index.collections)
    await promotion.promote(first.id)
    await promotion.promote(second.id)
    index.names.clear()
    for attempt in (promotion.promote(first.id), promotion.rollback()):
        with pytest.raises(Conflict, match=r"no vectors.*`upnext train content --promote`"):
            await attempt
    live = await models.live()
    assert live is not None
    assert live.id == second.id


async def test_with_the_index_away_nothing_changes() -> None:
    models = MemoryModels()
    model = await ready(models)
    index = Index(model)
    index.away = True
    with pytest.raises(Unavailable):
        await Promotion(models, index.collections).promote(model.id)
    assert await models.live() is None


async def test_with_the_index_away_what_was_live_may_come_back() -> None:
    models = MemoryModels()
    first, second = await ready(models), await ready(models)
    index = Index(first, second)
    promotion = Promotion(models, index.collections)
    await promotion.promote(first.id)
    await promotion.promote(second.id)
    index.away = True
    with capture_logs() as logs:
        assert (await promotion.rollback()).id == first.id
        assert (await promotion.promote(second.id)).status == "live"
    assert [line["version"] for line in logs] == [first.version, second.version]


async def test_where_exact_search_serves_the_index_is_not_asked() -> None:
    models = MemoryModels()
    first, second = await ready(models), await ready(models)
    promotion = Promotion(models, None)
    await promotion.promote(first.id)
    assert (await promotion.promote(second.id)).status == "live"
    assert (await promotion.rollback()).id == first.id


async def test_the_registrys_own_refusals_come_first() -> None:
    models = MemoryModels()
    queued, _ = await models.create("content", {})
    promotion = Promotion(models, Index().collections)
    with pytest.raises(ModelNotFound):
        await promotion.promote("none")
    with pytest.raises(Conflict, match="queued"):
        await promotion.promote(queued.id)
    with pytest.raises(Conflict, match="nothing to go back"):
        await promotion.rollback()


class Replicas:
    """Replicas that have a version open once they were asked so often; `live` as of each time."""

    def __init__(self, models: MemoryModels, *, after: int) -> None:
        self._models = models
        self._after = after
        self.live: list[Model | None] = []

    async def lacking(self, version: str) -> Collection[str]:
        assert version
        self.live.append(await self._models.live())
        return ["b"] if len(self.live) <= self._after else []


async def test_it_flips_when_every_replica_has_it_open_and_not_before() -> None:
    models = MemoryModels()
    first, second = await ready(models), await ready(models)
    index = Index(first, second)
    await Promotion(models, index.collections).promote(first.id)
    replicas = Replicas(models, after=2)
    promotion = Promotion(models, index.collections, lacking=replicas.lacking)
    assert (await promotion.promote(second.id)).status == "live"
    assert [live and live.id for live in replicas.live] == [first.id] * 3
    await promotion.rollback()
    assert [live and live.id for live in replicas.live[3:]] == [second.id]


async def test_a_replica_that_never_opens_it_holds_nothing_up_for_long() -> None:
    models = MemoryModels()
    model = await ready(models)
    replicas = Replicas(models, after=1000)
    promotion = Promotion(
        models, Index(model).collections, lacking=replicas.lacking, opened_seconds=0.01
    )
    with capture_logs() as logs:
        assert (await promotion.promote(model.id)).status == "live"
    assert [line["replicas"] for line in logs] == [["b"]]


async def test_lists_are_prepared_before_the_flip_and_not_for_going_back() -> None:
    models = MemoryModels()
    first, second = await ready(models), await ready(models)
    prepared: list[tuple[str, Model | None]] = []

    async def prepare(model: Model) -> None:
        prepared.append((model.id, await models.live()))

    promotion = Promotion(models, Index(first, second).collections, prepare=prepare)
    live = await promotion.promote(first.id)
    await promotion.promote(second.id)
    assert prepared == [(first.id, None), (second.id, live)]
    await promotion.rollback()
    assert len(prepared) == 2


async def test_preparing_that_hangs_is_ended_and_stops_no_promotion() -> None:
    models = MemoryModels()
    model = await ready(models)
    ended = asyncio.Event()

    async def prepare(_model: Model) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    promotion = Promotion(models, Index(model).collections, prepare=prepare, prepared_seconds=0.01)
    assert (await promotion.promote(model.id)).status == "live"
    assert ended.is_set()


async def test_preparing_that_fails_is_logged_and_stops_no_promotion() -> None:
    models = MemoryModels()
    model = await ready(models)
    fault = ValueError("a fault of ours")

    async def prepare(_model: Model) -> None:
        raise fault

    promotion = Promotion(models, Index(model).collections, prepare=prepare)
    with capture_logs() as logs:
        assert (await promotion.promote(model.id)).status == "live"
    assert [line["exc_info"] for line in logs] == [fault]


async def test_a_refusal_prepares_nothing() -> None:
    models = MemoryModels()
    queued, _ = await models.create("content", {})

    async def prepare(_model: Model) -> None:
        pytest.fail("it is not ready")

    with pytest.raises(Conflict):
        await Promotion(models, Index(queued).collections, prepare=prepare).promote(queued.id)


async def test_when_nobody_can_say_what_is_open_nothing_changes_and_nothing_goes_on() -> None:
    models = MemoryModels()
    model = await ready(models)
    ended = asyncio.Event()

    async def lacking(_version: str) -> Collection[str]:
        await asyncio.sleep(0)  # the preparing begins
        raise Unavailable("postgres")

    async def prepare(_model: Model) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    promotion = Promotion(models, Index(model).collections, lacking=lacking, prepare=prepare)
    with pytest.raises(Unavailable):
        await promotion.promote(model.id)
    await ended.wait()
    assert await models.live() is None
