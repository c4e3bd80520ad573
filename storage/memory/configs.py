"""Ranking configurations in memory: the twin of `storage.postgres.configs`."""

from msgspec.structs import replace

from core.errors import Conflict
from core.types import Change, RankingConfig


class MemoryConfigs:
    """Versions from 1 on; never unavailable. `changes` holds what replicas would hear."""

    def __init__(self) -> None:
        self._versions = [RankingConfig()]
        self.changes: list[Change] = []

    async def current(self) -> RankingConfig:
        """The newest version."""
        return self._versions[-1]

    async def versions(self) -> list[RankingConfig]:
        """All versions, newest first."""
        return self._versions[::-1]

    async def add(self, config: RankingConfig, after: int) -> RankingConfig:
        """Make `config` the version after `after`. Raises `Conflict` if that is not the newest."""
        if after != self._versions[-1].version:
            raise Conflict(f"Version {after} is not in force: read the newest and try again.")
        self._versions.append(replace(config, version=after + 1))
        self.changes.append(Change("config", (str(after + 1),)))
        return self._versions[-1]
