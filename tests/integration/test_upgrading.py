"""A rollout: this release's processes on the schema before it, and schemas that only grow."""

import asyncio
import re
from contextlib import closing
from importlib import import_module
from io import StringIO
from pathlib import Path

import pytest
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext

from api.answers import Asked
from api.app import services
from api.watching import NewWatch
from core.clock import utc_now
from core.hashing import event_key
from core.settings import Settings
from core.types import Interaction, UserId, VideoId
from storage.memory.bus import MemoryBus
from storage.milvus_writer import MilvusWriter
from storage.postgres import migrate
from storage.postgres.engine import pool
from storage.postgres.interactions import PostgresInteractions
from storage.postgres.models import PostgresModels
from storage.postgres.outbox import PostgresOutbox
from tests.catalogues import video
from tests.integration.test_upkeep import done
from tests.made_up import fitted, train
from tests.served import over_stores, write_videos
from tests.spans import recorded

pytestmark = pytest.mark.integration
VIDEOS = [VideoId(f"grow-{number:02}") for number in range(20)]
USER = UserId("grow-ann")
MIGRATIONS = "storage.postgres.migrations.versions"
FIRST_THAT_ONLY_GROWS = "0008"
CONTRACTIONS: dict[str, str] = {}
"""Revisions that take something away, and the release since which no code has used it."""
TAKES_AWAY = re.compile(
    r"\b(DROP|RENAME|TRUNCATE)\b|\bALTER\s+COLUMN\b.*\b(TYPE|SET\s+NOT\s+NULL)\b"
    r"|\bADD\s+COLUMN\b(?!.*\bDEFAULT\b).*\bNOT\s+NULL\b",
    re.IGNORECASE,
)


def grown_by(revision: str) -> str:
    """The SQL of a migration."""
    [file] = Path(import_module(MIGRATIONS).__path__[0]).glob(f"{revision}_*.py")
    written = StringIO()
    context = MigrationContext.configure(
        dialect_name="postgresql", opts={"as_sql": True, "output_buffer": written}
    )
    with Operations.context(context):
        import_module(f"{MIGRATIONS}.{file.stem}").upgrade()
    return written.getvalue()


@pytest.mark.parametrize(
    "revision", [each for each in migrate.revisions() if each >= FIRST_THAT_ONLY_GROWS]
)
def test_a_migration_leaves_what_running_processes_use(revision: str) -> None:
    """They are of the release before, and go on while the database is migrated."""
    sql = grown_by(revision)
    assert sql.strip()
    assert revision in CONTRACTIONS or not TAKES_AWAY.search(sql), sql


@pytest.mark.parametrize(
    "sql",
    [
        "ALTER TABLE a DROP COLUMN b;",
        "ALTER TABLE a ALTER COLUMN b SET NOT NULL;",
        "ALTER TABLE a ADD COLUMN b text NOT NULL;",
        "ALTER TABLE a RENAME TO b;",
    ],
)
def test_what_takes_away_is_seen(sql: str) -> None:
    assert TAKES_AWAY.search(sql)


@pytest.fixture
def settings(tmp_path: Path, store_urls: dict[str, str]) -> Settings:
    """Stores in use, their database as the release before has left it."""
    made = over_stores(tmp_path, **store_urls)
    with closing(MilvusWriter.of(made)) as writer:
        for name in writer.collections():
            writer.drop(name)
    write_videos(made, [video(name, "drama") for name in VIDEOS])
    model = train(made, fitted(VIDEOS, seed=3))
    migrate.downgrade(made, migrate.revisions()[-2])
    asyncio.run(_promote(made, model.id))
    return made


async def _promote(settings: Settings, model_id: str) -> None:
    async with pool(settings) as engine:
        await PostgresModels(engine, utc_now).promote(model_id)
        watch = Interaction(
            key=event_key("grow", "1"),
            user_id=USER,
            video_id=VIDEOS[0],
            kind="watch",
            occurred_at=utc_now(),
            weight=1.0,
        )
        await PostgresInteractions(engine).add_many([watch])


async def test_this_release_serves_on_the_schema_before(settings: Settings) -> None:
    async with services(settings) as process:
        answer = await process.recommender.recommend(Asked(USER))
        assert answer.metadata.degraded == ()
        first = VideoId(answer.recommendations[0].content_id)
        await process.watching.record(NewWatch(user_id=USER, video_id=first))
        again = await process.recommender.recommend(Asked(USER))
        assert first not in {each.content_id for each in again.recommendations}
        await process.impressions.flush()
        run = await process.training.start("als", None, None)
        assert (await process.training.cancel(run.id)).status == "cancelled"


async def test_its_worker_does_its_work_there(settings: Settings) -> None:
    messages = MemoryBus()
    await messages.setup()
    with recorded():  # work that is asked for under a trace notes it where there is room for it
        async with pool(settings) as engine:
            for kind in ("refresh", "shares", "retention", "sweep"):
                await done(settings, engine, kind)
            assert await PostgresOutbox(engine).relay(messages)
