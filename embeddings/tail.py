"""Videos that came after a version was made, or whose text changed since.

They are segments `models/<version>/tail/<number>-<first 16 hex of its SHA-256>.npy`: arrays with
the fields `hash`, `id`, `item` and `content`, in the order of the hashes, written once. Of a video
that several have the last one counts.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import NotFound, Unavailable
from core.hashing import hash64_many
from core.types import VideoId
from embeddings.items import ItemVectors
from embeddings.local_copy import ALONE, Lock, bring, sha256
from embeddings.ports import ArtifactStore

COMPACT_AT = 8  # segments; each costs its readers a request
CHECKSUM = 16  # hex digits of it in a name
LISTINGS = 3  # segments may be compacted while they are fetched
MERGED = "merged-"
NAME = re.compile(rf"(\d{{8}})-([0-9a-f]{{{CHECKSUM}}})\.npy")

Segment = NDArray[np.void]


@dataclass(frozen=True, slots=True)
class Tail:
    """What is open of a version's tail: `names` of segments, and their videos' vectors."""

    names: tuple[str, ...] = ()
    items: ItemVectors | None = None
    content: ItemVectors | None = None


def segment(
    ids: Sequence[VideoId], items: NDArray[np.float32], content: NDArray[np.float32]
) -> Segment:
    """A segment of n videos: item vectors (n, d) and text vectors (n, c)."""
    encoded = [id_.encode() for id_ in ids]
    width = -(-max(map(len, encoded), default=1) // 8) * 8  # whole words: the vectors are aligned
    fields = [
        ("hash", "<u8"),
        ("id", f"S{width}"),
        ("item", "<f4", (items.shape[1],)),
        ("content", "<f4", (content.shape[1],)),
    ]
    made = np.zeros(len(ids), dtype=np.dtype(fields))
    made["hash"], made["id"] = hash64_many(ids), encoded
    made["item"], made["content"] = items, content
    return np.sort(made, order="hash")


def segments(store: ArtifactStore, version: str) -> tuple[str, ...]:
    """Names of a version's segments, oldest first: one request. Raises `Unavailable`."""
    prefix = _prefix(version)
    names = (key.removeprefix(prefix) for key in store.keys(prefix))
    return tuple(sorted(name for name in names if NAME.fullmatch(name)))


def append(store: ArtifactStore, version: str, added: Segment) -> None:
    """Keep one more segment; when there are many, one in the place of all of them.

    One writer at a time. Killed at any point, a version's tail is as before or as after.

    Raises:
        Unavailable: the store did not answer.
    """
    names = segments(store, version)
    old: tuple[str, ...] = ()
    with TemporaryDirectory(prefix="upnext-tail-") as made:
        here = Path(made)
        if len(names) + 1 >= COMPACT_AT:
            old = names
            added = _merged([*_fetched(store, version, names, here), added])
        path = here / "segment"
        with path.open("wb") as file:
            np.save(file, added)
        number = int(names[-1][:8]) + 1 if names else 1
        name = f"{number:08d}-{sha256(path)[:CHECKSUM]}.npy"
        store.put(_prefix(version) + name, path)
    for each in old:
        store.delete(_prefix(version) + each)


def open_tail(store: ArtifactStore, version: str, local: Path, lock: Lock = ALONE) -> Tail:
    """The tail as it is now, fetched into the folder `local` as far as it is not there.

    Blocking; `lock` is held only while a segment is fetched or several are merged, which is done
    once for all processes of a machine: the arrays are mapped from one file.

    Raises:
        Unavailable: the store did not answer, or holds a damaged segment.
    """
    for _ in range(LISTINGS):
        names = segments(store, version)
        if not names:
            return Tail()
        try:
            arrays = _fetched(store, version, names, local, lock)
            whole = arrays[0] if len(arrays) == 1 else _merged_file(names, arrays, local, lock)
        except (NotFound, FileNotFoundError):  # compacted, or deleted here by who knew of that
            continue
        _delete_older(local, names)
        return _tail(names, whole)
    raise Unavailable("artifacts", f"The tail of {version} changes faster than it can be read.")


def open_local_tail(local: Path) -> Tail:
    """What of a tail is in the folder `local`, for when the store does not answer."""
    paths = [path for path in _local(local) if _intact(path.name, path)]
    if not paths:
        return Tail()
    arrays = [_mapped(path) for path in paths]
    whole = arrays[0] if len(arrays) == 1 else _merged(arrays)
    return _tail(tuple(path.name for path in paths), whole)


def _tail(names: tuple[str, ...], every: Segment) -> Tail:
    hashes, ids = every["hash"], every["id"]
    return Tail(
        names,
        ItemVectors(hashes, ids, every["item"]),
        ItemVectors(hashes, ids, every["content"]),
    )


def _merged(arrays: Sequence[Segment]) -> Segment:
    """One segment of several, the oldest first."""
    newest_first = np.concatenate(arrays)[::-1]
    _, first = np.unique(newest_first["hash"], return_index=True)
    merged: Segment = newest_first[first]
    return merged


def _merged_file(
    names: Sequence[str], arrays: Sequence[Segment], local: Path, lock: Lock
) -> Segment:
    """One segment of several, mapped from a file of this machine that is named by them."""
    stem = f"{MERGED}{names[-1][:8]}-{_digest(names)}"
    path = _intact_merged(local, stem)
    if path is None:
        with lock:
            path = _intact_merged(local, stem) or _write_merged(local, stem, _merged(arrays))
    return _mapped(path)


def _digest(names: Sequence[str]) -> str:
    return hashlib.sha256("".join(names).encode()).hexdigest()[:CHECKSUM]


def _delete_older(local: Path, names: Sequence[str]) -> None:
    """Delete what is older than the newest of `names`; what is newer is what another knows of."""
    for path in _local(local):
        if path.name not in names and path.name < names[-1]:
            path.unlink(missing_ok=True)
    for path in local.glob(f"{MERGED}*"):
        if path.name < MERGED + names[-1][:8]:
            path.unlink(missing_ok=True)


def _intact_merged(local: Path, stem: str) -> Path | None:
    for path in local.glob(f"{stem}-*.npy"):
        if path.stem.endswith(f"-{sha256(path)[:CHECKSUM]}"):
            return path
        path.unlink(missing_ok=True)
    return None


def _write_merged(local: Path, stem: str, merged: Segment) -> Path:
    """Write a segment into a folder, whole or not at all, its checksum in its name."""
    with TemporaryDirectory(dir=local, prefix=".merging-") as made:
        aside = Path(made) / "segment"
        with aside.open("wb") as file:
            np.save(file, merged)
        return aside.rename(local / f"{stem}-{sha256(aside)[:CHECKSUM]}.npy")


def _fetched(
    store: ArtifactStore, version: str, names: Sequence[str], local: Path, lock: Lock = ALONE
) -> list[Segment]:
    for name in names:
        bring(store, _prefix(version) + name, local / name, partial(_intact, name), lock)
    return [_mapped(local / name) for name in names]


def _intact(name: str, path: Path) -> bool:
    found = NAME.fullmatch(name)
    try:
        return found is not None and sha256(path).startswith(found[2])
    except FileNotFoundError:
        return False


def _mapped(path: Path) -> NDArray[Any]:
    array: NDArray[Any] = np.load(path, mmap_mode="r")
    return array


def _local(folder: Path) -> list[Path]:
    """Segments in a folder, oldest first."""
    there = folder.iterdir() if folder.is_dir() else ()
    return sorted(path for path in there if NAME.fullmatch(path.name))


def _prefix(version: str) -> str:
    return f"models/{version}/tail/"
