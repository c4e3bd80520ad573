"""A training run, top to bottom: read, encode, fit, judge, fit on everything, store, publish."""

import asyncio
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from core.clock import utc_now
from core.settings import Settings
from core.types import ModelStatus, Progress
from embeddings.encode_users import user_vectors
from embeddings.evaluate import evaluate, leave_last_out
from embeddings.ports import ArtifactStore
from embeddings.text import REVISION
from embeddings.version import Fitted, write_version
from storage.artifacts import artifact_store
from storage.milvus_writer import MilvusWriter
from storage.postgres.engine import pool
from storage.postgres.models import PostgresModels
from upnext.jobs.fit_weights import fit_weights
from upnext.jobs.kept_out import without_erased
from upnext.jobs.messages import Outcome, Report, Request
from upnext.jobs.params import SEED
from upnext.jobs.publish import Publication, Rows, publish
from upnext.jobs.publisher import publisher
from upnext.jobs.reading import Data, read
from upnext.jobs.recipes import Recipe, recipe_of
from upnext.jobs.texts import encoded

Tell = Callable[[ModelStatus, str, float, str], None]


def run(settings: Settings, request: Request, report: Callable[[Report], None]) -> Outcome:
    """Make the version of `request`, from the truth to a published version.

    It is judged by a fit that has not seen what it is asked for; what is published was fitted on
    everything, with the same hyper-parameters and the weights found meanwhile. Blocking, for a
    process of its own.

    Raises:
        InvalidInput: there is too little data; the message says what to bring.
        Conflict: the run was given up.
        Unavailable: a store did not answer; nothing that is live was touched.
    """

    def tell(status: ModelStatus, stage: str, fraction: float, message: str) -> None:
        report(Report(status, Progress(stage, fraction, message)))

    store = artifact_store(settings.artifacts_url or "")
    tell("training", "reading", 0.0, "reading the catalogue and the history")
    data = asyncio.run(read(settings, request, store, lambda *at: tell("training", "reading", *at)))
    content = _content(store, data, tell)
    recipe = recipe_of(request.model_type, data, content, SEED)
    judged = _judge(recipe, data, settings.state_recent, tell)
    fitted = recipe.fit(data.histories, lambda *at: tell("evaluating", "refitting", *at))
    fitted = replace(fitted, weights=judged.weights, metrics=judged.metrics)
    tell("publishing", "storing", 0.0, "storing the version")
    uri = store_version(settings, request, store, fitted)
    made = _publication(request.version, fitted, data, settings.state_recent)
    _publish(settings, request, made, tell)
    return Outcome(data.span(), recipe.params | data.pinned(), fitted.metrics, uri)


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
    texts = encoded(store, data.catalogue, lambda *at: tell("training", "encoding", *at))
    tell("training", "encoding", 1.0, f"{texts.fresh:,} texts were new")
    return texts.vectors


def _judge(recipe: Recipe, data: Data, recent: int, tell: Tell) -> Fitted:
    """A fit without users' last watches, with the metrics and the weights that these give it."""
    split = leave_last_out(data.histories, seed=SEED)
    judged = recipe.fit(split.train, lambda *at: tell("training", "fitting", *at))
    tell("evaluating", "evaluating", 0.0, "ranking for users whose last watch was held out")
    metrics = evaluate(split, judged.items.vectors, judged.encoder, recent)
    tell("evaluating", "evaluating", 0.2, "weighing what lists are ordered by")
    weights, of_lists = fit_weights(
        data.facts, split, judged, recipe.weights, recent=recent, seed=SEED
    )
    return replace(judged, metrics=metrics | of_lists, weights=weights)


def _publication(version: str, fitted: Fitted, data: Data, recent: int) -> Publication:
    ids, histories = data.catalogue.ids, data.histories
    vectors, has = user_vectors(histories, fitted.items.vectors, fitted.encoder, recent)
    return Publication(
        version=version,
        content_revision=REVISION,
        videos=Rows(ids, fitted.items.vectors),
        users=Rows([histories.users[user] for user in has.tolist()], vectors),
        content=Rows(ids, fitted.content.vectors),
    )


def _publish(settings: Settings, request: Request, what: Publication, tell: Tell) -> None:
    tell("publishing", "publishing", 0.0, "waiting until no other run publishes")
    with (
        publisher(settings, request.model_id, request.attempt) as dead,
        closing(MilvusWriter.of(settings)) as writer,
    ):
        store = artifact_store(settings.artifacts_url or "")
        users = without_erased(settings, store, request.model_id, what.users)
        publish(
            writer,
            replace(what, users=users),
            dead,
            lambda *at: tell("publishing", "publishing", *at),
        )
