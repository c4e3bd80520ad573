"""Making a backup: the tables as of one moment, then the artifacts, then what it all is."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from core.clock import utc_now
from core.errors import Conflict, NotFound
from core.settings import Settings
from core.types import Model
from embeddings.manifest import FileEntry, entry, folder, stored_manifest
from embeddings.ports import ArtifactStore
from storage.artifacts import artifact_store
from storage.postgres import migrate
from storage.postgres.copying import Copied, copy_out, file_of
from storage.postgres.engine import pool
from storage.postgres.models import PostgresModels
from upnext.backups.contents import CONTENTS, Backup, artifact_key, name_of, table_key
from upnext.backups.place import Tell, check_apart, place_of

AT_ONCE = 8
"""Artifacts copied side by side: most are small, and each waits for two stores."""


def backup(
    settings: Settings, place_given: str, tell: Tell, *, with_artifacts: bool = True
) -> tuple[str, Backup]:
    """Copy PostgreSQL and the artifacts to a place, while the service goes on.

    The tables are first: artifacts that their models name are there then, and what comes after
    them does no harm. Files pass through the disk of this machine, in the home. Of tables that a
    later release migrated before it was taken back, the backup has what this one knows.

    Args:
        settings: of the service.
        place_given: a folder, or `s3://bucket/prefix`.
        tell: hears how far it is.
        with_artifacts: False where the bucket of the artifacts is safe by itself.

    Returns:
        The backup's name in that place, and what it has.

    Raises:
        SetupError: the place is none, or lies within the artifacts.
        Conflict: the artifacts of the live version are not as they must be.
        Unavailable: a store did not answer; without its contents it is no backup.
    """
    place, store = place_of(place_given, settings), artifact_store(settings)
    check_apart(place, store)
    made_at = utc_now()
    name = name_of(made_at)
    live, tables, files = _tables(settings, place, name, tell)
    artifacts = _artifacts(settings.home, store, place, name, tell) if with_artifacts else None
    if live is not None and artifacts is not None:
        _check_live(store, live, artifacts)
    made = Backup(
        made_at=made_at,
        release=version("upnext"),
        revision=migrate.head(),
        live=None if live is None else live.version,
        tables=tables,
        files=files,
        artifacts=artifacts,
    )
    _write(place, name, made)
    return name, made


def _tables(
    settings: Settings, place: ArtifactStore, name: str, tell: Tell
) -> tuple[Model | None, dict[str, Copied], dict[str, FileEntry]]:
    with TemporaryDirectory(prefix="backup-", dir=settings.home) as given:
        here = Path(given)
        live, copied = asyncio.run(
            _copied(settings, here, lambda table, rows: tell(0.1, f"{table}: {rows:,} rows"))
        )
        files: dict[str, FileEntry] = {}
        for at, table in enumerate(copied):
            path = file_of(here, table)
            tell(0.3 + 0.2 * at / len(copied), f"storing {table}")
            place.put(table_key(name, path.name), path)
            files[table] = entry(path)
    return live, copied, files


async def _copied(
    settings: Settings, here: Path, tell: Callable[[str, int], None]
) -> tuple[Model | None, dict[str, Copied]]:
    async with pool(settings, patient=True) as engine:
        live = await PostgresModels(engine, utc_now).live()
        return live, await copy_out(engine, here, tell)


def _artifacts(
    home: Path, store: ArtifactStore, place: ArtifactStore, name: str, tell: Tell
) -> dict[str, FileEntry]:
    keys = store.keys("")
    made: dict[str, FileEntry] = {}
    with (
        TemporaryDirectory(prefix="backup-", dir=home) as here,
        ThreadPoolExecutor(AT_ONCE) as threads,
    ):

        def copy(numbered: tuple[int, str]) -> FileEntry | None:
            number, key = numbered
            path = Path(here) / str(number)
            try:
                store.fetch(key, path)
            except NotFound:  # swept meanwhile: no version needs it
                return None
            place.put(artifact_key(name, key), path)
            found = entry(path)
            path.unlink()
            return found

        for at, (key, found) in enumerate(
            zip(keys, threads.map(copy, enumerate(keys)), strict=True)
        ):
            if found is not None:
                made[key] = found
            tell(0.5 + 0.5 * (at + 1) / len(keys), f"{at + 1:,} of {len(keys):,} artifacts")
    return made


def _check_live(store: ArtifactStore, live: Model, artifacts: dict[str, FileEntry]) -> None:
    """See that the version that serves is in the backup as it is in the store."""
    prefix = folder(live.version)
    for name, expected in stored_manifest(store, live.version).files.items():
        if artifacts.get(prefix + name) != expected:
            raise Conflict(
                f"{prefix}{name} is damaged or was replaced meanwhile, so this is no backup of "
                f"{live.version}, which serves. Try again; if it says so again, publish another "
                "version first."
            )


def _write(place: ArtifactStore, name: str, made: Backup) -> None:
    with TemporaryDirectory(prefix="upnext-backup-") as here:
        path = Path(here) / CONTENTS
        path.write_bytes(msgspec.json.format(msgspec.json.encode(made), indent=1))
        place.put(f"{name}/{CONTENTS}", path)
