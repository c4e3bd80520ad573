"""The same held-out watches, ranked by the model alone and by number of watches."""

import asyncio
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from core.settings import Settings
from core.types import UserId, VideoId
from embeddings.dataset import read_catalogue
from embeddings.evaluate import evaluate
from embeddings.history_reader import HistoryReader
from embeddings.split import Split
from embeddings.user_encoder import DecayedMean
from embeddings.version import open_version
from storage.artifacts import artifact_store
from storage.postgres.engine import pool
from storage.postgres.history_columns import copy_history
from storage.postgres.videos import PostgresVideos


def retrieved(settings: Settings, version: str, targets: Mapping[str, str]) -> tuple[float, float]:
    """HR@10 and nDCG@10 of ranking all unwatched videos by the version's own scores."""
    split = _split(settings, targets)
    with tempfile.TemporaryDirectory() as cache:
        opened = open_version(artifact_store(settings.artifacts_url or ""), version, Path(cache))
        metrics = evaluate(split, opened.items.vectors, opened.encoder, settings.state_recent)
    return metrics["recall@10"], metrics["ndcg@10"]


def popular(settings: Settings, targets: Mapping[str, str]) -> tuple[float, float]:
    """The same of ranking them by how many users watched them; equals share their ranks."""
    split = _split(settings, targets)
    # One number a video, and one user vector for all: the count of watches is the score.
    counts = split.train.watches(int(max(split.train.rows.max(), split.targets.max())) + 1)
    train = replace(split.train, weights=np.ones_like(split.train.weights))
    scores = counts.astype(np.float32)[:, np.newaxis]
    metrics = evaluate(replace(split, train=train), scores, DecayedMean(1e9), 200)
    return metrics["recall@10"], metrics["ndcg@10"]


def _split(settings: Settings, targets: Mapping[str, str]) -> Split:
    return asyncio.run(_read(settings, targets))


async def _read(settings: Settings, targets: Mapping[str, str]) -> Split:
    """What the service knows of every user, and the rows of their held-out watches."""
    async with pool(settings, patient=True) as engine:
        catalogue = await read_catalogue(PostgresVideos(engine).stream())
        row_of = {id_: row for row, id_ in enumerate(catalogue.ids)}
        reader = HistoryReader(row_of)
        await copy_history(engine, None, None, reader.take)
    histories = reader.histories()
    number = {user: at for at, user in enumerate(histories.users)}
    pairs = [
        (number[UserId(user)], row_of[VideoId(video)])
        for user, video in targets.items()
        if user in number and video in row_of
    ]
    users, rows = np.array(sorted(pairs)).T
    return Split(histories, users.astype(np.int64), rows.astype(np.int32))
