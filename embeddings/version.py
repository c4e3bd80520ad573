"""A model version as files: written once, opened by every serving process.

`models/<version>/` holds `hashes.npy`, `ids.npy`, `items.npy`, `content.npy`, `watches.npy`,
`content_map.npy`, the encoder's files and, written last, `manifest.json` with the checksum of
each: a folder without one is no version.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from hashlib import file_digest
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import msgspec
import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from core.errors import Unavailable
from core.types import ModelType, Weights
from embeddings.content_map import ContentMap
from embeddings.encoders import read_encoder, write_encoder
from embeddings.items import ItemVectors
from embeddings.ports import ArtifactStore
from embeddings.user_encoder import UserEncoder

MANIFEST = "manifest.json"
HASHES, IDS, WATCHES = "hashes.npy", "ids.npy", "watches.npy"
ITEMS, CONTENT, CONTENT_MAP = "items.npy", "content.npy", "content_map.npy"
LOCK = ".lock"


class FileEntry(msgspec.Struct, frozen=True):
    """What a file must be: its SHA-256 in hex and its length in bytes."""

    sha256: str
    size: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a version is made of. `content_revision` names its `content_<revision>` collection.

    `normalised` says whether `content_map` gives normalised vectors.
    """

    version: str
    model_type: ModelType
    created_at: datetime
    content_revision: str
    normalised: bool
    weights: Weights
    metrics: dict[str, float]
    files: dict[str, FileEntry]


@dataclass(frozen=True, slots=True)
class Version:
    """An open version: all that serving needs of a model but the search index.

    `items` are the vectors of `videos_<version>`, the space of `encoder`; `content` are the text
    vectors of the same videos, as in `content_<content_revision>`, to search that with. `watches`
    int32 (n,), in their order, is how many users had watched each when the version was made.
    """

    version: str
    model_type: ModelType
    items: ItemVectors
    content: ItemVectors
    watches: NDArray[np.int32]
    content_map: ContentMap
    encoder: UserEncoder
    weights: Weights
    content_revision: str


@dataclass(frozen=True, slots=True)
class Fitted:
    """What fitting gives; all arrays are in the order of `items.hashes`."""

    items: ItemVectors
    content: ItemVectors
    watches: NDArray[np.int32]
    content_map: ContentMap
    encoder: UserEncoder
    weights: Weights
    metrics: dict[str, float]


def folder(version: str) -> str:
    """The prefix of a version's keys."""
    return f"models/{version}/"


def write_version(
    store: ArtifactStore,
    fitted: Fitted,
    *,
    version: str,
    model_type: ModelType,
    content_revision: str,
    created_at: datetime,
) -> str:
    """Store a version, its manifest last. Returns its URL. Raises `Unavailable`."""
    with TemporaryDirectory(prefix="upnext-version-") as made:
        here = Path(made)
        names = _write_files(fitted, here)
        manifest = Manifest(
            version=version,
            model_type=model_type,
            created_at=created_at,
            content_revision=content_revision,
            normalised=fitted.content_map.normalise,
            weights=fitted.weights,
            metrics=fitted.metrics,
            files={name: _entry(here / name) for name in names},
        )
        (here / MANIFEST).write_bytes(msgspec.json.encode(manifest))
        for name in (*names, MANIFEST):
            store.put(folder(version) + name, here / name)
    return f"{store.url.rstrip('/')}/{folder(version)}"


def open_version(store: ArtifactStore, version: str, cache_dir: Path) -> Version:
    """Open a version from `cache_dir/<version>`, fetching what is missing or damaged there.

    Blocking; processes of one machine take turns. The arrays are mapped read-only, so processes
    share their memory.

    Raises:
        NotFound: the store has no such version.
        Unavailable: the store did not answer, or holds a damaged file.
    """
    cache_dir.mkdir(parents=True, exist_ok=True)
    with FileLock(cache_dir / LOCK):
        return _open(store, version, cache_dir / version)


def keep_versions(cache_dir: Path, kept: Collection[str]) -> None:
    """Delete the local copies of all versions but `kept`.

    Whoever has one of the others open keeps reading it: a mapped file outlives its name.
    """
    with FileLock(cache_dir / LOCK):  # nobody is in the middle of opening one
        for local in cache_dir.iterdir():
            if local.is_dir() and local.name not in kept:
                rmtree(local)


def _write_files(fitted: Fitted, here: Path) -> list[str]:
    arrays = {
        HASHES: fitted.items.hashes,
        IDS: fitted.items.ids,
        ITEMS: fitted.items.vectors,
        CONTENT: fitted.content.vectors,
        WATCHES: fitted.watches,
        CONTENT_MAP: fitted.content_map.matrix,
    }
    for name, array in arrays.items():
        np.save(here / name, array)
    return [*arrays, *write_encoder(fitted.encoder, here)]


def _open(store: ArtifactStore, version: str, local: Path) -> Version:
    local.mkdir(exist_ok=True)
    manifest = _manifest(store, version, local)
    for name, expected in manifest.files.items():
        if not _intact(local / name, expected):
            _fetch(store, folder(version) + name, local / name, expected)
    hashes, ids = _mapped(local / HASHES), _mapped(local / IDS)
    return Version(
        version=manifest.version,
        model_type=manifest.model_type,
        items=ItemVectors(hashes, ids, _mapped(local / ITEMS)),
        content=ItemVectors(hashes, ids, _mapped(local / CONTENT)),
        watches=_mapped(local / WATCHES),
        content_map=ContentMap(np.load(local / CONTENT_MAP), manifest.normalised),
        encoder=read_encoder(local),
        weights=manifest.weights,
        content_revision=manifest.content_revision,
    )


def _mapped(path: Path) -> NDArray[Any]:
    """An array that processes share, read only."""
    array: NDArray[Any] = np.load(path, mmap_mode="r")
    return array


def _manifest(store: ArtifactStore, version: str, local: Path) -> Manifest:
    path = local / MANIFEST
    try:
        return msgspec.json.decode(path.read_bytes(), type=Manifest)
    except (FileNotFoundError, msgspec.DecodeError):  # not here yet, or damaged
        _fetch(store, folder(version) + MANIFEST, path, None)
    try:
        return msgspec.json.decode(path.read_bytes(), type=Manifest)
    except msgspec.DecodeError as error:
        raise Unavailable("artifacts", f"The manifest of {version} cannot be read.") from error


def _fetch(store: ArtifactStore, key: str, path: Path, expected: FileEntry | None) -> None:
    aside = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        store.fetch(key, aside)
        if expected is not None and not _intact(aside, expected):
            advice = "train a new version with `upnext embeddings rebuild`."
            raise Unavailable("artifacts", f"{key} is damaged in the store: {advice}")
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def _intact(path: Path, expected: FileEntry) -> bool:
    return path.is_file() and path.stat().st_size == expected.size and _entry(path) == expected


def _entry(path: Path) -> FileEntry:
    with path.open("rb") as file:
        return FileEntry(file_digest(file, "sha256").hexdigest(), path.stat().st_size)
