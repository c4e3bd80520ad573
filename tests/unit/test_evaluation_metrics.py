"""Ranks and metrics: by hand, and against all orders of equal scores one by one."""

from math import log2

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embeddings.evaluation.case import Case
from embeddings.evaluation.metrics import CUTS, MEASURES, NAMES, USERS_AT_ONCE, gains_of
from embeddings.evaluation.ranking import NOBODY, TOP, rank
from embeddings.evaluation.scorers import RandomScorer
from tests.evaluations import TableScorer, case_of, of_order, slowly

pytestmark = pytest.mark.unit

NAN, NEVER = float("nan"), float("-inf")
SCORES = st.sampled_from([NEVER, -1.0, 0.0, 0.0, 0.5, 0.5, 2.0, NAN])


def judged(case: Case, *scores: list[float], seed: int = 1) -> list[dict[str, float]]:
    ranked = rank(TableScorer(np.array(scores, dtype=np.float32)), case, seed=seed)
    return [dict(zip(NAMES, row, strict=True)) for row in gains_of(case, ranked).tolist()]


def one(
    scores: list[float], relevant: list[int], watched: list[int] | None = None
) -> dict[str, float]:
    case = case_of([watched or []], [relevant], videos=len(scores))
    [found] = judged(case, scores)
    return found


def test_one_relevant_video_at_rank_three() -> None:
    found = one([0.9, 0.5, 0.1, 0.0], [2])
    assert found["hr@1"] == found["recall@1"] == found["ndcg@1"] == found["mrr@1"] == 0
    assert found["hr@5"] == found["recall@5"] == 1
    assert found["ndcg@5"] == pytest.approx(0.5)  # 1 / log2(4)
    assert found["mrr@5"] == pytest.approx(1 / 3)


def test_several_relevant_videos_some_of_them_late() -> None:
    # Ranks 1, 3 and 7 of eight.
    found = one([8.0, 7, 6, 5, 4, 3, 2, 1], [0, 2, 6])
    assert found["hr@5"] == found["mrr@5"] == 1
    assert found["recall@1"] == pytest.approx(1 / 3)
    assert found["ndcg@1"] == 1
    assert found["recall@5"] == pytest.approx(2 / 3)
    assert found["ndcg@5"] == pytest.approx((1 + 1 / 2) / (1 + 1 / log2(3) + 1 / 2))
    assert found["recall@10"] == 1
    assert found["ndcg@10"] == pytest.approx((1 + 1 / 2 + 1 / 3) / (1 + 1 / log2(3) + 1 / 2))


def test_more_relevant_videos_than_places_can_still_be_perfect_by_ndcg() -> None:
    found = one([float(-row) for row in range(12)], list(range(7)))
    assert found["ndcg@5"] == pytest.approx(1)
    assert found["recall@5"] == pytest.approx(5 / 7)


def test_equal_scores_share_their_ranks() -> None:
    found = one([0.5, 0.5, 0.1, 0.0], [1])
    assert found["hr@1"] == pytest.approx(1 / 2)
    assert found["mrr@5"] == pytest.approx((1 + 1 / 2) / 2)
    assert found["ndcg@5"] == pytest.approx((1 + 1 / log2(3)) / 2)


def test_two_relevant_ones_of_three_that_tie() -> None:
    found = one([1.0, 1.0, 1.0], [0, 1])
    assert found["hr@1"] == pytest.approx(2 / 3)
    assert found["recall@1"] == pytest.approx(1 / 3)
    assert found["mrr@5"] == pytest.approx(2 / 3 + (1 / 3) * (1 / 2))


def test_a_list_at_random_finds_its_share() -> None:
    case = case_of([[0], []], [[1], [2, 3]], videos=101)
    found = gains_of(case, rank(RandomScorer(101), case, seed=1))
    at = NAMES.index("recall@10")
    assert found[:, at] == pytest.approx([10 / 100, 10 / 101])


def test_watched_videos_take_no_place() -> None:
    assert one([3.0, 2.0, 1.0], [2], watched=[0, 1])["hr@1"] == 1


def test_scores_that_are_no_number_are_never_shown() -> None:
    assert one([NAN, 0.0, NEVER], [0])["recall@50"] == 0
    assert one([NAN, 0.0, NEVER], [2])["recall@50"] == 0
    assert one([NAN, 0.0, NEVER], [1])["hr@1"] == 1
    assert one([NAN, NAN, NAN], [1])["hr@50"] == 0


def test_only_candidates_are_ranked_even_watched_ones() -> None:
    case = case_of([[1]], [[3]], videos=6, candidates=[[1, 3, 4]])
    [found] = judged(case, [9.0, 5.0, 9.0, 4.0, 1.0, 9.0])
    assert found["hr@1"] == 0
    assert found["mrr@5"] == pytest.approx(1 / 2)


def test_only_some_videos_are_ranked() -> None:
    among = np.array([False, True, False, True])
    case = case_of([[]], [[3]], videos=4, among=among)
    assert judged(case, [9.0, 1.0, 9.0, 2.0])[0]["hr@1"] == 1


def test_lists_are_in_order_and_equal_scores_in_one_order_for_all() -> None:
    scores = np.zeros((3, 120), dtype=np.float32)
    scores[:, 7] = 1
    scores[1, :100] = NEVER
    case = case_of([[7], [], []], [[1], [110], [1]], videos=120)
    first, other = (rank(TableScorer(scores), case, seed=seed).shown for seed in (1, 2))
    assert first[2, 0] == 7
    assert first[0, :49].tolist() == first[2, 1:].tolist()
    assert first[0].tolist() != other[0].tolist()
    assert sorted(first[1, :20].tolist()) == list(range(100, 120))
    assert set(first[1, 20:].tolist()) == {NOBODY}
    assert first.shape == (3, TOP)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_metrics_are_means_over_all_orders_of_equal_scores(data: st.DataObject) -> None:
    videos = data.draw(st.integers(2, 6))
    users = data.draw(st.integers(1, 3))
    some = st.sets(st.integers(0, videos - 1), min_size=1, max_size=videos - 1)
    table = data.draw(
        st.lists(st.lists(SCORES, min_size=videos, max_size=videos), min_size=users, max_size=users)
    )
    relevant = data.draw(st.lists(some, min_size=users, max_size=users))
    watched = [
        set(data.draw(st.lists(st.integers(0, videos - 1), max_size=2))) - own for own in relevant
    ]
    case = case_of(
        [sorted(own) for own in watched], [sorted(own) for own in relevant], videos=videos
    )
    for found, scores, own, seen in zip(
        judged(case, *table), table, relevant, watched, strict=True
    ):
        left = [NEVER if row in seen else score for row, score in enumerate(scores)]
        for cut in CUTS[:2]:
            slow = slowly(left, own, cut)
            for measure in MEASURES:
                assert found[f"{measure}@{cut}"] == pytest.approx(slow[measure], abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(5, 200))
def test_without_ties_metrics_are_those_of_the_sorted_list(seed: int, videos: int) -> None:
    draw = np.random.default_rng(seed)
    scores = draw.permuted(np.tile(np.arange(videos), (4, 1)), axis=1).astype(np.float32)
    relevant = [
        sorted(draw.choice(videos, draw.integers(1, videos // 2 + 1), replace=False).tolist())
        for _ in scores
    ]
    case = case_of([[]] * len(scores), relevant, videos=videos)
    ranked = rank(TableScorer(scores), case, seed=seed)
    for own, row, found, shown in zip(
        relevant, scores, judged(case, *scores.tolist()), ranked.shown, strict=True
    ):
        order = np.argsort(-row).tolist()
        assert shown[shown != NOBODY].tolist() == order[:TOP]
        for cut in CUTS:
            slow = of_order(order, set(own), cut)
            for measure in MEASURES:
                assert found[f"{measure}@{cut}"] == pytest.approx(slow[measure], abs=1e-9)


def test_users_are_judged_some_at_a_time() -> None:
    users = USERS_AT_ONCE + 10
    asked = np.arange(users) % 3
    case = Case(
        train=case_of([[]], [[0]], videos=3).train,
        videos=3,
        users=np.zeros(users, dtype=np.int64),
        offsets=np.arange(users + 1),
        relevant=asked.astype(np.int32),
    )
    ranked = rank(TableScorer(np.array([[3, 2, 1]], dtype=np.float32)), case, seed=1)
    assert gains_of(case, ranked)[:, NAMES.index("mrr@5")] == pytest.approx(1 / (asked + 1))
