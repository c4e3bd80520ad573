"""What a model is fitted to, and what it is then asked for."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from embeddings.dataset import Histories
from embeddings.evaluation.entries import entries_of, offsets_of
from embeddings.split import Split


@dataclass(frozen=True, slots=True)
class Candidates:
    """The only videos that are ranked for each of m users, the relevant ones among them.

    Those of the u-th judged user are `rows[offsets[u]:offsets[u + 1]]`, int32, each once.
    """

    offsets: NDArray[np.int64]
    rows: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Case:
    """A training part, users to judge by it, and the videos that are right for each.

    `train`: the model is fitted to it, and users are folded in from it · `videos`, n: rows are
    below · `users` int64 (m,), which of `train.users` are judged, one perhaps more than once · the
    u-th of them has `relevant[offsets[u]:offsets[u + 1]]`, int32, one or several, each once ·
    `times` float64 (k,), when these were watched, in days; None where that is not known.

    Ranked are all videos that the user has not in `train`; with `candidates` those alone, watched
    or not; with `among`, bool (n,), none but these.

    `cut`, in days: all of `train` was before, what is relevant was not; None where each user has a
    moment of their own. `left_out` counts what could not be asked for, by reason.
    """

    train: Histories
    videos: int
    users: NDArray[np.int64]
    offsets: NDArray[np.int64]
    relevant: NDArray[np.int32]
    times: NDArray[np.float64] | None = None
    candidates: Candidates | None = None
    among: NDArray[np.bool_] | None = None
    cut: float | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, split: Split, videos: int, among: NDArray[np.bool_] | None = None) -> Self:
        """The case of a split of so many videos: one is asked for of each user."""
        return cls(
            train=split.train,
            videos=videos,
            users=split.users,
            offsets=np.arange(len(split.users) + 1),
            relevant=split.targets,
            among=among,
            cut=split.cut,
        )

    def owners(self) -> NDArray[np.int64]:
        """Which judged user, 0..m - 1, each relevant video is for, int64 (k,)."""
        return np.repeat(np.arange(len(self.users)), np.diff(self.offsets))

    def lengths(self) -> NDArray[np.int64]:
        """How many videos each judged user has in `train`, int64 (m,)."""
        return self.train.offsets[self.users + 1] - self.train.offsets[self.users]

    def asking(self, kept: NDArray[np.bool_]) -> Self:
        """The case with only these relevant videos, bool (k,), and the users who have one."""
        owners = self.owners()[kept]
        judged, owners = np.unique(owners, return_inverse=True)
        return replace(
            self,
            users=self.users[judged],
            offsets=offsets_of(owners, len(judged)),
            relevant=self.relevant[kept],
            times=None if self.times is None else self.times[kept],
            candidates=None if self.candidates is None else _of(self.candidates, judged),
        )

    def of_users(self, judged: NDArray[np.bool_]) -> Self:
        """The case of some of its users, bool (m,)."""
        return self.asking(judged[self.owners()])


def _of(candidates: Candidates, judged: NDArray[np.int64]) -> Candidates:
    owners, places = entries_of(candidates.offsets, judged)
    return Candidates(offsets_of(owners, len(judged)), candidates.rows[places])
