"""Files of the artifact store on the local disk: there whole and checked, or not there at all."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from hashlib import file_digest
from pathlib import Path
from uuid import uuid4

from core.errors import Unavailable
from embeddings.ports import ArtifactStore

TRIES = 2  # a transfer may go wrong without anyone noticing; what is wrong twice is wrong there

Intact = Callable[[Path], bool]
Lock = AbstractContextManager[object]
ALONE: Lock = nullcontext()
"""For a folder that nobody else fetches into."""


def bring(store: ArtifactStore, key: str, path: Path, intact: Intact, lock: Lock = ALONE) -> None:
    """Have `path` hold what the store has under `key`, fetching it unless it does.

    Args:
        store: where to fetch from.
        key: what to fetch.
        path: where it belongs.
        intact: whether a file is what it must be; false for one that is not there.
        lock: held while it is fetched, so that several who want it fetch it once.

    Raises:
        NotFound: the store has no such key.
        Unavailable: the store did not answer, or what it gave is not intact.
    """
    if intact(path):
        return
    with lock:
        if not intact(path):  # nobody has fetched it meanwhile
            _fetch(store, key, path, intact)


def _fetch(store: ArtifactStore, key: str, path: Path, intact: Intact) -> None:
    aside = path.with_name(f".{path.name}.{uuid4().hex}")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        for _ in range(TRIES):
            store.fetch(key, aside)
            if intact(aside):
                aside.replace(path)
                return
    finally:
        aside.unlink(missing_ok=True)
    advice = "train a new version with `upnext train <type> --promote`."
    raise Unavailable("artifacts", f"{key} is damaged in the store: {advice}")


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
