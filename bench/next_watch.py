"""Do similar videos of what was watched last hold what was watched next?"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from bench.held_out_ranks import Gains, Scores, gains, last_watches
from bench.histories import Data
from core.clock import utc_now
from core.hashing import hash64_many
from core.types import Filters, UserId, UserState, VideoId, Weights
from embeddings.als.model import AlsModel
from embeddings.content_map import ContentMap
from embeddings.evaluate import TOP
from embeddings.items import item_vectors
from embeddings.split import Split
from embeddings.text import REVISION
from embeddings.version import Version
from retrieval.build import Build
from retrieval.exact import ExactSearch
from retrieval.query import Query
from retrieval.similar_videos import SimilarVideos


def co_watches(split: Split, videos: int) -> Gains:
    """Ranked by how many users watched both."""
    train = split.train
    ones = np.ones(len(train.rows), dtype=np.float32)
    watched = sparse.csr_array((ones, train.rows, train.offsets), (len(train.users), videos))
    both = (watched.T @ watched).tocsr()
    last = last_watches(split)
    return gains(split, Scores(lambda batch: both[last[batch]].toarray(), videos))


def texts(split: Split, content: NDArray[np.float32]) -> Gains:
    """Ranked by the cosine of text vectors."""
    last = last_watches(split)
    return gains(split, Scores(lambda batch: content[last[batch]] @ content.T, len(content)))


class SimilarLists:
    """The lists of `GET /videos/{id}/similar`, made by the service's own code."""

    def __init__(self, data: Data, split: Split, model: AlsModel) -> None:
        version = _version(data, split, model)
        search = ExactSearch(lambda: [version], most_bytes=10**10)
        self._finder = SimilarVideos(search, deadline_seconds=60)
        self._ids = data.catalogue.ids
        self._title_of = {video.id: video.title for video in data.videos}
        build = Build()
        build.add(data.videos)
        self._query = Query(snapshot=build.snapshot(), now=utc_now(), live=version)

    async def judge(self, split: Split) -> Gains:
        """HR@10 and nDCG@10 of what each user watched next, from their last watch."""
        found = [
            await self._gain(split.train.rows[split.train.of(user)], target)
            for user, target in zip(split.users.tolist(), split.targets.tolist(), strict=True)
        ]
        hr, ndcg = np.mean(found, axis=0).tolist()
        return Gains(hr, ndcg)

    async def titles(self, title: str) -> list[str]:
        """Titles of the ten videos most similar to the one with this title."""
        [own] = [id_ for id_, other in self._title_of.items() if other == title]
        return [self._title_of[id_] for id_ in await self._first(own, self._query)]

    async def _gain(self, history: NDArray[np.int32], target: int) -> tuple[float, float]:
        ids = [self._ids[row] for row in history.tolist()]
        state = UserState(UserId("1"), 1, (), np.sort(hash64_many(ids)))
        first = await self._first(ids[-1], replace(self._query, state=state))
        wanted = self._ids[target]
        if wanted not in first:
            return 0.0, 0.0
        return 1.0, float(1 / np.log2(first.index(wanted) + 2))

    async def _first(self, video_id: VideoId, query: Query) -> list[VideoId]:
        found = await self._finder.find(
            video_id, replace(query, filters=Filters(exclude=frozenset([video_id])))
        )
        return [candidate.video_id for candidate in found.candidates[:TOP]]


def _version(data: Data, split: Split, model: AlsModel) -> Version:
    """The model as a version that is open."""
    ids = data.catalogue.ids
    if model.content_map is None:
        raise ValueError("a version needs a content map")
    return Version(
        version="als_bench",
        model_type="als",
        items=item_vectors(ids, model.items),
        content=item_vectors(ids, data.content),
        watches=split.train.watches(len(ids)),
        content_map=ContentMap(model.content_map, normalise=False),
        encoder=model.encoder,
        weights=Weights(),
        content_revision=REVISION,
    )
