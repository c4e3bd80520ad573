"""How well a model finds what users watched last: recall, nDCG and coverage of the top 10."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from embeddings.dataset import Histories
from embeddings.encode_users import user_vectors
from embeddings.user_encoder import UserEncoder

TOP = 10
BATCH_NUMBERS = 5_000_000  # scores held at a time
MAX_USERS = 8_000


@dataclass(frozen=True, slots=True)
class Split:
    """Histories less the last watch of some users, and those watches.

    `train` has all users · `users` int64 (m,), which of them are judged · `targets` int32 (m,),
    the item rows held out.
    """

    train: Histories
    users: NDArray[np.int64]
    targets: NDArray[np.int32]


def leave_last_out(histories: Histories, *, seed: int, most: int = MAX_USERS) -> Split:
    """Hold out the last watch of users with two videos or more; of at most `most`, by `seed`."""
    eligible = np.flatnonzero(np.diff(histories.offsets) > 1)
    if len(eligible) > most:
        eligible = np.sort(np.random.default_rng(seed).choice(eligible, most, replace=False))
    held_out = histories.offsets[eligible + 1] - 1
    kept = np.ones(len(histories.rows), dtype=np.bool_)
    kept[held_out] = False
    before = np.concatenate([[0], np.cumsum(kept)])
    train = replace(
        histories,
        offsets=before[histories.offsets].astype(np.int64),
        rows=histories.rows[kept],
        weights=histories.weights[kept],
        times=histories.times[kept],
        count=histories.count - len(held_out),
    )
    return Split(train, eligible, histories.rows[held_out])


def evaluate(
    split: Split, items: NDArray[np.float32], encoder: UserEncoder, recent: int
) -> dict[str, float]:
    """Metrics of ranking all videos that a user had not watched by inner product.

    `recall@10` and `ndcg@10` are means over the users that have a vector (the one relevant video
    is the target, so the ideal gain is 1); `coverage@10` is the share of the catalogue in anyone's
    top 10. Videos with the same score share the mean of the gains of their ranks. Empty without
    users.
    """
    vectors, has = user_vectors(split.train, items, encoder, recent, split.users)
    if len(has) == 0:
        return {}
    users, targets = split.users[has], split.targets[has]
    gains = np.zeros((len(users), 2))
    shown = np.zeros(len(items), dtype=np.bool_)
    step = max(1, BATCH_NUMBERS // len(items))
    for start in range(0, len(users), step):
        batch = slice(start, start + step)
        scores = vectors[batch] @ items.T
        for row, user in zip(scores, users[batch].tolist(), strict=True):
            row[split.train.rows[split.train.of(user)]] = -np.inf
        gains[batch] = fair_gains(scores, targets[batch])
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
