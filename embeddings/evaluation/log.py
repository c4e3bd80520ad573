"""Interactions as they happened, with repeats: what the protocols split."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Self

import numpy as np
from numpy.typing import NDArray

from core.clock import EPOCH
from core.types import UserId
from embeddings.dataset import Histories
from embeddings.evaluation.entries import offsets_of


@dataclass(frozen=True, slots=True)
class Log:
    """Every interaction of every user, oldest first; of one time, as they came.

    User u's are `rows[offsets[u]:offsets[u + 1]]`, int32 and below `videos`, with float32 `weights`
    and float64 `times` beside: days since the epoch, or where `timed` is false any numbers that
    never fall in a user's history. A video may come twice in one, a user may have none.
    """

    users: list[UserId]
    videos: int
    offsets: NDArray[np.int64]
    rows: NDArray[np.int32]
    weights: NDArray[np.float32]
    times: NDArray[np.float64]
    timed: bool = True

    def owners(self) -> NDArray[np.int64]:
        """Whose each interaction is, int64 (k,)."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    def pairs(self) -> NDArray[np.int64]:
        """User and video of each interaction as one number, int64 (k,)."""
        return pairs_of(self.owners(), self.rows, self.videos)

    def only(self, kept: NDArray[np.bool_]) -> Self:
        """The log of all users less what is not `kept`, bool (k,)."""
        return replace(
            self,
            offsets=offsets_of(self.owners()[kept], len(self.offsets) - 1),
            rows=self.rows[kept],
            weights=self.weights[kept],
            times=self.times[kept],
        )

    def histories(self) -> Histories:
        """What models are fitted to: each video once in a history, where it was watched last."""
        backwards = self.pairs()[::-1]
        kept = np.zeros(len(backwards), dtype=np.bool_)
        kept[len(kept) - 1 - np.unique(backwards, return_index=True)[1]] = True
        once = self.only(kept)
        known = self.timed and len(self.times) > 0
        return Histories(
            users=once.users,
            offsets=once.offsets,
            rows=once.rows,
            weights=once.weights,
            times=once.times,
            count=len(self.rows),
            first=_moment(self.times.min()) if known else None,
            last=_moment(self.times.max()) if known else None,
        )

    def appeared(self) -> NDArray[np.float64]:
        """When each video was first watched by anyone, float64 (videos,); nan: never."""
        first = np.full(self.videos, np.inf)
        np.minimum.at(first, self.rows, self.times)
        first[np.isinf(first)] = np.nan
        return first


def pairs_of(users: NDArray[np.int64], rows: NDArray[np.integer], videos: int) -> NDArray[np.int64]:
    """A user and a video as one number, int64 (k,)."""
    return users * videos + rows


def _moment(day: float) -> datetime:
    return EPOCH + timedelta(days=float(day))
