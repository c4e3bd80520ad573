"""How high a held-out watch is ranked among all videos that its user had not watched."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from embeddings.encode_users import user_vectors
from embeddings.evaluate import fair_gains
from embeddings.split import Split
from embeddings.user_encoder import UserEncoder

BATCH = 250
STUDENT = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}  # 97.5 % quantile, by how many were measured


class Gains(msgspec.Struct, frozen=True):
    """Means over users."""

    hr: float
    ndcg: float


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores of all videos, float32 (b, n), for these positions of a split's users, int64 (b,)."""

    of: Callable[[NDArray[np.int64]], NDArray[np.float32]]


def gains(split: Split, scores: Scores) -> Gains:
    """Expected HR@10 and nDCG@10; equal scores share their ranks."""
    found = np.zeros((len(split.users), 2))
    for start in range(0, len(found), BATCH):
        batch = np.arange(start, min(start + BATCH, len(found)))
        table = scores.of(batch).astype(np.float32)
        for row, user in zip(table, split.users[batch].tolist(), strict=True):
            row[split.train.rows[split.train.of(user)]] = -np.inf
        found[batch] = fair_gains(table, split.targets[batch])
    hr, ndcg = found.mean(axis=0).tolist()
    return Gains(hr, ndcg)


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
    return Scores(lambda batch: users[batch] @ items.T)


def last_watches(split: Split) -> NDArray[np.int32]:
    """The newest watch of each judged user that training knows, int32 (m,)."""
    last: NDArray[np.int32] = split.train.rows[split.train.offsets[split.users + 1] - 1]
    return last


def interval(values: Iterable[float]) -> tuple[float, float]:
    """Mean and half the width of its 95 % interval (Student's t), over 2 to 5 values."""
    seen = np.array(list(values))
    return float(seen.mean()), float(STUDENT[len(seen)] * seen.std(ddof=1) / len(seen) ** 0.5)
