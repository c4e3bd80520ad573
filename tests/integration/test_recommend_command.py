"""`upnext recommend` and `similar`, in process: the same recommender without a service."""

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from api.schemas import UserList
from core.errors import Unavailable
from core.settings import load
from storage.postgres.engine import connect
from storage.postgres.videos import PostgresVideos
from tests.catalogues import video
from upnext.cli import main
from upnext.service import fetch

pytestmark = pytest.mark.integration


@pytest.fixture
def environment(  # noqa: PLR0917 - one fixture a server
    tmp_path: Path,
    database_url: str,
    redis_url: str,
    milvus_uri: str,
    nats_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in {
        "HOME": str(tmp_path),
        "POSTGRES_URL": database_url,
        "REDIS_URL": redis_url,
        "MILVUS_URI": milvus_uri,
        "BUS_URL": nats_url,
    }.items():
        monkeypatch.setenv(f"UPNEXT_{name}", value)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


@pytest.fixture
def catalogue(environment: None) -> None:  # noqa: ARG001 - it is set before
    async def write() -> None:
        engine = connect(load())
        await PostgresVideos(engine).upsert_many([video(f"v{row}", "drama") for row in range(20)])
        await engine.dispose()

    asyncio.run(write())


@pytest.mark.usefixtures("catalogue")
def test_lists_as_json_and_as_tables() -> None:
    body = json.loads(run("recommend", "stranger", "--limit", "3", "--json").stdout)
    assert len(body["recommendations"]) == 3
    assert body["metadata"]["cold_start"]
    table = run("recommend", "stranger").stdout
    assert "For stranger, a cold-start list" in table
    assert body["recommendations"][0]["content_id"] in table
    assert "genre 0.035" in run("recommend", "stranger", "--genre", "Drama", "--explain").stdout
    narrowed = json.loads(run("recommend", "stranger", "--genre", "western", "--json").stdout)
    assert narrowed["recommendations"] == []
    alike = json.loads(run("similar", "v1", "--json").stdout)
    assert alike["content_id"] == "v1"
    assert len(alike["recommendations"]) == 10


@pytest.mark.usefixtures("catalogue")
def test_refusals_are_one_line() -> None:
    for arguments, said in (
        (("similar", "none"), "The catalogue has no video none."),
        (("recommend", "a b"), "must be 1 to 128 of"),
    ):
        done = run(*arguments)
        assert done.exit_code == 1
        assert said in done.stderr
        assert "Traceback" not in done.stderr


def test_a_service_that_is_away_is_named() -> None:
    settings = load({"jwt_secret": "a secret of this test only, long enough for an HMAC"})
    with pytest.raises(Unavailable, match="does not answer"):
        fetch(settings, "http://127.0.0.1:9", ("recs", "7"), {"limit": 1}, UserList)
