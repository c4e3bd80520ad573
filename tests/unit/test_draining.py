"""A process that is about to stop: not ready, alive, and every answer ends its connection."""

from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from api.draining import Draining
from tests.asking import ADMIN, problem

pytestmark = pytest.mark.unit


def test_it_answers_and_sends_everybody_elsewhere(
    app: Litestar, client: TestClient[Litestar]
) -> None:
    paths = ("/recs/ann", "/recs/ann", "/health/live", "/nowhere")  # the second from memory
    before = [client.get(path, headers=ADMIN) for path in paths]
    app.state.draining.begin()
    after = [client.get(path, headers=ADMIN) for path in paths]
    assert [each.status_code for each in after] == [200, 200, 200, 404]
    assert not any("connection" in each.headers for each in before)
    assert {each.headers["connection"] for each in after} == {"close"}
    not_ready = client.get("/health/ready")
    problem(not_ready, 503, "unavailable")
    assert not_ready.headers["connection"] == "close"


def test_one_that_another_takes_the_place_of_stays_ready(
    app: Litestar, client: TestClient[Litestar]
) -> None:
    app.state.draining.part()
    for path in ("/recs/ann", "/health/ready"):
        answer = client.get(path, headers=ADMIN)
        assert (answer.status_code, answer.headers["connection"]) == (200, "close")


@pytest.mark.parametrize(
    ("version", "there", "sent"),
    [
        ("1.1", [], [(b"connection", b"close")]),
        ("1.1", [(b"Connection", b"close")], [(b"connection", b"close")]),
        ("2", [], []),  # where the header is not allowed
    ],
)
async def test_the_header_is_said_once_and_only_where_it_means_something(
    version: str, there: list[tuple[bytes, bytes]], sent: list[tuple[bytes, bytes]]
) -> None:
    draining, messages = Draining(), []

    async def send(message: Any) -> None:
        messages.append(message)

    scope: Any = {"http_version": version}
    assert draining.telling(scope, send) is send
    draining.begin()
    start: Any = {"type": "http.response.start", "status": 200, "headers": there}
    await draining.telling(scope, send)(start)
    assert messages[0]["headers"] == sent
