"""Real servers that are made to hang, die and come back."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Protocol

import psutil
import pytest

from storage.embedded.server import EmbeddedServer
from storage.embedded.stack import EmbeddedStack
from tests.processes import below
from tests.s3 import FaultyS3, point_at


class Dependency(Protocol):
    """Something that the service needs, to be broken."""

    def hang(self) -> None:
        """Keep connections and answer nothing."""

    def kill(self) -> None:
        """End without a word, also while it hangs."""

    def resume(self) -> None:
        """Go on after `hang` as if nothing had happened."""

    def restart(self) -> None:
        """Be there again after `kill`, with the data that was there."""


class ServerProcess:
    """A server and all its child processes."""

    def __init__(self, server: EmbeddedServer) -> None:
        self._server = server

    def _signal(self, number: signal.Signals) -> None:
        assert self._server.process
        for process in [psutil.Process(self._server.process.pid), *below(self._server.process)]:
            with suppress(psutil.NoSuchProcess):  # PostgreSQL's come and go
                process.send_signal(number)

    def hang(self) -> None:
        self._signal(signal.SIGSTOP)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)
        assert self._server.process
        self._server.process.wait()

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def restart(self) -> None:
        self._server.launch()
        self._server.wait_ready()


class ObjectStore:
    """S3; it hangs in what health asks of it."""

    def __init__(self, s3: FaultyS3) -> None:
        self._s3 = s3

    def hang(self) -> None:
        self._s3.fail("slow", method="LIST")

    def kill(self) -> None:
        self._s3.refuse()

    def resume(self) -> None:
        self._s3.mend()

    def restart(self) -> None:
        self._s3.mend()


@contextmanager
def dependencies(folder: Path) -> Iterator[tuple[dict[str, Dependency], dict[str, str]]]:
    """One of each by its name in `/health`, and the settings that lead to them."""
    with ExitStack() as running:
        stack = running.enter_context(EmbeddedStack(folder, ["milvus", "redis", "bus", "postgres"]))
        s3 = running.enter_context(FaultyS3())
        patch = running.enter_context(pytest.MonkeyPatch.context())
        urls = {
            "postgres_url": stack.servers["postgres"].url,
            "redis_url": stack.servers["redis"].url,
            "milvus_uri": stack.servers["milvus"].url,
            "bus_url": stack.servers["bus"].url,
            "artifacts_url": point_at(s3, patch),
        }
        every: dict[str, Dependency] = {
            name: ServerProcess(server) for name, server in stack.servers.items()
        }
        yield {**every, "artifacts": ObjectStore(s3)}, urls
