import numpy as np
import pytest

from core.types import RankingConfig, Weights
from ranking.blend import SEED, blend, choose_weights
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
