"""The real serving process: granian and its workers over real servers, asked over HTTP."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from core.settings import Settings
from tests.catalogues import video
from tests.polling import eventually
from tests.served import Served, over_stores, write_videos

pytestmark = pytest.mark.integration
NAMES = [f"v{number:03}" for number in range(120)]


@pytest.fixture
def settings(tmp_path: Path, store_urls: dict[str, str]) -> Settings:
    return over_stores(
        tmp_path,
        **store_urls,
        workers="2",
        artifacts_url=tmp_path.as_uri(),  # which is there
    )


@pytest.fixture
def server(settings: Settings) -> Iterator[Served]:
    write_videos(settings, [video(name, "drama", age_days=row) for row, name in enumerate(NAMES)])
    with Served(settings) as server:
        yield server


@pytest.fixture
def client(server: Served) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


def listed(client: httpx.Client, user: str, limit: int = 100) -> list[str]:
    body = client.get(f"/recs/{user}", params={"limit": limit}).json()
    return [entry["content_id"] for entry in body["recommendations"]]


def test_a_life_of_lists(server: Served, client: httpx.Client, settings: Settings) -> None:
    # A probe has a second, in which a process that just started connects for the first time.
    eventually(lambda: client.get("/health").json()["status"] == "ok", seconds=30)

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
    write_videos(settings, [video(taken_down, "drama", available=False)])
    eventually(lambda: taken_down not in listed(client, "ann"), seconds=30)

    assert server.process
    _no_torch(psutil.Process(server.process.pid))


def _no_torch(server: psutil.Process) -> None:
    """No serving process has mapped anything of torch, whatever it was asked."""
    workers = 0
    for process in [server, *server.children(recursive=True)]:
        folders = {part for region in process.memory_maps() for part in Path(region.path).parts}
        workers += {"msgspec", "numpy"} <= folders  # seen where they are loaded
        assert not {"torch", "sentence_transformers", "transformers"} & folders
    assert workers >= 2
