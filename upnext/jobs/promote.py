"""Going live and going back from the terminal."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from api.promotion import Promotion
from core.clock import utc_now
from core.settings import Settings
from core.types import Model
from storage.milvus_writer import MilvusWriter
from storage.postgres.engine import connect
from storage.postgres.models import PostgresModels
from storage.postgres.replicas import PostgresReplicas


async def promote(settings: Settings, model_id: str) -> Model:
    """See `Promotion.promote`."""
    async with _promotion(settings) as promotion:
        return await promotion.promote(model_id)


async def promote_first(settings: Settings, model: Model) -> Model:
    """Make a `ready` model live when none is; else it stays as it is. Raises `Unavailable`."""
    engine = connect(settings)
    try:
        live = await PostgresModels(engine, utc_now).live()
    finally:
        await engine.dispose()
    return model if live is not None else await promote(settings, model.id)


async def rollback(settings: Settings) -> Model:
    """See `Promotion.rollback`."""
    async with _promotion(settings) as promotion:
        return await promotion.rollback()


@asynccontextmanager
async def _promotion(settings: Settings) -> AsyncIterator[Promotion]:
    engine = connect(settings)
    try:
        yield Promotion(
            PostgresModels(engine, utc_now),
            lambda: asyncio.to_thread(_collections, settings),
            lacking=PostgresReplicas(engine).lacking,
        )
    finally:
        await engine.dispose()


def _collections(settings: Settings) -> list[str]:
    """By the patient client: the index may still be busy with what was just published."""
    writer = MilvusWriter.of(settings)
    try:
        return writer.collections()
    finally:
        writer.close()
