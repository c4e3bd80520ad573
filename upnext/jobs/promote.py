"""Going live and going back: the registry flips one row, the replicas follow."""

import asyncio

from core.clock import utc_now
from core.errors import Conflict
from core.settings import Settings
from core.types import Model
from storage.milvus_writer import MilvusWriter
from storage.postgres.engine import connect
from storage.postgres.models import PostgresModels


async def promote(settings: Settings, model_id: str) -> Model:
    """Make a model live whose collections the index has.

    Raises:
        ModelNotFound: no such model.
        Conflict: it is not `ready` or `retired`, or its collections are gone.
        Unavailable: nothing changed.
    """
    engine = connect(settings)
    registry = PostgresModels(engine, utc_now)
    try:
        model = await registry.get(model_id)
        await asyncio.to_thread(_check_published, settings, model)
        return await registry.promote(model_id)
    finally:
        await engine.dispose()


async def promote_first(settings: Settings, model: Model) -> Model:
    """Make a `ready` model live when none is; else it stays as it is. Raises `Unavailable`."""
    engine = connect(settings)
    try:
        live = await PostgresModels(engine, utc_now).live()
    finally:
        await engine.dispose()
    return model if live is not None else await promote(settings, model.id)


async def rollback(settings: Settings) -> Model:
    """Make the model live that was live before. Raises `Conflict`, `Unavailable`."""
    engine = connect(settings)
    registry = PostgresModels(engine, utc_now)
    try:
        previous = await registry.previous()
        if previous is not None:  # without one the registry refuses, and says why
            await asyncio.to_thread(_check_published, settings, previous)
        return await registry.rollback()
    finally:
        await engine.dispose()


def _check_published(settings: Settings, model: Model) -> None:
    writer = MilvusWriter.of(settings)
    try:
        there = f"videos_{model.version}" in writer.collections()
    finally:
        writer.close()
    if model.status in {"ready", "retired"} and not there:
        raise Conflict(
            f"The index has no vectors of model {model.id}: train a new one with "
            "`upnext embeddings rebuild`."
        )
