"""The wiring of a serving process: the only place in `api` that chooses adapters."""

import asyncio
import gc
import os
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from platform import node
from typing import Any
from uuid import uuid4

import structlog
from litestar import Litestar

from api.admission import Admission
from api.auth import TokenVerifier, verifier
from api.batch_pages import BatchPages
from api.catalogue import VideoCatalogue
from api.configs import Configs
from api.draining import Draining
from api.erasure import Erasure
from api.forgetting import Forgetting
from api.health import HealthCheck
from api.http import application
from api.importing import Imports
from api.impressions import Impressions
from api.jobs import Jobs
from api.limits import Limiter, quotas
from api.list_cache import ListCache
from api.local_lists import LocalLists
from api.maker import Maker, maker_over
from api.moment import Moment
from api.own_lists import OwnLists
from api.promotion import Promotion
from api.recommender import Recommender
from api.remembering import Remembering
from api.services import Services
from api.states import States
from api.stats import Statistics
from api.training import Training
from api.trusted_cache import TrustedCache
from api.warming import Warming
from api.watching import Watching
from core import logging, tracing
from core.access import access
from core.clock import utc_now
from core.errors import Unavailable
from core.measures import begin
from core.metrics import LOG_LINES_DROPPED
from core.settings import Settings, load
from core.types import Model
from embeddings.version import Version, keep_versions, open_version, renewed
from ingest.kept_weights import KeptWeights
from retrieval.catalogue import Catalogue
from retrieval.exact import ExactSearch
from retrieval.follower import Follower
from retrieval.live import LiveConfig, LiveModel
from retrieval.ports import VectorSearch
from retrieval.stand_in import StandIn
from retrieval.version_keeper import VersionKeeper
from storage.jwks import JwksUrl
from storage.milvus_load import load_collections
from storage.stores import Stores, connected

# A process whose catalogue or version cannot be had in time serves what it has.
SETTLE_SECONDS = 10.0
LEAVE_SECONDS = 1.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Memory:
    """What is served from memory, and the follower that keeps it current."""

    catalogue: Catalogue
    live: LiveModel
    config: LiveConfig
    follower: Follower

    def moment(self) -> Moment:
        """What is in force now."""
        return Moment(
            live=self.live.current,
            config=self.config.current,
            snapshot=self.catalogue.snapshot,
            now=utc_now(),
            loaded=self.follower.loaded.is_set(),
            live_missing=self.live.missing,
            earlier=self.live.earlier,
        )

    async def settle(self) -> None:
        """Wait, not for ever, for the first catalogue and for the live version if there is one."""
        try:
            async with asyncio.timeout(SETTLE_SECONDS):
                await self.follower.loaded.wait()
                await self.follower.settled.wait()
        except TimeoutError:
            log.warning("not_settled", catalogue=self.follower.loaded.is_set())


def create_app(draining: Draining | None = None) -> Litestar:
    """The application of one worker process, from the settings in the environment.

    Args:
        draining: begun by whoever is about to stop the process.

    Raises:
        SetupError: a setting is missing or cannot be used.
    """
    settings = load()
    begin("api")
    logging.take_over(settings)
    url = settings.jwt_jwks_url
    issuer = None if url is None else JwksUrl(url, access(settings, "jwt").tls.ca_file)
    tokens = verifier(settings, issuer)
    return application(
        lambda: _serving(settings, tokens),
        tokens,
        access_log_sample=settings.access_log_sample,
        shows_metrics=settings.metrics_port is None,
        draining=draining,
        cors_origins=settings.cors_origins,
    )


@asynccontextmanager
async def _serving(settings: Settings, tokens: TokenVerifier) -> AsyncIterator[Services]:
    """The services, ready once tokens can be checked too."""
    with logging.written_by_a_thread(LOG_LINES_DROPPED.inc):
        async with _traced(), tokens.kept(), services(settings) as given:
            await _rehearsed(given.recommender, settings.milvus_timeout_seconds)
            gc.collect()
            gc.freeze()  # the catalogue: walking it again and again took a fifth of a page's time
            yield replace(given, ready=lambda: given.ready() and tokens.ready)


@asynccontextmanager
async def _traced() -> AsyncIterator[None]:
    """Spans are sent, if the environment says where to; the last ones while others go on."""
    tracing.configure("upnext-api")
    try:
        yield
    finally:
        await asyncio.to_thread(tracing.close)


@asynccontextmanager
async def services(settings: Settings) -> AsyncIterator[Services]:
    """The use cases over the stores of these settings, following the catalogue until the end.

    They are given once the catalogue has been read and the live version, if there is one, is
    open, so that the first answer of a process is as good as the later ones.

    Raises:
        SetupError: a setting is missing or cannot be used.
    """
    async with connected(settings) as stores:
        replica = f"{node()}/{os.getpid()}/{uuid4().hex[:8]}"
        memory = _memory(settings, stores, replica)
        search = _search(settings, stores.search, memory.live)
        local = LocalLists(settings.local_lists_bytes)
        forgetting = Forgetting(stores.cache, local=local)
        impressions = Impressions(stores.impressions, writer=replica)
        limiter = Limiter(stores.limits, quotas(settings))
        weights = KeptWeights()
        tasks = [
            _background("follower", memory.follower.run()),
            _background("forgetting", forgetting.run()),
            _background("notices", stores.notices.run(local)),
            _background("impressions", impressions.run()),
            _background("limiter", limiter.run()),
            _background("watch weights", weights.run(stores.watch_shares)),
        ]
        try:
            await asyncio.gather(memory.settle(), weights.asked.wait())
            yield _services(
                settings,
                stores,
                memory,
                search=search,
                forgetting=forgetting,
                impressions=impressions,
                limiter=limiter,
                local=local,
                weights=weights,
            )
        finally:
            for task in tasks:
                task.cancel()
            # All at once: the server waits for this beside the requests that are under way. What
            # is not done in time is forgotten by others a little later, or counts as given.
            leaving = impressions.flush(), limiter.close(), stores.replicas.leave(replica)
            await asyncio.wait(
                [*tasks, *(asyncio.create_task(_left(work)) for work in leaving)],
                timeout=LEAVE_SECONDS,
            )


async def _rehearsed(recommender: Recommender, seconds: float) -> None:
    """Be as quick from the first request on as later, unless something is away."""
    try:
        async with asyncio.timeout(seconds):
            await recommender.rehearse()
    except TimeoutError:
        log.warning("not_rehearsed")
    except Exception:
        log.exception("not_rehearsed")  # who asks will be told


async def _left(work: Coroutine[Any, Any, None]) -> None:
    with suppress(Unavailable, TimeoutError):
        async with asyncio.timeout(LEAVE_SECONDS):
            await work


def _background(name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """A task for the life of the process, whose end before that is told."""

    def ended(task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            log.error("background_task_ended", task=name, exc_info=task.exception())

    task = asyncio.create_task(work, name=name)
    task.add_done_callback(ended)
    return task


def _memory(settings: Settings, stores: Stores, replica: str) -> Memory:
    catalogue, live, config = Catalogue(), LiveModel(), LiveConfig()
    versions = settings.home / "versions"

    def opened(model: Model) -> Version:
        version = open_version(stores.artifacts, model.version, versions)
        _load(settings, version)
        return version

    keeper = VersionKeeper(
        live=live,
        models=stores.models,
        open_version=opened,
        renew_version=lambda version: renewed(stores.artifacts, version, versions),
        keep_versions=partial(keep_versions, versions),
        report=partial(stores.replicas.report, replica),
        retry_seconds=settings.changes_poll_seconds,
    )
    follower = Follower(
        catalogue=catalogue,
        config=config,
        reader=stores.catalogue,
        changes=stores.changes,
        versions=keeper,
        load_config=stores.configs.current,
        poll_seconds=settings.changes_poll_seconds,
        popularity_seconds=settings.popularity_refresh_seconds,
    )
    return Memory(catalogue, live, config, follower)


def _load(settings: Settings, version: Version) -> None:
    """Have the index load the version's collections; without it, exact search stands in."""
    if settings.index == "exact":
        return
    collections = [f"videos_{version.version}", f"content_{version.content_revision}"]
    try:
        load_collections(settings, collections)
    except Unavailable as error:
        log.warning("collections_not_loaded", version=version.version, reason=str(error))


def _search(settings: Settings, index: VectorSearch, live: LiveModel) -> VectorSearch:
    """What searches the versions that are open: exactly, or by the index as long as it answers."""
    search: VectorSearch = ExactSearch(live.open_versions, most_bytes=settings.exact_bytes)
    if settings.index != "exact":
        search = StandIn(index, search)
    return Remembering(search, generation=lambda: live.current and live.current.segments)


def _services(
    settings: Settings,
    stores: Stores,
    memory: Memory,
    *,
    search: VectorSearch,
    forgetting: Forgetting,
    impressions: Impressions,
    limiter: Limiter,
    local: LocalLists,
    weights: KeptWeights,
) -> Services:
    cache = TrustedCache(stores.cache, forgetting.owes)
    states = States(store=stores.states, cache=cache, recent=settings.state_recent)
    return Services(
        recommender=_recommender(
            settings,
            memory,
            lists=ListCache(cache),
            states=states,
            maker=maker_over(search, deadline_seconds=settings.milvus_timeout_seconds),
            impressions=impressions,
            local=local,
        ),
        batch_pages=BatchPages(
            directory=stores.users,
            states=stores.users,
            search=search,
            moment=memory.moment,
            recent=settings.state_recent,
            connections=max(1, settings.postgres_pool_size // 2),
        ),
        watching=Watching(
            interactions=stores.interactions,
            videos=stores.videos,
            forgetting=forgetting,
            states=states,
            weights=weights.current,
        ),
        catalogue=VideoCatalogue(stores.videos, moment=memory.moment),
        configs=Configs(stores.configs),
        imports=Imports(stores.videos, stores.interactions, forgetting, weights=weights.current),
        impressions=impressions,
        statistics=Statistics(stores.impressions),
        models=stores.models,
        training=Training(stores.models),
        promotion=_promotion(settings, stores, memory),
        jobs=Jobs(stores.jobs, stores.artifacts),
        erasure=Erasure(stores.erasures),
        health=HealthCheck(stores.probes),
        limiter=limiter,
        local=local,
        moment=memory.moment,
        live=memory.live,
        ready=memory.follower.loaded.is_set,
    )


def _recommender(
    settings: Settings,
    memory: Memory,
    *,
    lists: ListCache,
    states: States,
    maker: Maker,
    impressions: Impressions,
    local: LocalLists,
) -> Recommender:
    admission = Admission(settings.computations)
    return Recommender(
        own_lists=OwnLists(
            local=local, lists=lists, states=states, maker=maker, admission=admission
        ),
        lists=lists,
        states=states,
        maker=maker,
        moment=memory.moment,
        admission=admission,
        impressions=impressions,
    )


def _promotion(settings: Settings, stores: Stores, memory: Memory) -> Promotion:
    return Promotion(
        stores.models,
        None if settings.index == "exact" else stores.search.collections,
        lacking=stores.replicas.lacking,
        prepare=_warming(settings, stores, memory).prepare,
    )


def _warming(settings: Settings, stores: Stores, memory: Memory) -> Warming:
    return Warming(
        users=stores.users,
        cache=stores.cache,
        live=memory.live,
        index=stores.search,
        moment=memory.moment,
        recent=settings.state_recent,
        exact_bytes=settings.exact_bytes,
    )
