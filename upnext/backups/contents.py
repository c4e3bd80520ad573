"""What a backup is: files under a name of their own, and `backup.json`, written last.

<name>/tables/<table>.copy.zst · <name>/artifacts/<key> · <name>/backup.json
"""

from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from core.errors import NotFound, SetupError
from embeddings.manifest import FileEntry
from embeddings.ports import ArtifactStore
from storage.postgres.copying import Copied

CONTENTS = "backup.json"
FORMAT = 1
PREFIX = "upnext-"


class Backup(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup has, and what each of its files must be.

    `release` and `revision` are those of the program and of the database that it was made of,
    `live` the version that served. `artifacts` is None for a backup of the tables alone.
    """

    made_at: datetime
    release: str
    revision: str
    live: str | None
    tables: dict[str, Copied]
    files: dict[str, FileEntry]
    artifacts: dict[str, FileEntry] | None
    format: int = FORMAT

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(one.size for one in [*self.files.values(), *(self.artifacts or {}).values()])


class _Head(msgspec.Struct, frozen=True):
    """What backups of all formats have."""

    release: str
    format: int


def name_of(moment: datetime) -> str:
    """The name of a backup that is begun at a moment in UTC; names sort by time."""
    return f"{PREFIX}{moment:%Y%m%dT%H%M%SZ}"


def table_key(name: str, file: str) -> str:
    """Where a table's file is in a backup."""
    return f"{name}/tables/{file}"


def artifact_key(name: str, key: str) -> str:
    """Where the artifact of that key is in a backup."""
    return f"{name}/artifacts/{key}"


def names(place: ArtifactStore) -> list[str]:
    """The complete backups of a place, oldest first. Raises `Unavailable`."""
    ends = f"/{CONTENTS}"
    return [key.removesuffix(ends) for key in place.keys(PREFIX) if key.endswith(ends)]


def opened(place: ArtifactStore, name: str | None) -> tuple[str, Backup]:
    """A backup's name and what it has; without a name, of the newest.

    Raises:
        NotFound: there is none, or none of that name.
        SetupError: it is of a format that this release does not read.
        Unavailable: the place does not answer.
    """
    if name is None:
        found = names(place)
        if not found:
            raise NotFound(f"There is no complete backup in {place.url}.")
        name = found[-1]
    with TemporaryDirectory(prefix="upnext-backup-") as folder:
        path = Path(folder) / CONTENTS
        try:
            place.fetch(f"{name}/{CONTENTS}", path)
        except NotFound as error:
            raise NotFound(f"There is no complete backup {name} in {place.url}.") from error
        return name, _decoded(name, path.read_bytes())


def _decoded(name: str, kept: bytes) -> Backup:
    try:
        head = msgspec.json.decode(kept, type=_Head)
        if head.format != FORMAT:
            raise SetupError(
                f"{name} was made by release {head.release}, its format is {head.format} and this "
                f"release reads {FORMAT}: restore it with that release."
            )
        return msgspec.json.decode(kept, type=Backup)
    except msgspec.DecodeError as error:
        raise SetupError(f"{CONTENTS} of {name} is damaged: {error}. Take another one.") from error
