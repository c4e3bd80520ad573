"""Who does the work of `upnext train`."""

from pathlib import Path

import pytest

from core.settings import load
from storage.embedded.identity import Identity
from storage.embedded.stack import Endpoints
from upnext.cli.train import has_worker
from upnext.home import STARTED_BY_UP, Home, StackFile

pytestmark = pytest.mark.unit

OURS = "postgresql://localhost/ours"


@pytest.mark.parametrize(
    ("address", "database", "expected"),
    [
        ("http://127.0.0.1:8000", OURS, True),
        (None, OURS, False),  # it makes its first model, and has no worker yet
        ("http://127.0.0.1:8000", "postgresql://localhost/other", False),
    ],
)
def test_a_stack_that_answers_on_the_same_database_does_it(
    tmp_path: Path, address: str | None, database: str, *, expected: bool
) -> None:
    settings = load({"home": str(tmp_path), "postgres_url": OURS})
    assert not has_worker(settings)
    home = Home(tmp_path)
    home.make()
    home.publish(
        StackFile(
            owner=Identity.own(),
            command=STARTED_BY_UP,
            secret="",
            endpoints=Endpoints(postgres_url=database),
            address=address,
        )
    )
    assert has_worker(settings) is expected
