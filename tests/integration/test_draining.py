"""`upnext serve` told to stop under load: no request of anybody is lost or refused."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import httpx
import pytest

from core.settings import Settings
from tests.catalogues import video
from tests.polling import eventually
from tests.ports import free_port
from tests.served import Served, of_popular_lists, write_videos

pytestmark = pytest.mark.integration
DRAIN_SECONDS = 5  # in which a busy machine, too, tells everybody
LONG_SECONDS = 60
GRACE_SECONDS = 15  # the drain, what requests under way may take then, and a busy machine
CLIENTS = 6  # of each kind
ANSWER_SECONDS = 20  # an answer that is late is not lost
LINES = (b'{"id": "early", "title": "Early"}\n', b'{"id": "late", "title": "Late"}\n')


@pytest.fixture
def settings(database_url: str, redis_url: str, tmp_path: Path) -> Settings:
    return of_popular_lists(database_url, redis_url, tmp_path)


@pytest.fixture
def pods(settings: Settings) -> Iterator[list[Served]]:
    """Two services; the first is the one that is stopped under load."""
    write_videos(settings, [video(f"v{number}", "drama") for number in range(20)])
    drains = {float(DRAIN_SECONDS): 2, float(LONG_SECONDS): 1}  # and how many workers each has
    with ExitStack() as stack, ThreadPoolExecutor() as pool:
        own = [
            {"port": free_port(), "drain_seconds": drain, "workers": workers}
            for drain, workers in drains.items()
        ]
        servers = [Served(settings.model_copy(update=each)) for each in own]
        yield list(pool.map(stack.enter_context, servers))


@dataclass
class Balancer:
    """Who is sent where: readiness is asked on connections of its own, as load balancers do."""

    addresses: list[str]
    headers: dict[str, str]
    ready: list[str] = field(default_factory=list)
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    answers: list[httpx.Response] = field(default_factory=list)

    async def probe(self) -> None:
        """Know who is ready, as of a tenth of a second ago."""
        while not self.stopped.is_set():
            self.ready = [each for each in self.addresses if await _ready(each)]
            await asyncio.sleep(0.1)

    async def follows(self) -> None:
        """Ask only who is ready, in turn, on connections that are kept."""
        async with self._client() as client:
            for turn in count():
                if self.stopped.is_set():
                    return
                await self._ask(client, self.ready[turn % len(self.ready)])

    async def is_told(self) -> None:
        """Ask the first, whatever its readiness, until an answer says that the connection ends."""
        async with self._client() as client:
            while not self.stopped.is_set():
                if _ends(await self._ask(client, self.addresses[0])):
                    break
            while not self.stopped.is_set():
                await self._ask(client, self.addresses[1])

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(headers=self.headers, timeout=ANSWER_SECONDS)

    async def _ask(self, client: httpx.AsyncClient, address: str) -> httpx.Response:
        answer = await client.get(f"{address}/recs/u{len(self.answers) % 100}")
        self.answers.append(answer)
        return answer


async def _ready(address: str) -> bool:
    try:
        async with httpx.AsyncClient(timeout=ANSWER_SECONDS) as client:
            return (await client.get(f"{address}/health/ready")).status_code == 200
    except httpx.TransportError:
        return False


def _ends(answer: httpx.Response) -> bool:
    return "close" in answer.headers.get_list("connection")


def test_nobody_is_lost_when_one_of_two_is_told_to_stop(pods: list[Served]) -> None:
    with pods[0].client() as client:
        headers = dict(client.headers)
    asyncio.run(_load(Balancer([pod.address for pod in pods], headers), pods[0]))
    _stopped_at_once(pods[1])


def _stopped_at_once(pod: Served) -> None:
    """Ctrl-C does not wait, whatever was asked for before."""
    assert pod.process
    pod.process.send_signal(signal.SIGTERM)
    eventually(lambda: not asyncio.run(_ready(pod.address)))
    assert pod.process.poll() is None
    pod.process.send_signal(signal.SIGINT)
    assert pod.process.wait(GRACE_SECONDS) == 0


async def _load(balancer: Balancer, pod: Served) -> None:
    process = pod.process
    assert process
    async with asyncio.TaskGroup() as group:
        group.create_task(balancer.probe())
        await _until(lambda: len(balancer.ready) == 2)
        for _ in range(CLIENTS):
            group.create_task(balancer.follows())
            group.create_task(balancer.is_told())
        slow = group.create_task(_import(pod, balancer.headers))
        await _until(lambda: len(balancer.answers) > 300)
        process.send_signal(signal.SIGTERM)
        told = time.monotonic()
        await _until(lambda: balancer.ready == [balancer.addresses[1]])
        assert process.poll() is None
        assert not slow.done()
        await _until(lambda: process.poll() is not None, GRACE_SECONDS + 5)
        took = time.monotonic() - told
        balancer.stopped.set()
    assert DRAIN_SECONDS < took < GRACE_SECONDS
    assert process.returncode == 0
    assert (await slow).json()["accepted"] == 2
    assert {answer.status_code for answer in balancer.answers} == {200}
    ended = [answer for answer in balancer.answers if _ends(answer)]
    assert len(ended) >= CLIENTS
    assert {f"http://{answer.url.netloc.decode()}" for answer in ended} == {pod.address}


async def _import(pod: Served, headers: dict[str, str]) -> httpx.Response:
    """An import whose last line comes when nobody is let in any more."""

    async def lines() -> AsyncIterator[bytes]:
        yield LINES[0]
        while await _lets_in(pod):  # noqa: ASYNC110 - another process tells nobody
            await asyncio.sleep(0.1)
        yield LINES[1]

    async with httpx.AsyncClient(headers=headers, timeout=30) as client:
        kind = {"Content-Type": "application/x-ndjson"}
        return await client.post(f"{pod.address}/videos/import", content=lines(), headers=kind)


async def _lets_in(pod: Served) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", pod.settings.port)
    except ConnectionRefusedError:
        return False
    writer.close()
    return True


async def _until(check: Callable[[], object], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not check():  # noqa: ASYNC110 - another process tells nobody
            await asyncio.sleep(0.02)
