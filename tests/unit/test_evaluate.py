import numpy as np
import pytest

from core.types import UserId
from embeddings.dataset import Histories
from embeddings.evaluate import evaluate, fair_gains
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


def gains(scores: list[float], target: int) -> tuple[float, float]:
    [[recall, ndcg]] = fair_gains(np.array([scores], dtype=np.float32), np.array([target]))
    return float(recall), float(ndcg)


def test_the_first_rank_gains_all_and_the_third_half_by_ndcg() -> None:
    assert gains([0.9, 0.5, 0.1], 0) == pytest.approx((1.0, 1.0))
    assert gains([0.9, 0.5, 0.1], 2) == pytest.approx((1.0, 0.5))  # 1 / log2(4)


def test_the_eleventh_rank_gains_nothing() -> None:
    scores = [float(-n) for n in range(20)]
    assert gains(scores, 9) == pytest.approx((1.0, 1 / np.log2(11)))
    assert gains(scores, 10) == (0.0, 0.0)


def test_equal_scores_share_the_gains_of_their_ranks() -> None:
    assert gains([0.5, 0.5, 0.1], 1) == pytest.approx((1.0, (1 + 1 / np.log2(3)) / 2))
    # Twenty alike: half of the ranks are among the first ten.
    assert gains([0.0] * 20, 7)[0] == pytest.approx(0.5)


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
