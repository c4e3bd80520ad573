"""Going live and going back from the terminal."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

from api.promotion import Collections, Promotion
from core.clock import utc_now
from core.settings import Settings
from core.types import Model
from storage.milvus import MilvusSearch
from storage.milvus_writer import MilvusWriter
from storage.postgres.engine import pool
from storage.postgres.models import PostgresModels
from storage.postgres.replicas import PostgresReplicas


async def promote(settings: Settings, model_id: str) -> Model:
    """See `Promotion.promote`."""
    async with _promotion(settings, _patiently(settings)) as promotion:
        return await promotion.promote(model_id)


async def promote_first(settings: Settings, model: Model) -> Model:
    """Make a `ready` model live when none is; else it stays as it is. Raises `Unavailable`."""
    live = await live_model(settings)
    return model if live is not None else await promote(settings, model.id)


async def promote_passed(settings: Settings, model: Model) -> Model:
    """What becomes of a `ready` model that nobody asked to be made live.

    It goes live where `UPNEXT_PROMOTE` says so; else as `promote_first`.

    Raises:
        Conflict: somebody has decided otherwise meanwhile.
        Unavailable: it is still ready.
    """
    if settings.promote == "passed":
        return await promote(settings, model.id)
    return await promote_first(settings, model)


async def live_model(settings: Settings) -> Model | None:
    """The live model, None before the first promotion. Raises `Unavailable`."""
    async with pool(settings) as engine:
        return await PostgresModels(engine, utc_now).live()


async def rollback(settings: Settings) -> Model:
    """See `Promotion.rollback`. An index that does not answer is not waited for: it is urgent."""
    index = MilvusSearch.of(settings)
    try:
        async with _promotion(settings, index.collections) as promotion:
            return await promotion.rollback()
    finally:
        await index.close()


@asynccontextmanager
async def _promotion(settings: Settings, collections: Collections) -> AsyncIterator[Promotion]:
    """No lists are prepared: that is for a service, which has the version open."""
    async with pool(settings) as engine:
        yield Promotion(
            PostgresModels(engine, utc_now),
            None if settings.index == "exact" else collections,
            lacking=PostgresReplicas(engine).lacking,
        )


def _patiently(settings: Settings) -> Collections:
    """By the patient client: the index may still be busy with what was just published."""

    def collections() -> list[str]:
        with closing(MilvusWriter.of(settings)) as writer:
            return writer.collections()

    return lambda: asyncio.to_thread(collections)
