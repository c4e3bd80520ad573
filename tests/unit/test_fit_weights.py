"""Weights for a model from the watches that it has not seen, through the sources of the service."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from core.clock import days
from core.types import UserId, VideoId, Weights
from embeddings.content_map import ContentMap
from embeddings.dataset import Histories
from embeddings.items import ItemVectors, item_vectors, normalised
from embeddings.split import Split, leave_last_out
from embeddings.user_encoder import DecayedMean
from embeddings.version import Fitted
from ranking.blend import SIMILARITY
from ranking.fit import EXPLORATION, MIN_EXAMPLES
from retrieval.build import Build
from retrieval.snapshot import Snapshot
from tests.catalogues import DIM, NOW, random_vectors, video
from upnext.jobs.fit_weights import choose, clearly_better, fit_weights

pytestmark = pytest.mark.unit

VIDEOS, USERS, WATCHED = 400, 300, 6
NAMES = [f"v{number:03}" for number in range(VIDEOS)]
ITEMS: ItemVectors = item_vectors(
    [VideoId(name) for name in NAMES], normalised(random_vectors(VIDEOS, seed=3))
)
DEFAULT = Weights(similarity=0.5, popularity=0.5, genre=0.0, recency=0.0, exploration=0.0)


def facts() -> Snapshot:
    build = Build()
    build.add([video(name, age_days=1_000) for name in NAMES])
    return build.snapshot()


def fitted() -> Fitted:
    return Fitted(
        items=ITEMS,
        content=ITEMS,
        watches=np.zeros(VIDEOS, dtype=np.int32),
        content_map=ContentMap(np.eye(DIM + 1, DIM, dtype=np.float32), normalise=True),
        encoder=DecayedMean(half_life=100.0),
        weights=DEFAULT,
        metrics={},
    )


def histories(chances: NDArray[np.float64], *, seed: int = 4) -> Histories:
    """Users (u, n) who watch videos by these chances, an hour apart, all within ten days."""
    draw = np.random.default_rng(seed)
    rows = [draw.choice(VIDEOS, WATCHED, replace=False, p=own / own.sum()) for own in chances]
    starts = draw.uniform(0, 10, len(chances))
    times = [days(NOW) - 20 + start + np.arange(WATCHED) / 24 for start in starts]
    return Histories(
        users=[UserId(f"u{user:03}") for user in range(len(chances))],
        offsets=np.arange(len(chances) + 1, dtype=np.int64) * WATCHED,
        rows=np.concatenate(rows).astype(np.int32),
        weights=np.ones(len(chances) * WATCHED, dtype=np.float32),
        times=np.concatenate(times),
        count=len(chances) * WATCHED,
        first=None,
        last=None,
    )


def by_taste(users: int = USERS) -> Split:
    tastes = normalised(random_vectors(users, seed=8))
    return leave_last_out(
        histories(np.exp(9.0 * (tastes @ ITEMS.vectors.T).astype(np.float64))), seed=1
    )


def by_fashion() -> Split:
    """Everybody watches the same forty or so."""
    fashion = 1.0 / (1.0 + np.arange(VIDEOS)) ** 1.5
    return leave_last_out(histories(np.tile(fashion, (USERS, 1))), seed=1)


def by_taste_and_crowd(users: int = USERS) -> Split:
    """Every other user's next video is one of a hundred that many watch, nobody can tell which."""
    tastes = normalised(random_vectors(users, seed=8))
    chances = np.exp(14.0 * (tastes @ ITEMS.vectors.T).astype(np.float64))
    chances /= chances.sum(axis=1, keepdims=True)
    crowd = np.where(np.arange(VIDEOS) < 100, 1 / 100, 0)
    chances = chances + np.where(np.arange(users) % 2, 0.9, 0.3)[:, np.newaxis] * crowd
    return leave_last_out(histories(chances), seed=1)


def find(
    split: Split, default: Weights = DEFAULT, *, seed: int = 1
) -> tuple[Weights, dict[str, float]]:
    return fit_weights(facts(), split, fitted(), default, recent=50, seed=seed)


def test_users_of_taste_get_the_models_own_order() -> None:
    weights, metrics = find(by_taste())
    assert weights.similarity > 0.7
    assert metrics["ndcg@10:similarity"] == pytest.approx(metrics["ndcg@10:retrieval"])
    assert metrics["ndcg@10:similarity"] > metrics["ndcg@10:default"]
    assert 0.9 < metrics["recall:candidates"] <= 1


def test_users_of_fashion_give_weight_to_popularity() -> None:
    weights, metrics = find(by_fashion())
    assert weights.popularity > 0.7
    assert weights.exploration == EXPLORATION
    assert metrics["ndcg@10:fitted"] > 2 * metrics["ndcg@10:retrieval"]
    assert metrics["recall@10:list"] > metrics["ndcg@10:list"] > 2 * metrics["ndcg@10:retrieval"]


def test_weights_that_are_likelier_and_make_worse_lists_are_not_taken() -> None:
    split = by_taste_and_crowd()
    weights, metrics = find(split)
    assert metrics["ndcg@10:fitted"] < 0.95 * metrics["ndcg@10:similarity"]
    assert weights == SIMILARITY


def test_the_same_seed_gives_the_same_and_another_judges_by_other_halves() -> None:
    split = by_taste_and_crowd(users=220)
    weights, metrics = find(split)
    assert find(split) == (weights, metrics)
    others, other_metrics = find(split, seed=2)
    assert weights == others
    assert metrics["ndcg@10:fitted"] != other_metrics["ndcg@10:fitted"]


def test_of_what_is_clearly_better_than_similarity_alone_the_best_is_chosen() -> None:
    alone = np.random.default_rng(5).random(400)
    assert choose({"similarity": alone, "default": alone, "fitted": alone}) == "similarity"
    assert choose({"similarity": alone, "default": alone - 1, "fitted": alone - 2}) == "similarity"
    assert choose({"similarity": alone, "default": alone + 1, "fitted": alone - 2}) == "default"
    assert choose({"similarity": alone, "default": alone + 1, "fitted": alone + 2}) == "fitted"


def test_better_is_better_by_more_than_chance() -> None:
    draw = np.random.default_rng(5)
    gains = draw.random(400)
    assert clearly_better(gains + 0.1, gains)
    assert not clearly_better(gains, gains)
    assert not clearly_better(gains, gains + 0.1)
    noise = draw.normal(size=400)
    noise -= noise.mean()
    assert not clearly_better(gains + noise + 0.06, gains)  # standard error 0.05
    assert clearly_better(gains + noise + 0.1, gains)
    few = gains[: MIN_EXAMPLES - 1]
    assert not clearly_better(few + 0.1, few)


def test_at_most_so_many_users_are_judged() -> None:
    weights, _ = fit_weights(
        facts(), by_taste(), fitted(), DEFAULT, recent=50, seed=1, most_users=50
    )
    assert weights == SIMILARITY


def test_nobody_to_judge_gives_the_default_and_no_metrics() -> None:
    nobody = replace(
        by_taste(), users=np.zeros(0, dtype=np.int64), targets=np.zeros(0, dtype=np.int32)
    )
    assert find(nobody) == (DEFAULT, {})
