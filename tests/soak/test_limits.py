"""A user a little above the limit, for longer than a minute, over two processes of two workers."""

import asyncio
from datetime import timedelta
from pathlib import Path
from time import monotonic
from uuid import uuid4

import httpx
import pytest

from core.settings import Settings
from tests.served import Served, of_popular_lists, two_processes
from upnext.tokens import make_token

pytestmark = pytest.mark.soak
RATE = 9.0
SECONDS = 130.0
# How much later than after a minute an answer may stop to count: 1/200, and a client's jitter.
LATE_SECONDS = 0.4


def test_nine_requests_a_second(database_url: str, redis_url: str, tmp_path: Path) -> None:
    settings = of_popular_lists(database_url, redis_url, tmp_path)
    with two_processes(settings) as servers:
        given, refused = asyncio.run(asked(servers, settings))
    assert len([at for at in given if at < refused[0]]) >= 500
    assert max(within(given, at, 60.0) for at in given) <= 510
    fewest = min(within(given, at - 60.0 - LATE_SECONDS, 60.0 + LATE_SECONDS) for at in refused)
    assert fewest >= 500
    assert len(given) >= 1000


async def asked(servers: list[Served], settings: Settings) -> tuple[list[float], list[float]]:
    """When one user was answered and refused, who asks the processes in turn at a steady rate."""
    user = f"steady-{uuid4().hex}"
    token = make_token(settings, user, ("user",), timedelta(hours=1))
    headers = {"Authorization": f"Bearer {token}"}
    given: list[float] = []
    refused: list[float] = []
    began, count = monotonic(), 0
    # Connections are not kept: granian's workers share a port, and each is to be asked.
    limits = httpx.Limits(max_keepalive_connections=0)
    async with httpx.AsyncClient(headers=headers, limits=limits) as client:
        while monotonic() < began + SECONDS:
            answer = await client.get(f"{servers[count % 2].address}/recs/{user}")
            assert answer.status_code in {200, 429}
            (given if answer.status_code == httpx.codes.OK else refused).append(monotonic())
            count += 1
            await asyncio.sleep(max(0.0, began + count / RATE - monotonic()))
    return given, refused


def within(times: list[float], since: float, seconds: float) -> int:
    return sum(since <= at < since + seconds for at in times)
