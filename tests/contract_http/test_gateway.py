"""What gateways rely on, and the whole document, asked of the real server over real stores."""

import socket
from collections.abc import Iterator
from datetime import timedelta

import httpx
import hypothesis
import pytest
from hypothesis import strategies as st

from core.settings import Settings, load
from tests.asking import SECRET
from tests.catalogues import video
from tests.conftest import fresh_database
from tests.contract_http import pairs
from tests.contract_http.operations import OPERATIONS, check
from tests.ports import free_port
from tests.served import Served, write_videos
from upnext.tokens import make_token

pytestmark = [pytest.mark.integration]

GENRES = ("drama", "comedy")
VIDEOS = [video(f"v{number:03}", GENRES[number % 2], age_days=number) for number in range(120)]


@pytest.fixture(scope="module")
def stores(
    postgres_url: str, template_database: str, redis_url: str, milvus_uri: str, nats_url: str
) -> Iterator[dict[str, str]]:
    with fresh_database(postgres_url, template_database) as database_url:
        yield {
            "postgres_url": database_url,
            "redis_url": redis_url,
            "milvus_uri": milvus_uri,
            "bus_url": nats_url,
        }


@pytest.fixture(scope="module")
def settings(stores: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Settings:
    home = tmp_path_factory.mktemp("gateway")
    return load(
        {
            **stores,
            "home": str(home),
            "port": str(free_port()),
            "workers": "2",
            "artifacts_url": (home / "artifacts").as_uri(),
            "jwt_secret": SECRET,
        }
    )


@pytest.fixture(scope="module")
def client(settings: Settings) -> Iterator[httpx.Client]:
    """The service with the videos and the user that docs/gateway.md names."""
    write_videos(settings, VIDEOS)
    with Served(settings) as server:
        with server.client() as ops:
            watched = ops.post("/users/viewer/watch-history", json={"content_id": "v000"})
            assert watched.status_code == 201, watched.text
        with httpx.Client(base_url=server.address, timeout=20) as client:
            yield client


@pytest.mark.parametrize("name", pairs.FILES)
def test_the_gateway_gets_what_it_relies_on(
    client: httpx.Client, settings: Settings, name: str
) -> None:
    tokens: dict[tuple[str, ...], str] = {}

    def token(sub: str, roles: list[str]) -> str:
        if (sub, *roles) not in tokens:
            made = make_token(settings, sub, tuple(roles), timedelta(hours=1))  # type: ignore[arg-type]
            tokens[sub, *roles] = made
        return tokens[sub, *roles]

    found = [pairs.replay(client, pair, token) for pair in pairs.read(name)["pairs"]]
    assert [fault for faults in found for fault in faults] == []


@pytest.mark.parametrize(("size", "connection"), [(200_000, "close"), (2_000, None)])
def test_a_refusal_before_the_body_was_read_leaves_no_connection_in_doubt(
    client: httpx.Client, size: int, connection: str | None
) -> None:
    for _ in range(50):
        refused = client.post("/users/viewer/watch-history", content=b" " * size)
        assert (refused.status_code, refused.headers.get("connection")) == (401, connection)
        assert client.get("/health").status_code == 200


@pytest.mark.usefixtures("client")
def test_a_body_that_is_broken_off_is_the_callers_fault(settings: Settings) -> None:
    token = make_token(settings, "viewer", ("user",), timedelta(hours=1))
    head = f"POST /recs/rank HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
    body = "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n"
    with socket.create_connection(("127.0.0.1", settings.port), timeout=20) as wire:
        wire.sendall((head + body).encode())
        assert b" 400 " in wire.recv(4096).split(b"\r\n")[0]


@pytest.mark.parametrize("name", OPERATIONS)
@hypothesis.settings(
    max_examples=4, suppress_health_check=list(hypothesis.HealthCheck), deadline=None
)
@hypothesis.given(data=st.data())
def test_the_real_server_answers_as_its_document_says(
    client: httpx.Client, name: str, data: st.DataObject
) -> None:
    check(client, name, data)
