"""Restoring a backup into stores that have nothing yet."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from core.clock import utc_now
from core.errors import SetupError
from core.settings import Settings
from embeddings.manifest import stored_manifest
from storage.artifacts import Artifacts, artifact_store
from storage.postgres import migrate
from storage.postgres.copying import file_of
from storage.postgres.engine import pool
from storage.postgres.restoring import bring_in, is_empty
from upnext.backups.contents import Backup, artifact_key, opened, table_key
from upnext.backups.place import Tell, check_apart, fetch_checked, place_of
from upnext.jobs.rebuild import Rebuilt, rebuild


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """What was restored, and what was made anew from it."""

    name: str
    live: str | None
    rows: dict[str, int]
    artifacts: int
    rebuilt: Rebuilt


def check(settings: Settings, place_given: str, name: str | None, tell: Tell) -> tuple[str, Backup]:
    """Read a backup, the newest if none is named, and compare every file with its checksum.

    One file after the other passes through the home, or through the system's folder for such if
    that is not there.

    Raises:
        NotFound: there is no such backup.
        SetupError: a file is damaged, or the backup is of another release's format.
        Unavailable: the place does not answer.
    """
    home, place = settings.home, place_of(place_given, settings)
    name, found = opened(place, name)
    expected = {
        table_key(name, file_of(Path(), each).name): one for each, one in found.files.items()
    }
    expected |= {artifact_key(name, key): one for key, one in (found.artifacts or {}).items()}
    with TemporaryDirectory(prefix="restore-", dir=home if home.is_dir() else None) as here:
        for at, (key, one) in enumerate(expected.items()):
            tell(at / len(expected), key)
            fetch_checked(place, key, one, Path(here) / "file")
    return name, found


def restore(settings: Settings, place_given: str, name: str | None, tell: Tell) -> Restored:
    """Fill an empty database and the artifact store, then make index and cache anew.

    The tables are filled in one transaction, when all their files were seen to be whole and the
    artifacts are there: interrupted before, run it again; interrupted after, `rebuild` is what is
    left.

    Args:
        settings: of the service that is to go on from it, of which nothing runs yet.
        place_given: a folder, or `s3://bucket/prefix`.
        name: of the backup; None: the newest.
        tell: hears how far it is.

    Raises:
        NotFound: there is no such backup, or it is without the artifacts and nor has the store.
        SetupError: the database is in use, or of a backup's file it is not what it was.
        Unavailable: a store did not answer.
    """
    place = place_of(place_given, settings)
    check_apart(place, artifact_store(settings))
    name, found = opened(place, name)
    _check_target(settings, found)
    with _tables(settings, place, name, found, tell) as folder:
        _artifacts(settings, place, name, found, tell)
        migrate.downgrade(settings, "base")
        migrate.upgrade(settings, found.revision)
        asyncio.run(_bring_in(settings, folder, found, tell))
        migrate.upgrade(settings)
    rebuilt = rebuild(settings, lambda share, message: tell(0.7 + 0.3 * share, message))
    return Restored(
        name=name,
        live=found.live,
        rows={table: copied.rows for table, copied in found.tables.items()},
        artifacts=len(found.artifacts or {}),
        rebuilt=rebuilt,
    )


def _check_target(settings: Settings, found: Backup) -> None:
    if found.revision not in migrate.revisions():
        raise SetupError(
            f"The backup is of release {found.release}, whose database this one does not know "
            f"(revision {found.revision}): restore it with that release or a newer one."
        )
    if not asyncio.run(_is_empty(settings)):
        raise SetupError(
            "The database of UPNEXT_POSTGRES_URL is in use: it has videos, users, interactions or "
            "models. Restore into an empty one. If this very backup was being restored and was "
            "interrupted, run `upnext rebuild`: its tables are in."
        )


async def _is_empty(settings: Settings) -> bool:
    async with pool(settings) as engine:
        return await is_empty(engine)


@contextmanager
def _tables(
    settings: Settings, place: Artifacts, name: str, found: Backup, tell: Tell
) -> Iterator[Path]:
    """A folder with the files of all tables, each seen to be whole."""
    with TemporaryDirectory(prefix="restore-", dir=settings.home) as here:
        for at, (table, expected) in enumerate(found.files.items()):
            tell(0.2 * at / len(found.files), f"fetching {table}")
            path = file_of(Path(here), table)
            fetch_checked(place, table_key(name, path.name), expected, path)
        yield Path(here)


def _artifacts(settings: Settings, place: Artifacts, name: str, found: Backup, tell: Tell) -> None:
    store, wanted = artifact_store(settings), found.artifacts or {}
    with TemporaryDirectory(prefix="restore-", dir=settings.home) as here:
        for at, (key, expected) in enumerate(wanted.items()):
            tell(0.2 + 0.3 * at / len(wanted), f"{at:,} of {len(wanted):,} artifacts")
            path = Path(here) / "artifact"
            fetch_checked(place, artifact_key(name, key), expected, path)
            store.put(key, path)
    if found.live is not None:
        stored_manifest(store, found.live)


async def _bring_in(settings: Settings, folder: Path, found: Backup, tell: Tell) -> None:
    async with pool(settings, patient=True) as engine:
        await bring_in(
            engine,
            folder,
            found.tables,
            utc_now(),
            lambda table, rows: tell(0.6, f"{table}: {rows:,} rows"),
        )
