"""One line a request, but for most cached answers; never a token."""

import asyncio
from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest
from litestar.testing import TestClient
from structlog.testing import capture_logs

from api.auth import TokenVerifier
from api.http import application
from tests.asking import SECRET, bearer
from tests.serving import NAMES, World

pytestmark = pytest.mark.unit

ANN = bearer("ann", "user")
Lines = list[MutableMapping[str, Any]]


@pytest.fixture
def lines() -> Iterator[Lines]:
    with capture_logs() as captured:
        yield captured


def asked(lines: Lines, sample: float, *urls: str) -> Lines:
    """The lines of requests that ann makes, one after the other."""
    world = World(local_bytes=1_000_000)
    asyncio.run(world.watched("ann", *NAMES[:5]))
    app = application(world.compose, TokenVerifier(SECRET), access_log_sample=sample)
    with TestClient(app, raise_server_exceptions=False) as client:
        for url in urls:
            client.get(url, headers=ANN | {"X-Request-ID": "mine"})
    return [line for line in lines if line["event"] == "request"]


def test_a_line_says_who_what_and_how_long(lines: Lines) -> None:
    [made, refused, nowhere] = asked(lines, 0.0, "/recs/ann", "/recs/bob", "/nowhere")
    assert 0 < made["nanoseconds"] < 60e9
    assert {name: made[name] for name in ("request_id", "method", "route", "user", "sub")} == {
        "request_id": "mine",
        "method": "GET",
        "route": "/recs/{user_id}",
        "user": "ann",
        "sub": "ann",
    }
    assert (refused["status_code"], refused["user"], refused["sub"]) == (403, "bob", "ann")
    assert (nowhere["status_code"], nowhere["route"]) == (404, "none")


@pytest.mark.parametrize(("sample", "count"), [(0.0, 1), (1.0, 4)])
def test_cached_answers_are_sampled(lines: Lines, sample: float, count: int) -> None:
    assert len(asked(lines, sample, *["/recs/ann"] * 4)) == count


def test_no_line_has_a_token(lines: Lines) -> None:
    told = asked(lines, 1.0, *["/recs/ann"] * 4, "/recs/bob")
    token = ANN["Authorization"].removeprefix("Bearer ")
    assert token not in str(told)
    assert "recommendations" not in str(told).replace("/recommendations", "")
