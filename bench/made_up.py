"""A service of made-up videos and users, over real servers: as large as a measurement wants it.

A home that is named is kept: the next run of the same shape finds all of it but the index there,
which is published anew each time (the server of the wheel does not start again on its old data).
"""

import asyncio
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from threading import Event

import msgspec

from bench.made_up_data import Data, Shape
from bench.milvus_server import MilvusServer
from core.clock import utc_now
from core.errors import SetupError
from core.settings import Settings, child_environment, load
from core.types import ModelStatus, ModelType
from embeddings.version import write_version
from storage import bus
from storage.artifacts import artifact_store
from storage.embedded.server import free_port
from storage.embedded.stack import EmbeddedStack, StoreName
from storage.milvus_writer import MilvusWriter
from storage.postgres import migrate
from storage.postgres.engine import pool
from storage.postgres.interactions import PostgresInteractions
from storage.postgres.models import PostgresModels
from storage.postgres.videos import PostgresVideos
from upnext.home import Home
from upnext.jobs.publish import publish
from upnext.tokens import make_token

MODEL_TYPE: ModelType = "als"
REVISION = "made_up"
STEPS: tuple[ModelStatus, ...] = ("training", "evaluating", "publishing", "ready")
READY_SECONDS, STOP_SECONDS = 120, 20
NOWHERE = "http://127.0.0.1:1"
TOKEN_LIFE = timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class Service:
    """`upnext serve` and its servers, as they run. `process` is the main one of the service."""

    address: str
    settings: Settings
    process: subprocess.Popen[bytes]
    users: list[str]

    def tokens(self) -> list[dict[str, str]]:
        """Every user with a token of their own, `{"id", "token"}`."""
        return [
            {"id": user, "token": make_token(self.settings, user, ("user",), TOKEN_LIFE)}
            for user in self.users
        ]


@contextmanager
def made_up_service(
    shape: Shape, home: Path | None = None, *, milvus: bool = True, **overrides: str
) -> Iterator[Service]:
    """A service of that shape until the block ends; `overrides` are settings by field name.

    It searches the server of the `milvus` wheel; with `index="exact"` nothing of Milvus answers
    lists, but the version is published there all the same. Without `milvus` none is started, and
    what is searched is searched exactly.
    """
    with ExitStack() as stack:
        folder = home or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="upnext-")))
        folder.mkdir(parents=True, exist_ok=True)
        if not milvus:
            overrides = {"index": "exact", "milvus_uri": NOWHERE, **overrides}
        settings, data = _servers(stack, folder, overrides), Data(shape)
        _fill_once(settings, data, folder / "made-up.json")
        if milvus:
            asyncio.run(_publish(settings, data))
        process = stack.enter_context(serving(settings))
        yield Service(f"http://127.0.0.1:{settings.port}", settings, process, data.users)


def _servers(stack: ExitStack, folder: Path, overrides: dict[str, str]) -> Settings:
    wanted: tuple[StoreName, ...] = ("postgres", "redis", "bus")
    servers = stack.enter_context(EmbeddedStack(folder, wanted))
    urls = {**_urls(servers, folder), "port": str(free_port())}
    if overrides.get("milvus_uri") == NOWHERE:
        return load({**urls, **overrides})
    milvus = MilvusServer(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="upnext-"))))
    stack.callback(milvus.stop)
    milvus.launch()
    milvus.wait_ready()
    return load({**urls, "milvus_uri": milvus.url, **overrides})


def _urls(servers: EmbeddedStack, folder: Path) -> dict[str, str]:
    found = servers.endpoints
    return {
        "home": str(folder),
        "postgres_url": found.postgres_url or "",
        "redis_url": found.redis_url or "",
        "bus_url": found.bus_url or "",
        "artifacts_url": (folder / "artifacts").resolve().as_uri(),
        "jwt_secret": Home(folder).secret(),
        "log_level": "warning",
    }


def _fill_once(settings: Settings, data: Data, made: Path) -> None:
    """Fill the stores but the index, unless they are."""
    if not made.exists():
        began = time.monotonic()
        print(f"Making {data.shape} ...", file=sys.stderr)
        migrate.upgrade(settings)
        asyncio.run(bus.setup(settings))
        asyncio.run(_fill(settings, data))
        made.write_bytes(msgspec.json.encode(data.shape))
        print(f"Made in {time.monotonic() - began:.0f} s", file=sys.stderr)
    elif msgspec.json.decode(made.read_bytes(), type=Shape) != data.shape:
        raise SetupError(f"{made.parent} holds another shape: name another home, or delete it.")


async def _fill(settings: Settings, data: Data) -> None:
    now = utc_now()
    async with pool(settings, patient=True) as engine:
        videos, interactions = PostgresVideos(engine), PostgresInteractions(engine)
        for page in data.videos(now):
            await videos.upsert_many(page)
        for watches in data.watches(now):
            await interactions.add_many(watches)
        registry = PostgresModels(engine, utc_now)
        model, token = await registry.create(MODEL_TYPE, {"content_revision": REVISION})
        write_version(
            artifact_store(settings.artifacts_url or ""),
            data.fitted(),
            version=model.version,
            model_type=MODEL_TYPE,
            content_revision=REVISION,
            created_at=now,
        )
        for status in STEPS:
            await registry.update(model.id, token, status=status)
        await registry.promote(model.id)


async def _publish(settings: Settings, data: Data) -> None:
    began = time.monotonic()
    async with pool(settings) as engine:
        [model] = await PostgresModels(engine, utc_now).find(status="live")
    with closing(MilvusWriter.of(settings)) as writer:
        publish(writer, data.publication(model.version, REVISION), [], lambda *_: None)
    print(f"Published in {time.monotonic() - began:.0f} s", file=sys.stderr)


@contextmanager
def serving(
    settings: Settings, variables: Mapping[str, str] | None = None, checkout: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process of the service with more `variables`, of the code in another `checkout`."""
    process = subprocess.Popen(
        [sys.executable, "-m", "upnext", "serve"],
        stdout=sys.stderr,
        env=child_environment(settings) | dict(variables or {}),
        cwd=checkout,
    )
    try:
        _wait_ready(settings.port, process)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(STOP_SECONDS)


def _wait_ready(port: int, process: subprocess.Popen[bytes]) -> None:
    pause, deadline = Event(), time.monotonic() + READY_SECONDS
    while not _is_ready(port):
        if process.poll() is not None or time.monotonic() > deadline:
            raise SetupError("The service did not start: see what it printed above.")
        pause.wait(0.2)


def _is_ready(port: int) -> bool:
    with closing(HTTPConnection("127.0.0.1", port, timeout=2)) as connection:
        try:
            connection.request("GET", "/health/ready")
            return connection.getresponse().status == 200  # noqa: PLR2004 - well
        except (OSError, HTTPException):
            return False
