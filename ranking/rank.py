"""In what order: the whole re-ranker, a pure function of arrays."""

from collections.abc import Sequence
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from core.types import Candidate, Ranked, RankingConfig, UserId, VideoColumns, Weights
from ranking import features
from ranking.blend import blend, choose_weights
from ranking.diversity import select


def rank(
    candidates: Sequence[Candidate],
    columns: VideoColumns,
    *,
    vectors: NDArray[np.float32],
    user_id: UserId,
    user_vector: NDArray[np.float32] | None,
    watched_genres: NDArray[np.bool_],
    config: RankingConfig,
    model_weights: Weights | None,
    version: str | None,
    now: datetime,
    limit: int = 100,
) -> list[Ranked]:
    """At most `limit` candidates in the order they are to be shown.

    The same for any order of `candidates`: equal scores are settled by the videos' hashes.

    Args:
        candidates: n videos, each once.
        columns: their facts, in the same order.
        vectors: (n, d) in the space of `version`, rows L2-normalised, zeros for those without.
        user_id: seeds exploration, with `version` and the hour of `now`.
        user_vector: (d,) in the same space, L2-normalised; None: rank without similarity.
        watched_genres: (r, G), genres of the user's recent watches, G as in `columns`.
        config: the operator's configuration.
        model_weights: the live version's own weights, None before there is one.
        version: the live version's name, None before there is one.
        now: the moment the list is made.
        limit: length of the list.
    """
    known = features.Features(
        similarity=features.similarity(vectors, user_vector),
        popularity=columns.popularity.astype(np.float64),
        genre=features.genre(columns.genres, features.genre_shares(watched_genres)),
        recency=features.recency(columns.published_day, now),
        exploration=features.exploration(columns.hashes, user_id, version, now),
    )
    weights = choose_weights(config, model_weights, personal=user_vector is not None)
    scores = blend(known, weights)
    order = np.lexsort((columns.hashes, -scores))  # best first, equals by hash
    chosen = select(
        scores[order],
        vectors[order],
        columns.creator[order],
        diversity=config.diversity,
        creator_cap=config.creator_cap,
        limit=limit,
    )
    return [
        Ranked(candidates[at].video_id, candidates[at].source, float(scores[at]))
        for at in order[chosen].tolist()
    ]
