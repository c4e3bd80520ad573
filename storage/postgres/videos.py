"""The catalogue's truth, and the popularity counters that belong to it."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncEngine

from core.types import Change, PopularityRow, StoredVideo, UpsertCounts, Video, VideoId
from storage.postgres.changes import note
from storage.postgres.engine import pages, reading, transaction

_PAGE = 1000
_COLUMNS = ", ".join(Video.__struct_fields__)

# A batch travels as one JSON text: the only form in which lists of different lengths can.
_UPSERT = text(
    """
    INSERT INTO videos (
        id, title, description, genres, duration_seconds, language, creator_id, published_at,
        available, available_from, available_until, regions, maturity
    )
    SELECT * FROM json_to_recordset(CAST(:batch AS json)) AS batch (
        id text, title text, description text, genres text[], duration_seconds double precision,
        language text, creator_id text, published_at timestamptz, available boolean,
        available_from timestamptz, available_until timestamptz, regions text[], maturity integer
    )
    ON CONFLICT (id) DO UPDATE SET
        title = excluded.title, description = excluded.description, genres = excluded.genres,
        duration_seconds = excluded.duration_seconds, language = excluded.language,
        creator_id = excluded.creator_id, published_at = excluded.published_at,
        available = excluded.available, available_from = excluded.available_from,
        available_until = excluded.available_until, regions = excluded.regions,
        maturity = excluded.maturity, updated_at = now()
    WHERE (
        videos.title, videos.description, videos.genres, videos.duration_seconds, videos.language,
        videos.creator_id, videos.published_at, videos.available, videos.available_from,
        videos.available_until, videos.regions, videos.maturity
    ) IS DISTINCT FROM (
        excluded.title, excluded.description, excluded.genres, excluded.duration_seconds,
        excluded.language, excluded.creator_id, excluded.published_at, excluded.available,
        excluded.available_from, excluded.available_until, excluded.regions, excluded.maturity
    )
    RETURNING id, xmax = 0 AS inserted
    """
)
_GET_MANY = text(f"SELECT {_COLUMNS} FROM videos WHERE id = ANY(CAST(:ids AS text[]))")  # noqa: S608 (constants)
_FIND = text(f"SELECT {_COLUMNS}, updated_at FROM videos WHERE id = :id")  # noqa: S608 (constants)
_TAKE_DOWN = text(
    """
    UPDATE videos SET available = false, updated_at = now() WHERE id = :id AND available
    RETURNING id
    """
)
_EXISTS = text("SELECT EXISTS (SELECT FROM videos WHERE id = :id)")
_STREAM = text(f"SELECT {_COLUMNS} FROM videos ORDER BY id")  # noqa: S608 (constants)
_COUNT = text("SELECT count(*) FROM videos")
_POPULARITY = text(
    """
    SELECT video_id, CAST(sum(watches) AS bigint), log2_sum(log2_slow), log2_sum(log2_fast)
    FROM popularity GROUP BY video_id
    """
)
POPULARITY_SINCE = text(
    """
    SELECT video_id, CAST(sum(watches) AS bigint), log2_sum(log2_slow), log2_sum(log2_fast)
    FROM popularity
    WHERE video_id IN (SELECT video_id FROM popularity WHERE updated_at >= :since)
    GROUP BY video_id
    """
)
_POPULARITY_OF = text(
    """
    SELECT video_id, CAST(sum(watches) AS bigint), log2_sum(log2_slow), log2_sum(log2_fast)
    FROM popularity WHERE video_id = ANY(CAST(:ids AS text[])) GROUP BY video_id
    """
)


class PostgresVideos:
    """`ingest.ports.VideoStore` and `retrieval.ports.CatalogueReader`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def upsert_many(self, videos: Sequence[Video]) -> UpsertCounts:
        """Write videos in one transaction; the last of equal ids wins; replicas hear of it.

        Raises:
            Unavailable: nothing was written.
            InvalidInput: a text holds a character that PostgreSQL cannot keep.
        """
        latest = {video.id: video for video in videos}
        # Sorted, so that writers with overlapping batches wait for each other instead of deadlock.
        batch = msgspec.json.encode([latest[key] for key in sorted(latest)]).decode()
        async with transaction(self._engine) as connection:
            written = (await connection.execute(_UPSERT, {"batch": batch})).all()
            if written:
                await note(connection, Change("video", tuple(row.id for row in written)))
        inserted = sum(row.inserted for row in written)
        return UpsertCounts(inserted, len(written) - inserted)

    async def get_many(self, ids: Sequence[VideoId]) -> list[Video]:
        """Those of `ids` that exist, in any order. Raises `Unavailable`."""
        async with reading(self._engine) as connection:
            rows = await connection.execute(_GET_MANY, {"ids": list(ids)})
            return [_video(row) for row in rows]

    async def find(self, video_id: VideoId) -> StoredVideo | None:
        """The video as it is now, taken down or not. Raises `Unavailable`."""
        async with reading(self._engine) as connection:
            row = (await connection.execute(_FIND, {"id": video_id})).one_or_none()
        return None if row is None else StoredVideo(_video(row), row.updated_at)

    async def take_down(self, video_id: VideoId) -> bool:
        """Make a video unavailable; replicas hear of it. Whether there is such a video.

        Raises:
            Unavailable: nothing was written.
        """
        async with transaction(self._engine) as connection:
            if await connection.scalar(_TAKE_DOWN, {"id": video_id}):
                await note(connection, Change("video", (video_id,)))
                return True
            return bool(await connection.scalar(_EXISTS, {"id": video_id}))

    async def stream(self) -> AsyncIterator[Sequence[Video]]:
        """All videos by id, in pages, taken-down ones included. Raises `Unavailable`."""
        async for page in pages(self._engine, _STREAM, {}, _PAGE):
            yield [_video(row) for row in page]

    async def count(self) -> int:
        """How many videos there are, taken-down ones included. Raises `Unavailable`."""
        async with reading(self._engine) as connection:
            return int(await connection.scalar(_COUNT) or 0)

    async def popularity(self, since: datetime | None) -> list[PopularityRow]:
        """Counters that changed at or after `since` (None: all), shards merged.

        A change is dated by the start of its transaction: ask a little further back than the
        last time. Raises `Unavailable`.
        """
        statement = _POPULARITY if since is None else POPULARITY_SINCE
        parameters = {} if since is None else {"since": since}
        async with reading(self._engine) as connection:
            return [PopularityRow(*row) for row in await connection.execute(statement, parameters)]

    async def popularity_of(self, ids: Sequence[VideoId]) -> list[PopularityRow]:
        """Counters of those of `ids` that have any, shards merged. Raises `Unavailable`."""
        async with reading(self._engine) as connection:
            rows = await connection.execute(_POPULARITY_OF, {"ids": list(ids)})
            return [PopularityRow(*row) for row in rows]


def _video(row: Row[Any]) -> Video:
    return msgspec.convert(row._asdict(), Video)
