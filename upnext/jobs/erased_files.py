"""Files that hold what is of many users, written anew without some of them."""

from collections.abc import Callable, Collection
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from core.errors import NotFound
from embeddings.history_reader import ERASED, erased_from
from embeddings.ports import ArtifactStore
from upnext.jobs.keys import RESULTS, SNAPSHOTS

Rewrite = Callable[[Path, Path, Collection[str]], bool]
"""Writes the second file from the first, without these users; whether that left anything out."""


class _Owner(msgspec.Struct, frozen=True):
    """Whose a line is."""

    user_id: str


_owner = msgspec.json.Decoder(_Owner)


def drop_from_snapshots(store: ArtifactStore, users: Collection[str], prefix: str = "") -> int:
    """Leave users out of the snapshots of runs; how many of these had them.

    Args:
        store: where they are.
        users: whom.
        prefix: of the keys; all snapshots without it.

    Raises:
        Unavailable: the store did not answer; those that were rewritten stay so.
    """
    return _each(store, prefix or SNAPSHOTS, users, _without_rows)


def drop_from_results(store: ArtifactStore, users: Collection[str]) -> int:
    """Leave users out of what batch jobs made; how many files had them. Raises `Unavailable`."""
    return _each(store, RESULTS, users, without_lines)


def users_of(snapshot: Path) -> list[str]:
    """Everybody who is in a snapshot."""
    column = pq.read_table(snapshot, columns=["user_id"]).column("user_id")
    found: list[str] = pc.unique(column).to_pylist()
    return found


def without_lines(source: Path, target: Path, users: Collection[str]) -> bool:
    """See `Rewrite`: NDJSON whose lines say whose they are."""
    dropped = False
    with source.open("rb") as lines, target.open("wb") as out:
        for line in lines:
            if _owner.decode(line).user_id in users:
                dropped = True
            else:
                out.write(line)
    return dropped


def _without_rows(source: Path, target: Path, users: Collection[str]) -> bool:
    """See `Rewrite`: Parquet, a row group at a time; the file counts what was taken out of it."""
    dropped, unwanted = 0, pa.array(sorted(users))
    with (
        pq.ParquetFile(source) as file,
        pq.ParquetWriter(
            target, file.schema_arrow.remove_metadata(), write_page_checksum=True
        ) as out,
    ):
        for group in range(file.num_row_groups):
            table = file.read_row_group(group)
            kept = table.filter(pc.invert(pc.is_in(table.column("user_id"), unwanted)))
            dropped += table.num_rows - kept.num_rows
            out.write_table(kept)
        out.add_key_value_metadata({ERASED: str(erased_from(source) + dropped)})
    return dropped > 0


def _each(store: ArtifactStore, prefix: str, users: Collection[str], rewrite: Rewrite) -> int:
    changed = 0
    for key in store.keys(prefix):
        with TemporaryDirectory(prefix="upnext-erasure-") as folder:
            source, target = Path(folder) / "before", Path(folder) / "after"
            try:
                store.fetch(key, source)
            except NotFound:  # it was pruned or swept meanwhile
                continue
            if rewrite(source, target, users):
                store.put(key, target)
                changed += 1
    return changed
