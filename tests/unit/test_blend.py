import numpy as np
import pytest

from core.types import RankingConfig, Weights
from ranking.blend import SEED, blend, choose_weights, in_force
from ranking.features import Features

pytestmark = pytest.mark.unit

OWN = Weights(similarity=1.0, popularity=0.0, genre=0.0, recency=0.0, exploration=0.0)
OPERATORS = Weights(similarity=0.5, popularity=0.5, genre=0.0, recency=0.0, exploration=0.0)


def test_the_seed_preset_is_its_formula() -> None:
    # popularity 0.40 + genre 0.35 + recency 0.15 + exploration 0.10; similarity has no say.
    features = Features(
        similarity=np.array([1.0, 0.0, 0.9]),
        popularity=np.array([1.0, 0.0, 0.79]),
        genre=np.array([0.5, 0.1, 0.425]),
        recency=np.array([0.5, 0.0, 0.25]),
        exploration=np.array([0.2, 1.0, 0.37]),
    )
    by_hand = [
        0.400 + 0.175 + 0.075 + 0.020,  # 0.67
        0.000 + 0.035 + 0.000 + 0.100,  # 0.135
        0.316 + 0.14875 + 0.0375 + 0.037,  # 0.53925
    ]
    assert by_hand == pytest.approx([0.67, 0.135, 0.53925])
    assert blend(features, SEED) == pytest.approx(by_hand, abs=1e-6)


def test_all_weights_have_a_say() -> None:
    ones = [np.ones(1)] * 5
    weights = Weights(similarity=1, popularity=10, genre=100, recency=1_000, exploration=10_000)
    assert blend(Features(*ones), weights).tolist() == [11_111]


@pytest.mark.parametrize(
    ("config", "model_weights", "personal", "expected"),
    [
        (RankingConfig(), OWN, True, OWN),
        (RankingConfig(), OWN, False, SEED),
        (RankingConfig(), None, True, SEED),
        (RankingConfig(preset="seed"), OWN, True, SEED),
        (RankingConfig(preset="seed", weights=OPERATORS), OWN, True, OPERATORS),
        (RankingConfig(weights=OPERATORS), None, False, OPERATORS),
    ],
)
def test_which_weights_rank(
    config: RankingConfig, model_weights: Weights | None, *, personal: bool, expected: Weights
) -> None:
    assert choose_weights(config, model_weights, personal=personal) == expected


def drawn(count: int, *, seed: int = 1) -> Features:
    """Features whose similarity goes with popularity, as that of most models does."""
    draw = np.random.default_rng(seed)
    popularity = draw.random(count)
    return Features(
        similarity=np.clip(0.6 * popularity + 0.4 * draw.random(count), 0, 1),
        popularity=popularity,
        genre=draw.random(count),
        recency=draw.random(count),
        exploration=draw.random(count),
    )


def test_without_damping_nothing_changes() -> None:
    features = drawn(50)
    assert in_force(features, RankingConfig(), OWN, personal=True) == (features, OWN)


def test_damping_takes_from_similarity_and_from_the_weight_of_popularity() -> None:
    features = Features(
        *(np.array(values) for values in ([1.0, 0.8], [1.0, 0.5], *[[0.2, 0.2]] * 3))
    )
    config = RankingConfig(weights=OPERATORS, popularity_damping=0.5)
    less, weights = in_force(features, config, None, personal=True)
    assert less.similarity.tolist() == pytest.approx([0.5, 0.6])  # 1 - 0.5 * 1, 0.8 - 0.5 * 0.4
    assert weights.popularity == 0.25
    assert weights.similarity == 0.5
    # 0.5 * 0.5 + 0.25 * 1 and 0.5 * 0.6 + 0.25 * 0.5
    assert blend(less, weights) == pytest.approx([0.5, 0.425])
    below = Weights(0.8, -0.2, 0.0, 0.0, 0.0)
    half = RankingConfig(popularity_damping=0.5)
    assert in_force(features, half, below, personal=True)[1] == below  # it damps by itself
    full = in_force(features, RankingConfig(popularity_damping=1), OWN, personal=True)[0]
    assert full.similarity.tolist() == pytest.approx([0.0, 0.4])


@pytest.mark.parametrize("seed", range(5))
def test_the_more_damping_the_less_popular_lists_are(seed: int) -> None:
    features = drawn(500, seed=seed)
    weights = Weights(similarity=0.7, popularity=0.2, genre=0.1, recency=0.0, exploration=0.0)
    means, masses = [], []
    for damping in np.linspace(0, 1, 11):
        config = RankingConfig(weights=weights, popularity_damping=float(damping))
        first = np.argsort(-blend(*in_force(features, config, None, personal=True)))[:10]
        likes = weights.similarity * features.similarity + weights.popularity
        means.append(float(features.popularity[first].mean()))
        masses.append(float((likes * features.popularity)[first].sum()))
    assert means[-1] < means[5] < means[0]
    # What damping takes away, per unit of it: that of a list of the best never rises.
    assert (np.diff(masses) <= 1e-9).all()
