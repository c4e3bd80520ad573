from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.service import Service


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A first start in an empty home: demo data, a first model, worker and API."""
    with Service(tmp_path_factory.mktemp("demo") / "home") as service:
        yield service


MOVIELENS = Path(__file__).parents[3] / "shared" / "data" / "movielens-small"
