"""PostgreSQL and Valkey that never wait for the disk while they serve.

What a killed process has written is there again; only with the machine it would be lost, and with
that the tests are. Many small databases, each made and dropped, would keep a disk busy otherwise,
and whoever waits for it stands still for seconds.
"""

from typing import Final

from storage.embedded.postgres import PostgresServer
from storage.embedded.server import EmbeddedServer
from storage.embedded.stack import StoreName
from storage.embedded.valkey import ValkeyServer


class HastyPostgres(PostgresServer):
    """Leaves it to the kernel when pages and log are written."""

    def command(self) -> list[str]:
        return [*super().command(), "-c", "fsync=off", "-c", "full_page_writes=off"]


class HastyValkey(ValkeyServer):
    """Leaves it to the kernel when its file is written."""

    def command(self) -> list[str]:
        return [*super().command(), "--appendfsync", "no"]


HASTY: Final[dict[StoreName, type[EmbeddedServer]]] = {
    "postgres": HastyPostgres,
    "redis": HastyValkey,
}
