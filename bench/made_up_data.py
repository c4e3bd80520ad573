"""Videos, users, watches and vectors, drawn at random but the same every time.

Videos are in groups, like genres: a user likes one or two of them, and the vectors of a group are
near each other.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

import msgspec
import numpy as np
from numpy.typing import NDArray

from core.hashing import event_key
from core.types import Interaction, UserId, Video, VideoId, Weights
from embeddings.content_map import ContentMap
from embeddings.fold_in import FoldIn, FoldInConfig
from embeddings.items import item_vectors, normalised
from embeddings.version import Fitted
from upnext.jobs.publish import Publication, Rows

CONTENT_DIM, GROUPS, PAGE = 384, 200, 5000
OLDEST_DAYS = 1000
WEIGHTS = Weights(similarity=0.6, popularity=0.2, genre=0.1, recency=0.09, exploration=0.01)
FOLD_IN = {"unobserved": 0.1, "regularisation": 0.003, "exponent": 1.0, "half_life": 30.0}


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """How much: `watches` are of each user, `dimensions` of the item vectors."""

    videos: int
    users: int
    watches: int = 20
    dimensions: int = 64


class Data:
    """All of a shape; the large parts are made as they are asked for."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self._rng = np.random.default_rng(0)
        self.ids = [VideoId(f"v{row:06}") for row in range(shape.videos)]
        self.users = [f"u{row:06}" for row in range(shape.users)]
        self._group = self._rng.integers(GROUPS, size=shape.videos)
        self._members = [np.flatnonzero(self._group == group) for group in range(GROUPS)]

    def videos(self, now: datetime) -> Iterator[list[Video]]:
        """The catalogue in pages."""
        ages = self._rng.uniform(0, OLDEST_DAYS, self.shape.videos).tolist()
        for start in range(0, self.shape.videos, PAGE):
            rows = range(start, min(start + PAGE, self.shape.videos))
            yield [self._video(row, now - timedelta(days=ages[row])) for row in rows]

    def watches(self, now: datetime) -> Iterator[list[Interaction]]:
        """The history in pages: each user's watches are mostly of two groups."""
        page: list[Interaction] = []
        for number, user in enumerate(self.users):
            page += self._watches_of(number, UserId(user), now)
            if len(page) >= PAGE:
                yield page
                page = []
        yield page

    def fitted(self) -> Fitted:
        """Vectors of every video, of lengths spread as a model of behaviour has them."""
        content, items = self._content(), self._items()
        return Fitted(
            items=item_vectors(self.ids, items),
            content=item_vectors(self.ids, content),
            watches=np.full(self.shape.videos, self.shape.watches, dtype=np.int32),
            content_map=ContentMap(
                matrix=np.zeros((CONTENT_DIM + 1, self.shape.dimensions), dtype=np.float32),
                normalise=False,
            ),
            encoder=FoldIn(FoldInConfig(videos=self.shape.videos, **FOLD_IN), items.T @ items),
            weights=WEIGHTS,
            metrics={},
        )

    def publication(self, version: str, revision: str) -> Publication:
        """What the index is to hold of it; the collection of users is a small one."""
        items = self._items()
        return Publication(
            version=version,
            content_revision=revision,
            videos=Rows(self.ids, items),
            users=Rows(self.users[:100], items[: len(self.users[:100])]),
            content=Rows(self.ids, self._content()),
        )

    def _video(self, row: int, published_at: datetime) -> Video:
        group = int(self._group[row])
        return Video(
            id=self.ids[row],
            title=f"Part {row} of the long story of group {group}",
            genres=(f"genre {group % 20}", f"mood {group % 7}"),
            creator_id=f"creator {row % 5000}",
            language="en",
            published_at=published_at,
        )

    def _watches_of(self, number: int, user: UserId, now: datetime) -> list[Interaction]:
        rng = np.random.default_rng(number)
        liked = np.concatenate([self._members[group] for group in rng.integers(GROUPS, size=2)])
        count = min(self.shape.watches, len(liked))
        # The square leans on the first of a group: some videos are watched much more than others.
        places = np.unique((rng.random(2 * count) ** 2 * len(liked)).astype(int))[:count]
        minutes = np.sort(rng.integers(10, 60 * 24 * 60, size=len(places))).tolist()
        return [
            Interaction(
                key=event_key("made-up", f"{user} {row}"),
                user_id=user,
                video_id=self.ids[row],
                kind="watch",
                occurred_at=now - timedelta(minutes=ago),
                weight=1.0,
            )
            for row, ago in zip(liked[places].tolist(), minutes, strict=True)
        ]

    def _items(self) -> NDArray[np.float32]:
        drawn = self._near_groups(self.shape.dimensions, seed=1)
        lengths = np.random.default_rng(2).lognormal(sigma=0.5, size=(len(drawn), 1))
        return (drawn * lengths).astype(np.float32)

    def _content(self) -> NDArray[np.float32]:
        return self._near_groups(CONTENT_DIM, seed=3)

    def _near_groups(self, dimensions: int, seed: int) -> NDArray[np.float32]:
        rng = np.random.default_rng(seed)
        groups = rng.normal(size=(GROUPS, dimensions))
        noise = rng.normal(size=(self.shape.videos, dimensions))
        return normalised((groups[self._group] + noise).astype(np.float32))
