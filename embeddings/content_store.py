"""Text vectors kept per encoder revision: Parquet segments `content/<revision>/<n>-<x>.parquet`.

A number says how old a segment is; what follows is drawn, so that two writers never take one name.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from core.errors import NotFound, Unavailable
from embeddings.ports import ArtifactStore

COMPACT_AT = 8  # segments; reading many small ones costs a request each
LISTINGS = 3  # segments may be compacted while they are read


@dataclass(frozen=True, slots=True)
class Segment:
    """Text vectors of n videos: uint64 (n,) hashes of their texts, float32 (n, d) vectors."""

    ids: list[str]
    text_hashes: NDArray[np.uint64]
    vectors: NDArray[np.float32]


class ContentStore:
    """The segments of one revision; a later one wins over an earlier.

    Several may write at a time: what one adds while another compacts is not lost.
    """

    def __init__(self, store: ArtifactStore, revision: str) -> None:
        self._store = store
        self._prefix = f"content/{revision}/"
        self._known: set[str] = set()  # keys that were read or written here

    def segments(self) -> list[Segment]:
        """Every segment, oldest first. Raises `Unavailable`."""
        read: dict[str, Segment] = {}
        for _ in range(LISTINGS):
            keys = self._keys()
            try:
                self._read_all([key for key in keys if key not in read], read)
            except NotFound:  # compacted meanwhile: what it held is in a new one
                continue
            self._known.update(keys)
            return [read[key] for key in keys]
        raise Unavailable("artifacts", f"{self._prefix} changes faster than it can be read.")

    def append(self, segment: Segment) -> None:
        """Keep one more segment. Raises `Unavailable`."""
        keys = self._keys()
        number = int(Path(keys[-1]).stem.partition("-")[0]) + 1 if keys else 1
        key = f"{self._prefix}{number:08d}-{uuid4().hex[:8]}.parquet"
        table = pa.table(
            {
                "video_id": pa.array(segment.ids, pa.string()),
                "text_hash": pa.array(segment.text_hashes, pa.uint64()),
                "vector": pa.FixedSizeListArray.from_arrays(
                    pa.array(np.ascontiguousarray(segment.vectors).ravel(), pa.float32()),
                    segment.vectors.shape[1],
                ),
            }
        )
        with TemporaryDirectory(prefix="upnext-content-") as folder:
            path = Path(folder) / "segment.parquet"
            pq.write_table(table, path)
            self._store.put(key, path)
        self._known.add(key)

    def compact(self, segment: Segment) -> bool:
        """Put `segment`, all that is still wanted, in the place of many small ones.

        Those that were neither read nor written here stay. Killed in between, both are there,
        which changes nothing. Raises `Unavailable`.

        Returns:
            Whether there were enough of them to bother.
        """
        old = [key for key in self._keys() if key in self._known]
        if len(old) < COMPACT_AT:
            return False
        self.append(segment)
        for key in old:
            self._store.delete(key)
        return True

    def _keys(self) -> list[str]:
        return self._store.keys(self._prefix)

    def _read_all(self, keys: Sequence[str], into: dict[str, Segment]) -> None:
        with TemporaryDirectory(prefix="upnext-content-") as folder:
            for key in keys:
                into[key] = self._read(key, Path(folder))

    def _read(self, key: str, folder: Path) -> Segment:
        path = folder / "segment.parquet"
        self._store.fetch(key, path)
        table = pq.read_table(path)
        flat = table["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        return Segment(
            table["video_id"].to_pylist(),
            table["text_hash"].to_numpy(),
            flat.reshape(table.num_rows, -1),
        )
