"""`upnext migrate wait`: for processes that start beside the migration."""

import asyncio
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text

from core.settings import load
from storage.postgres import migrate
from storage.postgres.engine import connect
from upnext.cli import main

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def environment(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPNEXT_POSTGRES_URL", database_url)
    monkeypatch.setenv("UPNEXT_HOME", str(tmp_path))
    monkeypatch.setattr("upnext.cli.migrate.POLL_SECONDS", 0.01)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["migrate", *arguments])


def test_it_ends_with_the_migration(database_url: str) -> None:
    migrate.downgrade(database_url, "base")
    migration = threading.Timer(0.3, migrate.upgrade, [database_url])
    migration.start()
    ended = run("wait")
    migration.join()
    assert (ended.exit_code, ended.output.strip()) == (0, f"Revision {migrate.head()}")


def test_it_says_what_is_missing_when_nobody_migrates(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("upnext.cli.migrate.WAIT_SECONDS", 0.0)
    migrate.downgrade(database_url, "base")
    refused = run("wait")
    assert refused.exit_code == 1
    assert "revision none" in refused.output
    assert "run `upnext migrate`" in refused.output
    monkeypatch.setenv("UPNEXT_POSTGRES_URL", "postgresql://u@127.0.0.1:1/nowhere")
    assert "postgres did not answer" in run("wait").output


def test_the_tables_of_a_later_release_are_right_and_left_alone(database_url: str) -> None:
    asyncio.run(_migrated_by_a_later_release(database_url))
    for arguments in (["wait"], [], ["up"]):
        ended = run(*arguments)
        assert (ended.exit_code, ended.output.strip()) == (0, "Revision later")


async def _migrated_by_a_later_release(url: str) -> None:
    engine = connect(load({"postgres_url": url}))
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = 'later'"))
    await engine.dispose()
