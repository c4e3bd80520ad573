"""What was served: counts by process and minute, and the lists that watches can name."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncEngine

from core.impressions import ImpressionCount, Outcome, ServedList
from core.types import Source
from storage.postgres.engine import transaction

_LETTER: dict[Source | None, str] = {
    None: "",  # whole lists
    "nearest": "n",
    "similar": "s",
    "trending": "t",
    "popular": "p",
    "new": "w",
}
_SOURCE = {letter: source for source, letter in _LETTER.items()}

# Set, not added: a writer that was not told that its counts were kept sends the same again.
_COUNT = text(
    """
    INSERT INTO impressions (
        minute, writer, model_version, config_version, source, lists, videos
    )
    SELECT minute, :writer, coalesce(model_version, ''), config_version, source, lists, videos
    FROM json_to_recordset(CAST(:batch AS json)) AS batch (
        minute timestamptz, model_version text, config_version integer, source text,
        lists bigint, videos bigint
    )
    ON CONFLICT (minute, writer, model_version, config_version, source) DO UPDATE SET
        lists = excluded.lists, videos = excluded.videos
    """
)
# Sorted, so that writers of the same lists wait for each other instead of deadlock.
_KEEP = text(
    """
    INSERT INTO served_lists (
        recommendation_id, part, model_version, config_version, videos, sources
    )
    SELECT recommendation_id, short_hash(array_to_string(ids, ' ')), coalesce(model_version, ''),
        config_version,
        ARRAY(SELECT short_hash(id) FROM unnest(ids) WITH ORDINALITY AS entry (id, n) ORDER BY n),
        sources
    FROM json_to_recordset(CAST(:batch AS json)) AS batch (
        recommendation_id text, model_version text, config_version integer, ids text[],
        sources text
    )
    ORDER BY 1, 2
    ON CONFLICT (recommendation_id, part) DO NOTHING
    """
)
SERVED = text(
    """
    SELECT model_version, config_version, source, CAST(sum(lists) AS bigint) AS lists,
        CAST(sum(videos) AS bigint) AS videos
    FROM impressions WHERE minute >= :start GROUP BY model_version, config_version, source
    """
)
# Several pages of one list may have shown a video: the watch counts once. So do all that one user
# sends of it, whoever that is: repeats would let a client raise a version's figures.
FOLLOWED = text(
    """
    SELECT model_version, config_version, source, count(*) AS watches
    FROM (
        SELECT DISTINCT user_id, recommendation_id, video_id FROM interactions
        WHERE occurred_at >= :start AND recommendation_id IS NOT NULL
    ) AS watched CROSS JOIN LATERAL (
        SELECT model_version, config_version,
            substr(sources, array_position(videos, short_hash(video_id)), 1) AS source
        FROM served_lists
        WHERE served_lists.recommendation_id = watched.recommendation_id
            AND short_hash(video_id) = ANY (videos)
        LIMIT 1
    ) AS served
    GROUP BY model_version, config_version, source
    """
)
_PRUNE = (
    text("DELETE FROM impressions WHERE minute < :before"),
    text("DELETE FROM served_lists WHERE served_at < :before"),
)
_Group = tuple[str | None, int, Source | None]


class PostgresImpressions:
    """`api.impressions.ImpressionStore` and `api.stats.OutcomeReader`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def record(
        self, writer: str, counts: Sequence[ImpressionCount], lists: Sequence[ServedList]
    ) -> None:
        """Set the counts of `writer` and keep the lists, in one transaction.

        Repeating it changes nothing. Raises `Unavailable`: nothing was written.
        """
        async with transaction(self._engine) as connection:
            if counts:
                batch = msgspec.json.encode([_count(count) for count in counts]).decode()
                await connection.execute(_COUNT, {"writer": writer, "batch": batch})
            if lists:
                batch = msgspec.json.encode([_row(served) for served in lists]).decode()
                await connection.execute(_KEEP, {"batch": batch})

    async def since(self, start: datetime) -> list[Outcome]:
        """What was served and watched since `start`, a whole minute. Raises `Unavailable`."""
        async with transaction(self._engine) as connection:
            served = (await connection.execute(SERVED, {"start": start})).all()
            followed = (await connection.execute(FOLLOWED, {"start": start})).all()
        watches = _watches(followed)
        shown = {_group(row): (row.lists, row.videos) for row in served}
        return [
            _outcome(group, *shown.get(group, (0, 0)), watches.get(group, 0))
            for group in shown | watches
        ]

    async def prune(self, before: datetime) -> None:
        """Forget what was served before `before`. Raises `Unavailable`."""
        for statement in _PRUNE:
            async with transaction(self._engine) as connection:
                await connection.execute(statement, {"before": before})


def _count(count: ImpressionCount) -> dict[str, Any]:
    return {**msgspec.structs.asdict(count), "source": _LETTER[count.source]}


def _row(served: ServedList) -> dict[str, Any]:
    return {
        "recommendation_id": served.recommendation_id,
        "model_version": served.model_version,
        "config_version": served.config_version,
        "ids": [video_id for video_id, _ in served.entries],
        "sources": "".join(_LETTER[source] for _, source in served.entries),
    }


def _watches(rows: Sequence[Row[Any]]) -> dict[_Group, int]:
    """Watches by source, and of whole lists."""
    found: dict[_Group, int] = {}
    for row in rows:
        version, config, source = _group(row)
        for group in ((version, config, source), (version, config, None)):
            found[group] = found.get(group, 0) + row.watches
    return found


def _group(row: Row[Any]) -> _Group:
    return row.model_version or None, row.config_version, _SOURCE[row.source]


def _outcome(group: _Group, lists: int, videos: int, watches: int) -> Outcome:
    return Outcome(
        model_version=group[0],
        config_version=group[1],
        source=group[2],
        lists=lists,
        videos=videos,
        watches=watches,
    )
