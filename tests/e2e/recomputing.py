"""Lists made once more, from what a version's artifacts and the database hold."""

from datetime import datetime
from pathlib import Path

from api.maker import Maker, maker_over
from api.moment import Moment
from core.settings import Settings
from core.types import RankingConfig, UserId, VideoId
from embeddings.version import Version, open_version
from retrieval.build import Build
from retrieval.exact import ExactSearch
from retrieval.snapshot import Snapshot
from storage.artifacts import artifact_store
from storage.postgres.configs import PostgresConfigs
from storage.postgres.engine import pool
from storage.postgres.users import PostgresUsers
from storage.postgres.videos import PostgresVideos


class Recomputing:
    """Searches exactly in copies of its own; the index and the caches have no part in it."""

    def __init__(self, settings: Settings, versions: list[str], copies: Path) -> None:
        self._settings = settings
        store = artifact_store(settings.artifacts_url or "")
        self._versions = {name: open_version(store, name, copies) for name in versions}
        self._snapshot: Snapshot | None = None
        self._config = RankingConfig()

    async def made(self, path: str, version: str, at: datetime) -> list[str]:
        """The ids of what a service answers at `/recs/{id}` or `/videos/{id}/similar`."""
        kind, about = path.removeprefix("/").split("/")[:2]
        return await (self._personal if kind == "recs" else self._similar)(about, version, at)

    async def _personal(self, user_id: str, version: str, at: datetime) -> list[str]:
        async with pool(self._settings) as engine:
            recent = self._settings.state_recent
            state = await PostgresUsers(engine).state(UserId(user_id), recent)
        moment = await self._moment(version, at)
        made = await self._maker(version).personal(UserId(user_id), state, moment)
        assert made.left_out == frozenset()
        return [item.video_id for item in made.items]

    async def _similar(self, video_id: str, version: str, at: datetime) -> list[str]:
        made = await self._maker(version).like(VideoId(video_id), await self._moment(version, at))
        assert made.left_out == frozenset()
        return [item.video_id for item in made.items]

    def _maker(self, version: str) -> Maker:
        opened: list[Version] = [self._versions[version]]
        search = ExactSearch(lambda: opened, most_bytes=self._settings.exact_bytes)
        return maker_over(search, deadline_seconds=60.0)

    async def _moment(self, version: str, at: datetime) -> Moment:
        if self._snapshot is None:
            self._snapshot, self._config = await self._read()
        return Moment(
            live=self._versions[version],
            config=self._config,
            snapshot=self._snapshot,
            now=at,
            loaded=True,
        )

    async def _read(self) -> tuple[Snapshot, RankingConfig]:
        async with pool(self._settings) as engine:
            videos, build = PostgresVideos(engine), Build()
            async for page in videos.stream():
                build.add(page)
            snapshot = build.snapshot(await videos.popularity(None))
            return snapshot, await PostgresConfigs(engine).current()
