"""In what order: the whole re-ranker, a pure function of arrays."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from core.types import Candidate, Ranked, RankingConfig, VideoColumns, Weights
from ranking.blend import blend, in_force
from ranking.diversity import select
from ranking.features import Asker, Feature, features_of


def rank(
    candidates: Sequence[Candidate],
    columns: VideoColumns,
    *,
    vectors: NDArray[np.float32],
    asker: Asker,
    config: RankingConfig,
    model_weights: Weights | None,
    limit: int = 100,
) -> list[Ranked]:
    """At most `limit` candidates in the order they are to be shown.

    The same for any order of `candidates`. A shorter list is the beginning of a longer one.

    Args:
        candidates: n videos, each once.
        columns: their facts, in the same order.
        vectors: (n, d) in the space of the live version, zeros for those without.
        asker: whose list it is, and when.
        config: the operator's configuration.
        model_weights: the live version's own weights, None before there is one.
        limit: length of the list.
    """
    known = features_of(columns, vectors, asker)
    scores = blend(*in_force(known, config, model_weights, personal=asker.vector is not None))
    chosen = arrange(scores, columns.hashes, columns.creator, vectors, config=config, limit=limit)
    return [
        Ranked(candidates[at].video_id, candidates[at].source, float(scores[at]))
        for at in chosen.tolist()
    ]


def arrange(
    scores: Feature,
    hashes: NDArray[np.uint64],
    creators: NDArray[np.int32],
    vectors: NDArray[np.float32],
    *,
    config: RankingConfig,
    limit: int,
) -> NDArray[np.int64]:
    """Indices of at most `limit` of n candidates by score, diversity and rules, int64 (m,).

    Equal scores are settled by the videos' hashes; `creators` and `vectors` as `select` has them.
    """
    order = np.lexsort((hashes, -scores))  # best first
    chosen = select(
        scores[order],
        vectors[order],
        creators[order],
        diversity=config.diversity,
        creator_cap=config.creator_cap,
        limit=limit,
    )
    best: NDArray[np.int64] = order[chosen]
    return best
