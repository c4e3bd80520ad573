from datetime import timedelta

import numpy as np
import pytest

from core.clock import days
from core.hashing import hash64_many
from core.types import UserId
from ranking import features
from tests.catalogues import NOW

pytestmark = pytest.mark.unit


def test_similarity_is_the_share_of_the_best_and_never_below_zero() -> None:
    vectors = np.array([[1, 0], [0.6, 0.8], [-1, 0], [0, 0]], dtype=np.float32)
    user_vector = np.array([0.5, 0], dtype=np.float32)
    assert features.similarity(vectors, user_vector) == pytest.approx([1, 0.6, 0, 0])


@pytest.mark.parametrize("size", [1e-30, 0.01, 1.0, 300.0])
def test_similarity_does_not_depend_on_how_long_vectors_are(size: float) -> None:
    vectors = np.array([[3, 4], [1, 0], [0, -2]], dtype=np.float32) * np.float32(size)
    user_vector = np.array([1, 1], dtype=np.float32)
    assert features.similarity(vectors, user_vector) == pytest.approx([1, 1 / 7, 0])


def test_similarity_is_zero_for_all_when_the_best_is_no_good() -> None:
    vectors = np.array([[-1, 0], [-2, 1], [0, 1]], dtype=np.float32)
    user_vector = np.array([1, 0], dtype=np.float32)
    assert features.similarity(vectors, user_vector).tolist() == [0, 0, 0]


def test_similarity_of_no_candidates_is_nothing() -> None:
    nobody = np.zeros((0, 2), dtype=np.float32)
    assert features.similarity(nobody, np.ones(2, dtype=np.float32)).tolist() == []


def test_similarity_of_a_user_without_a_vector_is_zero() -> None:
    assert features.similarity(np.zeros((2, 0), dtype=np.float32), None).tolist() == [0, 0]


def test_genre_is_the_mean_share_and_a_tenth_where_nothing_is_known() -> None:
    # Of four watches three are drama, one of these is crime too; comedy was never watched.
    drama, crime, comedy = [True, False, False], [False, True, False], [False, False, True]
    watched = np.array([drama, drama, [True, True, False], [False, False, False]])
    shares = features.genre_shares(watched)
    assert shares.tolist() == [0.75, 0.25, 0.1]
    candidates = np.array([drama, [True, True, False], [True, False, True], comedy, crime])
    expected = [0.75, 0.5, 0.425, 0.1, 0.25]
    assert features.genre(candidates, shares) == pytest.approx(expected)
    nothing_known = np.zeros((1, 3), dtype=np.bool_)
    assert features.genre(nothing_known, shares).tolist() == [0.1]


def test_genre_of_a_user_without_history_is_a_tenth() -> None:
    shares = features.genre_shares(np.zeros((0, 2), dtype=np.bool_))
    assert features.genre(np.array([[True, False], [True, True]]), shares) == pytest.approx(0.1)


def test_genre_where_no_video_has_one_is_a_tenth() -> None:
    none = np.zeros((2, 0), dtype=np.bool_)
    assert features.genre(none, features.genre_shares(none)).tolist() == [0.1, 0.1]


def test_recency_halves_in_a_year() -> None:
    ages = [0.0, 365.0, 3 * 365.0, -30.0, np.nan]  # the last two: to come, unknown
    published = np.array([days(NOW) - age for age in ages], dtype=np.float32)
    expected = [1, 0.5, 0.25, 1, 0]
    assert features.recency(published, NOW) == pytest.approx(expected, abs=1e-5)


def test_the_mix_is_splitmix64() -> None:
    # The first numbers of the reference implementation seeded with 1234567 and with 0.
    mixed = features._splitmix64(np.array([1234567, 0], dtype=np.uint64))
    assert mixed.tolist() == [6457827717110365317, 16294208416658607535]


def test_exploration_looks_even_between_zero_and_one() -> None:
    hashes = hash64_many(f"video {number}" for number in range(20_000))
    drawn = features.exploration(hashes, UserId("7"), "v1", NOW)
    counts, _ = np.histogram(drawn, bins=10, range=(0, 1))
    assert counts.sum() == 20_000
    assert counts.min() > 1_850  # 2,000 expected, standard deviation 42
    assert counts.max() < 2_150


def test_exploration_holds_for_the_hour_and_changes_with_what_seeds_it() -> None:
    hashes = hash64_many(["a", "b"])
    drawn = features.exploration(hashes, UserId("7"), "v1", NOW)

    def equal(other: features.Feature) -> bool:
        return bool((drawn == other).any())

    in_the_hour = NOW + timedelta(minutes=29)
    assert equal(features.exploration(hashes, UserId("7"), "v1", in_the_hour))
    assert not equal(features.exploration(hashes, UserId("7"), "v1", NOW + timedelta(hours=1)))
    assert not equal(features.exploration(hashes, UserId("8"), "v1", NOW))
    assert not equal(features.exploration(hashes, UserId("7"), "v2", NOW))
    assert not equal(features.exploration(hashes, UserId("7"), None, NOW))
    assert drawn[0] != drawn[1]
