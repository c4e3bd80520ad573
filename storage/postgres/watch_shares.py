"""How far videos of each length are watched, counted from the history."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from core.watch_shares import FEWEST, INSTANT, LENGTHS, STEPS, WatchShares
from storage.postgres.engine import reading, transaction

DAYS = 90
MOST_PAGES = 12_500
"""Pages of 8 kB that are read of a larger history: about 900,000 interactions, 100 MB."""

# Pages are drawn, not rows: only those are read. The same are drawn each time, so that where
# nothing happened nothing changes. What is recent is told by the newest watch: a history that was
# brought in once counts as well. A share is made as `core.watch_shares.share_of` makes it: where a
# quotient has no number, PostgreSQL would not count at all.
COUNT = text(
    """
    WITH drawn AS MATERIALIZED (
        SELECT occurred_at, watched_seconds, video_seconds
        FROM interactions TABLESAMPLE SYSTEM (
            (SELECT least(100, 819200 * CAST(:most_pages AS double precision)
                / greatest(pg_relation_size('interactions'), 1)))
        ) REPEATABLE (0)
        WHERE kind = 'watch' AND watched_seconds IS NOT NULL AND video_seconds > 0
    ),
    shares AS (
        SELECT width_bucket(video_seconds, CAST(:lengths AS double precision[])) AS bucket,
            CASE WHEN watched_seconds >= video_seconds THEN 1
                WHEN watched_seconds < CAST(:instant AS double precision) THEN 0
                ELSE watched_seconds / video_seconds END AS share
        FROM drawn
        WHERE occurred_at > (SELECT max(occurred_at) FROM drawn)
            - make_interval(days => CAST(:days AS integer))
    )
    SELECT bucket, count(*) AS watches,
        percentile_disc(CAST(:ranks AS double precision[])) WITHIN GROUP (ORDER BY share) AS shares
    FROM shares GROUP BY bucket HAVING count(*) >= CAST(:fewest AS bigint) ORDER BY bucket
    """
)
# One at a time: two that replace rows in another order would wait for each other.
_TURN = text("SELECT pg_advisory_xact_lock(hashtext('watch_shares'))")
_FORGET = text("DELETE FROM watch_shares")
_KEEP = text(
    "INSERT INTO watch_shares (bucket, shares, watches) VALUES (:bucket, :shares, :watches)"
)
_READ = text("SELECT bucket, shares, watches FROM watch_shares ORDER BY bucket")


class PostgresWatchShares:
    """`ingest.ports.WatchSharesReader`, and the count itself."""

    def __init__(self, engine: AsyncEngine, *, most_pages: int = MOST_PAGES) -> None:
        self._engine = engine
        self._most_pages = most_pages

    async def read(self) -> list[WatchShares]:
        """What was counted last, the shortest videos first. Raises `Unavailable`."""
        async with reading(self._engine) as connection:
            rows = await connection.execute(_READ)
            return [WatchShares(bucket=b, shares=tuple(s), watches=n) for b, s, n in rows]

    async def count(self) -> list[WatchShares]:
        """Count anew over the last 90 days before the newest watch, and keep it in the old's place.

        Of a history of more than 100 MB a part is drawn. It takes a second or two, for a patient
        engine, and nobody waits for it. A bucket with fewer than 200 watches is left out.

        Raises:
            Unavailable: what was counted before stays.
        """
        async with reading(self._engine) as connection:
            rows = (await connection.execute(COUNT, self._parameters())).all()
        counted = [WatchShares(bucket=b, shares=tuple(s), watches=n) for b, n, s in rows]
        async with transaction(self._engine) as connection:
            await _replace(connection, counted)
        return counted

    def _parameters(self) -> dict[str, object]:
        return {
            "most_pages": self._most_pages,
            "lengths": list(LENGTHS),
            "instant": INSTANT,
            "days": DAYS,
            "ranks": [step / STEPS for step in range(STEPS + 1)],
            "fewest": FEWEST,
        }


async def _replace(connection: AsyncConnection, counted: list[WatchShares]) -> None:
    await connection.execute(_TURN)
    await connection.execute(_FORGET)
    if counted:
        rows = [
            {"bucket": one.bucket, "shares": list(one.shares), "watches": one.watches}
            for one in counted
        ]
        await connection.execute(_KEEP, rows)
