"""What is written shows on every worker of two processes, and what they serve adds up."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import msgspec
import pytest
from sqlalchemy import text

from core.settings import Settings
from storage import bus
from storage.postgres.engine import pool
from storage.postgres.videos import PostgresVideos
from tests.eventful import Consuming, event, publish
from tests.polling import eventually
from tests.served import Served, of_popular_lists, two_processes

pytestmark = pytest.mark.integration
ALONE = {"Connection": "close"}
# A second is promised; without news, lists would live for five, whatever else the machine does.
WITHIN_SECONDS = 4.0
ASKED = 12  # so many connections reach both workers of a process, but for once in 2,048


class Asking:
    """Asks every worker of every process, over connections of their own, and counts it."""

    def __init__(self, servers: list[Served]) -> None:
        self._servers = servers
        self.lists = 0

    def popular(self) -> list[dict[str, Any]]:
        """The list of popular videos as each worker shows it."""
        return self._each("/recs/nobody?type=popular&limit=100")

    def own(self, user: str) -> list[dict[str, Any]]:
        """A user's own list as each worker shows it."""
        return self._each(f"/recs/{user}?limit=100")

    def _each(self, path: str) -> list[dict[str, Any]]:
        answers: list[dict[str, Any]] = []
        for server in self._servers:
            with server.client() as client:
                answers += [client.get(path, headers=ALONE).json() for _ in range(ASKED)]
        self.lists += len(answers)
        return answers


@contextmanager
def someones_long_transaction(settings: Settings) -> Iterator[None]:
    """A write that has begun somewhere on the server and does not end."""
    begun, end = threading.Event(), threading.Event()

    async def hold() -> None:
        async with pool(settings, patient=True) as engine, engine.begin() as connection:
            await connection.execute(text("SELECT pg_current_xact_id()"))
            begun.set()
            await asyncio.to_thread(end.wait)

    thread = threading.Thread(target=lambda: asyncio.run(hold()))
    thread.start()
    try:
        assert begun.wait(30)
        yield
    finally:
        end.set()
        thread.join()


def count(settings: Settings) -> int:
    async def run() -> int:
        async with pool(settings) as engine:
            return await PostgresVideos(engine).count()

    return asyncio.run(run())


def video_lines(start: int, end: int) -> Iterator[bytes]:
    for number in range(start, end):
        yield msgspec.json.encode({"id": f"n{number}", "title": "T", "description": "d" * 200})
        yield b"\n"


def break_off(server: Served, token: str, lines: bytes) -> None:
    """Send the beginning of an import, then hang up."""
    address = urlsplit(server.address)
    head = (
        f"POST /videos/import HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\n"
        "Content-Type: application/x-ndjson\r\nContent-Length: 100000000\r\n\r\n"
    )
    with socket.create_connection((address.hostname or "", address.port or 0)) as connection:
        connection.sendall(head.encode() + lines)


def test_writes_reach_every_worker(
    database_url: str, redis_url: str, nats_url: str, tmp_path: Path
) -> None:
    made = of_popular_lists(database_url, redis_url, tmp_path)
    settings = made.model_copy(update={"bus_url": nats_url})
    with two_processes(settings) as servers, servers[0].client() as client:
        asking = Asking(servers)
        configure(asking, client)
        with consuming(settings, tmp_path / "consumer.log"):
            events(asking, client, nats_url)
        with someones_long_transaction(settings):
            take_down(asking, client)
        imports(settings, servers[1], client)
        eventually(lambda: last_hour(client)["lists"] == asking.lists, seconds=30)


def configure(asking: Asking, client: httpx.Client) -> None:
    """A new configuration is in force everywhere."""
    body = {"preset": "seed", "diversity": 0.5}
    put = client.put("/recs/config", json=body, headers={"If-Match": "1"})
    assert put.status_code == 200, put.text

    def everywhere() -> bool:
        return {answer["metadata"]["config_version"] for answer in asking.popular()} == {2}

    eventually(everywhere, seconds=WITHIN_SECONDS)


@contextmanager
def consuming(settings: Settings, log: Path) -> Iterator[None]:
    """A worker's part for events, from the bus."""
    asyncio.run(bus.setup(settings))
    consumer = Consuming(settings)
    consumer.launch(log)
    try:
        yield
    finally:
        consumer.stop()


def events(asking: Asking, client: httpx.Client, url: str) -> None:
    """A watch on the bus is soon off the user's lists, and counts for the list it came from."""
    user = f"by-event-{uuid4().hex}"

    def showing(video: str) -> list[bool]:
        lists = [answer["recommendations"] for answer in asking.own(user)]
        return [any(entry["content_id"] == video for entry in entries) for entries in lists]

    asyncio.run(publish(url, [event(user, "v3")]))
    eventually(lambda: not any(showing("v3")), seconds=30)  # the consumer is still starting
    assert all(showing("v4"))
    chosen = asking.own(user)[0]["metadata"]["recommendation_id"]
    asyncio.run(publish(url, [event(user, "v4", recommendation_id=chosen)]))
    eventually(lambda: not any(showing("v4")), seconds=WITHIN_SECONDS)
    eventually(lambda: last_hour(client)["watches"] == 1, seconds=30)


def take_down(asking: Asking, client: httpx.Client) -> None:
    """A video that is taken down is on no list, whatever else runs in the database."""
    assert client.delete("/videos/v7").status_code == 204

    def nowhere() -> bool:
        names = [
            {entry["content_id"] for entry in answer["recommendations"]}
            for answer in asking.popular()
        ]
        assert all(len(listed) in {19, 20} for listed in names)
        return not any("v7" in listed for listed in names)

    eventually(nowhere, seconds=WITHIN_SECONDS)


def imports(settings: Settings, server: Served, client: httpx.Client) -> None:
    """Lines are committed by the thousand, whether or not the connection holds."""
    before = count(settings)
    break_off(server, client.headers["Authorization"], b"".join(video_lines(0, 1_500)))
    eventually(lambda: count(settings) == before + 1_000, seconds=30)
    headers = {"Content-Type": "application/x-ndjson"}
    whole = client.post("/videos/import", content=video_lines(0, 5_000), headers=headers)
    assert whole.json() == {"accepted": 4_000, "duplicates": 1_000, "rejected": 0, "errors": []}
    assert count(settings) == before + 5_000


def last_hour(client: httpx.Client) -> dict[str, Any]:
    stats: dict[str, Any] = client.get("/recs/stats").json()["last_hour"]
    return stats
