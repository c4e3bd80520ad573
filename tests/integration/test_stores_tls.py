"""Stores over TLS: right certificates work, of wrong ones it is said what is wrong."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from sqlalchemy import make_url, text

from core.access import access
from core.errors import Unavailable
from core.settings import Settings, load
from core.tls import trouble
from storage.artifacts import artifact_store
from storage.diagnosis import milvus_version
from storage.milvus import MilvusSearch
from storage.postgres.engine import pool, transaction
from storage.postgres.reaching import for_libpq, libpq_url, parsed
from storage.redis.client import client_of, ping
from tests.certificates import Authority
from tests.s3 import FaultyS3, point_at
from tests.terminator import Terminator
from upnext.backups.place import place_of

pytestmark = pytest.mark.integration

Ask = Callable[[Settings], Awaitable[None]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    return Authority(folder / "ours")


@pytest.fixture
def postgres(authority: Authority, postgres_url: str) -> Iterator[Terminator]:
    socket = Path(str(make_url(postgres_url).query["host"])) / ".s.PGSQL.5432"
    with Terminator(socket, authority.issue(), postgres=True) as door:
        yield door


@pytest.fixture
def redis(authority: Authority, redis_url: str) -> Iterator[Terminator]:
    with Terminator(Path(redis_url.removeprefix("unix://")), authority.issue()) as door:
        yield door


async def ask_by_asyncpg(settings: Settings) -> None:
    async with pool(settings) as engine, transaction(engine) as connection:
        assert (await connection.execute(text("SELECT 1"))).scalar_one() == 1


async def ask_by_psycopg(settings: Settings) -> None:
    parts = parsed(settings.postgres_url)
    options = for_libpq(parts, access(settings, "postgres"))
    try:
        async with await psycopg.AsyncConnection.connect(libpq_url(parts), **options) as connection:
            await connection.execute("SELECT 1")
    except psycopg.OperationalError as error:
        raise Unavailable("postgres", trouble(error)) from error


async def ask_redis(settings: Settings) -> None:
    client = client_of(settings, settings.redis_timeout_seconds)
    try:
        await ping(client)
    finally:
        await client.aclose()


async def check_all(ask: Ask, door: Terminator, authority: Authority, **given: str) -> None:
    """What every client must do over TLS; `given` is where the server is."""
    trusting = load({**given, "ca_file": str(authority.ca)})
    await ask(trusting)
    await refuses(ask, load(given | {"ca_file": "system"}), "not trusted")
    stranger = Authority(authority.ca.parent / "stranger")
    await refuses(ask, load(given | {"ca_file": str(stranger.ca)}), "not trusted")

    right = door.certificate
    door.certificate = authority.issue("another", "db.example")
    await refuses(ask, trusting, "another name")
    door.certificate = authority.issue("expired", expired=True)
    await refuses(ask, trusting, "has expired")
    door.certificate = right
    await ask(trusting)

    door.asks_by = authority.ca
    with pytest.raises(Unavailable):
        await ask(trusting)
    ours = authority.issue("client", "upnext")
    ours.chmod(0o600)
    await ask(trusting.model_copy(update={"client_certificate_file": ours}))


async def refuses(ask: Ask, settings: Settings, said: str) -> None:
    with pytest.raises(Unavailable, match=said):
        await ask(settings)


@pytest.mark.parametrize("ask", [ask_by_asyncpg, ask_by_psycopg])
async def test_both_drivers_of_postgres(
    ask: Ask, postgres: Terminator, authority: Authority
) -> None:
    url = f"postgresql://postgres@127.0.0.1:{postgres.port}/upnext"
    await ask(load({"postgres_url": f"{url}?sslmode=disable"}))
    # `require` is encrypted and believes anybody, where no authority is named.
    await ask(load({"postgres_url": f"{url}?sslmode=require"}))
    full = f"{url}?sslmode=verify-full"
    await check_all(ask, postgres, authority, postgres_url=full)
    postgres.asks_by = None
    await ask(load({"postgres_url": url, "postgres_ca_file": str(authority.ca)}))


async def test_redis(redis: Terminator, authority: Authority) -> None:
    await check_all(ask_redis, redis, authority, redis_url=f"rediss://127.0.0.1:{redis.port}/0")


@pytest.mark.parametrize("scheme", ["redis", "rediss"])
async def test_a_server_that_speaks_otherwise_is_away(
    scheme: str, nats_url: str, redis: Terminator, authority: Authority
) -> None:
    port = urlsplit(nats_url).port if scheme == "rediss" else redis.port
    settings = {"redis_url": f"{scheme}://127.0.0.1:{port}/0", "ca_file": str(authority.ca)}
    await refuses(ask_redis, load(settings), "does not speak TLS|did not answer")


async def ask_milvus(settings: Settings) -> None:
    search = MilvusSearch.of(settings)
    try:
        await search.collections()
    finally:
        await search.close()


@contextmanager
def before(
    milvus_uri: str, authority: Authority, certificate: Path, asks_by: Path | None = None
) -> Iterator[Settings]:
    """Over a door of its own: the driver shares connections to the same address."""
    behind = ("127.0.0.1", urlsplit(milvus_uri).port or 0)
    with Terminator(behind, certificate, http2=True) as door:
        door.asks_by = asks_by
        uri = f"https://127.0.0.1:{door.port}"
        yield load({"milvus_uri": uri, "ca_file": str(authority.ca), "milvus_timeout_seconds": "1"})


async def test_milvus(milvus_uri: str, authority: Authority) -> None:
    ours = authority.issue("client", "upnext")
    patient = {"milvus_timeout_seconds": 10.0}
    with before(milvus_uri, authority, authority.issue()) as settings:
        await ask_milvus(settings.model_copy(update=patient))
        assert await milvus_version(settings)
    for certificate, said in (
        (authority.issue("another", "db.example"), "another name"),
        (Authority(authority.ca.parent / "stranger").issue(), "not trusted"),
        (authority.issue("expired", expired=True), "has expired"),
    ):
        with before(milvus_uri, authority, certificate) as settings:
            await refuses(ask_milvus, settings, "[Mm]ilvus")
            with pytest.raises(Unavailable, match=said):
                await milvus_version(settings)
    with before(milvus_uri, authority, authority.issue(), authority.ca) as settings:
        await ask_milvus(settings.model_copy(update={"client_certificate_file": ours, **patient}))


def test_s3(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    with FaultyS3() as s3, Terminator(("127.0.0.1", s3.port), authority.issue()) as door:
        url = point_at(s3, monkeypatch)
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"https://127.0.0.1:{door.port}")
        trusting = load({"artifacts_url": url, "artifacts_ca_file": str(authority.ca)})
        artifact_store(trusting).probe()
        place_of(url, trusting).probe()  # where backups are, which has no settings of its own
        with pytest.raises(Unavailable, match="not trusted"):
            artifact_store(load({"artifacts_url": url})).probe()
        door.certificate = authority.issue("another", "db.example")
        with pytest.raises(Unavailable, match="another name"):
            artifact_store(trusting).probe()
        door.certificate, door.asks_by = authority.issue(), authority.ca
        ours = authority.issue("client", "upnext")
        artifact_store(trusting.model_copy(update={"client_certificate_file": ours})).probe()
