"""Where backups are kept: a folder, or a prefix of S3."""

import re
from collections.abc import Callable
from pathlib import Path

from core.errors import SetupError
from core.settings import ARTIFACTS, Settings
from embeddings.manifest import FileEntry, is_entry
from embeddings.ports import ArtifactStore
from storage.artifacts import Artifacts, artifact_store

Tell = Callable[[float, str], None]
"""Hears the share done, 0..1, and what is being done."""


def place_of(given: str, settings: Settings) -> Artifacts:
    """The place that a folder's path or an `s3://` URL names; S3 is reached as for the artifacts.

    Raises:
        SetupError: it is neither, as an empty variable or `s3:/bucket` is not, or a file of TLS
            cannot be used.
    """
    is_path = given and ":" not in given.partition("/")[0]
    try:
        url = Path(given).expanduser().absolute().as_uri() if is_path else given
    except RuntimeError:  # nobody has the home that `~name` is
        url = given
    if not re.match(ARTIFACTS, url):
        raise SetupError(f"PLACE is {given!r}: give a folder, or s3://bucket/prefix.")
    return artifact_store(settings.model_copy(update={"artifacts_url": url}))


def check_apart(place: ArtifactStore, artifacts: ArtifactStore) -> None:
    """See that backups are not kept among what they are of.

    Raises:
        SetupError: they would be.
    """
    if f"{place.url}/".startswith(f"{artifacts.url.rstrip('/')}/"):
        raise SetupError(
            f"{place.url} lies within the artifacts, {artifacts.url}: what destroys one would "
            "destroy the other. Give a place outside of it."
        )


def fetch_checked(place: ArtifactStore, key: str, expected: FileEntry, path: Path) -> None:
    """Fetch a file of a backup, and see that it is what it was.

    Raises:
        SetupError: it is not.
        Unavailable: the place does not answer.
    """
    place.fetch(key, path)
    if not is_entry(expected, path):
        raise SetupError(f"{key} in {place.url} is damaged: take another backup.")
