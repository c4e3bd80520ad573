"""What a version is made of: `manifest.json`, written last, with the checksum of each file."""

from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import msgspec

from core.errors import Unavailable
from core.types import ModelType, Weights
from embeddings.local_copy import ALONE, Lock, bring, sha256
from embeddings.ports import ArtifactStore

T = TypeVar("T")

MANIFEST = "manifest.json"
FORMAT = 2
"""Of a version's files. 1, which names itself nowhere, has no map from texts to items."""


class OtherFormat(Unavailable):
    """A version is whole, but its files are of a format that this release does not read."""


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
    format: int = FORMAT


class _Head(msgspec.Struct, frozen=True):
    """What manifests of all formats have."""

    version: str
    model_type: str
    format: int = 1


def folder(version: str) -> str:
    """The prefix of a version's keys."""
    return f"models/{version}/"


def entry(path: Path) -> FileEntry:
    """What a file is."""
    return FileEntry(sha256(path), path.stat().st_size)


def is_entry(expected: FileEntry, path: Path) -> bool:
    """Whether a file is there and what it must be."""
    try:
        return path.stat().st_size == expected.size and entry(path) == expected
    except FileNotFoundError:
        return False


def local_manifest(store: ArtifactStore, version: str, local: Path, lock: Lock = ALONE) -> Manifest:
    """A version's manifest, fetched into the folder `local` unless it is there. Blocking.

    Raises:
        NotFound: the store has no such version.
        OtherFormat: it was made by another release.
        Unavailable: the store did not answer, or holds a damaged manifest.
    """
    path = local / MANIFEST
    bring(store, folder(version) + MANIFEST, path, _intact, lock)
    kept = path.read_bytes()
    head = _decoded(kept, _Head)
    if head is not None and head.format != FORMAT:
        raise OtherFormat(
            "artifacts",
            f"{version} was made by another release: its files are of format {head.format}, "
            f"this release reads {FORMAT}. Train a new version with "
            f"`upnext train {head.model_type} --promote`.",
        )
    manifest = _decoded(kept, Manifest)
    if manifest is None:
        raise Unavailable("artifacts", f"The local copy of {version} is being damaged.")
    return manifest


def stored_manifest(store: ArtifactStore, version: str) -> Manifest:
    """A version's manifest as the store has it: one small request. Raises as `local_manifest`."""
    with TemporaryDirectory(prefix="upnext-version-") as here:
        return local_manifest(store, version, Path(here))


def _intact(path: Path) -> bool:
    try:
        kept = path.read_bytes()
    except FileNotFoundError:
        return False
    head = _decoded(kept, _Head)
    return head is not None and (head.format != FORMAT or _decoded(kept, Manifest) is not None)


def _decoded(kept: bytes, type_: type[T]) -> T | None:
    try:
        return msgspec.json.decode(kept, type=type_)
    except msgspec.DecodeError:
        return None
