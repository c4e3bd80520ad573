"""A door that speaks TLS in front of a server that does not."""

import asyncio
import ssl
import threading
from asyncio import StreamReader, StreamWriter
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.ports import free_port

_ASKS_FOR_TLS: Final = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"
_ASKS_FOR_KERBEROS: Final = b"\x00\x00\x00\x08\x04\xd2\x16\x30"
_FIRST: Final = 8


class Terminator:
    """Takes TLS off and passes the rest on, from a port of its own.

    `certificate` (with its key), and what is `behind`, may be others for the next connection. With
    `asks_by`, clients need a certificate of that authority. `postgres`: TLS begins when the client
    has asked for it in PostgreSQL's own way, and one that does not ask is passed on as it is.
    """

    def __init__(
        self,
        behind: Path | tuple[str, int],
        certificate: Path,
        *,
        postgres: bool = False,
        http2: bool = False,
    ) -> None:
        self.port = free_port()
        self.certificate = certificate
        self.asks_by: Path | None = None
        self.behind = behind
        self._postgres = postgres
        self._http2 = http2
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._end = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="terminator", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(30)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._pass_on, "127.0.0.1", self.port)
        self._ready.set()
        await self._end.wait()
        server.close()

    async def _pass_on(self, reader: StreamReader, writer: StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            try:
                first = await self._greeted(reader, writer)
                there = await self._connected()
                there[1].write(first)
                await asyncio.gather(_copy(reader, there[1]), _copy(there[0], writer))
            finally:
                writer.close()

    async def _greeted(self, reader: StreamReader, writer: StreamWriter) -> bytes:
        """Begin TLS; what was read that is the server's."""
        first = b""
        while self._postgres and (first := await reader.readexactly(_FIRST)) == _ASKS_FOR_KERBEROS:
            writer.write(b"N")
        if self._postgres and first != _ASKS_FOR_TLS:
            return first
        if self._postgres:
            writer.write(b"S")
            await writer.drain()
        await writer.start_tls(self._context())
        return b""

    async def _connected(self) -> tuple[StreamReader, StreamWriter]:
        if isinstance(self.behind, Path):
            return await asyncio.open_unix_connection(self.behind)
        return await asyncio.open_connection(*self.behind)

    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.certificate)
        if self._http2:
            context.set_alpn_protocols(["h2"])
        if self.asks_by is not None:
            context.load_verify_locations(self.asks_by)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


async def _copy(source: StreamReader, target: StreamWriter) -> None:
    with suppress(ConnectionError, ssl.SSLError):
        while data := await source.read(1 << 16):
            target.write(data)
            await target.drain()
    target.close()
