"""How high a held-out watch is ranked among all videos that its user had not watched."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from embeddings.dataset import Histories
from embeddings.encode_users import user_vectors
from embeddings.evaluation.case import Case
from embeddings.evaluation.metrics import NAMES, gains_of
from embeddings.evaluation.ranking import rank
from embeddings.split import Split
from embeddings.user_encoder import UserEncoder

STUDENT = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}  # 97.5 % quantile, by how many were measured


class Gains(msgspec.Struct, frozen=True):
    """Means over users."""

    hr: float
    ndcg: float


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores of `videos`, float32 (b, n), for these positions of a split's users, int64 (b,)."""

    of: Callable[[NDArray[np.int64]], NDArray[np.float32]]
    videos: int


@dataclass(frozen=True, slots=True)
class _Scorer:
    """Scores by position as a scorer by user; a split's users are sorted."""

    split: Split
    by_position: Scores

    def scores(self, histories: Histories, users: NDArray[np.int64]) -> NDArray[np.float32]:  # noqa: ARG002
        """See `embeddings.evaluation.ports.Scorer.scores`."""
        return self.by_position.of(np.searchsorted(self.split.users, users)).astype(np.float32)


def gains(split: Split, scores: Scores) -> Gains:
    """Expected HR@10 and nDCG@10; equal scores share their ranks."""
    case = Case.of(split, scores.videos)
    found = gains_of(case, rank(_Scorer(split, scores), case, seed=0))
    means = dict(zip(NAMES, found.mean(axis=0).tolist(), strict=True))
    return Gains(means["hr@10"], means["ndcg@10"])


def encoded(
    split: Split, items: NDArray[np.float32], encoder: UserEncoder, recent: int = 200
) -> Scores:
    """Scores by the vectors that an encoder gives users."""
    vectors, has = user_vectors(split.train, items, encoder, recent, split.users)
    table = np.zeros((len(split.users), items.shape[1]), dtype=np.float32)
    table[has] = vectors
    return factors(table, items)


def factors(users: NDArray[np.float32], items: NDArray[np.float32]) -> Scores:
    """Scores by inner product, with users float32 (m, d) in the order of the split."""
    return Scores(lambda batch: users[batch] @ items.T, len(items))


def last_watches(split: Split) -> NDArray[np.int32]:
    """The newest watch of each judged user that training knows, int32 (m,)."""
    last: NDArray[np.int32] = split.train.rows[split.train.offsets[split.users + 1] - 1]
    return last


def interval(values: Iterable[float]) -> tuple[float, float]:
    """Mean and half the width of its 95 % interval (Student's t), over 2 to 5 values."""
    seen = np.array(list(values))
    return float(seen.mean()), float(STUDENT[len(seen)] * seen.std(ddof=1) / len(seen) ** 0.5)
