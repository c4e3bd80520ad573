"""Coverage, Gini, novelty, popularity and distance of lists: by hand, and told slowly."""

from itertools import combinations
from math import log2

import numpy as np
import pytest
from numpy.typing import NDArray

from embeddings.evaluation.beyond import beyond, diversity, gini, novelty, percentiles, popularity
from embeddings.evaluation.ranking import NOBODY
from tests.evaluations import case_of

pytestmark = pytest.mark.unit


def lists(*rows: list[int]) -> NDArray[np.int32]:
    padded = [[*row, *[NOBODY] * (20 - len(row))] for row in rows]
    return np.array(padded, dtype=np.int32)


def test_exposure_that_is_all_the_same_has_no_bias_and_one_video_alone_nearly_all() -> None:
    assert gini(np.array([3, 3, 3])) == 0
    assert gini(np.array([0, 0, 0, 8])) == pytest.approx(3 / 4)
    assert gini(np.array([0, 0])) == 0


def test_the_gini_coefficient_is_half_the_mean_difference_over_the_mean() -> None:
    exposure = np.random.default_rng(1).integers(0, 20, 30)
    apart = np.abs(exposure[:, None] - exposure[None, :]).mean()
    assert gini(exposure) == pytest.approx(apart / 2 / exposure.mean())


def test_novelty_counts_bits() -> None:
    watches = np.array([8, 2, 0, 1], dtype=np.int32)
    assert novelty(lists([0, 1]), watches=watches, users=8) == pytest.approx((0 + 2) / 2)
    assert novelty(lists([2], [3]), watches=watches, users=8) == pytest.approx(log2(8))


def test_a_percentile_is_the_share_of_less_watched_videos() -> None:
    of = percentiles(np.array([5, 0, 0, 9], dtype=np.int32))
    assert of.tolist() == pytest.approx([0.625, 0.25, 0.25, 0.875])
    assert popularity(lists([0, 3], [3]), percentiles=of) == pytest.approx((0.625 + 1.75) / 3)


def test_distance_within_lists_is_the_mean_over_pairs() -> None:
    draw = np.random.default_rng(2)
    vectors = draw.normal(size=(9, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[4] = 0
    shown = [[0, 1, 2, 3, 4], [5, 6], [7]]
    slow = np.mean(
        [
            np.mean([1 - vectors[a] @ vectors[b] for a, b in combinations(one, 2)])
            for one in shown[:2]
        ]
    )
    assert diversity(lists(*shown), vectors=vectors) == pytest.approx(slow, abs=1e-6)
    assert diversity(lists([1], []), vectors=vectors) == 0


def test_coverage_is_of_what_is_ranked() -> None:
    shown = lists([0, 1, *range(30, 48)], [1, 2])
    case = case_of([[3], [3]], [[0], [1]], videos=50)
    of_all = beyond(case, shown, None)
    assert of_all["coverage@10"] == 11 / 50
    assert of_all["coverage@20"] == 21 / 50
    assert "diversity@10" not in of_all
    some = case_of([[3], [3]], [[0], [1]], videos=50, among=np.arange(50) < 4)
    assert beyond(some, lists([0, 1], [1, 2]), None)["coverage@10"] == 3 / 4


def test_vectors_of_any_length_are_compared_by_direction() -> None:
    case = case_of([[]], [[0]], videos=3)
    vectors = np.array([[2, 0], [0, 5], [3, 0]], dtype=np.float32)
    found = beyond(case, lists([0, 1, 2]), vectors)
    assert found["diversity@10"] == pytest.approx((1 + 0 + 1) / 3)
