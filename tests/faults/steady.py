"""Requests at a steady rate whatever becomes of them: a late answer puts off no other question."""

import asyncio
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from threading import Thread
from types import TracebackType
from typing import Any, Self

import msgspec

from upnext.serve import clients

CONNECTIONS = 64
LONGEST_SECONDS = 30.0
"""An answer that took longer counts as none."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked about whom, and the bytes of the request."""

    kind: str
    about: str
    request: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What came; `due` and `there` are monotonic seconds, `status` 0 is no answer at all.

    Bodies are read when they are wanted: the collector of whoever asks would stop for a third of a
    second at a time over some thousands of them, and answers would seem as late as that.
    """

    question: Question
    due: float
    there: float
    status: int
    content: bytes

    @property
    def body(self) -> Any:
        """The body as JSON has it; where no answer came, why not."""
        return msgspec.json.decode(self.content) if self.status else self.content.decode()

    @property
    def seconds(self) -> float:
        """How long one who asked at the planned time had waited."""
        return self.there - self.due

    @property
    def degraded(self) -> frozenset[str]:
        """What the answer says that it was made without."""
        return frozenset(self.body["metadata"]["degraded"])

    @property
    def hit(self) -> bool:
        """Whether it is a kept list."""
        return bool(self.body["metadata"].get("cache_hit"))


def question(kind: str, about: str, path: str, token: str, body: Any = None) -> Question:
    """A GET of the path, or with a body a POST."""
    content = b"" if body is None else msgspec.json.encode(body)
    lines = [
        f"{'GET' if body is None else 'POST'} {path} HTTP/1.1",
        "Host: upnext",
        f"Authorization: Bearer {token}",
    ]
    if content:
        lines += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
    return Question(kind, about, "\r\n".join([*lines, "", ""]).encode() + content)


class Steady:
    """Asks `per_second` times, in a thread of its own, until its block ends.

    More connections are opened when all wait for an answer, up to `connections`; beyond that
    questions come late, and their waiting counts. With None a second, each connection asks as soon
    as it was answered.
    """

    def __init__(
        self,
        port: int,
        ask: Callable[[int], Question],
        *,
        per_second: float | None,
        connections: int = CONNECTIONS,
    ) -> None:
        self.answers: list[Answer] = []
        self._port = port
        self._ask = ask
        self._per_second = per_second
        self._most = connections
        self._ended = False
        self._thread = Thread(target=lambda: asyncio.run(self._run()))

    def since(self, moment: float, until: float = float("inf")) -> Sequence[Answer]:
        """Answers to what was due from `moment` on and was there before `until`."""
        return [one for one in self.answers if one.due >= moment and one.there < until]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended = True
        self._thread.join()

    async def _run(self) -> None:
        began = time.monotonic()
        numbers = count()
        turns: asyncio.Queue[tuple[float, Question] | None] = asyncio.Queue(
            1 if self._per_second is None else 0
        )
        async with asyncio.TaskGroup() as group:
            for _ in range(self._most):
                group.create_task(self._connection(turns))
            while not self._ended:
                number = next(numbers)
                due = time.monotonic()
                if self._per_second is not None:
                    due = began + number / self._per_second
                    await asyncio.sleep(due - time.monotonic())
                await turns.put((due, self._ask(number)))
            for _ in range(self._most):
                await turns.put(None)

    async def _connection(self, turns: asyncio.Queue[tuple[float, Question] | None]) -> None:
        wire: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        while (turn := await turns.get()) is not None:
            due, asked = turn
            try:
                async with asyncio.timeout(LONGEST_SECONDS):
                    wire = wire or await asyncio.open_connection("127.0.0.1", self._port)
                    status, content = await _exchange(*wire, asked.request)
            except (OSError, asyncio.IncompleteReadError) as error:
                status, content, wire = 0, repr(error).encode(), None
            self.answers.append(Answer(asked, due, time.monotonic(), status, content))
        if wire is not None:
            wire[1].close()


@contextmanager
def silent(port: int, count: int) -> Iterator[None]:
    """So many connections that ask nothing, for the time of the block."""
    clients()  # raises the limit on open files
    with ExitStack() as held:
        for _ in range(count):
            held.enter_context(socket.create_connection(("127.0.0.1", port), timeout=5))
        yield


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes
) -> tuple[int, bytes]:
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
    return int(head.split(b" ", 2)[1]), await reader.readexactly(length)
