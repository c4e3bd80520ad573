"""What a worker reads for the metrics: how things are in the database, whoever made them so."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from core.clock import utc_now
from core.dead_letters import Refused
from core.hashing import event_key
from core.impressions import ImpressionCount, ServedList
from core.measures import GONE
from core.messages import Message
from core.metrics import LIVE_MODEL, LIVE_MODEL_TIMESTAMP, SHOWN_NOW, WATCHED_NOW
from core.types import Interaction, Model, ModelStatus, ModelType, Source, UserId, VideoId
from storage.postgres.dead_letters import PostgresDeadLetters
from storage.postgres.impressions import PostgresImpressions
from storage.postgres.interactions import PostgresInteractions
from storage.postgres.models import PostgresModels
from tests.measured import series, value
from upnext.measuring import Figures

pytestmark = pytest.mark.integration

PUBLISHED: tuple[ModelStatus, ...] = ("training", "evaluating", "publishing", "ready")
FAILED: tuple[ModelStatus, ...] = ("training", "failed")


@pytest.fixture(autouse=True)
def nothing_said() -> Iterator[None]:
    """What other tests of this process said, or this one, is no part of it."""
    yield
    for family in (LIVE_MODEL, SHOWN_NOW, WATCHED_NOW):
        family.say([])
    LIVE_MODEL_TIMESTAMP.set(GONE)


async def ended(models: PostgresModels, kind: ModelType, steps: tuple[ModelStatus, ...]) -> Model:
    model, token = await models.create(kind, {})
    for status in steps:
        model = await models.update(model.id, token, status=status)
    return model


async def test_models_and_letters(engine: AsyncEngine) -> None:
    figures, models = Figures(engine), PostgresModels(engine, utc_now)
    await figures.read()
    ends = "upnext_training_last_{}_timestamp_seconds"
    assert value(ends.format("success"), model_type="als") == 0.0
    assert value("upnext_live_model_timestamp_seconds") == 0.0
    assert series("upnext_live_model_info") == {}

    failed = await ended(models, "als", FAILED)
    first, second = [await ended(models, "als", PUBLISHED) for _ in range(2)]
    await models.promote(first.id)
    await PostgresDeadLetters(engine).keep([refused("a"), refused("b")])
    await PostgresDeadLetters(engine).mark_replayed(1)
    await figures.read()
    assert second.finished_at
    assert failed.finished_at
    assert first.finished_at
    assert value(ends.format("success"), model_type="als") == second.finished_at.timestamp()
    assert value(ends.format("failure"), model_type="als") == failed.finished_at.timestamp()
    assert value(ends.format("failure"), model_type="content") == 0.0
    assert value("upnext_live_model_timestamp_seconds") == first.finished_at.timestamp()
    assert series("upnext_live_model_info") == {
        (("model_type", "als"), ("version", first.version)): 1
    }
    assert value("upnext_dead_letters") == 1

    await models.promote(second.id)
    await figures.read()
    assert series("upnext_live_model_info") == {
        (("model_type", "als"), ("version", second.version)): 1
    }


async def test_what_was_shown_in_the_last_hour(engine: AsyncEngine) -> None:
    figures, impressions = Figures(engine), PostgresImpressions(engine)
    entries: tuple[tuple[VideoId, Source], ...] = ((VideoId("a"), "nearest"),)
    lists = [
        ServedList(recommendation_id="r", model_version="v1", config_version=1, entries=entries)
    ]
    counts = [
        *(shown(version, 1, "nearest", 30) for version in ("v1", "v2")),
        shown("v1", 2, "nearest", 12),
        shown("v1", 1, None, 42),
        shown(None, 1, "popular", 5),
        shown("v0", 1, "new", 9, minutes=90),
    ]
    await impressions.record("w", counts, lists)
    await PostgresInteractions(engine).add_many([watched("a", "r")])
    await figures.shown()
    label = "model_version"
    assert series("upnext_shown") == {
        ((label, "v1"), ("source", "nearest")): 42,
        ((label, "v2"), ("source", "nearest")): 30,
        ((label, ""), ("source", "popular")): 5,
    }
    assert value("upnext_watched_of_shown", model_version="v1", source="nearest") == 1
    assert value("upnext_watched_of_shown", model_version="v2", source="nearest") == 0

    await impressions.prune(utc_now())
    await figures.shown()
    assert series("upnext_shown") == {}
    assert series("upnext_watched_of_shown") == {}


def refused(name: str) -> Refused:
    message = Message(subject="s", payload=b"{}", position=name, received_at=utc_now())
    return Refused(message, "it is empty")


def shown(
    version: str | None, config: int, source: Source | None, videos: int, *, minutes: int = 5
) -> ImpressionCount:
    return ImpressionCount(
        minute=(utc_now() - timedelta(minutes=minutes)).replace(second=0, microsecond=0),
        model_version=version,
        config_version=config,
        source=source,
        lists=1,
        videos=videos,
    )


def watched(video: str, recommendation_id: str) -> Interaction:
    return Interaction(
        key=event_key("test", video),
        user_id=UserId("u"),
        video_id=VideoId(video),
        kind="watch",
        occurred_at=utc_now(),
        weight=1.0,
        recommendation_id=recommendation_id,
    )
