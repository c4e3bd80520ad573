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


def test_a_twin_waits_for_something_different() -> None:
    scores, vectors = [1.0, 0.9, 0.5, 0.0], [EAST, EAST, NORTH, NORTH]
    # Second place at diversity 0.5: the twin 0.45 - 0.5, north 0.25 - 0, its twin 0 - 0.
    # Third: east's twin 0.45 - 0.5, north's 0 - 0.5.
    assert order(scores, vectors, diversity=0.5) == [0, 2, 1, 3]


def test_without_diversity_the_score_alone_counts() -> None:
    assert order([1.0, 0.9, 0.5], [EAST, EAST, NORTH]) == [0, 1, 2]


def test_a_video_without_a_vector_is_like_nothing() -> None:
    assert order([1.0, 0.9, 0.5], [EAST, EAST, NOWHERE], diversity=0.5) == [0, 2, 1]
    assert order([1.0, 0.9, 0.5], [[], [], []], diversity=0.5) == [0, 1, 2]


def test_pointing_away_is_no_better_than_being_different() -> None:
    away = [-1.0, 0.0]
    assert order([1.0, 0.9, 0.8], [EAST, NORTH, away], diversity=0.5) == [0, 1, 2]


def test_likeness_counts_to_any_of_those_placed() -> None:
    scores, vectors = [1.0, 0.9, 0.8, 0.5, 0.0], [EAST, NORTH, EAST, NOWHERE, NOWHERE]
    assert order(scores, vectors, diversity=0.5) == [0, 1, 3, 4, 2]


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
    scores = [1.0, 0.9, 0.5]
    assert order(scores, [long, short, NORTH], diversity=0.5) == [0, 2, 1]
    assert order(scores, [short, long, NORTH], diversity=0.5) == [0, 2, 1]


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
def test_each_place_goes_to_the_best_of_all_that_may_have_it(
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
    """The definition, candidate by candidate."""
    if not creators or limit == 0:
        return []
    span = float(scores[0] - scores[-1])
    relevance = (scores - scores[-1]) / span if span > 0 else np.zeros(len(scores))
    directions = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    placed: list[int] = []
    while len(placed) < min(limit, len(creators)):
        left = [at for at in range(len(creators)) if at not in placed]
        taken = [creators[at] for at in placed]
        allowed = [at for at in left if creators[at] < 0 or taken.count(creators[at]) < cap]
        if len(placed) >= 10 or not allowed:
            allowed = left

        def marginal(at: int) -> float:
            like = max([float(directions[at] @ directions[to]) for to in placed] + [0.0])
            return float((1 - diversity) * relevance[at] - diversity * like)

        placed.append(max(allowed, key=marginal))
    return placed
