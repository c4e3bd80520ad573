"""How well a model finds what was held out: recall, nDCG and coverage of the top 10."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from embeddings.encode_users import user_vectors
from embeddings.evaluation.case import Case
from embeddings.evaluation.metrics import CUTS, found_of, worth_of
from embeddings.evaluation.ranking import NOBODY, rank
from embeddings.evaluation.scorers import UserVectorScorer
from embeddings.split import Split
from embeddings.user_encoder import UserEncoder

TOP = 10
AT = CUTS.index(TOP)
TIES = 0  # the seed of the order in which equal scores are shown


@dataclass(frozen=True, slots=True)
class Found:
    """What ranking all videos that a user had not watched gives the users of a split.

    `gains` float64 (m, 2), expected recall@10 and nDCG@10 of each user · `has` bool (m,), who has
    a vector: the others gain nothing · `shown` bool (n,), which videos were in anyone's top 10.
    """

    gains: NDArray[np.float64]
    has: NDArray[np.bool_]
    shown: NDArray[np.bool_]


def evaluate(
    split: Split, items: NDArray[np.float32], encoder: UserEncoder, recent: int
) -> dict[str, float]:
    """Metrics of ranking all videos that a user had not watched by inner product.

    `recall@10` and `ndcg@10` are means over the users that have a vector (the one relevant video
    is the target, so the ideal gain is 1); `coverage@10` is the share of the catalogue in anyone's
    top 10. Videos with the same score share the mean of the gains of their ranks. Empty without
    users.
    """
    found = find(split, items, encoder, recent)
    return metrics_of(found, found.has)


def find(
    split: Split,
    items: NDArray[np.float32],
    encoder: UserEncoder,
    recent: int,
    among: NDArray[np.bool_] | None = None,
) -> Found:
    """What a model finds.

    Args:
        split: its rows are rows of `items`.
        items: float32 (n, d).
        encoder: of the same version as `items`.
        recent: how many of a user's newest watches count.
        among: which videos are ranked, bool (n,); None: all of them.
    """
    vectors, has = user_vectors(split.train, items, encoder, recent, split.users)
    return _ranked(split, has, vectors, items, among)


def find_popular(split: Split, videos: int, among: NDArray[np.bool_] | None = None) -> Found:
    """What is found by ranking for everybody by the number of watches in `split.train`."""
    watched = split.train.watches(videos).astype(np.float32)[:, np.newaxis]
    everyone = np.arange(len(split.users))
    alike = np.ones((len(everyone), 1), dtype=np.float32)
    return _ranked(split, everyone, alike, watched, among)


def metrics_of(
    found: Found, users: NDArray[np.bool_], among: NDArray[np.bool_] | None = None
) -> dict[str, float]:
    """Means over these users, bool (m,), and the share of the ranked videos that was shown.

    Empty without users.
    """
    if not users.any():
        return {}
    recall, ndcg = found.gains[users].mean(axis=0).tolist()
    shown = found.shown if among is None else found.shown[among]
    return {"recall@10": recall, "ndcg@10": ndcg, "coverage@10": float(shown.mean())}


def _ranked(
    split: Split,
    has: NDArray[np.int64],
    vectors: NDArray[np.float32],
    items: NDArray[np.float32],
    among: NDArray[np.bool_] | None,
) -> Found:
    """Rank for those of the split's users, int64 (k,), that have these vectors, (k, d)."""
    judged = replace(split, users=split.users[has], targets=split.targets[has])
    scorer = UserVectorScorer(judged.users, vectors, items)
    ranked = rank(scorer, Case.of(judged, len(items), among), seed=TIES)
    gains = np.zeros((len(split.users), 2))
    gains[has] = np.column_stack([found_of(ranked)[:, AT], worth_of(ranked)[:, AT]])
    first = ranked.shown[:, :TOP]
    shown = np.zeros(len(items), dtype=np.bool_)
    shown[first[first != NOBODY]] = True
    return Found(gains, np.isin(np.arange(len(split.users)), has), shown)
