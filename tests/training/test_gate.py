"""A planted good and a planted bad model, judged by real runs against what serves."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from core.clock import utc_now
from core.errors import Conflict
from core.hashing import event_key
from core.settings import Settings
from core.types import DataSpan, Interaction, Model, ModelStatus, Progress, UserId
from embeddings.items import item_vectors
from embeddings.version import write_version
from storage.artifacts import artifact_store
from storage.milvus_writer import MilvusWriter
from storage.postgres.engine import reading
from storage.postgres.interactions import PostgresInteractions
from storage.postgres.models import PostgresModels
from storage.postgres.videos import PostgresVideos
from tests.made_up import fitted
from tests.training.conftest import KINDS, videos
from upnext.jobs.promote import promote
from upnext.jobs.train import train

pytestmark = pytest.mark.training

USERS, BEFORE = 1_050, 5
BEGAN, CUT = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 6, tzinfo=UTC)
STEPS: tuple[ModelStatus, ...] = ("training", "evaluating", "publishing", "ready")
IDS = [video.id for video in videos()]
KIND = np.array([list(KINDS).index(id_.partition("-")[0]) for id_ in IDS])


def ignore(_progress: Progress) -> None:
    pass


def watches(user: str, rows: list[int]) -> Iterator[Interaction]:
    """One a day from the beginning; the sixth comes after the live model's data."""
    for day, row in enumerate(rows):
        yield Interaction(
            key=event_key("gate", f"{user} {day}"),
            user_id=UserId(user),
            video_id=IDS[row],
            kind="watch",
            occurred_at=BEGAN + timedelta(days=day, minutes=day),
            weight=1.0,
        )


def of_one_kind() -> list[Interaction]:
    """Users keep to a kind: five watches that every model knows, and the one that is asked for."""
    draw = np.random.default_rng(1)
    made: list[Interaction] = []
    for user in range(USERS):
        own = np.flatnonzero(user % len(KINDS) == KIND)
        made += watches(f"user {user}", draw.choice(own, BEFORE + 1, replace=False).tolist())
    return made


def by_robots() -> list[Interaction]:
    """Three times as many watch a video of each kind: kinds are no kinds any more."""
    draw = np.random.default_rng(2)
    made: list[Interaction] = []
    for robot in range(3_000):
        own = [draw.choice(np.flatnonzero(kind == KIND)) for kind in range(len(KINDS))]
        made += watches(f"robot {robot}", [int(row) for row in own])
    return made


async def serve(
    settings: Settings, registry: PostgresModels, vectors: NDArray[np.float32]
) -> Model:
    """Have a version of these item vectors go live, made of what was before the cut."""
    model, token = await registry.create("als", {})
    made = fitted(IDS, seed=1, dim=vectors.shape[1])
    made = replace(made, items=item_vectors(IDS, vectors))
    write_version(
        artifact_store(settings.artifacts_url or ""),
        made,
        version=model.version,
        model_type="als",
        content_revision="r1",
        created_at=utc_now(),
    )
    for status in STEPS:
        await registry.update(model.id, token, status=status, data=DataSpan(end=CUT))
    return await registry.promote(model.id)


@pytest.fixture
async def watched(engine: AsyncEngine) -> None:
    await PostgresVideos(engine).upsert_many(videos())
    await PostgresInteractions(engine).add_many(of_one_kind())


@pytest.mark.usefixtures("watched", "index")
async def test_a_good_model_passes_and_beats_a_bad_one_that_serves(
    settings: Settings, registry: PostgresModels
) -> None:
    draw = np.random.default_rng(3)
    bad = await serve(settings, registry, draw.normal(size=(len(IDS), 8)).astype(np.float32))
    good = await train(settings, "als", None, None, ignore)
    assert (good.status, good.error) == ("ready", None)
    assert good.baseline is not None
    assert good.baseline.model_id == bad.id
    for name in ("recall@10", "ndcg@10"):
        assert good.metrics[name] > 1.3 * good.baseline.metrics[name]
    assert good.progress is not None
    assert "As good as the live model for 1,0" in good.progress.message
    assert (await promote(settings, good.id)).status == "live"


@pytest.mark.usefixtures("watched")
async def test_a_model_of_a_poisoned_history_is_rejected_and_what_serves_stays(
    settings: Settings, engine: AsyncEngine, registry: PostgresModels, index: MilvusWriter
) -> None:
    good = await serve(settings, registry, np.eye(len(KINDS), dtype=np.float32)[KIND])
    await PostgresInteractions(engine).add_many(by_robots())
    bad = await train(settings, "als", None, None, ignore)
    assert bad.status == "rejected"
    assert bad.baseline is not None
    assert bad.baseline.model_id == good.id
    assert bad.metrics["ndcg@10"] < 0.9 * bad.baseline.metrics["ndcg@10"]
    for part in ("worse than the live model", f"{bad.metrics['ndcg@10']:.4f}", "UPNEXT_GATE_NDCG"):
        assert part in (bad.error or "")
    assert await registry.get(bad.id) == bad
    assert (bad.data.interactions, bad.artifact_uri) == (USERS * (BEFORE + 1) + 9_000, None)

    assert await registry.live() == good
    with pytest.raises(Conflict):
        await registry.promote(bad.id)
    assert index.collections() == []
    assert artifact_store(settings.artifacts_url or "").keys(f"models/{bad.version}/") == []
    async with reading(engine) as connection:
        told = await connection.execute(text("SELECT data FROM outbox ORDER BY id DESC LIMIT 1"))
        event = told.scalar_one()
    assert (event["model_id"], event["status"], event["error"]) == (bad.id, "rejected", bad.error)
    assert event["metrics"]["ndcg@10"] == bad.metrics["ndcg@10"]
