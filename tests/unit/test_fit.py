"""Weights from choices whose reasons are known."""

import numpy as np
import pytest
from numpy.typing import NDArray

from core.types import Weights
from ranking.features import Features
from ranking.fit import EXPLORATION, MIN_EXAMPLES, Example, fit

pytestmark = pytest.mark.unit

DEFAULT = Weights(similarity=0.6, popularity=0.4, genre=0.0, recency=0.0, exploration=0.0)
TASTE = np.array([6.0, 3.0, 0.0, 1.0])


def example(x: NDArray[np.float64], watched: int) -> Example:
    """Features from their columns (n, 4)."""
    return Example(Features(x[:, 0], x[:, 1], x[:, 2], x[:, 3], np.zeros(len(x))), watched)


def choices(
    count: int, taste: NDArray[np.float64] = TASTE, *, seed: int = 1, candidates: int = 30
) -> list[Example]:
    """Users who watch one of some candidates, drawn as the model of the fit has it."""
    draw = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        x = draw.random((candidates, 4))
        chances = np.exp(x @ taste)
        made.append(example(x, int(draw.choice(candidates, p=chances / chances.sum()))))
    return made


def learned(weights: Weights) -> list[float]:
    return [weights.similarity, weights.popularity, weights.genre, weights.recency]


def test_the_reasons_of_many_choices_are_found() -> None:
    weights = fit(choices(4_000), DEFAULT)
    assert learned(weights) == pytest.approx(TASTE / TASTE.sum() * (1 - EXPLORATION), abs=0.03)
    assert weights.exploration == EXPLORATION
    assert sum(learned(weights)) + weights.exploration == pytest.approx(1.0)


def test_how_sharp_choices_are_changes_no_weight() -> None:
    mild, sharp = fit(choices(4_000, TASTE / 2), DEFAULT), fit(choices(4_000, TASTE * 2), DEFAULT)
    assert learned(mild) == pytest.approx(learned(sharp), abs=0.06)


def test_what_is_avoided_weighs_nothing() -> None:
    weights = fit(choices(1_000, np.array([5.0, 0.0, -4.0, 0.0])), DEFAULT)
    assert weights.genre == 0
    assert weights.similarity > 0.9


def test_what_is_less_popular_than_the_model_has_it_takes_from_a_score() -> None:
    weights = fit(choices(4_000, np.array([6.0, -3.0, 0.0, 0.0])), DEFAULT)
    assert weights.similarity == pytest.approx(0.66, abs=0.04)
    assert weights.popularity == pytest.approx(-0.33, abs=0.04)
    assert weights.genre == pytest.approx(0, abs=0.02)


def test_a_feature_that_is_the_same_for_all_weighs_nothing() -> None:
    alike = []
    for one in choices(300):
        f = one.features
        alike.append(
            example(
                np.column_stack([f.similarity, f.popularity, 0 * f.genre, f.recency]), one.watched
            )
        )
    assert fit(alike, DEFAULT).genre == 0


def test_too_few_choices_and_choices_without_reason_leave_the_default() -> None:
    assert fit([], DEFAULT) == DEFAULT
    assert fit(choices(MIN_EXAMPLES - 1), DEFAULT) == DEFAULT
    assert fit(choices(MIN_EXAMPLES), DEFAULT) != DEFAULT
    reasonless = [example(np.full((5, 4), 0.3), 2) for _ in range(MIN_EXAMPLES)]
    assert fit(reasonless, DEFAULT) == DEFAULT


def test_a_feature_that_always_tells_has_nearly_all_the_weight() -> None:
    perfect = []
    for one in choices(200):
        x = np.column_stack(
            [np.zeros(30), one.features.popularity, one.features.genre, one.features.recency]
        )
        x[one.watched, 0] = 1.0
        perfect.append(example(x, one.watched))
    weights = fit(perfect, DEFAULT)
    assert weights.similarity > 0.8
    assert np.isfinite(learned(weights)).all()


def test_lists_of_different_lengths_and_their_order_do_not_matter() -> None:
    mixed = choices(200, candidates=5) + choices(200, candidates=40)
    forth, back = fit(mixed, DEFAULT), fit(mixed[::-1], DEFAULT)
    assert learned(forth) == pytest.approx(learned(back), abs=1e-6)
