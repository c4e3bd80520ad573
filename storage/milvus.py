"""Vector search in Milvus, for serving: alike on Milvus Lite, 2.3 and 2.6."""

import asyncio
import logging
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import grpc
import numpy as np
from numpy.typing import NDArray
from pymilvus import AsyncMilvusClient, MilvusClient, MilvusException

from core.access import PLAIN, Access, access
from core.errors import Unavailable
from core.settings import Settings
from core.tls import trouble
from core.tracing import OPERATION
from core.types import Hits
from storage.breaker import Breaker

# It prints a traceback for every failed call; the errors are mapped here. Its import sets a level.
logging.getLogger("pymilvus").setLevel(logging.CRITICAL)

ID, VECTOR = "id", "vector"
MAX_K = 16_384  # Milvus refuses more: who asks for more gets that many
MIN_EF, MAX_EF = 128, 32_768
# Vectors of a model of behaviour differ in length, which makes the long ones hide others: at 50,000
# of 64 numbers an `ef` of k finds 80 of the best 300 in 100, three times that 88 for 0.8 ms more.
EF_PER_HIT = 3
# Milvus Lite hangs up on pings every 10 s, pymilvus's default, and the next client of the process
# inherits the connection, so every client has these. Calls have timeouts of their own. After an
# outage of a minute gRPC would wait another half before it connects again, and up to two.
_GRPC_OPTIONS = {
    "grpc.keepalive_time_ms": 7_200_000,
    "grpc.max_reconnect_backoff_ms": 5_000,
}
_SEARCH: Final = {"db.system.name": "milvus", OPERATION: "search"}
NOT_LOADED = 101  # the same code on Milvus Lite, 2.3 and 2.6


def search_params(k: int) -> dict[str, Any]:
    """Search parameters for the best `k`: HNSW wants `ef >= k`, more finds more of them."""
    return {"metric_type": "IP", "params": {"ef": min(max(EF_PER_HIT * k, MIN_EF), MAX_EF)}}


def blocking_client(uri: str, how: Access = PLAIN, *, timeout_seconds: float) -> MilvusClient:
    """A client for jobs and tools. Raises pymilvus's own errors."""
    options = options_of(uri, how)
    return MilvusClient(uri=uri, timeout=timeout_seconds, grpc_options=_GRPC_OPTIONS, **options)


def options_of(uri: str, how: Access) -> dict[str, str]:
    """What a client of the driver is told beside the address, as files say now."""
    options = {"token": how.password.value() if how.password is not None else ""}
    if uri.startswith("https://"):
        ca, certificate, key = how.tls
        trusted = str(ca) if ca is not None else ssl.get_default_verify_paths().cafile or ""
        if certificate is None:
            options["server_pem_path"] = trusted
        else:
            options["ca_pem_path"] = trusted
            options["client_pem_path"] = str(certificate)
            options["client_key_path"] = str(key or certificate)
    return options


class MilvusSearch:
    """Searches collections made by `storage.milvus_writer`. Connects at the first search.

    After a few failures in a row it raises at once, until Milvus answers (`Breaker`). Files of a
    token or of TLS that have changed count from the first failure on.
    """

    def __init__(self, uri: str, how: Access = PLAIN, *, timeout_seconds: float = 2.0) -> None:
        self._uri = uri
        self._how = how
        self._timeout = timeout_seconds
        self._connected_by: tuple[str, object] = ("", ())
        self._renewing = asyncio.Lock()
        self._connect()
        self._breaker = Breaker("milvus", self.ping)

    @classmethod
    def of(cls, settings: Settings) -> "MilvusSearch":
        """The search of `settings.milvus_uri`."""
        return cls(
            settings.milvus_uri or "",
            access(settings, "milvus"),
            timeout_seconds=settings.milvus_timeout_seconds,
        )

    async def search(self, collection: str, vectors: NDArray[np.float32], k: int) -> list[Hits]:
        """See `retrieval.ports.VectorSearch.search`; all of `vectors` travel in one request."""
        if len(vectors) == 0:
            return []
        name, where = f"search {collection}", {"db.collection.name": collection}
        with self._breaker.calling(name, **_SEARCH, **where), _mapped():
            # The client's own timeout is per call and does not bound its connecting.
            async with asyncio.timeout(self._timeout):
                used = self._client
                try:
                    found = await self._search(collection, vectors, min(k, MAX_K))
                except (MilvusException, grpc.RpcError):
                    if not await self._renewed(used):
                        raise
                    found = await self._search(collection, vectors, min(k, MAX_K))
        return [hits_of(hits) for hits in found]

    async def _search(self, collection: str, vectors: NDArray[np.float32], k: int) -> Any:  # noqa: ANN401  (pymilvus has no types)
        async def ask() -> Any:  # noqa: ANN401
            return await self._client.search(
                collection,
                data=list(np.ascontiguousarray(vectors, dtype=np.float32)),
                limit=k,
                search_params=search_params(k),
                timeout=self._timeout,
            )

        try:
            return await ask()
        except MilvusException as error:
            if error.code != NOT_LOADED:
                raise
        # Milvus Lite forgets on a restart which collections were loaded.
        await self._client.load_collection(collection, timeout=self._timeout)
        return await ask()

    async def ping(self) -> None:
        """Ask for a sign of life, whatever the breaker says. Raises `Unavailable`."""
        await self.collections()

    async def collections(self) -> list[str]:
        """Names of all collections. Raises `Unavailable`."""
        with _mapped():
            async with asyncio.timeout(self._timeout):
                await self._renewed(self._client)
                return list(await self._client.list_collections(timeout=self._timeout))

    async def close(self) -> None:
        """Close the connection."""
        await self._breaker.close()
        await self._client.close()

    def _connect(self) -> None:
        """As files say now; they are looked at again when something went wrong."""
        self._connected_by = self._files()
        self._client = AsyncMilvusClient(
            uri=self._uri,
            timeout=self._timeout,
            grpc_options=_GRPC_OPTIONS,
            **options_of(self._uri, self._how),
        )

    async def _renewed(self, used: AsyncMilvusClient) -> bool:
        """Whether files have changed since `used` was made, and the connection with them."""
        async with self._renewing:  # what failed together is renewed once
            if self._client is not used:
                return True
            if self._files() == self._connected_by:
                return False
            await self._client.close()  # the driver would go on with it
            self._connect()
            return True

    def _files(self) -> tuple[str, object]:
        token = self._how.password.value() if self._how.password is not None else ""
        try:
            return token, self._how.tls.state()
        except OSError:  # one is being replaced: later, then
            return self._connected_by


@contextmanager
def _mapped() -> Iterator[None]:
    try:
        yield
    except (MilvusException, grpc.RpcError, TimeoutError) as error:
        said = trouble(error)
        raise Unavailable("milvus", f"Milvus over TLS: {said}" if said else "") from error


def hits_of(found: Any) -> Hits:  # noqa: ANN401  (pymilvus has no types)
    """Hits of one query vector, read as columns: an object for each hit takes longer."""
    return Hits(tuple(found.ids), np.array(found.distances, dtype=np.float32))
