from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ranking.diversity import select

pytestmark = pytest.mark.unit

EAST, NORTH, NOWHERE = [1.0, 0.0], [0.0, 1.0], [0.0, 0.0]


def order(
    scores: list[float],
    vectors: list[list[float]],
    creators: list[int] | None = None,
    *,
    diversity: float = 0.0,
    creator_cap: int = 100,
    limit: int = 100,
) -> list[int]:
    chosen = select(
        np.array(scores, dtype=np.float64),
        np.array(vectors, dtype=np.float32).reshape(len(scores), len(vectors[0]) if vectors else 2),
        np.array(creators or [-1] * len(scores), dtype=np.int32),
        diversity=diversity,
        creator_cap=creator_cap,
        limit=limit,
    )
    return [int(index) for index in chosen]


def falling(count: int, best: float = 1.0) -> list[float]:
    return [best - 0.01 * place for place in range(count)]


def test_twins_wait_for_what_is_different_and_ten_stand_by_their_scores() -> None:
    # Twelve twins, then one of another direction, and the worst.
    scores, vectors = [*falling(12), 0.7, 0.0], [*[EAST] * 12, NORTH, NORTH]
    # From the second place on: a twin has at most 0.5 * exp(2 * -0.01) - 0.5, less than 0; north
    # 0.5 * exp(2 * -0.3) = 0.27 with nothing like it chosen before.
    first = order(scores, vectors, diversity=0.5, limit=10)
    assert 12 in first
    assert first == sorted(first)  # of the ten, the best first
    assert order(scores, vectors, diversity=0.5)[:10] == first
    assert order(scores, vectors, diversity=0.0, limit=10) == list(range(10))


def test_without_diversity_the_score_alone_counts() -> None:
    assert order(falling(25), [EAST] * 25) == list(range(25))


def test_the_mean_likeness_to_those_chosen_before_counts() -> None:
    # After nine of ten are chosen, seven east and two north, one more north is less like them than
    # one more east: 2/9 against 7/9.
    scores = [*falling(7), *falling(2, 0.92), 0.9, 0.9]
    vectors = [*[EAST] * 7, NORTH, NORTH, EAST, NORTH]
    assert 10 in order(scores, vectors, diversity=0.5, limit=10)
    assert 10 not in order(scores, vectors, diversity=0.0, limit=10)


def test_a_video_without_a_vector_is_like_nothing() -> None:
    assert 12 in order([*falling(12), 0.5], [*[EAST] * 12, NOWHERE], diversity=0.5, limit=10)
    assert order(falling(12), [[] for _ in range(12)], diversity=0.5) == list(range(12))


def test_pointing_away_is_no_better_than_being_different() -> None:
    away = [-1.0, 0.0]
    # Equals but for the sign of their cosine: the one with the higher score is taken.
    scores, vectors = [*falling(11), 0.8, 0.79], [*[EAST] * 11, NORTH, away]
    chosen = order(scores, vectors, diversity=0.9, limit=10)
    assert 11 in chosen
    assert order(scores[:12], vectors[:12], diversity=0.9, limit=10) == [*range(9), 11]


def test_the_first_ten_hold_no_more_of_a_creator_than_the_cap() -> None:
    creators = [1] * 15 + [2, 3, 4, 5, 6, 7, 8, 9]
    scores = [1.0 - 0.01 * place for place in range(len(creators))]
    chosen = order(scores, [NOWHERE] * len(creators), creators, creator_cap=3)
    assert [creators[index] for index in chosen[:10]] == [1, 1, 1, 2, 3, 4, 5, 6, 7, 8]
    assert chosen[10:13] == [3, 4, 5]  # from the eleventh on the score decides again


def test_unknown_creators_are_not_one_creator() -> None:
    assert order([1.0, 0.9, 0.8], [NOWHERE] * 3, [-1, -1, -1], creator_cap=1) == [0, 1, 2]


def test_the_cap_gives_way_when_nobody_else_is_left() -> None:
    assert order([1.0, 0.9, 0.8], [NOWHERE] * 3, [1, 1, 2], creator_cap=1) == [0, 2, 1]


def test_the_cap_does_not_spoil_the_callers_arrays() -> None:
    creators = np.array([1, 1, 2], dtype=np.int32)
    before = creators.copy()
    empty = np.zeros((3, 0), dtype=np.float32)
    select(np.ones(3), empty, creators, diversity=0, creator_cap=1, limit=3)
    assert (creators == before).all()


def test_only_the_direction_of_a_vector_counts() -> None:
    long, short = [9.0, 0.0], [0.1, 0.0]
    scores = [*falling(12), 0.5]
    mixed = [*[long, short] * 6, NORTH]
    assert order(scores, mixed, diversity=0.5) == order(
        scores, [*[EAST] * 12, NORTH], diversity=0.5
    )


def test_nothing_to_select_from() -> None:
    assert order([], [], limit=5) == []


_creators = st.lists(st.integers(-1, 4), max_size=40)


@settings(max_examples=100, deadline=None)
@given(
    creators=_creators,
    diversity=st.floats(0, 1),
    cap=st.integers(1, 4),
    limit=st.integers(0, 30),
    seed=st.integers(0, 9),
)
def test_a_list_is_full_without_repeats_and_keeps_the_cap_where_it_can(
    creators: list[int], diversity: float, cap: int, limit: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    scores = -np.sort(-rng.random(len(creators)))
    vectors = rng.normal(size=(len(creators), 3)).astype(np.float32)
    codes = np.array(creators, dtype=np.int32)
    chosen = select(
        scores, vectors, codes, diversity=diversity, creator_cap=cap, limit=limit
    ).tolist()
    assert len(chosen) == min(limit, len(creators))
    assert len(set(chosen)) == len(chosen)
    counts = {code: creators.count(code) for code in set(creators)}
    possible = sum(count if code < 0 else min(cap, count) for code, count in counts.items())
    first = [creators[index] for index in chosen[: min(10, possible)]]
    assert all(first.count(code) <= cap for code in set(first) if code >= 0)


@settings(max_examples=200, deadline=None)
@given(
    creators=_creators,
    diversity=st.sampled_from([0.0, 0.02, 0.1, 0.3, 1.0]),
    cap=st.integers(0, 4),
    limit=st.integers(0, 30),
    seed=st.integers(0, 99),
)
def test_each_goes_to_the_best_of_all_that_may_have_a_place(
    creators: list[int], diversity: float, cap: int, limit: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    scores = -np.sort(-rng.random(len(creators)))
    vectors = rng.normal(size=(len(creators), 2)).astype(np.float32)
    codes = np.array(creators, dtype=np.int32)
    chosen = select(scores, vectors, codes, diversity=diversity, creator_cap=cap, limit=limit)
    assert chosen.tolist() == _one_by_one(
        scores, vectors, creators, diversity=diversity, cap=cap, limit=limit
    )


def _one_by_one(
    scores: NDArray[np.float64],
    vectors: NDArray[np.float32],
    creators: list[int],
    *,
    diversity: float,
    cap: int,
    limit: int,
) -> list[int]:
    """The definition, candidate by candidate: whole tens, sorted, then cut."""
    if not creators or limit == 0:
        return []
    span = float(scores[0] - scores[-1])
    scaled = (scores - scores[-1]) / span if span > 0 else np.zeros(len(scores))
    relevance = np.exp(2 * (scaled - 1))
    directions = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    placed: list[int] = []
    within = 0
    while len(placed) < min(-(-limit // 10) * 10, len(creators)):
        left = [at for at in range(len(creators)) if at not in placed]
        taken = [creators[at] for at in placed]
        allowed = [at for at in left if creators[at] < 0 or taken.count(creators[at]) < cap]
        if len(placed) < 10 and allowed:
            within += 1
        else:
            allowed = left

        def marginal(at: int) -> float:
            likes = [max(float(directions[at] @ directions[to]), 0.0) for to in placed]
            like = sum(likes) / max(len(likes), 1)
            return float((1 - diversity) * relevance[at] - diversity * like)

        placed.append(max(allowed, key=marginal))
    starts = [0, within, *range(10, len(placed), 10), len(placed)]
    tens = [sorted(placed[start:end]) for start, end in pairwise(starts)]
    return [at for ten in tens for at in ten][:limit]
