"""Registries of models, the clock they go by, and models in them."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from core.types import Model, ModelStatus
from storage.memory.models import MemoryModels
from storage.postgres.models import PostgresModels

STEPS: tuple[ModelStatus, ...] = ("training", "evaluating", "publishing", "ready")
Registry = MemoryModels | PostgresModels
TO: dict[ModelStatus, tuple[ModelStatus, ...]] = {
    "rejected": ("training", "evaluating", "rejected"),
    **{status: STEPS[: at + 1] for at, status in enumerate(STEPS[:3])},
}
"""The steps of a run to what it stops at."""


class Time:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


async def ready(models: Registry, time: Time) -> Model:
    """A model that has run all its steps."""
    model, token = await models.create("content", {})
    for status in STEPS:
        time.pass_(1)
        model = await models.update(model.id, token, status=status)
    return model


async def failed(models: Registry) -> Model:
    model, token = await models.create("content", {})
    return await models.update(model.id, token, status="failed", error="Too little data.")


async def brought(models: Registry, time: Time, status: ModelStatus) -> tuple[Model, UUID]:
    """A model of that status, and the token of its run, or of one like it."""
    model, token = await models.create("als", {})
    for step in TO.get(status, ()):
        model = await models.update(model.id, token, status=step)
    if status == "cancelled":
        model = await models.cancel(model.id)
    elif status == "failed":
        model = await models.update(model.id, token, status="failed", error="Too little data.")
    elif status in {"ready", "live", "retired"}:
        await models.cancel(model.id)
        model = await ready(models, time)
    if status in {"live", "retired"}:
        model = await models.promote(model.id)
    if status == "retired":
        await models.promote((await ready(models, time)).id)
    return await models.get(model.id), token
