"""What a worker reads for the metrics: the same whoever reads it, and true after a restart."""

from collections.abc import Coroutine, Iterator
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from core.clock import utc_now
from core.impressions import Outcome
from core.metrics import (
    DEAD_LETTERS,
    JOB_LAST_SUCCESS,
    JOBS_OLDEST,
    JOBS_QUEUED,
    LIVE_MODEL,
    LIVE_MODEL_TIMESTAMP,
    MODEL_TYPES,
    SHOWN_NOW,
    TRAINING_LAST_FAILURE,
    TRAINING_LAST_SUCCESS,
    WATCHED_NOW,
)
from storage.postgres.figures import Ends, PostgresFigures
from storage.postgres.impressions import PostgresImpressions
from storage.postgres.job_list import PostgresJobList
from upnext.repeating import repeat

FIGURES_SECONDS = 10.0
SHOWN_SECONDS = 60.0
HOUR = timedelta(hours=1)


def measuring(engine: AsyncEngine) -> Iterator[Coroutine[Any, Any, None]]:
    """What is measured all the time, each for ever."""
    figures = Figures(engine)
    # Alerts read these: they must be true again as soon as the database is.
    for name, read, seconds in (
        ("measuring what there is", figures.read, FIGURES_SECONDS),
        ("counting what was shown", figures.shown, SHOWN_SECONDS),
    ):
        yield repeat(name, read, seconds, away_seconds=seconds)


class Figures:
    """The steps that are repeated."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._figures = PostgresFigures(engine)
        self._jobs = PostgresJobList(engine, utc_now)
        self._impressions = PostgresImpressions(engine)

    async def read(self) -> None:
        """All but what was shown. Raises `Unavailable`."""
        await self.jobs()
        await self.models()
        await self.dead_letters()

    async def jobs(self) -> None:
        """What waits, and what ended well. Raises `Unavailable`."""
        for one in await self._jobs.backlog():
            JOBS_QUEUED.labels(one.kind).set(one.queued)
            waited = utc_now() - one.oldest if one.oldest else timedelta(0)
            JOBS_OLDEST.labels(one.kind).set(waited.total_seconds())
            if one.last_done is not None:
                JOB_LAST_SUCCESS.labels(one.kind).set(one.last_done.timestamp())

    async def models(self) -> None:
        """How trainings ended, and which version is live. Raises `Unavailable`."""
        ends = {str(kind): last for kind, last in (await self._figures.trainings()).items()}
        for kind in MODEL_TYPES:
            last = ends.get(kind, Ends())
            TRAINING_LAST_SUCCESS.labels(kind).set(_seconds(last.success))
            TRAINING_LAST_FAILURE.labels(kind).set(_seconds(last.failure))
        live = await self._figures.live()
        LIVE_MODEL_TIMESTAMP.set(_seconds(live.trained_at if live else None))
        LIVE_MODEL.say([((live.version, live.model_type), 1.0)] if live else [])

    async def dead_letters(self) -> None:
        """Those that wait for somebody. Raises `Unavailable`."""
        DEAD_LETTERS.set(await self._figures.dead_letters())

    async def shown(self) -> None:
        """What the last hour showed, and what came of it. Raises `Unavailable`."""
        since = (utc_now() - HOUR).replace(second=0, microsecond=0)
        rows = await self._impressions.since(since)
        SHOWN_NOW.say(_by_source(rows, "videos").items())
        WATCHED_NOW.say(_by_source(rows, "watches").items())


def _by_source(rows: list[Outcome], of: str) -> dict[tuple[str, ...], float]:
    """A count of them by version and source, whichever the configuration was."""
    counts: dict[tuple[str, ...], float] = {}
    for row in rows:
        if row.source is not None:
            series = (row.model_version or "", row.source)
            counts[series] = counts.get(series, 0.0) + getattr(row, of)
    return counts


def _seconds(at: datetime | None) -> float:
    return at.timestamp() if at else 0.0
