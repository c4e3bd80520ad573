"""Jobs of a few lines: what a schedule asks for of what is done elsewhere."""

import msgspec
import structlog

from core.clock import utc_now
from core.errors import Conflict
from core.events import RecommendationsRefreshed
from core.types import ModelStatus, ModelType
from storage.postgres.engine import transaction
from storage.postgres.models import PostgresModels
from storage.postgres.newer import anything_since
from storage.postgres.outbox import append
from upnext.jobs.queued import Work
from upnext.jobs.refresh import ListsFailed, refresh_active
from upnext.jobs.sweep import sweep

log = structlog.get_logger(__name__)

LEARNED: frozenset[ModelStatus] = frozenset({"ready", "live", "retired", "rejected"})
"""Such a model was made of its data, whatever became of it."""


async def refresh_lists(work: Work) -> None:
    """Make the lists of active users anew, and tell of it. Raises as `refresh_active`."""
    done = await refresh_active(work.settings, work.engine)
    if done is None:
        await work.jobs.finish(work.begun, {"users": 0})
        return
    model, warmed = done
    counts = {"users": warmed.made, "kept": warmed.there - warmed.made, "model": model.version}
    if warmed.failed:
        raise ListsFailed(
            f"{warmed.failed:,} lists could not be made, {warmed.there:,} are there: the lines "
            "above in the log say why."
        )
    event = RecommendationsRefreshed(
        model_id=model.id, model_version=model.version, users=warmed.made, reason="scheduled"
    )
    async with transaction(work.engine) as connection:
        await work.jobs.finish(work.begun, counts, connection=connection)
        if warmed.made:
            await append(connection, event)


async def sweep_versions(work: Work) -> None:
    """Sweep. Raises as `upnext.jobs.sweep.sweep`."""
    swept = await sweep(work.settings)
    counts = {name: len(gone) for name, gone in msgspec.structs.asdict(swept).items()}
    await work.jobs.finish(work.begun, counts)


async def train_if_new(work: Work) -> None:
    """Queue a run of the type that is trained by schedule; its counts say which, or why none."""
    registry, kind = PostgresModels(work.engine, utc_now), work.settings.training_type
    why_not = await _why_not(work, registry, kind)
    if why_not is None:
        try:
            model = await registry.queue(kind, {})
        except Conflict as error:
            why_not = str(error)
        else:
            await work.jobs.finish(work.begun, {"model": model.id})
            return
    log.info("No training now.", reason=why_not)
    await work.jobs.finish(work.begun, {"no_run": why_not})


async def _why_not(work: Work, registry: PostgresModels, kind: ModelType) -> str | None:
    """Why another run would learn nothing. Events that came late count from their own time."""
    learned = [model for model in await registry.find(kind) if model.status in LEARNED]
    newest = max((model.data.end for model in learned if model.data.end), default=None)
    if await anything_since(work.engine, newest):
        return None
    return f"Nothing was watched since {newest.isoformat()}." if newest else "Nobody watched yet."
