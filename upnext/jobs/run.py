"""A training run, top to bottom: read, encode, fit, judge, fit on everything, store, publish."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from functools import partial

import numpy as np
from numpy.typing import NDArray

from core.clock import utc_now
from core.settings import Settings
from core.tracing import span
from core.types import Model, ModelStatus, Progress, UserId, VideoId
from embeddings.ports import ArtifactStore
from embeddings.text import REVISION
from embeddings.version import Fitted, write_version
from storage.artifacts import artifact_store
from storage.milvus_writer import MilvusWriter
from storage.postgres.earlier import watched_before
from storage.postgres.engine import pool
from storage.postgres.models import PostgresModels
from storage.postgres.read_replica import read_pool
from upnext.jobs.fitting.recipe import Material
from upnext.jobs.judge import Judge, Tell
from upnext.jobs.kept_out import without_erased
from upnext.jobs.messages import Outcome, Rejected, Report, Request
from upnext.jobs.params import SEED
from upnext.jobs.publish import Publication, Rows, publish, users_of
from upnext.jobs.publisher import publisher
from upnext.jobs.reading import Data, read
from upnext.jobs.recipes import recipe_of
from upnext.jobs.texts import encoded
from upnext.jobs.unfinished import kept_of


def run(
    settings: Settings, request: Request, report: Callable[[Report], None]
) -> Outcome | Rejected:
    """Make the version of `request`, from the truth to a published version.

    It is judged by a fit that has not seen what it is asked for; what is published was fitted on
    everything, with the same hyper-parameters and the weights found meanwhile. One that is rejected
    is neither stored nor published. Blocking, for a process of its own.

    A run whose earlier attempt was killed on this machine in a long fit goes on from what that
    kept, on the interactions that it had read.

    Raises:
        InvalidInput: there is too little data; the message says what to bring.
        Conflict: the run was given up.
        Unavailable: a store did not answer; nothing that is live was touched.
    """

    def tell(status: ModelStatus, stage: str, fraction: float, message: str) -> None:
        report(Report(status, Progress(stage, fraction, message)))

    store = artifact_store(settings)
    tell("training", "reading", 0.0, "reading the catalogue and the history")
    kept = kept_of(settings, request.model_id)
    reading = partial(tell, "training", "reading")
    with span("reading"):
        data = asyncio.run(read(settings, request, store, reading, again=kept.is_dir()))
    material = Material(data.catalogue.ids, data.histories, _content(store, data, tell))
    recipe = recipe_of(request.model_type, material, SEED)
    live, watched = asyncio.run(_live(settings)), partial(_watched, settings)
    with span("judging"):
        judged = Judge(settings, data, material, live, watched, tell, kept).judge(recipe)
    params = recipe.params | data.pinned()
    metrics, baseline, said = judged.fitted.metrics, judged.baseline, judged.verdict.reason
    if not judged.verdict.passed:
        return Rejected(data.span(), params, metrics, baseline, said)
    refitting = partial(tell, "evaluating", "refitting")
    with span("refitting"):
        fitted = recipe.fit(data.histories, refitting, kept / "refitted", judged.fitted)
    # What was learnt is as large as the model again, and nobody goes on from it.
    fitted = replace(fitted, weights=judged.fitted.weights, metrics=metrics, learnt=None)
    tell("publishing", "storing", 0.0, "storing the version")
    with span("storing"):
        uri = store_version(settings, request, store, fitted)
    made = _publication(request.version, fitted, data, settings.state_recent)
    with span("publishing"):
        _publish(settings, request, made, tell)
    return Outcome(data.span(), params, metrics, baseline, said, uri)


def store_version(
    settings: Settings, request: Request, store: ArtifactStore, fitted: Fitted
) -> str:
    """Write the version's files, unless the run was given up; where they are.

    Raises:
        Conflict: it was given up: another attempt may have stored this version by now.
        Unavailable: a store did not answer.
    """
    asyncio.run(_show_token(settings, request))
    return write_version(
        store,
        fitted,
        version=request.version,
        model_type=request.model_type,
        content_revision=REVISION,
        created_at=utc_now(),
    )


async def _show_token(settings: Settings, request: Request) -> None:
    async with pool(settings, patient=True) as engine:
        await PostgresModels(engine, utc_now).update(request.model_id, request.attempt)


def _content(store: ArtifactStore, data: Data, tell: Tell) -> NDArray[np.float32]:
    """Text vectors, float32 (n, 384), in the catalogue's order."""
    tell("training", "encoding", 0.0, "looking for new texts")
    with span("encoding"):
        texts = encoded(store, data.catalogue, lambda *at: tell("training", "encoding", *at))
    tell("training", "encoding", 1.0, f"{texts.fresh:,} texts were new")
    return texts.vectors


async def _live(settings: Settings) -> Model | None:
    async with pool(settings, patient=True) as engine:
        return await PostgresModels(engine, utc_now).live()


def _watched(
    settings: Settings, users: Sequence[UserId], videos: Sequence[VideoId], moment: datetime
) -> NDArray[np.bool_]:
    async def ask() -> NDArray[np.bool_]:
        async with read_pool(settings, patient=True) as engine:
            return await watched_before(engine, users, videos, moment)

    return asyncio.run(ask())


def _publication(version: str, fitted: Fitted, data: Data, recent: int) -> Publication:
    ids, histories = data.catalogue.ids, data.histories
    return Publication(
        version=version,
        content_revision=REVISION,
        videos=Rows(ids, fitted.items.vectors),
        users=users_of(histories, fitted.items.vectors, fitted.encoder, recent),
        content=Rows(ids, fitted.content.vectors),
    )


def _publish(settings: Settings, request: Request, what: Publication, tell: Tell) -> None:
    tell("publishing", "publishing", 0.0, "waiting until no other run publishes")
    with (
        publisher(settings, request.model_id, request.attempt) as dead,
        closing(MilvusWriter.of(settings)) as writer,
    ):
        store = artifact_store(settings)
        users = without_erased(settings, store, request.model_id, what.users)
        publish(
            writer,
            replace(what, users=users),
            dead,
            lambda *at: tell("publishing", "publishing", *at),
        )
