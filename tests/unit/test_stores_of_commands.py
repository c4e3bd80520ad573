"""On which databases a command does its work."""

from pathlib import Path

import pytest

from core.errors import SetupError
from storage.postgres import migrate
from upnext.cli.context import stores

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPNEXT_HOME", str(tmp_path))
    monkeypatch.setenv("UPNEXT_POSTGRES_URL", "postgresql://upnext@postgres/upnext")


def at(revision: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrate, "current", lambda _settings: revision)


@pytest.mark.parametrize("revision", [None, migrate.revisions()[0], migrate.revisions()[-2]])
def test_a_database_that_is_behind_is_refused(
    revision: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    at(revision, monkeypatch)
    with pytest.raises(SetupError, match="run `upnext migrate`"), stores(["postgres"]):
        pass


@pytest.mark.parametrize("revision", [migrate.head(), "9999"])
def test_one_of_a_later_release_is_as_good(revision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Backups go on when a release was taken back; `upnext migrate` would do nothing about it."""
    at(revision, monkeypatch)
    with stores(["postgres"]) as settings:
        assert settings.postgres_url is not None
