"""The operator's ranking configuration, one row a version."""

from typing import Any

import msgspec
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncEngine

from core.errors import Conflict, Unavailable
from core.types import Change, RankingConfig
from storage.postgres.changes import note
from storage.postgres.engine import reading, transaction

_CURRENT = text("SELECT version, body FROM ranking_configs ORDER BY version DESC LIMIT 1")
_VERSIONS = text("SELECT version, body FROM ranking_configs ORDER BY version DESC")
# Of two at once the second waits for the first's row and finds it there.
_ADD = text(
    """
    INSERT INTO ranking_configs (version, body)
    SELECT max(version) + 1, CAST(:body AS jsonb) FROM ranking_configs
    HAVING max(version) = :after
    ON CONFLICT (version) DO NOTHING
    RETURNING version, body
    """
)


class PostgresConfigs:
    """`api.configs.ConfigStore`, and what replicas follow."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def current(self) -> RankingConfig:
        """The newest version. Raises `Unavailable`."""
        async with reading(self._engine) as connection:
            row = (await connection.execute(_CURRENT)).one_or_none()
        if row is None:
            raise Unavailable("postgres", "there is no ranking configuration: run `upnext migrate`")
        return _config(row)

    async def versions(self) -> list[RankingConfig]:
        """All versions, newest first. Raises `Unavailable`."""
        async with reading(self._engine) as connection:
            return [_config(row) for row in await connection.execute(_VERSIONS)]

    async def add(self, config: RankingConfig, after: int) -> RankingConfig:
        """Make `config` the version after `after`; replicas hear of it.

        Raises:
            Conflict: `after` is not the newest version.
            Unavailable: nothing was written.
        """
        fields = msgspec.structs.asdict(config)
        del fields["version"]
        values = {"body": msgspec.json.encode(fields).decode(), "after": after}
        async with transaction(self._engine) as connection:
            row = (await connection.execute(_ADD, values)).one_or_none()
            if row is None:
                raise Conflict(f"Version {after} is not in force: read the newest and try again.")
            await note(connection, Change("config", (str(row.version),)))
        return _config(row)


def _config(row: Row[Any]) -> RankingConfig:
    return msgspec.convert({**row.body, "version": row.version}, RankingConfig)
