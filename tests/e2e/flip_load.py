"""Steady requests over many connections, each of which stays with one worker process."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from random import Random
from typing import Any

import httpx

from tests.processes import below
from tests.served import Served

CONNECTIONS = 12
PAUSE_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Question:
    """A path, and the token to ask it with."""

    path: str
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came, from which worker process, and when it was asked and there (monotonic seconds).

    `body` is None when it was not a 200; `problem` says what came then.
    """

    path: str
    worker: int | None
    asked: float
    there: float
    body: dict[str, Any] | None
    problem: str = ""

    @property
    def version(self) -> str | None:
        """The version that made it."""
        version: str | None = self.body["metadata"]["model_version"] if self.body else None
        return version

    @property
    def degraded(self) -> list[str]:
        """What it was made without."""
        return list(self.body["metadata"]["degraded"]) if self.body else []


class FlipLoad:
    """Asks both services for ever new and for the same lists, until its block ends."""

    def __init__(
        self, services: Sequence[Served], known: Sequence[Question], ops: Question
    ) -> None:
        self.answers: list[Answer] = []
        self._services = services
        self._known = known
        self._ops = ops
        self._strangers = count()

    @asynccontextmanager
    async def going_on(self) -> AsyncIterator[None]:
        """The load, for the time of the block."""
        async with asyncio.TaskGroup() as connections:
            tasks = [
                connections.create_task(self._connection(service, Random(number)))  # noqa: S311
                for service in self._services
                for number in range(CONNECTIONS)
            ]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()

    def made(self) -> list[Answer]:
        """Without those there was no room to make: of the version before, or what is popular."""
        return [answer for answer in self.answers if answer.degraded != ["overload"]]

    def workers(self, version: str, since: float) -> set[int]:
        """Those that made an answer of that version to a question of after `since`."""
        made = (one for one in self.made() if one.asked >= since and one.version == version)
        return {one.worker for one in made if one.worker is not None}

    async def _connection(self, service: Served, random: Random) -> None:
        one = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=None)
        async with httpx.AsyncClient(base_url=service.address, limits=one, timeout=20) as client:
            worker: int | None = None
            while True:
                question = self._question(random)
                asked = time.monotonic()
                response = await client.get(question.path, headers=question.headers)
                there = time.monotonic()
                if worker is None:
                    worker = await asyncio.to_thread(worker_of, service, response)
                self.answers.append(_answer(question, worker, asked, there, response))
                await asyncio.sleep(PAUSE_SECONDS * random.uniform(0.5, 1.5))

    def _question(self, random: Random) -> Question:
        """Mostly of a known user or about a video; every eighth is of somebody never heard of."""
        if random.random() < 1 / 8:
            return Question(f"/recs/stranger-{next(self._strangers)}", self._ops.headers)
        return random.choice(self._known)


def worker_of(service: Served, response: httpx.Response) -> int | None:
    """The process that has the other end of the response's connection."""
    port = response.extensions["network_stream"].get_extra_info("client_addr")[1]
    assert service.process
    for worker in below(service.process):
        for connection in worker.net_connections("tcp"):
            if connection.raddr and connection.raddr.port == port:
                return int(worker.pid)
    return None


def _answer(
    question: Question, worker: int | None, asked: float, there: float, response: httpx.Response
) -> Answer:
    if response.status_code != httpx.codes.OK:
        return Answer(question.path, worker, asked, there, None, response.text)
    return Answer(question.path, worker, asked, there, response.json())
