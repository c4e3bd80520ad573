"""The real serving process: granian and its workers over real servers, asked over HTTP."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import psutil
import pytest

from core.settings import Settings, child_environment, load
from core.types import Video
from storage.embedded.server import free_port
from storage.postgres.engine import connect
from storage.postgres.videos import PostgresVideos
from tests.catalogues import video
from tests.polling import eventually
from upnext.tokens import make_token

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]
NAMES = [f"v{number:03}" for number in range(120)]
SERVE = "from core.settings import load; from upnext.serve import run; run(load())"


@pytest.fixture
def settings(
    tmp_path: Path, database_url: str, redis_url: str, milvus_uri: str, nats_url: str
) -> Settings:
    return load(
        {
            "home": str(tmp_path),
            "port": str(free_port()),
            "workers": "2",
            "postgres_url": database_url,
            "redis_url": redis_url,
            "milvus_uri": milvus_uri,
            "bus_url": nats_url,
            "artifacts_url": tmp_path.as_uri(),
            "jwt_secret": "a secret of this test only, long enough for an HMAC",
            "redis_timeout_seconds": "2",
        }
    )


def write(settings: Settings, videos: list[Video]) -> None:
    """Write videos to the catalogue's truth, as another process would."""

    async def run() -> None:
        engine = connect(settings)
        await PostgresVideos(engine).upsert_many(videos)
        await engine.dispose()

    asyncio.run(run())


@pytest.fixture
def server(settings: Settings) -> Iterator[psutil.Process]:
    write(settings, [video(name, "drama", age_days=row) for row, name in enumerate(NAMES)])
    process = subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-c", SERVE], env=child_environment(settings), cwd=Path.cwd()
    )
    try:
        eventually(lambda: _ready(settings), seconds=60)
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture
def client(server: psutil.Process, settings: Settings) -> Iterator[httpx.Client]:
    assert server.is_running()
    token = make_token(settings, "ops", ("admin",), timedelta(hours=1))
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=_address(settings), headers=headers, timeout=10) as client:
        yield client


def _address(settings: Settings) -> str:
    return f"http://127.0.0.1:{settings.port}"


def _ready(settings: Settings) -> bool:
    try:
        return httpx.get(f"{_address(settings)}/health/ready").status_code == 200
    except httpx.TransportError:
        return False


def listed(client: httpx.Client, user: str, limit: int = 100) -> list[str]:
    body = client.get(f"/recs/{user}", params={"limit": limit}).json()
    return [entry["content_id"] for entry in body["recommendations"]]


def test_a_life_of_lists(server: psutil.Process, client: httpx.Client, settings: Settings) -> None:
    health = client.get("/health").json()
    assert health["status"] == "ok", health

    assert client.get("/users/ann/recommendations").status_code == 404
    watched = client.post("/users/ann/watch-history", json={"content_id": NAMES[0]})
    assert watched.status_code == 201, watched.text
    assert client.get("/users/ann/recommendations").status_code == 200

    # Whichever of the two workers answers: what was watched is gone, and lists are kept for both.
    for name in NAMES[1:4]:
        assert client.post("/users/ann/watch-history", json={"content_id": name}).is_success
        assert name not in listed(client, "ann")
    metadata = client.get("/recs/ann").json()["metadata"]
    assert (metadata["cache_hit"], metadata["degraded"]) == (True, [])

    taken_down = listed(client, "ann", 1)[0]
    write(settings, [video(taken_down, "drama", available=False)])
    eventually(lambda: taken_down not in listed(client, "ann"), seconds=10)

    _no_torch(server)


def _no_torch(server: psutil.Process) -> None:
    """No serving process has mapped anything of torch, whatever it was asked."""
    workers = 0
    for process in [server, *server.children(recursive=True)]:
        folders = {part for region in process.memory_maps() for part in Path(region.path).parts}
        workers += {"msgspec", "numpy"} <= folders  # seen where they are loaded
        assert not {"torch", "sentence_transformers", "transformers"} & folders
    assert workers >= 2
