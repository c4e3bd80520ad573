"""Small catalogues, versions and users for tests of retrieval and ranking."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from core.clock import days
from core.hashing import hash64_many
from core.types import Filters, PopularityRow, UserId, UserState, Video, VideoId, Watch, Weights
from embeddings.content_map import ContentMap
from embeddings.items import ItemVectors, item_vectors, normalised
from embeddings.user_encoder import DecayedMean
from embeddings.version import Fitted, Version
from retrieval.catalogue import Catalogue
from storage.memory.index import MemoryIndex

NOW = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
DIM = 8


def video(name: str, *genres: str, age_days: float = 10, **facts: object) -> Video:
    """An available video published `age_days` before `NOW`; `facts` are fields of `Video`."""
    plain = Video(
        id=VideoId(name),
        title=f"Title of {name}",
        genres=genres,
        published_at=NOW - timedelta(days=age_days),
    )
    return Video(**{key: getattr(plain, key) for key in Video.__struct_fields__} | facts)


def ids(*names: str) -> list[VideoId]:
    """Names as ids."""
    return [VideoId(name) for name in names]


def without(*names: str) -> Filters:
    """Filters that keep nothing out but these."""
    return Filters(exclude=frozenset(ids(*names)))


def counted(name: str, watches: int, *, hours_ago: float = 24.0) -> PopularityRow:
    """Counters of a video that was watched `watches` times at one moment, each with weight 1."""
    day = days(NOW) - hours_ago / 24
    return PopularityRow(
        VideoId(name), watches, np.log2(watches) + day / 14, np.log2(watches) + day
    )


def catalogue_of(videos: Sequence[Video], counters: Sequence[PopularityRow] = ()) -> Catalogue:
    """A catalogue with these videos and counters."""
    catalogue = Catalogue()
    catalogue.apply(videos)
    catalogue.apply_popularity(counters)
    return catalogue


def user(*recent: str, watched: Sequence[str] = ()) -> UserState:
    """A user who watched `recent`, newest first, and before that `watched`."""
    every = hash64_many(dict.fromkeys([*recent, *watched]))
    return UserState(
        user_id=UserId("7"),
        revision=1,
        recent=tuple(Watch(VideoId(name), NOW, 1.0) for name in recent),
        watched=np.sort(every),
    )


def random_vectors(n: int, dim: int = DIM, seed: int = 5) -> NDArray[np.float32]:
    """Vectors float32 (n, dim), the same for a seed."""
    return np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)


def version_of(items: ItemVectors, name: str = "content_1") -> Version:
    """An open version whose behaviour space is its content space."""
    return Version(
        version=name,
        model_type="content",
        items=items,
        content=items,
        watches=np.zeros(len(items), dtype=np.int32),
        content_map=ContentMap(np.eye(items.dim + 1, items.dim, dtype=np.float32), normalise=True),
        encoder=DecayedMean(half_life=10.0),
        weights=Weights(similarity=0.6, popularity=0.2, genre=0.1, recency=0.05, exploration=0.05),
        content_revision="r1",
    )


def fitted_of(names: Sequence[str], content: NDArray[np.float32]) -> Fitted:
    """A model whose item vectors are its text vectors, normalised."""
    vectors = normalised(content)
    dim = vectors.shape[1]
    return Fitted(
        items=item_vectors(ids(*names), vectors),
        content=item_vectors(ids(*names), vectors),
        watches=np.zeros(len(names), dtype=np.int32),
        content_map=ContentMap(np.eye(dim + 1, dim, dtype=np.float32), normalise=True),
        encoder=DecayedMean(half_life=10.0),
        weights=Weights(similarity=0.8, popularity=0.2),
        metrics={},
    )


def indexed(names: Sequence[str], vectors: NDArray[np.float32]) -> tuple[Version, MemoryIndex]:
    """A version of these videos, and an index that has its collections."""
    items = item_vectors(ids(*names), normalised(vectors))
    version = version_of(items)
    index = MemoryIndex()
    rows = items.vectors[items.rows(hash64_many(names))]
    for collection in (f"videos_{version.version}", f"content_{version.content_revision}"):
        index.create(collection, rows.shape[1])
        list(index.upsert(collection, names, rows))
    return version, index
