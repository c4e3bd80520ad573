"""How well a model finds what users watched last: recall, nDCG and coverage of the top 10."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embeddings.content_model import user_vectors
from embeddings.dataset import Histories
from embeddings.user_encoder import DecayedMean

TOP = 10
BATCH_NUMBERS = 5_000_000  # scores held at a time
MAX_USERS = 8_000


@dataclass(frozen=True, slots=True)
class Split:
    """Histories without each user's last watch, and that watch: int32 (users,) item rows."""

    train: Histories
    targets: NDArray[np.int32]


def leave_last_out(histories: Histories, *, seed: int, most: int = MAX_USERS) -> Split:
    """Split users with two videos or more; at most `most` of them, drawn by `seed`."""
    lengths = np.diff(histories.offsets)
    eligible = np.flatnonzero(lengths > 1)
    if len(eligible) > most:
        eligible = np.sort(np.random.default_rng(seed).choice(eligible, most, replace=False))
    ends = histories.offsets[eligible + 1] - 1
    starts = histories.offsets[eligible]
    kept = [np.arange(start, end) for start, end in zip(starts, ends, strict=True)]
    at = np.concatenate([np.zeros(0, np.int64), *kept])
    train = Histories(
        users=[histories.users[user] for user in eligible],
        offsets=np.concatenate([[0], np.cumsum(ends - starts)]).astype(np.int64),
        rows=histories.rows[at],
        weights=histories.weights[at],
        count=len(at),
        first=histories.first,
        last=histories.last,
    )
    return Split(train, histories.rows[ends])


def evaluate(
    split: Split, items: NDArray[np.float32], encoder: DecayedMean, recent: int
) -> dict[str, float]:
    """Metrics of ranking all videos that a user had not watched by inner product.

    `recall@10` and `ndcg@10` are means over users (the one relevant video is the target, so the
    ideal gain is 1); `coverage@10` is the share of the catalogue in anyone's top 10. Videos with
    the same score share the mean of the gains of their ranks. Empty without users.
    """
    vectors, users = user_vectors(split.train, items, encoder, recent)
    if len(users) == 0:
        return {}
    gains = np.zeros((len(users), 2))
    shown = np.zeros(len(items), dtype=np.bool_)
    step = max(1, BATCH_NUMBERS // len(items))
    for start in range(0, len(users), step):
        batch = users[start : start + step]
        scores = vectors[start : start + step] @ items.T
        for row, user in zip(scores, batch, strict=True):
            row[split.train.rows[split.train.offsets[user] : split.train.offsets[user + 1]]] = -2
        gains[start : start + step] = fair_gains(scores, split.targets[batch])
        shown[np.argpartition(-scores, min(TOP, len(items)) - 1, axis=1)[:, :TOP]] = True
    recall, ndcg = gains.mean(axis=0)
    return {
        "recall@10": float(recall),
        "ndcg@10": float(ndcg),
        "coverage@10": float(shown.mean()),
    }


def fair_gains(scores: NDArray[np.float32], targets: NDArray[np.integer]) -> NDArray[np.float64]:
    """Expected recall@10 and nDCG@10 of each row's target, float64 (users, 2).

    With g scores above the target's and t equal to it (its own included), its rank is any of
    g .. g + t - 1 with equal chance.
    """
    own = scores[np.arange(len(scores)), targets][:, None]
    above = (scores > own).sum(axis=1)
    ties = (scores == own).sum(axis=1)
    gain = np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(TOP) + 2))])
    first, end = np.minimum(above, TOP), np.minimum(above + ties, TOP)
    return np.column_stack([(end - first) / ties, (gain[end] - gain[first]) / ties])
