"""Stores with a small catalogue of three kinds of films, and users who keep to one kind."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from core.clock import utc_now
from core.hashing import event_key
from core.settings import Settings, load
from core.types import Interaction, UserId, Video, VideoId
from embeddings.content_store import ContentStore
from embeddings.dataset import Catalogue
from embeddings.encode import encode_new
from embeddings.text import REVISION, genres_of, text_of
from storage.artifacts import DirectoryArtifacts
from storage.milvus_writer import MilvusWriter
from storage.postgres.engine import connect
from storage.postgres.interactions import PostgresInteractions
from storage.postgres.models import PostgresModels
from storage.postgres.videos import PostgresVideos

KINDS = {
    "crime": ("Crime, Thriller", "A detective hunts a killer in the city of"),
    "toys": ("Animation, Children", "Talking toys and cartoon animals play at the house of"),
    "space": ("Sci-Fi", "A starship meets aliens at the edge of the galaxy near"),
}
PLACES = ["Arden", "Bruges", "Cadiz", "Derry", "Essen", "Faro", "Ghent", "Hull", "Ithaca", "Jena"]


def videos() -> list[Video]:
    return [
        Video(
            id=VideoId(f"{kind}-{place}"),
            title=f"{place} ({1990 + at})",
            genres=tuple(genres.split(", ")),
            description=f"{text} {place}.",
        )
        for kind, (genres, text) in KINDS.items()
        for at, place in enumerate(PLACES)
    ]


def interactions() -> list[Interaction]:
    began = datetime(2026, 1, 1, tzinfo=UTC)
    return [
        Interaction(
            key=event_key("test", f"{kind} {user} {at}"),
            user_id=UserId(f"{kind} lover {user}"),
            video_id=VideoId(f"{kind}-{PLACES[(user + at) % len(PLACES)]}"),
            kind="watch",
            occurred_at=began + timedelta(days=at),
            weight=1.0,
        )
        for kind in KINDS
        for user in range(4)
        for at in range(6)
    ]


@pytest.fixture(scope="session")
def encoded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact folder with the text vectors of `videos()`: they are encoded once."""
    from embeddings.text_encoder import MiniLM  # noqa: PLC0415 - seconds, for who encodes

    folder = tmp_path_factory.mktemp("encoded")
    own = videos()
    catalogue = Catalogue(
        [video.id for video in own],
        [text_of(video) for video in own],
        [genres_of(video) for video in own],
    )
    kept = ContentStore(DirectoryArtifacts(folder), REVISION)
    encode_new(catalogue, kept, lambda: MiniLM(threads=1), lambda _share, _message: None)
    return folder


@pytest.fixture
def settings(database_url: str, milvus_uri: str, encoded: Path, tmp_path: Path) -> Settings:
    shutil.copytree(encoded, tmp_path / "artifacts")
    return load(
        {
            "home": str(tmp_path / "home"),
            "postgres_url": database_url,
            "milvus_uri": milvus_uri,
            "artifacts_url": (tmp_path / "artifacts").as_uri(),
            "sweep_grace_seconds": "0",
        }
    )


@pytest.fixture
async def registry(engine: AsyncEngine) -> PostgresModels:
    return PostgresModels(engine, utc_now)


@pytest.fixture
async def catalogue(engine: AsyncEngine) -> None:
    await PostgresVideos(engine).upsert_many(videos())


@pytest.fixture
async def history(engine: AsyncEngine, catalogue: None) -> None:  # noqa: ARG001  (comes first)
    await PostgresInteractions(engine).add_many(interactions())


@pytest.fixture
async def index(milvus_uri: str) -> AsyncIterator[MilvusWriter]:
    """An index without collections."""
    writer = MilvusWriter(milvus_uri)
    for name in writer.collections():
        writer.drop(name)
    yield writer
    writer.close()


@pytest.fixture
def filled(settings: Settings) -> None:
    """As `history`, for tests without an event loop of their own."""

    async def fill() -> None:
        pool = connect(settings)
        await PostgresVideos(pool).upsert_many(videos())
        await PostgresInteractions(pool).add_many(interactions())
        await pool.dispose()

    asyncio.run(fill())
