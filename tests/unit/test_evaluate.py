from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from core.types import UserId
from embeddings.dataset import Histories
from embeddings.evaluate import evaluate, find
from embeddings.split import leave_last_out
from embeddings.user_encoder import DecayedMean

pytestmark = pytest.mark.unit


def histories(*rows: list[int]) -> Histories:
    flat = [row for user in rows for row in user]
    return Histories(
        users=[UserId(str(n)) for n in range(len(rows))],
        offsets=np.cumsum([0, *map(len, rows)], dtype=np.int64),
        rows=np.array(flat, dtype=np.int32),
        weights=np.ones(len(flat), dtype=np.float32),
        times=np.arange(len(flat), dtype=np.float64),
        count=len(flat),
        first=None,
        last=None,
    )


def test_the_last_watch_is_held_out_and_single_watches_say_nothing() -> None:
    split = leave_last_out(histories([4, 1, 3], [2], [0, 2]), seed=0)
    assert split.train.offsets.tolist() == [0, 2, 3, 4]
    assert split.train.rows.tolist() == [4, 1, 2, 0]
    assert split.train.times.tolist() == [0, 1, 3, 4]
    assert split.users.tolist() == [0, 2]
    assert split.targets.tolist() == [3, 2]


def test_at_most_so_many_users_are_judged_and_the_seed_says_which() -> None:
    many = histories(*[[0, 1]] * 50)
    splits = [leave_last_out(many, seed=seed, most=5) for seed in (1, 1, 2)]
    drawn = [split.users.tolist() for split in splits]
    assert len(drawn[0]) == 5
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(splits[0].train.rows) == 95  # the others keep all of theirs


def test_a_perfect_model_finds_every_target_and_never_what_was_watched() -> None:
    # Two tastes at right angles, 20 videos each; every user watched three of one and then another.
    items = np.repeat(np.eye(2, dtype=np.float32), 20, axis=0)
    items[3] = items[23] = 0  # the targets' companions are out of the way
    split = leave_last_out(histories([0, 1, 2, 4], [20, 21, 22, 24]), seed=0)
    metrics = evaluate(split, items, DecayedMean(3.0), 200)
    # 16 unwatched videos tie with each target, ten of the 16 ranks count.
    assert metrics["recall@10"] == pytest.approx(10 / 16)
    assert metrics["coverage@10"] == pytest.approx(20 / 40)


def test_no_history_gives_no_metrics() -> None:
    split = leave_last_out(histories([1], [2]), seed=0)
    assert evaluate(split, np.eye(3, dtype=np.float32), DecayedMean(3.0), 200) == {}


def test_users_are_judged_by_their_own_vectors_in_any_order() -> None:
    items = np.eye(6, dtype=np.float32)
    items[3:] = items[:3]  # 3 is like 0, 4 like 1, 5 like 2
    split = leave_last_out(histories([0, 3], [1, 4], [2, 5]), seed=0)
    turned = replace(split, users=split.users[::-1], targets=split.targets[::-1])
    assert evaluate(split, items, DecayedMean(3.0), 200)["ndcg@10"] == 1
    assert evaluate(turned, items, DecayedMean(3.0), 200)["ndcg@10"] == 1


def test_a_model_of_broken_numbers_finds_nothing() -> None:
    split = leave_last_out(histories([0, 1], [2, 3]), seed=0)
    found = find(split, np.full((4, 2), np.nan, dtype=np.float32), FixedVector(), 200)
    assert found.has.all()
    assert found.gains.tolist() == [[0, 0], [0, 0]]


class FixedVector:
    """Everybody gets the same vector."""

    def encode(
        self,
        vectors: NDArray[np.float32],  # noqa: ARG002
        weights: NDArray[np.float32],  # noqa: ARG002
    ) -> NDArray[np.float32] | None:
        return np.ones(2, dtype=np.float32)

    def stranger(
        self,
        vectors: NDArray[np.float32],  # noqa: ARG002
        watches: NDArray[np.integer],  # noqa: ARG002
    ) -> NDArray[np.float32] | None:
        return None
