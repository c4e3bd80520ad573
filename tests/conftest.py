"""Real servers for the tests: each starts when first asked for and ends with the session."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import hypothesis
import pytest
import structlog
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from core.cron import OFF
from core.jobs import UPKEEP
from core.settings import load
from storage.embedded.stack import SERVERS, StoreName
from storage.postgres import migrate
from storage.postgres.engine import connect, driver_url
from tests.cluster import Cluster
from tests.embedded import started
from tests.hasty import HASTY
from tests.kafka import KafkaServer
from tests.outside import add_options, outside
from tests.patience import PATIENT, variables
from tests.ports import free_port
from tests.sharing_out import ByFile, longest_first

# The first text that is drawn on a machine takes a second or more, for tables of Unicode are made;
# and how long an example takes says more of the machine than of what is tested.
hypothesis.settings.register_profile(
    "suite", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("suite")

LONGEST_NAME = 60


def pytest_addoption(parser: pytest.Parser) -> None:
    """Servers in place of those that the tests start."""
    add_options(parser)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    """How `-n` shares the tests out."""
    config.option.loadscopereorder = False  # our order stands
    return ByFile(config, log)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """No long text in a test's name: tokens have a time in them, and workers compare names."""
    return argname if isinstance(val, str | bytes) and len(val) > LONGEST_NAME else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        longest_first(items, config.rootpath)


@pytest.fixture(scope="session", autouse=True)
def _environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No setting of whoever runs the tests, no file in the folder they run in, no schedule.

    Patience with every dependency. No port of a server that another process of the tests may take.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):  # noqa: TID251 - cleared, not read
            if name.startswith(("UPNEXT_", "AWS_")):
                patch.delenv(name)
        patch.setenv("UPNEXT_HOME", str(tmp_path_factory.mktemp("home-of-all")))
        for name, value in variables(PATIENT).items():
            patch.setenv(name, value)
        for kind in UPKEEP:
            patch.setenv(f"UPNEXT_SCHEDULE_{kind.upper()}", OFF)
        for server in ("milvus", "nats"):
            patch.setattr(f"storage.embedded.{server}.free_port", free_port)
        yield


@pytest.fixture(autouse=True)
def _logging() -> Iterator[None]:
    """What a test does to logging ends with it: the next one may look at its own lines."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def _serve(
    config: pytest.Config, option: str, factory: pytest.TempPathFactory, name: StoreName
) -> Iterator[str]:
    if (given := outside(config, option)) is not None:
        yield given
        return
    kind = HASTY.get(name, SERVERS[name])
    with started(kind(factory.mktemp("home"))) as server:
        yield server.url


@pytest.fixture(scope="session")
def postgres_url(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """An empty PostgreSQL server, as its owner: `postgresql://postgres@/upnext?host=...`."""
    yield from _serve(pytestconfig, "--postgres-url", tmp_path_factory, "postgres")


@pytest.fixture(scope="session")
def redis_url(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A Valkey server: `unix:///...`."""
    yield from _serve(pytestconfig, "--redis-url", tmp_path_factory, "redis")


@pytest.fixture(scope="session")
def cluster_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A cluster of three Valkey servers: `redis+cluster://127.0.0.1:...,127.0.0.1:...`."""
    with Cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster.url


@pytest.fixture(scope="session")
def milvus_uri(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A Milvus Lite server: `http://127.0.0.1:...`."""
    yield from _serve(pytestconfig, "--milvus-uri", tmp_path_factory, "milvus")


@pytest.fixture(scope="session")
def nats_url(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A NATS server with JetStream: `nats://user:password@127.0.0.1:...`."""
    yield from _serve(pytestconfig, "--nats-url", tmp_path_factory, "bus")


@pytest.fixture(scope="session")
def kafka_url(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A broker of Kafka's protocol: `kafka://127.0.0.1:...`."""
    if (given := outside(pytestconfig, "--kafka-url")) is not None:
        yield given
        return
    with started(KafkaServer(tmp_path_factory.mktemp("home"))) as server:
        yield server.url


@pytest.fixture(scope="session")
def template_database(postgres_url: str) -> Iterator[str]:
    """The name of a migrated, empty database that is only ever copied."""
    name = f"upnext_template_{uuid4().hex}"
    _administer(postgres_url, f"CREATE DATABASE {name}")
    migrate.upgrade(_database(postgres_url, name))
    yield name
    _administer(postgres_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def database_url(postgres_url: str, template_database: str) -> Iterator[str]:
    """A fresh, migrated database for one test."""
    with fresh_database(postgres_url, template_database) as url:
        yield url


@pytest.fixture
def store_urls(database_url: str, redis_url: str, milvus_uri: str, nats_url: str) -> dict[str, str]:
    """The settings that say where the stores are, the database a fresh one."""
    return {
        "postgres_url": database_url,
        "redis_url": redis_url,
        "milvus_uri": milvus_uri,
        "bus_url": nats_url,
    }


@contextmanager
def fresh_database(postgres_url: str, template: str) -> Iterator[str]:
    """A copy of the template for as long as the block."""
    name = f"test_{uuid4().hex}"
    _administer(postgres_url, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield _database(postgres_url, name)
    _administer(postgres_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    """Connections to this test's `database_url`."""
    pool = connect(load({"postgres_url": database_url}))
    yield pool
    await pool.dispose()


def _database(url: str, name: str) -> str:
    return make_url(url).set(database=name).render_as_string(hide_password=False)


def _administer(url: str, statement: str) -> None:
    """Run one statement that PostgreSQL does not allow inside a transaction."""

    async def run() -> None:
        pool = create_async_engine(
            driver_url(url), poolclass=NullPool, isolation_level="AUTOCOMMIT"
        )
        async with pool.connect() as connection:
            await connection.execute(text(statement))
        await pool.dispose()

    asyncio.run(run())
