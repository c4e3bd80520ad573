"""How calls travel: `Client` blocks, `AsyncClient` awaits. Everything else is shared."""

import asyncio
import time
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from inspect import isawaitable
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

import httpx
import msgspec

from api.schemas_jobs import JobBody
from upnext.client import calls
from upnext.client.call import Call, Outcome, Patience, encoded, exchange
from upnext.client.calls import JobLine
from upnext.client.problems import reading, refusal

T = TypeVar("T")
DEFAULT_TIMEOUT = 10.0
POLL_SECONDS = 0.5
_STREAM_BYTES = 64 * 1024


class _Metadata(Protocol):
    @property
    def next_cursor(self) -> str | None: ...


class Page(Protocol):
    """A list that may have a next page."""

    @property
    def metadata(self) -> _Metadata:
        """What names the next page."""
        ...


P = TypeVar("P", bound=Page)


class Client:
    """The service, for code that blocks. Safe to share between threads; close it at the end."""

    def __init__(
        self,
        base_url: str,
        token: str | Callable[[], str],
        *,
        timeout: float = DEFAULT_TIMEOUT,
        patience: Patience | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Make a client; nothing is sent yet.

        Args:
            base_url: for instance `http://127.0.0.1:8000`.
            token: a JWT, or what gives one, asked for each request.
            timeout: seconds that a connection, and each read and write, may take.
            patience: how often to try again, 3 times in all unless said otherwise.
            transport: how bytes travel, for tests and proxies.
        """
        self._token = token
        self._patience = patience or Patience()
        self._http = httpx.Client(
            base_url=base_url, timeout=timeout, transport=transport, follow_redirects=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def send(self, call: Call[T]) -> T:
        """The answer of a call.

        Raises:
            Refused: the service did not do it; the subclass says why.
            httpx.TransportError: there was no answer.
        """
        steps = exchange(call, self._patience)
        pause = next(steps)
        while True:
            time.sleep(pause)
            try:
                pause = steps.send(self._try(call))
            except StopIteration as end:
                answer: T = end.value
                return answer

    def pages(self, call: Call[P]) -> Iterator[P]:
        """A list's pages, to its end: no video comes twice. Raises as `send`."""
        while True:
            page = self.send(call)
            yield page
            if page.metadata.next_cursor is None:
                return
            call = call.after(page.metadata.next_cursor)

    def wait(self, job_id: str, *, seconds: float = 3600.0) -> JobBody:
        """The job once it has ended, whatever its end. Raises `TimeoutError`, or as `send`."""
        deadline = time.monotonic() + seconds
        while not calls.ended(job := self.send(calls.job(job_id))):
            if time.monotonic() > deadline:
                raise TimeoutError(f"Job {job_id} has not ended after {seconds} s.")
            time.sleep(POLL_SECONDS)
        return job

    def result(self, job_id: str) -> Iterator[JobLine]:
        """The lines that a job made, as they arrive. Raises as `send`."""
        path, headers = calls.result_path(job_id), self._headers()
        with self._http.stream("GET", path, headers=headers) as answer:
            if answer.is_error:
                answer.read()
                raise refusal(answer)
            for line in answer.iter_lines():
                yield _line(answer, line)

    def _try(self, call: Call[Any]) -> Outcome:
        lines = None if call.lines is None else _blocks(call.lines)
        try:
            return self._http.request(
                call.method,
                call.path,
                params=call.query,
                content=call.content if lines is None else lines,
                headers=_headers(call, self._headers()),
            )
        except httpx.TransportError as error:
            return error

    def _headers(self) -> dict[str, str]:
        token = self._token if isinstance(self._token, str) else self._token()
        return {"Authorization": f"Bearer {token}"}


class AsyncClient:
    """The service, for asyncio. What `Client` says holds here."""

    def __init__(
        self,
        base_url: str,
        token: str | Callable[[], str | Awaitable[str]],
        *,
        timeout: float = DEFAULT_TIMEOUT,
        patience: Patience | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Make a client; nothing is sent yet. The arguments are those of `Client`."""
        self._token = token
        self._patience = patience or Patience()
        self._http = httpx.AsyncClient(
            base_url=base_url, timeout=timeout, transport=transport, follow_redirects=True
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Let go of the connections."""
        await self._http.aclose()

    async def send(self, call: Call[T]) -> T:
        """The answer of a call. Raises as `Client.send`."""
        steps = exchange(call, self._patience)
        pause = next(steps)
        while True:
            await asyncio.sleep(pause)
            try:
                pause = steps.send(await self._try(call))
            except StopIteration as end:
                answer: T = end.value
                return answer

    async def pages(self, call: Call[P]) -> AsyncIterator[P]:
        """A list's pages, to its end: no video comes twice. Raises as `send`."""
        while True:
            page = await self.send(call)
            yield page
            if page.metadata.next_cursor is None:
                return
            call = call.after(page.metadata.next_cursor)

    async def wait(self, job_id: str, *, seconds: float = 3600.0) -> JobBody:
        """The job once it has ended, whatever its end. Raises `TimeoutError`, or as `send`."""
        async with asyncio.timeout(seconds):
            while not calls.ended(job := await self.send(calls.job(job_id))):  # noqa: ASYNC110
                await asyncio.sleep(POLL_SECONDS)
        return job

    async def result(self, job_id: str) -> AsyncIterator[JobLine]:
        """The lines that a job made, as they arrive. Raises as `send`."""
        path, headers = calls.result_path(job_id), await self._headers()
        async with self._http.stream("GET", path, headers=headers) as answer:
            if answer.is_error:
                await answer.aread()
                raise refusal(answer)
            async for line in answer.aiter_lines():
                yield _line(answer, line)

    async def _try(self, call: Call[Any]) -> Outcome:
        lines = None if call.lines is None else _ablocks(call.lines)
        try:
            return await self._http.request(
                call.method,
                call.path,
                params=call.query,
                content=call.content if lines is None else lines,
                headers=_headers(call, await self._headers()),
            )
        except httpx.TransportError as error:
            return error

    async def _headers(self) -> dict[str, str]:
        token = self._token if isinstance(self._token, str) else self._token()
        if isawaitable(token):
            token = await token
        return {"Authorization": f"Bearer {token}"}


def _line(answer: httpx.Response, line: str) -> JobLine:
    with reading(answer):
        return msgspec.json.decode(line, type=JobLine)


def _headers(call: Call[Any], own: dict[str, str]) -> dict[str, str]:
    kind = {} if call.content_type is None else {"Content-Type": call.content_type}
    return {**own, **kind, **call.headers}


def _blocks(lines: Iterable[Any] | AsyncIterable[Any]) -> Iterator[bytes]:
    """Lines of NDJSON in pieces worth sending."""
    if isinstance(lines, AsyncIterable):
        raise TypeError("An asynchronous iterable needs AsyncClient.")
    block = bytearray()
    for line in lines:
        block += encoded(line)
        if len(block) >= _STREAM_BYTES:
            yield bytes(block)
            block.clear()
    yield bytes(block)


async def _ablocks(lines: Iterable[Any] | AsyncIterable[Any]) -> AsyncIterator[bytes]:
    """As `_blocks`, of either kind of iterable."""
    if not isinstance(lines, AsyncIterable):
        for block in _blocks(lines):
            yield block
        return
    async for line in lines:
        yield encoded(line)
