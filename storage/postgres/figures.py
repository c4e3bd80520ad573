"""What there is of everything, as it is measured from time to time."""

from collections.abc import Mapping
from datetime import datetime

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from core.types import ModelType
from storage.postgres.engine import reading

MOST_LETTERS = 100_000
"""More dead letters than this are not counted: it would read all of them every few seconds."""

_LETTERS = text(
    "SELECT count(*) FROM "
    "(SELECT FROM dead_letters WHERE replayed_at IS NULL LIMIT :most) AS waiting"
)
_ENDS = text(
    """
    SELECT model_type,
        max(finished_at) FILTER (WHERE status IN ('ready', 'live', 'retired')) AS success,
        max(finished_at) FILTER (WHERE status = 'failed') AS failure
    FROM models GROUP BY model_type
    """
)
_LIVE = text("SELECT version, model_type, finished_at FROM models WHERE status = 'live'")


class Ends(msgspec.Struct, frozen=True):
    """When a training of a type last ended with a version, and when one last failed."""

    success: datetime | None = None
    failure: datetime | None = None


class LiveModel(msgspec.Struct, frozen=True):
    """The live model; `trained_at` is when its training ended."""

    version: str
    model_type: ModelType
    trained_at: datetime


class PostgresFigures:
    """Figures of the whole service. Every method raises `Unavailable`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def dead_letters(self) -> int:
        """Those that were never replayed, `MOST_LETTERS` at most."""
        async with reading(self._engine) as connection:
            return int((await connection.execute(_LETTERS, {"most": MOST_LETTERS})).scalar_one())

    async def trainings(self) -> Mapping[ModelType, Ends]:
        """How trainings last ended; a type that was never trained is not in it."""
        async with reading(self._engine) as connection:
            rows = await connection.execute(_ENDS)
            return {row.model_type: Ends(row.success, row.failure) for row in rows}

    async def live(self) -> LiveModel | None:
        """The live model, None before the first promotion."""
        async with reading(self._engine) as connection:
            row = (await connection.execute(_LIVE)).one_or_none()
            return None if row is None else LiveModel(*row)
