"""What training and loading need of the stores."""

from pathlib import Path
from typing import Protocol


class ArtifactStore(Protocol):
    """Files by key, keys like `models/<version>/items.npy`. Blocking: online, call in a thread."""

    @property
    def url(self) -> str:
        """Where the store is, without credentials: `s3://bucket/prefix` or `file:///folder`."""
        ...

    def put(self, key: str, path: Path) -> None:
        """Store the file, whole or not at all, over what was there. Raises `Unavailable`."""
        ...

    def fetch(self, key: str, path: Path) -> None:
        """Write the stored file to `path`, whole or not at all.

        Raises:
            NotFound: there is no such key.
            Unavailable: the store did not answer.
        """
        ...

    def keys(self, prefix: str) -> list[str]:
        """Keys under a prefix, sorted. Raises `Unavailable`."""
        ...

    def delete(self, prefix: str) -> None:
        """Delete every key under a prefix; none is no error. Raises `Unavailable`."""
        ...

    def probe(self) -> None:
        """Ask for a sign of life, at the same cost however much is kept. Raises `Unavailable`."""
        ...
