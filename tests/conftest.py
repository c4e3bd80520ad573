"""Real servers for the tests: each starts when first asked for and ends with the session."""

from collections.abc import Iterator

import pytest

from storage.embedded.stack import EmbeddedStack, StoreName


def _serve(factory: pytest.TempPathFactory, name: StoreName) -> Iterator[str]:
    with EmbeddedStack(factory.mktemp("home"), [name]) as stack:
        yield stack.servers[name].url


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An empty PostgreSQL server, as its owner: `postgresql://postgres@/upnext?host=...`."""
    yield from _serve(tmp_path_factory, "postgres")


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Valkey server: `unix:///...`."""
    yield from _serve(tmp_path_factory, "redis")


@pytest.fixture(scope="session")
def milvus_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Milvus Lite server: `http://127.0.0.1:...`."""
    yield from _serve(tmp_path_factory, "milvus")


@pytest.fixture(scope="session")
def nats_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A NATS server with JetStream: `nats://user:password@127.0.0.1:...`."""
    yield from _serve(tmp_path_factory, "bus")
