"""What a run learns from, read from the truth once."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy.ext.asyncio import AsyncEngine

from core.errors import InvalidInput
from core.settings import Settings
from core.types import DataSpan, Video
from embeddings.dataset import Catalogue, Histories, read_catalogue, read_histories
from embeddings.ports import ArtifactStore
from retrieval.build import Build
from retrieval.snapshot import Snapshot
from storage.postgres.engine import pool
from storage.postgres.interactions import PostgresInteractions
from storage.postgres.videos import PostgresVideos
from upnext.jobs.kept_out import clean_snapshot
from upnext.jobs.keys import snapshot_key
from upnext.jobs.messages import Request

MIN_VIDEOS = 10


@dataclass(frozen=True, slots=True)
class Data:
    """The catalogue's texts, its facts as serving has them, and the users' histories."""

    catalogue: Catalogue
    facts: Snapshot
    histories: Histories

    def span(self) -> DataSpan:
        """What the registry keeps of it."""
        return DataSpan(
            start=self.histories.first,
            end=self.histories.last,
            interactions=self.histories.count,
            users=len(self.histories.users),
            videos=len(self.catalogue.ids),
        )


async def read(settings: Settings, request: Request, store: ArtifactStore) -> Data:
    """Everything of the request's span; the interactions are kept as the run's snapshot.

    Raises:
        InvalidInput: the catalogue is too small; the message says what to bring.
        Unavailable: a store did not answer.
    """
    async with pool(settings, patient=True) as engine:
        videos = PostgresVideos(engine)
        _check_enough(await videos.count())
        build = Build()
        catalogue = await read_catalogue(_building(build, videos.stream()))
        row_of = {id_: row for row, id_ in enumerate(catalogue.ids)}
        pages = PostgresInteractions(engine).stream(request.start, request.end)
        with TemporaryDirectory(prefix="upnext-snapshot-") as folder:
            kept = Path(folder) / "snapshot.parquet"
            histories = await read_histories(pages, row_of, kept)
            await _keep(engine, store, request.model_id, kept)
    return Data(catalogue, build.snapshot(), histories)


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


def _check_enough(videos: int) -> None:
    if videos < MIN_VIDEOS:
        raise InvalidInput(
            f"The catalogue has {videos} videos, a model needs {MIN_VIDEOS}: "
            "bring some in with `upnext import`, then train again."
        )
