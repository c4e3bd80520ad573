"""The catalogue of an evaluation: every video that a file names, and what is known of each."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import InvalidInput
from core.hashing import hash64, hash64_many
from core.types import Video, VideoId
from embeddings.dataset import Catalogue
from embeddings.text import CONTENT_DIM, genres_of, text_of
from ingest.readers.csv_rows import CsvRows
from ingest.readers.lines import require
from ingest.readers.ndjson_rows import NdjsonRows
from ingest.readers.parquet_rows import ParquetRows
from ingest.readers.tables import EXTENSIONS, Rows, made
from ingest.report import Reject
from ingest.video_files import FIELDS, video_of
from storage.artifacts import DirectoryArtifacts
from upnext.jobs.texts import encoded

ID = "id", "video_id"
OnProgress = Callable[[float, str], None]


@dataclass(frozen=True, slots=True)
class Videos:
    """What a file says of videos, by id; `rejected` says why some of its rows are of no use."""

    by_id: dict[str, Video]
    rejected: list[Reject]


def read_videos(path: Path) -> Videos:
    """The videos of a file as `upnext import videos` reads it; the id may be called `video_id`.

    Columns that the catalogue has no use for are passed over.

    Raises:
        SetupError: there is no such file.
        InvalidInput: the file as a whole cannot be used.
    """
    read = [*made(_Known(_rows(path)), video_of)]
    rejected = [one for one in read if isinstance(one, Reject)]
    videos: dict[str, Video] = {one.id: one for one in read if not isinstance(one, Reject)}
    if not videos:
        why = f": {rejected[0].reason} (line {rejected[0].line})" if rejected else ""
        raise InvalidInput(f"{path} has no video that can be used{why}.", field="videos")
    return Videos(videos, rejected)


def catalogue_of(videos: Videos | None, *named: Iterable[str]) -> Catalogue:
    """The catalogue of all that is named, there and elsewhere, in the order of the hashes.

    Raises:
        InvalidInput: two ids have one hash.
    """
    known = {} if videos is None else videos.by_id
    ids = [*dict.fromkeys(name for names in (known, *named) for name in names)]
    hashes = hash64_many(ids)
    order = np.argsort(hashes)
    if (np.diff(hashes[order]) == 0).any():
        raise InvalidInput("Two video ids have the same 64-bit hash: rename one of them.")
    ids = [ids[at] for at in order.tolist()]
    told = [known.get(name) for name in ids]
    return Catalogue(
        [VideoId(name) for name in ids],
        ["" if one is None else text_of(one) for one in told],
        ["" if one is None else genres_of(one) for one in told],
    )


def content_of(
    catalogue: Catalogue, path: Path, cache: Path, on_progress: OnProgress
) -> NDArray[np.float32]:
    """Text vectors, float32 (n, 384), in the catalogue's order; zeros for videos without a text.

    Args:
        catalogue: what is encoded.
        path: the file the texts are from: each has a folder of its own in the cache.
        cache: where vectors are kept, so that each text is encoded once.
        on_progress: hears the share done, 0..1, and a sentence.

    Raises:
        Unavailable: the cache cannot be read or written.
    """
    told = [at for at, text in enumerate(catalogue.texts) if text]
    part = Catalogue(
        [catalogue.ids[at] for at in told],
        [catalogue.texts[at] for at in told],
        [catalogue.genres[at] for at in told],
    )
    store = DirectoryArtifacts(cache / f"{hash64(str(path.resolve())):016x}")
    content = np.zeros((len(catalogue.ids), CONTENT_DIM), dtype=np.float32)
    content[told] = encoded(store, part, on_progress).vectors
    return content


class _Known:
    """Rows with the fields that the catalogue has a use for, the id called `id`."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self.file = rows.file
        self.fraction = rows.fraction

    def __iter__(self) -> Iterator[tuple[int, dict[str, Any]] | Reject]:
        for row in self._rows:
            if isinstance(row, Reject):
                yield row
                continue
            number, fields = row
            if "id" not in fields and "video_id" in fields:
                fields["id"] = fields["video_id"]
            yield number, {name: cell for name, cell in fields.items() if name in FIELDS}


def _rows(path: Path) -> Rows:
    require(path, "videos as NDJSON, CSV or Parquet")
    extension = path.suffix.lower()
    if extension in {".ndjson", ".jsonl"}:
        return NdjsonRows(path)
    if extension not in {".csv", ".parquet"}:
        raise InvalidInput(f"{path}: the name must end in {EXTENSIONS}.")
    rows = (CsvRows if extension == ".csv" else ParquetRows)(path, ("title",))
    if not any(name in rows.columns for name in ID):
        raise InvalidInput(f"{path}: no column {' or '.join(ID)}.", field="videos")
    return rows
