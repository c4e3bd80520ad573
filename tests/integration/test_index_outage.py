"""The index hangs, then dies, then comes back, under a running service."""

import os
import signal
import time
from collections.abc import Iterator
from itertools import count, cycle
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.settings import Settings
from storage.embedded.server import EmbeddedServer
from storage.embedded.stack import EmbeddedStack
from tests.catalogues import fitted_of, video
from tests.polling import eventually
from tests.served import Served, over_stores, put_live, write_videos
from tests.serving import GENRES, NAMES, vectors_by_genre

pytestmark = pytest.mark.integration
DEADLINE_SECONDS = 8.0  # half of it for what stands in, on a machine that stands still meanwhile
BOUND_SECONDS = DEADLINE_SECONDS + 2.0
RECOVERY_SECONDS = 30.0
USERS = [f"user-{number}" for number in range(6)]


@pytest.fixture
def milvus(tmp_path: Path) -> Iterator[EmbeddedServer]:
    """A Milvus of this test's own."""
    with EmbeddedStack(tmp_path / "milvus", ["milvus"]) as stack:
        yield stack.servers["milvus"]


@pytest.fixture
def settings(
    tmp_path: Path, database_url: str, redis_url: str, milvus: EmbeddedServer, nats_url: str
) -> Settings:
    return over_stores(
        tmp_path,
        postgres_url=database_url,
        redis_url=redis_url,
        milvus_uri=milvus.url,
        bus_url=nats_url,
        milvus_timeout_seconds=str(DEADLINE_SECONDS),
    )


@pytest.fixture
def client(settings: Settings) -> Iterator[httpx.Client]:
    write_videos(settings, [video(name, GENRES[row % 3]) for row, name in enumerate(NAMES)])
    put_live(settings, fitted_of(NAMES, vectors_by_genre()), "r1")
    with Served(settings) as served, served.client() as client:
        for number, user in enumerate(USERS):
            watched = {"content_id": NAMES[number]}
            assert client.post(f"/users/{user}/watch-history", json=watched).is_success
        yield client


class Asking:
    """Asks for lists of one user after the other, none of them kept, and looks at each."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        self._turn = cycle(enumerate(USERS))
        self._videos = count()
        self.seconds: list[float] = []

    def degraded(self) -> list[str]:
        """What the next list was made without; it is of the user's genre whatever that was."""
        number, user = next(self._turn)
        body = self._get(f"/recs/{user}")
        assert not body["metadata"]["cache_hit"]
        assert {one["genre"] for one in body["recommendations"]} == {GENRES[number % 3]}
        self._client.post(
            f"/users/{user}/watch-history", json={"content_id": NAMES[number]}
        ).raise_for_status()
        return list(body["metadata"]["degraded"])

    def degraded_similar(self) -> list[str]:
        """The same of videos that are similar to one; each time to another: hits are remembered."""
        number = next(self._videos)
        body = self._get(f"/videos/{NAMES[number]}/similar")
        assert {one["genre"] for one in body["recommendations"]} == {GENRES[number % 3]}
        return list(body["metadata"]["degraded"])

    def _get(self, path: str) -> Any:
        began = time.monotonic()
        answer = self._client.get(path)
        self.seconds.append(time.monotonic() - began)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.mark.parametrize("how", [signal.SIGSTOP, signal.SIGKILL])
def test_lists_stay_personal_and_on_time_until_it_is_back(
    client: httpx.Client, milvus: EmbeddedServer, how: signal.Signals
) -> None:
    assert milvus.process
    asking = Asking(client)

    def nothing_is_missing() -> bool:
        return asking.degraded() == asking.degraded_similar() == []

    # The first search loads the collection, within the time of any other.
    eventually(nothing_is_missing, seconds=RECOVERY_SECONDS, every=0.2)

    os.kill(milvus.process.pid, how)
    asking.seconds.clear()
    answers = [asking.degraded() for _ in range(20)] + [asking.degraded_similar()]
    assert answers == [["milvus"]] * 21
    assert max(asking.seconds) < BOUND_SECONDS
    waited = [seconds for seconds in asking.seconds if seconds > DEADLINE_SECONDS / 2]
    assert len(waited) <= 3  # the first, and who asked whether it is back

    if how == signal.SIGSTOP:
        os.kill(milvus.process.pid, signal.SIGCONT)
    else:
        milvus.process.wait()
        milvus.launch()
        milvus.wait_ready()
    eventually(nothing_is_missing, seconds=RECOVERY_SECONDS, every=0.2)


def test_exact_search_never_asks_the_index(settings: Settings, milvus: EmbeddedServer) -> None:
    write_videos(settings, [video(name, GENRES[row % 3]) for row, name in enumerate(NAMES)])
    put_live(settings, fitted_of(NAMES, vectors_by_genre()), "r1")
    milvus.stop()
    exact = settings.model_copy(update={"index": "exact"})
    with Served(exact) as served, served.client() as client:
        for number, user in enumerate(USERS):
            watched = {"content_id": NAMES[number]}
            client.post(f"/users/{user}/watch-history", json=watched).raise_for_status()
        asking = Asking(client)
        assert asking.degraded() == asking.degraded_similar() == []
