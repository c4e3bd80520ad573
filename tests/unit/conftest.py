from collections.abc import Iterator

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from api.auth import TokenVerifier
from api.http import application
from tests.asking import SECRET
from tests.serving import World


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def app(world: World) -> Litestar:
    return application(world.compose, TokenVerifier(SECRET))


@pytest.fixture
def client(app: Litestar) -> Iterator[TestClient[Litestar]]:
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client
