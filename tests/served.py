"""The real serving process over real stores, and versions for it that nobody had to train."""

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

import httpx

from core.clock import utc_now
from core.settings import Settings, load
from core.types import Model, ModelStatus, Video
from embeddings.version import Fitted, write_version
from storage.artifacts import artifact_store
from storage.milvus_writer import MilvusWriter
from storage.postgres.engine import pool
from storage.postgres.models import PostgresModels
from storage.postgres.videos import PostgresVideos
from tests.catalogues import video
from tests.polling import eventually
from tests.ports import free_port
from tests.processes import below
from tests.programs import Program
from upnext.certificate import own
from upnext.leaving import listens
from upnext.tokens import make_token
from upnext.up import address_of

STEPS: tuple[ModelStatus, ...] = ("training", "evaluating", "publishing", "ready")
SERVE = "from core.settings import load; from upnext.serve import run; run(load())"


class Served(Program):
    """`upnext serve` with these settings, from its start to its end.

    The block begins when one of its workers is ready and all listen: connections that are made
    before the last of them does would be the others' for good.
    """

    code = SERVE

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.address = address_of(settings)
        self._verify = own(settings) if settings.tls_certificate_file else True

    def __enter__(self) -> Self:
        self.launch()
        try:
            eventually(self._ready, seconds=60)
        except BaseException:
            self.stop()
            raise
        return self

    def client(self) -> httpx.Client:
        """A client with a token for everything."""
        token = make_token(self.settings, "ops", ("admin",), timedelta(hours=1))
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.Client(base_url=self.address, headers=headers, timeout=20, verify=self._verify)

    def _ready(self) -> bool:
        assert self.process
        assert self.process.poll() is None, "it ended before it was ready"
        try:
            answer = httpx.get(f"{self.address}/health/ready", verify=self._verify, timeout=20)
        except httpx.TransportError:
            return False
        listening = [one for one in below(self.process) if listens(one.pid, self.settings.port)]
        return answer.status_code == httpx.codes.OK and len(listening) == self.settings.workers


def of_popular_lists(database_url: str, redis_url: str, home: Path) -> Settings:
    """A service that needs nothing but PostgreSQL and Redis: its lists are the popular ones."""
    return load(
        {
            "home": str(home),
            "port": str(free_port()),
            "workers": "2",
            "postgres_url": database_url,
            "redis_url": redis_url,
            "milvus_uri": "http://127.0.0.1:1",
            "bus_url": "nats://127.0.0.1:1",
            "artifacts_url": home.as_uri(),
            "jwt_secret": "a secret of this test only, long enough for an HMAC",
            "index": "exact",
        }
    )


def over_stores(folder: Path, **more: str) -> Settings:
    """A service of what is named: the addresses of all stores, and whatever else differs."""
    return load(
        {
            "home": str(folder / "home"),
            "port": str(free_port()),
            "workers": "1",
            "artifacts_url": (folder / "artifacts").as_uri(),
            "jwt_secret": "a secret of this test only, long enough for an HMAC",
            **more,
        }
    )


@contextmanager
def two_processes(settings: Settings) -> Iterator[list[Served]]:
    """Two of them, on ports of their own, with 20 videos to show."""
    write_videos(settings, [video(f"v{number}", "drama") for number in range(20)])
    servers = [Served(settings.model_copy(update={"port": free_port()})) for _ in range(2)]
    with ExitStack() as stack, ThreadPoolExecutor() as pool:
        yield list(pool.map(stack.enter_context, servers))


def write_videos(settings: Settings, videos: Sequence[Video]) -> None:
    """Write videos to the catalogue's truth, as another process would."""

    async def run() -> None:
        async with pool(settings) as engine:
            await PostgresVideos(engine).upsert_many(videos)

    asyncio.run(run())


def put_live(settings: Settings, fitted: Fitted, revision: str, **params: Any) -> Model:
    """Store, publish and promote a version of these vectors."""
    return asyncio.run(_put_live(settings, fitted, revision, params))


async def _put_live(
    settings: Settings, fitted: Fitted, revision: str, params: dict[str, Any]
) -> Model:
    async with pool(settings) as engine:
        registry = PostgresModels(engine, utc_now)
        model, token = await registry.create("content", {"content_revision": revision} | params)
        write_version(
            artifact_store(settings.artifacts_url or ""),
            fitted,
            version=model.version,
            model_type="content",
            content_revision=revision,
            created_at=utc_now(),
        )
        await asyncio.to_thread(_publish, settings, fitted, revision, model.version)
        for status in STEPS:
            await registry.update(model.id, token, status=status)
        return await registry.promote(model.id)


def _publish(settings: Settings, fitted: Fitted, revision: str, version: str) -> None:
    writer = MilvusWriter.of(settings)
    try:
        ids = [id_.decode() for id_ in fitted.items.ids.tolist()]
        for name, items in (
            (f"videos_{version}", fitted.items),
            (f"content_{revision}", fitted.content),
        ):
            writer.create(name, items.dim)
            list(writer.insert(name, ids, items.vectors))
            writer.seal(name)
    finally:
        writer.close()
