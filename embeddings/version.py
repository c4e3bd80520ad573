"""A model version as files: written once, opened by every serving process.

`models/<version>/` holds `hashes.npy`, `ids.npy`, `items.npy`, `content.npy`, `watches.npy`,
`content_map.npy`, the encoder's files and, written last, `manifest.json` with the checksum of
each: a folder without one is no version. New videos follow in `tail/`, see `embeddings.tail`.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property, partial
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from core.errors import Unavailable
from core.types import ModelType, Weights
from embeddings.content_map import ContentMap
from embeddings.encoders import read_encoder, write_encoder
from embeddings.epoch import Epoch
from embeddings.items import ItemVectors
from embeddings.local_copy import bring
from embeddings.manifest import (
    MANIFEST,
    Manifest,
    entry,
    folder,
    is_entry,
    local_manifest,
    stored_manifest,
)
from embeddings.ports import ArtifactStore
from embeddings.tail import Tail, open_local_tail, open_tail, segments
from embeddings.user_encoder import UserEncoder

HASHES, IDS, WATCHES = "hashes.npy", "ids.npy", "watches.npy"
ITEMS, CONTENT, CONTENT_MAP = "items.npy", "content.npy", "content_map.npy"
TAIL = "tail"
FAVOURITES = 1_000
AT_ONCE = 20_000  # vectors
TRIES = 3  # a copy may be deleted, by who does not want it, while it is opened


@dataclass(frozen=True)
class Version:
    """An open version: all that serving needs of a model but the search index.

    `items` are the vectors of `videos_<version>`, the space of `encoder`; `content` are the text
    vectors of the same videos, as in `content_<content_revision>`, to search that with. `watches`
    int32 (n,), in their order, is how many users had watched each when the version was made.
    `segments` name what is open of its tail: the videos that came later, in the tails of both.
    `behind` says that the store could not be asked for the tail: there may be more of it.
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
    segments: tuple[str, ...] = ()
    behind: bool = False

    @cached_property
    def stranger(self) -> NDArray[np.float32] | None:
        """The vector of a user of whom nothing is known, float32 (d,); None if of nobody is."""
        return self.encoder.stranger(self.items.vectors, self.watches)

    @cached_property
    def favourites(self) -> tuple[NDArray[np.uint64], NDArray[np.float32]]:
        """What is nearest to `stranger`: hashes uint64 (m,) and inner products, best first.

        At most 1,000, those of the tail among them; none without such a vector.
        """
        if self.stranger is None:
            return np.zeros(0, np.uint64), np.zeros(0, np.float32)
        hashes = np.unique(np.concatenate([part.hashes for part in self.items.parts]))
        scores = self._scores(hashes, self.stranger)
        best = np.argsort(-scores, kind="stable")[:FAVOURITES]
        return hashes[best], scores[best]

    def _scores(
        self, hashes: NDArray[np.uint64], vector: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Inner products of these videos, some at a time: all their vectors would be a copy."""
        parts = np.array_split(hashes, max(1, len(hashes) // AT_ONCE))
        return np.concatenate([self.items.at(part)[0] @ vector for part in parts])


@dataclass(frozen=True, slots=True)
class Fitted:
    """What fitting gives; all arrays are in the order of `items.hashes`.

    No file has `curve`, how the training went, and `learnt`, which only the recipe that made it
    can read: another fit may go on from it.
    """

    items: ItemVectors
    content: ItemVectors
    watches: NDArray[np.int32]
    content_map: ContentMap
    encoder: UserEncoder
    weights: Weights
    metrics: dict[str, float]
    curve: tuple[Epoch, ...] = ()
    learnt: object = None


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
            files={name: entry(here / name) for name in names},
        )
        (here / MANIFEST).write_bytes(msgspec.json.encode(manifest))
        for name in (*names, MANIFEST):
            store.put(folder(version) + name, here / name)
    return f"{store.url.rstrip('/')}/{folder(version)}"


def open_version(store: ArtifactStore, version: str, cache_dir: Path) -> Version:
    """Open a version from `cache_dir/<version>`, fetching what is missing or damaged there.

    Its tail is what the store has now; while that does not answer, what is in the local copy.
    Blocking; processes of one machine take turns at fetching, and at nothing else. The arrays are
    mapped read-only, so processes share their memory.

    Raises:
        NotFound: the store has no such version.
        OtherFormat: it was made by another release.
        Unavailable: the store did not answer, or holds a damaged file.
    """
    local, lock = cache_dir / version, _lock(cache_dir, version)
    for _ in range(TRIES):
        try:
            return _open(store, version, local, lock)
        except FileNotFoundError:  # deleted after it was looked at: it is fetched again
            continue
    raise Unavailable("artifacts", f"The local copy of {version} is deleted again and again.")


def renewed(store: ArtifactStore, version: Version, cache_dir: Path) -> Version | None:
    """The open version with the tail that it has now, None when it is the one that is open.

    Blocking; without news it is one listing of the store. `version` itself stays as it is.

    Raises:
        Unavailable: the store did not answer, or holds a damaged segment.
    """
    if segments(store, version.version) == version.segments:
        return None
    name = version.version
    tail = open_tail(store, name, cache_dir / name / TAIL, _lock(cache_dir, name))
    return _with_tail(version, tail)


def vector_bytes(store: ArtifactStore, version: str) -> int:
    """Bytes of the larger of a version's collections, its tail aside. Blocking.

    Raises:
        NotFound: the store has no such version.
        OtherFormat: it was made by another release.
        Unavailable: the store did not answer, or holds a damaged manifest.
    """
    files = stored_manifest(store, version).files
    return max(files[ITEMS].size, files[CONTENT].size)


def keep_versions(cache_dir: Path, kept: Collection[str]) -> None:
    """Delete the local copies of all versions but `kept`.

    Whoever has one of the others open keeps reading it: a mapped file outlives its name. One that
    is being fetched stays until the next time.
    """
    there = cache_dir.iterdir() if cache_dir.is_dir() else ()
    for local in [path for path in there if path.is_dir() and path.name not in kept]:
        try:
            with _lock(cache_dir, local.name).acquire(timeout=0):
                if local.is_dir():
                    rmtree(local)
        except Timeout:
            continue


def _lock(cache_dir: Path, version: str) -> FileLock:
    """Held by the process of this machine that fetches files of a version, or deletes them."""
    cache_dir.mkdir(parents=True, exist_ok=True)
    return FileLock(cache_dir / f".{version}.lock")


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


def _open(store: ArtifactStore, version: str, local: Path, lock: FileLock) -> Version:
    manifest = local_manifest(store, version, local, lock)
    for name, expected in manifest.files.items():
        try:
            bring(store, folder(version) + name, local / name, partial(is_entry, expected), lock)
        except Unavailable:
            # It may be the one that is wrong: it, too, comes anew.
            (local / MANIFEST).unlink(missing_ok=True)
            raise
    hashes, ids = _mapped(local / HASHES), _mapped(local / IDS)
    bare = Version(
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
    try:
        return _with_tail(bare, open_tail(store, version, local / TAIL, lock))
    except Unavailable:  # it can be had without, and is renewed later
        return _with_tail(bare, open_local_tail(local / TAIL), behind=True)


def _with_tail(version: Version, tail: Tail, *, behind: bool = False) -> Version:
    made = replace(
        version,
        items=replace(version.items, tail=tail.items),
        content=replace(version.content, tail=tail.content),
        segments=tail.names,
        behind=behind,
    )
    _ = made.favourites  # now, and not in the first request of a stranger
    return made


def _mapped(path: Path) -> NDArray[Any]:
    """An array that processes share, read only."""
    array: NDArray[Any] = np.load(path, mmap_mode="r")
    return array
