"""The embedded servers of one home, started side by side and stopped together."""

from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from storage.embedded.milvus import MilvusLiteServer
from storage.embedded.nats import NatsServer
from storage.embedded.postgres import PostgresServer
from storage.embedded.process import STOP_SECONDS, stop_together
from storage.embedded.server import EmbeddedServer
from storage.embedded.valkey import ValkeyServer

StoreName = Literal["postgres", "redis", "milvus", "bus"]

# The slowest to start come first; PostgreSQL's first start waits for `initdb`, so it is last.
SERVERS: dict[StoreName, type[EmbeddedServer]] = {
    "milvus": MilvusLiteServer,
    "redis": ValkeyServer,
    "bus": NatsServer,
    "postgres": PostgresServer,
}

# The setting that names each store's server; the field of `Endpoints` is the same.
FIELDS: dict[StoreName, str] = {
    "postgres": "postgres_url",
    "redis": "redis_url",
    "milvus": "milvus_uri",
    "bus": "bus_url",
}


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Addresses of the servers that were started, None for the others.

    They may hold passwords, so they are not shown.
    """

    postgres_url: str | None = field(default=None, repr=False)
    redis_url: str | None = field(default=None, repr=False)
    milvus_uri: str | None = field(default=None, repr=False)
    bus_url: str | None = field(default=None, repr=False)


class EmbeddedStack:
    """The servers `wanted`, for as long as the `with` block; data stays in `home`.

    Enter it from the main thread. Raises `SetupError` when one cannot be started; those that
    were are stopped again.
    """

    def __init__(self, home: Path, wanted: Collection[StoreName]) -> None:
        self.servers = {name: SERVERS[name](home) for name in SERVERS if name in wanted}

    @property
    def endpoints(self) -> Endpoints:
        """Where the servers are."""
        url = {name: server.url for name, server in self.servers.items()}
        return Endpoints(url.get("postgres"), url.get("redis"), url.get("milvus"), url.get("bus"))

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            undo.callback(self.stop)
            for server in self.servers.values():
                server.launch()
            for server in self.servers.values():
                server.wait_ready()
            undo.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Stop all at the same time, by force what has not ended after `seconds`."""
        stop_together(self.servers.values(), seconds)
