"""Going live and back: only with vectors, and only while someone can tell."""

import pytest

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
        with pytest.raises(Conflict, match="no vectors"):
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
