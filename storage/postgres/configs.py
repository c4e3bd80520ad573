"""The operator's ranking configuration, one row a version."""

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from core.errors import Unavailable
from core.types import RankingConfig
from storage.postgres.engine import transaction

_CURRENT = text("SELECT version, body FROM ranking_configs ORDER BY version DESC LIMIT 1")


class PostgresConfigs:
    """Reads the configuration in force."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def current(self) -> RankingConfig:
        """The newest version. Raises `Unavailable`."""
        async with transaction(self._engine) as connection:
            row = (await connection.execute(_CURRENT)).one_or_none()
        if row is None:
            raise Unavailable("postgres", "there is no ranking configuration: run `upnext migrate`")
        return msgspec.convert({**row.body, "version": row.version}, RankingConfig)
