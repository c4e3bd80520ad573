from collections.abc import Iterator
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from tests.contract_http.memory import served_in_memory


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient[Litestar]]:
    """The application over a world in memory, which the tests of a module share."""
    with TestClient(served_in_memory(), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="module")
def document(client: TestClient[Litestar]) -> dict[str, Any]:
    """The OpenAPI document that the application shows."""
    shown: dict[str, Any] = client.get("/openapi.json").json()
    return shown
