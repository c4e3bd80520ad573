"""The artifact store: a directory, or S3, chosen by the URL."""

import os
import shutil
from pathlib import Path
from typing import BinaryIO, Protocol
from urllib.parse import unquote, urlsplit
from uuid import uuid4

from core.access import Files, access
from core.errors import NotFound, SetupError, Unavailable
from core.settings import Settings, given
from storage.artifact_calls import measured


class Artifacts(Protocol):
    """Files by key; see `embeddings.ports.ArtifactStore`."""

    @property
    def url(self) -> str: ...  # noqa: D102
    def put(self, key: str, path: Path) -> None: ...  # noqa: D102
    def fetch(self, key: str, path: Path) -> None: ...  # noqa: D102
    def keys(self, prefix: str) -> list[str]: ...  # noqa: D102
    def delete(self, prefix: str) -> None: ...  # noqa: D102
    def probe(self) -> None: ...  # noqa: D102
    def hand_out(self, key: str, seconds: int) -> str | BinaryIO: ...  # noqa: D102


def artifact_store(where: Settings | str) -> Artifacts:
    """The store of these settings, or of `file:///folder` or `s3://bucket/prefix` by itself.

    Raises:
        SetupError: the URL is missing or of neither kind, or a file of TLS cannot be used.
    """
    url = where if isinstance(where, str) else given(where, "artifacts_url")
    tls = Files() if isinstance(where, str) else access(where, "artifacts").tls
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.path:
        return DirectoryArtifacts(Path(unquote(parts.path)))
    if parts.scheme == "s3" and parts.netloc:
        from storage.artifacts_s3 import S3Artifacts  # noqa: PLC0415  (boto3 only where used)

        return S3Artifacts(parts.netloc, parts.path.strip("/"), tls)
    raise SetupError(
        f"UPNEXT_ARTIFACTS_URL cannot be used: {url!r}. "
        "Give file:///an/absolute/folder or s3://bucket/prefix."
    )


class DirectoryArtifacts:
    """Files under a folder; each is written beside its place and renamed into it."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    @property
    def url(self) -> str:
        """See `ArtifactStore.url`."""
        return self._root.as_uri()

    @measured
    def put(self, key: str, path: Path) -> None:
        """See `ArtifactStore.put`."""
        try:
            _copy(path, self._root / key)
        except OSError as error:
            raise Unavailable("artifacts", f"{key} could not be stored: {error}") from error

    @measured
    def fetch(self, key: str, path: Path) -> None:
        """See `ArtifactStore.fetch`."""
        try:
            _copy(self._root / key, path)
        except FileNotFoundError as error:
            raise NotFound(f"The artifact store has no {key}.") from error
        except OSError as error:
            raise Unavailable("artifacts", f"{key} could not be read: {error}") from error

    @measured
    def hand_out(self, key: str, seconds: int) -> BinaryIO:  # noqa: ARG002 - a file needs no end
        """See `api.jobs.ResultStore.hand_out`: the open file."""
        try:
            return (self._root / key).open("rb")
        except FileNotFoundError as error:
            raise NotFound(f"The artifact store has no {key}.") from error
        except OSError as error:
            raise Unavailable("artifacts", f"{key} could not be read: {error}") from error

    @measured
    def keys(self, prefix: str) -> list[str]:
        """See `ArtifactStore.keys`; only the prefix's own folder is walked."""
        folder = self._root / prefix.rpartition("/")[0]
        try:
            walk = [
                Path(parent, name)
                for parent, _, names in os.walk(folder, onerror=_unless_missing)
                for name in names
            ]
        except OSError as error:
            raise Unavailable("artifacts", f"{folder} could not be listed: {error}") from error
        keys = (path.relative_to(self._root).as_posix() for path in walk if not _aside(path))
        return sorted(key for key in keys if key.startswith(prefix))

    @measured
    def delete(self, prefix: str) -> None:
        """See `ArtifactStore.delete`."""
        for key in self.keys(prefix):
            path = self._root / key
            try:
                path.unlink(missing_ok=True)
                _remove_empty(path.parent, self._root)
            except OSError as error:
                raise Unavailable("artifacts", f"{key} could not be deleted: {error}") from error

    def probe(self) -> None:
        """See `ArtifactStore.probe`."""
        try:
            os.scandir(self._root).close()
        except OSError as error:
            raise Unavailable("artifacts", f"{self._root} cannot be listed: {error}") from error


def _unless_missing(error: OSError) -> None:
    """A folder that is not there, or no more, has no keys; any other trouble is raised."""
    if not isinstance(error, FileNotFoundError):
        raise error


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name}.{uuid4().hex}.part")
    try:
        shutil.copyfile(source, aside)
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)


def _aside(path: Path) -> bool:
    return path.name.startswith(".") and path.name.endswith(".part")


def _remove_empty(folder: Path, root: Path) -> None:
    while folder != root and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent
