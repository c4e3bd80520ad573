"""What a run learns from, read from the truth once."""

import hashlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pyarrow as pa
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from core.errors import NotFound, Unavailable
from core.settings import Settings
from core.types import DataSpan, Video, VideoId
from embeddings.dataset import Catalogue, Histories, read_catalogue
from embeddings.history_reader import HistoryReader, SnapshotWriter, erased_from, read_snapshot
from embeddings.ports import ArtifactStore
from embeddings.ray_reader import check_ray, read_by_ray
from ingest.weights import WatchWeights
from retrieval.build import Build
from retrieval.snapshot import Snapshot
from storage.postgres.engine import pool
from storage.postgres.enough import about
from storage.postgres.history_columns import copy_history
from storage.postgres.read_replica import NAME as REPLICA
from storage.postgres.read_replica import reads_of
from storage.postgres.videos import PostgresVideos
from storage.postgres.watch_shares import PostgresWatchShares
from upnext.jobs.kept_out import clean_snapshot
from upnext.jobs.keys import snapshot_key
from upnext.jobs.messages import Request
from upnext.jobs.weighing import weighed

OnProgress = Callable[[float, str], None]
log = structlog.get_logger(__name__)


class Pinned(msgspec.Struct, frozen=True):
    """What a model was fitted to, as the registry keeps it: an artifact, as it was first stored.

    The file counts what erasures have taken out of it since, and its pages have checksums of
    their own.
    """

    key: str
    rows: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Data:
    """The catalogue's texts, its facts as serving has them, and the users' histories."""

    catalogue: Catalogue
    facts: Snapshot
    histories: Histories
    snapshot: Pinned

    def span(self) -> DataSpan:
        """What the registry keeps of it."""
        return DataSpan(
            start=self.histories.first,
            end=self.histories.last,
            interactions=self.histories.count,
            users=len(self.histories.users),
            videos=len(self.catalogue.ids),
        )

    def pinned(self) -> dict[str, Any]:
        """What the registry keeps of where it is, beside how the model was made."""
        return {"snapshot": msgspec.to_builtins(self.snapshot)}


async def read(
    settings: Settings,
    request: Request,
    store: ArtifactStore,
    on_progress: OnProgress,
    *,
    again: bool = False,
) -> Data:
    """Everything of the request's span; the interactions are kept as the run's snapshot.

    How far videos are watched is counted first, and watches are weighed by that: those of before,
    or that were brought in by the million, were weighed by less. With `again`, what an earlier
    attempt at the run read is read from its snapshot, less who was erased since.

    Raises:
        SetupError: Ray is to read and is not installed.
        Unavailable: a store, or Ray, did not answer.
    """
    if settings.training_reader == "ray":
        check_ray()  # before minutes of work for nothing
    async with pool(settings, patient=True) as engine:
        try:
            async with reads_of(settings, engine, patient=True) as reads:
                source = _Source(settings, engine, reads)
                return await _read(source, request, store, on_progress, again=again)
        except Unavailable as error:
            if error.dependency != REPLICA:
                raise
            log.warning("the primary is read, the replica went away", reason=str(error))
            source = _Source(settings, engine, engine)
            return await _read(source, request, store, on_progress, again=again)


@dataclass(frozen=True, slots=True)
class _Source:
    """Where a run reads: the primary where it locks or writes, `reads` for the rest."""

    settings: Settings
    primary: AsyncEngine
    reads: AsyncEngine


async def _read(
    source: _Source,
    request: Request,
    store: ArtifactStore,
    on_progress: OnProgress,
    *,
    again: bool,
) -> Data:
    reads, settings, build = source.reads, source.settings, Build()
    catalogue = await read_catalogue(_building(build, PostgresVideos(reads).stream()))
    row_of = {id_: row for row, id_ in enumerate(catalogue.ids)}
    before = _before(settings, store, request.model_id, row_of) if again else None
    if before is not None:
        return Data(catalogue, build.snapshot(), *before)
    weights = WatchWeights.of(await PostgresWatchShares(reads).count())
    expected = await about(reads, request.start, request.end)
    with TemporaryDirectory(prefix="upnext-snapshot-") as folder:
        kept = Path(folder) / "snapshot.parquet"
        with _reader(settings, row_of, kept) as reader:
            await copy_history(
                reads,
                request.start,
                request.end,
                _telling(reader, weights, expected, on_progress),
            )
        pinned = Pinned(snapshot_key(request.model_id), reader.count, _sha256(kept))
        await _keep(source.primary, store, request.model_id, kept)
        if isinstance(reader, HistoryReader):
            histories = reader.histories()
        else:
            on_progress(1.0, "reading the snapshot by Ray")
            histories = read_by_ray(kept, row_of, settings.ray_address)
    return Data(catalogue, build.snapshot(), histories, pinned)


def _reader(
    settings: Settings, row_of: Mapping[VideoId, int], kept: Path
) -> HistoryReader | SnapshotWriter:
    """What takes the history as it comes: Ray reads the whole file afterwards."""
    if settings.training_reader == "ray":
        return SnapshotWriter(kept)
    return HistoryReader(row_of, kept)


def _before(
    settings: Settings, store: ArtifactStore, model_id: str, row_of: Mapping[VideoId, int]
) -> tuple[Histories, Pinned] | None:
    """The run's snapshot as it is, None when there is none."""
    key = snapshot_key(model_id)
    with TemporaryDirectory(prefix="upnext-snapshot-") as folder:
        kept = Path(folder) / "snapshot.parquet"
        try:
            store.fetch(key, kept)
            if settings.training_reader == "ray":
                histories = read_by_ray(kept, row_of, settings.ray_address)
            else:
                histories = read_snapshot(kept, row_of)
        except (NotFound, OSError) as error:
            log.warning("a run's snapshot cannot be read", model=model_id, reason=str(error))
            return None
        return histories, Pinned(key, histories.count + erased_from(kept), _sha256(kept))


def _telling(
    reader: HistoryReader | SnapshotWriter,
    weights: WatchWeights,
    expected: int,
    on_progress: OnProgress,
) -> Callable[[pa.Table], None]:
    """Have the reader take tables, weighed, and tell how far it is of about so many."""

    def take(table: pa.Table) -> None:
        reader.take(weighed(table, weights))
        done = reader.count / max(expected, reader.count + 1)
        on_progress(done, f"{reader.count:,} interactions")

    return take


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


async def _keep(engine: AsyncEngine, store: ArtifactStore, model_id: str, kept: Path) -> None:
    """Store a run's snapshot, without users whose erasure passed before it was there."""
    key = snapshot_key(model_id)
    store.put(key, kept)
    try:
        await clean_snapshot(engine, store, model_id)
    except BaseException:  # nobody else would take them out
        store.delete(key)
        raise


async def _building(
    build: Build, pages: AsyncIterator[Sequence[Video]]
) -> AsyncIterator[Sequence[Video]]:
    async for page in pages:
        build.add(page)
        yield page
