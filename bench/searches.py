"""The searches that making lists takes, to be issued alone: what the service is compared with."""

import asyncio
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from api.maker import maker_over
from api.moment import Moment
from core.clock import utc_now
from core.errors import SetupError
from core.settings import Settings
from core.types import Hits, RankingConfig, UserId
from embeddings.version import open_version
from retrieval.ports import VectorSearch
from storage.artifacts import artifact_store
from storage.postgres.engine import pool
from storage.postgres.models import PostgresModels
from storage.postgres.users import PostgresUsers
from storage.postgres.videos import PostgresVideos
from upnext.jobs.snapshots import snapshot_of


@dataclass(frozen=True, slots=True)
class Asked:
    """One search: `vectors` float32 (q, d), the best `k` of `collection` for each."""

    collection: str
    vectors: NDArray[np.float32]
    k: int


class _Recorder:
    """A `VectorSearch` that finds nothing and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []

    async def search(self, collection: str, vectors: NDArray[np.float32], k: int) -> list[Hits]:
        self.asked.append(Asked(collection, vectors, k))
        return [Hits((), np.zeros(0, dtype=np.float32)) for _ in vectors]


async def searches_of(settings: Settings, users: Sequence[UserId]) -> list[list[Asked]]:
    """What the service searches for when it makes each of these users' lists.

    Raises:
        SetupError: no model is live.
        Unavailable: a store did not answer.
    """
    async with pool(settings, patient=True) as engine:
        live = await PostgresModels(engine, utc_now).live()
        if live is None:
            raise SetupError("No model is live.")
        snapshot = await snapshot_of(PostgresVideos(engine))
        states = await PostgresUsers(engine).states_of(users, settings.state_recent)
    with tempfile.TemporaryDirectory() as folder:
        store = artifact_store(settings.artifacts_url or "")
        version = open_version(store, live.version, Path(folder))
        moment = Moment(
            live=version,
            config=RankingConfig(),
            snapshot=snapshot,
            now=utc_now(),
            loaded=True,
        )
        asked = []
        for user in users:
            recorder = _Recorder()
            maker = maker_over(recorder, deadline_seconds=10.0)
            await maker.personal(user, states[user], moment)
            asked.append(recorder.asked)
    return asked


async def together(search: VectorSearch, asked: Sequence[Asked]) -> None:
    """Issue these searches at the same time, as a request does."""
    await asyncio.gather(*(search.search(one.collection, one.vectors, one.k) for one in asked))


def batched(asked: Sequence[Sequence[Asked]]) -> list[Asked]:
    """The searches of many users as one for each collection, with the largest `k` of any."""
    collections = dict.fromkeys(one.collection for own in asked for one in own)
    return [
        _joined([one for own in asked for one in own if one.collection == name])
        for name in collections
    ]


def _joined(asked: Sequence[Asked]) -> Asked:
    vectors = np.concatenate([one.vectors for one in asked])
    return Asked(asked[0].collection, vectors, max(one.k for one in asked))
