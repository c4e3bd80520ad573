"""A serving process in memory: the use cases over the stores' twins, each of which can break."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from api.admission import Admission
from api.batch_pages import BatchPages
from api.catalogue import VideoCatalogue
from api.configs import Configs
from api.erasure import Erasure
from api.forgetting import Forgetting
from api.health import HealthCheck
from api.importing import Imports
from api.impressions import Impressions
from api.jobs import Jobs
from api.limits import Limiter
from api.list_cache import ListCache
from api.local_lists import LocalLists
from api.maker import Maker
from api.moment import Moment
from api.own_lists import OwnLists
from api.promotion import Promotion
from api.recommender import Recommender
from api.services import Services
from api.states import States
from api.stats import Statistics
from api.training import Training
from api.trusted_cache import TrustedCache
from api.watching import Watching
from core.errors import Conflict, ModelNotFound, Unavailable
from core.quota import Quota
from core.types import (
    Interaction,
    Model,
    ModelStatus,
    ModelType,
    RankingConfig,
    UserId,
    VideoId,
)
from ingest.kept_weights import KeptWeights
from retrieval.live import LiveModel
from retrieval.nearest import Nearest
from retrieval.new import New
from retrieval.popular import Popular
from retrieval.query import CandidateSource
from retrieval.retriever import Retriever
from retrieval.similar import Similar
from retrieval.similar_videos import SimilarVideos
from retrieval.trending import Trending
from storage.memory.configs import MemoryConfigs
from storage.memory.files import MemoryFiles
from storage.memory.history import MemoryHistory
from storage.memory.impressions import MemoryImpressions
from storage.memory.index import MemorySearch
from storage.memory.jobs import MemoryErasures, MemoryJobs
from storage.memory.limits import Counts, MemoryLedger
from storage.memory.users import MemoryUserCache
from storage.memory.videos import MemoryVideos
from tests.catalogues import NOW, catalogue_of, counted, indexed, random_vectors, video

GENRES = ("drama", "comedy", "space")
NAMES = [f"v{number:03}" for number in range(150)]


class Breakable:
    """A store that can be away: every call then raises `Unavailable`, and each is counted."""

    def __init__(self, dependency: str, store: Any) -> None:
        self._dependency = dependency
        self._store = store
        self.away = False
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._store, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            self.calls.append(name)
            if self.away:
                raise Unavailable(self._dependency)
            return await attribute(*args, **kwargs)

        return call


class Registry:
    """A registry of two models."""

    def __init__(self) -> None:
        self.models = {
            "m2": Model(
                id="m2", model_type="content", version="content_2", status="ready", created_at=NOW
            ),
            "m1": Model(
                id="m1", model_type="content", version="content_1", status="live", created_at=NOW
            ),
        }

    async def get(self, model_id: str) -> Model:
        if model_id not in self.models:
            raise ModelNotFound(f"There is no model {model_id}.")
        return self.models[model_id]

    async def find(
        self, model_type: ModelType | None = None, status: ModelStatus | None = None
    ) -> list[Model]:
        found = self.models.values()
        return [
            model
            for model in found
            if model_type in (None, model.model_type) and status in (None, model.status)
        ]

    async def previous(self) -> Model | None:
        return None

    async def queue(self, model_type: ModelType, params: dict[str, Any]) -> Model:
        if any(model.status == "queued" for model in await self.find(model_type)):
            raise Conflict("One is queued.")
        model = Model(
            id="m3",
            model_type=model_type,
            version=f"{model_type}_3",
            status="queued",
            created_at=NOW,
            params=params,
        )
        self.models[model.id] = model
        return model

    async def cancel(self, model_id: str) -> Model:
        model = await self.get(model_id)
        if model.status != "queued":
            raise Conflict("It has ended.")
        self.models[model_id] = replace(model, status="cancelled")
        return self.models[model_id]

    async def promote(self, model_id: str) -> Model:
        if (await self.get(model_id)).status != "ready":
            raise Conflict("It is not ready.")
        return self.models[model_id]

    async def rollback(self) -> Model:
        raise Conflict("There is no model to go back to.")


class Published:
    """An index that has these collections."""

    def __init__(self, names: set[str]) -> None:
        self.names = names

    async def collections(self) -> set[str]:
        return self.names


def vectors_by_genre() -> NDArray[np.float32]:
    """Vectors (150, 8) whose direction is mostly the video's genre."""
    vectors = 0.2 * random_vectors(len(NAMES))
    for row in range(len(NAMES)):
        vectors[row, row % len(GENRES)] += 1.0
    return vectors


@dataclass
class World:
    """150 videos of three genres, a live version, no users. Set `now`, `config`, `away` at will."""

    now: datetime = NOW
    loaded: bool = True
    ready: bool = True
    config: RankingConfig = field(default_factory=RankingConfig)
    user_limit: int = 500
    local_bytes: int = 0  # then every list comes from the cache that all processes share

    def __post_init__(self) -> None:
        self.videos = [video(name, GENRES[row % 3], age_days=row) for row, name in enumerate(NAMES)]
        counters = [counted(name, 1 + row) for row, name in enumerate(NAMES)]
        self.catalogue = catalogue_of(self.videos, counters)
        version, index = indexed(NAMES, vectors_by_genre())
        self.version = version
        self.live = LiveModel(version)
        self.history_store = MemoryHistory(self.clock)
        self.history: Any = Breakable("postgres", self.history_store)
        self.cache: Any = Breakable("redis", MemoryUserCache(self.clock))
        self.search: Any = Breakable("milvus", MemorySearch(index))
        self.published = {"videos_content_1", "videos_content_2"}
        self.index: Any = Breakable("milvus", Published(self.published))
        self.config_store: Any = Breakable("postgres", MemoryConfigs())
        self.impression_store: Any = Breakable("postgres", MemoryImpressions(self.history_store))
        self.impressions = Impressions(self.impression_store, writer="w", clock=self.clock)
        self.registry = Registry()
        self.models: Any = Breakable("postgres", self.registry)
        self.job_store = MemoryJobs(self.clock)
        self.jobs: Any = Breakable("postgres", self.job_store)
        self.files = MemoryFiles()
        self.erasures: Any = Breakable(
            "postgres", MemoryErasures(self.job_store, self.history_store)
        )
        self.video_store: Any = Breakable("postgres", MemoryVideos(clock=self.clock))
        self.admission = Admission(16, clock=lambda: 0.0)  # full with 16, never for their time
        self.local = LocalLists(self.local_bytes)
        self.local.follow()
        self.counts = Counts()
        self.limiter = Limiter(
            MemoryLedger("w", self.counts), {"user": Quota("user", self.user_limit)}
        )
        self.forgetting = Forgetting(self.cache, local=self.local)
        self.trusted = TrustedCache(self.cache, self.forgetting.owes)
        self.states = States(store=self.history, cache=self.trusted, recent=50)
        self.recommender = self._recommender()
        self.weights = KeptWeights()
        self.watching = Watching(
            interactions=self.history,
            videos=self.video_store,
            forgetting=self.forgetting,
            states=self.states,
            weights=self.weights.current,
            clock=self.clock,
        )

    def clock(self) -> datetime:
        return self.now

    def moment(self) -> Moment:
        return Moment(
            live=self.live.current,
            config=self.config,
            snapshot=self.catalogue.snapshot,
            now=self.now,
            loaded=self.loaded,
            live_missing=self.live.missing,
            earlier=self.live.earlier,
        )

    def _recommender(self) -> Recommender:
        lists, states = ListCache(self.trusted), self.states
        maker = Maker(
            retriever=Retriever(_sources(self.search), deadline_seconds=5.0),
            similar=SimilarVideos(self.search, deadline_seconds=5.0),
        )
        own_lists = OwnLists(
            local=self.local, lists=lists, states=states, maker=maker, admission=self.admission
        )
        return Recommender(
            own_lists=own_lists,
            lists=lists,
            states=states,
            maker=maker,
            moment=self.moment,
            admission=self.admission,
            impressions=self.impressions,
        )

    async def watched(self, user_id: str, *names: str) -> None:
        """Let a user have watched these, the last one last, and drop what was derived."""
        rows = [
            Interaction(
                key=uuid4(),
                user_id=UserId(user_id),
                video_id=VideoId(name),
                kind="watch",
                occurred_at=NOW - timedelta(days=1) + timedelta(minutes=minute),
                weight=1.0,
            )
            for minute, name in enumerate(names)
        ]
        counts = await self.history_store.add_many(rows)
        await self.forgetting.forget(counts.revisions)

    def take_down(self, *names: str) -> None:
        """Take videos off the catalogue."""
        self.catalogue.apply(
            [video(name, GENRES[NAMES.index(name) % 3], available=False) for name in names]
        )

    def services(self) -> Services:
        async def answers() -> None:
            await self.cache.state(UserId("nobody"))

        return Services(
            recommender=self.recommender,
            batch_pages=BatchPages(
                directory=self.history,
                states=self.history,
                search=self.search,
                moment=self.moment,
                recent=50,
                connections=1,
            ),
            watching=self.watching,
            catalogue=VideoCatalogue(self.video_store, moment=self.moment),
            configs=Configs(self.config_store),
            imports=Imports(
                self.video_store,
                self.history,
                self.forgetting,
                weights=self.weights.current,
                clock=self.clock,
            ),
            impressions=self.impressions,
            statistics=Statistics(self.impression_store, clock=self.clock),
            models=self.models,
            training=Training(self.models),
            promotion=Promotion(self.models, self.index.collections),
            jobs=Jobs(self.jobs, self.files),
            erasure=Erasure(self.erasures),
            health=HealthCheck({"redis": answers}, keep_seconds=0),
            limiter=self.limiter,
            local=self.local,
            moment=self.moment,
            live=self.live,
            ready=lambda: self.ready,
        )

    @asynccontextmanager
    async def compose(self) -> AsyncIterator[Services]:
        await self.video_store.upsert_many(self.videos)
        yield self.services()


def _sources(search: Any) -> Sequence[CandidateSource]:
    return Nearest(search), Similar(search), Trending(), Popular(), New()
