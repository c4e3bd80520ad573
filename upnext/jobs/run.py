"""A training run, top to bottom: read, encode what is new, fit, evaluate, store, publish."""

import asyncio
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from core.clock import utc_now
from core.errors import InvalidInput
from core.settings import Settings
from core.types import DataSpan, ModelStatus, Progress
from embeddings.content_model import ContentConfig, fit_map
from embeddings.content_store import ContentStore
from embeddings.dataset import Catalogue, Histories, read_catalogue, read_histories
from embeddings.encode import TextEncoder, encode_new
from embeddings.encode_users import user_vectors
from embeddings.evaluate import evaluate, leave_last_out
from embeddings.items import item_vectors
from embeddings.ports import ArtifactStore
from embeddings.text import REVISION
from embeddings.user_encoder import DecayedMean
from embeddings.version import Fitted, write_version
from storage.artifacts import artifact_store
from storage.milvus_writer import MilvusWriter
from storage.postgres.engine import pool
from storage.postgres.interactions import PostgresInteractions
from storage.postgres.videos import PostgresVideos
from upnext.jobs.keys import snapshot_key
from upnext.jobs.messages import Outcome, Report, Request
from upnext.jobs.params import SEED, config_of
from upnext.jobs.publish import Publication, Rows, publish

MIN_VIDEOS = 10

Tell = Callable[[ModelStatus, str, float, str], None]


def run(settings: Settings, request: Request, report: Callable[[Report], None]) -> Outcome:
    """Make the version of `request`, from the truth to a published version.

    Blocking, for a process of its own.

    Raises:
        InvalidInput: there is too little data; the message says what to bring.
        Unavailable: a store did not answer; nothing that is live was touched.
    """

    def tell(status: ModelStatus, stage: str, fraction: float, message: str) -> None:
        report(Report(status, Progress(stage, fraction, message)))

    config = config_of(settings)
    store = artifact_store(settings.artifacts_url or "")
    tell("training", "reading", 0.0, "reading the catalogue")
    catalogue, histories = asyncio.run(_read(settings, request, store, tell))
    fitted = _fit(store, catalogue, histories, config, tell)
    tell("evaluating", "evaluating", 0.0, "ranking for users whose last watch was held out")
    split = leave_last_out(histories, seed=SEED)
    metrics = evaluate(split, fitted.items.vectors, fitted.encoder, config.recent)
    tell("publishing", "storing", 0.0, "storing the version")
    uri = write_version(
        store,
        replace(fitted, metrics=metrics),
        version=request.version,
        model_type=request.model_type,
        content_revision=REVISION,
        created_at=utc_now(),
    )
    made = _publication(request.version, fitted, catalogue, histories, config.recent)
    _publish(settings, made, tell)
    data = DataSpan(
        start=histories.first,
        end=histories.last,
        interactions=histories.count,
        users=len(histories.users),
        videos=len(catalogue.ids),
    )
    return Outcome(data, metrics, uri)


async def _read(
    settings: Settings, request: Request, store: ArtifactStore, tell: Tell
) -> tuple[Catalogue, Histories]:
    async with pool(settings, patient=True) as engine:
        videos = PostgresVideos(engine)
        _check_enough(await videos.count())
        catalogue = await read_catalogue(videos.stream())
        tell("training", "reading", 0.5, f"{len(catalogue.ids):,} videos; reading the history")
        row_of = {id_: row for row, id_ in enumerate(catalogue.ids)}
        pages = PostgresInteractions(engine).stream(request.start, request.end)
        with TemporaryDirectory(prefix="upnext-snapshot-") as folder:
            snapshot = Path(folder) / "snapshot.parquet"
            histories = await read_histories(pages, row_of, snapshot)
            store.put(snapshot_key(request.model_id), snapshot)
    return catalogue, histories


def _check_enough(videos: int) -> None:
    if videos < MIN_VIDEOS:
        raise InvalidInput(
            f"The catalogue has {videos} videos, a model needs {MIN_VIDEOS}: "
            "bring some in with `upnext import`, then train again."
        )


def _fit(
    store: ArtifactStore,
    catalogue: Catalogue,
    histories: Histories,
    config: ContentConfig,
    tell: Tell,
) -> Fitted:
    def encoder() -> TextEncoder:
        # torch takes seconds and memory: only when a text is new.
        from embeddings.text_encoder import MiniLM  # noqa: PLC0415

        return MiniLM(threads=os.cpu_count() or 1)

    kept = ContentStore(store, REVISION)
    tell("training", "encoding", 0.0, "looking for new texts")
    encoded = encode_new(catalogue, kept, encoder, lambda *at: tell("training", "encoding", *at))
    tell("training", "fitting", 0.0, f"{encoded.fresh:,} texts were new")
    content_map = fit_map(encoded.vectors, config.dimensions)
    return Fitted(
        items=item_vectors(catalogue.ids, content_map(encoded.vectors)),
        content=item_vectors(catalogue.ids, encoded.vectors),
        watches=histories.watches(len(catalogue.ids)),
        content_map=content_map,
        encoder=DecayedMean(config.half_life),
        weights=config.weights,
        metrics={},
    )


def _publication(
    version: str, fitted: Fitted, catalogue: Catalogue, histories: Histories, recent: int
) -> Publication:
    vectors, has = user_vectors(histories, fitted.items.vectors, fitted.encoder, recent)
    return Publication(
        version=version,
        content_revision=REVISION,
        videos=Rows(catalogue.ids, fitted.items.vectors),
        users=Rows([histories.users[user] for user in has], vectors),
        content=Rows(catalogue.ids, fitted.content.vectors),
    )


def _publish(settings: Settings, what: Publication, tell: Tell) -> None:
    writer = MilvusWriter.of(settings)
    try:
        lock = settings.home / "run" / "publish.lock"
        publish(writer, what, lock, lambda *at: tell("publishing", "publishing", *at))
    finally:
        writer.close()
