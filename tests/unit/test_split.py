"""Splits by time: nothing after the cut is trained on, and what is asked for is new to its user."""

import numpy as np
import pytest

from core.types import UserId
from embeddings.dataset import Histories
from embeddings.split import (
    Split,
    hold_out,
    hold_out_after,
    leave_last_out,
    of_videos,
    split_at,
)

pytestmark = pytest.mark.unit

VIDEOS = 50


def drawn(users: int = 300, *, seed: int = 1) -> Histories:
    """Histories of 0 to 12 videos, over 100 days; a tenth of the weights is 0."""
    draw = np.random.default_rng(seed)
    lengths = draw.integers(0, 13, users)
    rows = [draw.choice(VIDEOS, length, replace=False) for length in lengths]
    times = [np.sort(draw.uniform(0, 100, length)) for length in lengths]
    count = int(lengths.sum())
    return Histories(
        users=[UserId(f"u{number}") for number in range(users)],
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        rows=np.concatenate(rows).astype(np.int32),
        weights=(draw.random(count) > 0.1).astype(np.float32),
        times=np.concatenate(times),
        count=count,
        first=None,
        last=None,
    )


def check(split: Split, whole: Histories) -> None:
    """Nothing leaks, and everybody who can be judged is."""
    assert split.cut is not None
    train = split.train
    assert (train.times < split.cut).all()
    assert len(train.times) == (whole.times < split.cut).sum()
    assert train.count == len(train.rows) == train.offsets[-1]
    assert train.users == whole.users
    targets = dict(zip(split.users.tolist(), split.targets.tolist(), strict=True))
    for user in range(len(whole.users)):
        own, before = whole.of(user), train.of(user)
        assert train.rows[before].tolist() == whole.rows[own][whole.times[own] < split.cut].tolist()
        after = whole.rows[own][whole.times[own] >= split.cut].tolist()
        judged = bool(after) and train.weights[before].any()
        assert (targets.get(user) == after[0]) if judged else (user not in targets)
        assert targets.get(user) not in train.rows[before]


@pytest.mark.parametrize("cut", [0.0, 1.0, 50.0, 95.0, 200.0])
def test_what_is_trained_on_was_before_the_cut_and_what_is_asked_came_after(cut: float) -> None:
    whole = drawn()
    check(split_at(whole, cut, seed=1), whole)


def test_what_happened_at_the_cut_is_held_out() -> None:
    whole = drawn()
    at = float(whole.times[whole.offsets[7] + 1])
    split = split_at(whole, at, seed=1)
    assert (split.train.times != at).all()
    check(split, whole)


def test_at_most_so_many_are_judged_the_same_ones_for_a_seed() -> None:
    whole = drawn()
    one, same, other = [split_at(whole, 50.0, seed=seed, most=20) for seed in (1, 1, 2)]
    assert one.users.tolist() == same.users.tolist() != other.users.tolist()
    assert len(other.users) == 20
    assert len(one.train.rows) == len(split_at(whole, 50.0, seed=1).train.rows)


def test_the_newest_tenth_is_held_out_where_it_judges_enough() -> None:
    whole = drawn()
    split = hold_out(whole, seed=1)
    check(split, whole)
    assert len(split.train.rows) / len(whole.rows) == pytest.approx(0.9, abs=0.01)
    assert len(split.users) >= 100


def test_more_is_held_out_until_enough_are_judged() -> None:
    whole = drawn()
    tenth = len(hold_out(whole, seed=1).users)
    split = hold_out(whole, seed=1, enough=tenth + 1)
    check(split, whole)
    assert len(split.train.rows) / len(whole.rows) == pytest.approx(0.8, abs=0.01)


def test_with_few_returning_users_last_watches_are_held_out() -> None:
    whole = drawn()
    split = hold_out(whole, seed=1, enough=10_000)
    assert split.cut is None
    assert split.users.tolist() == leave_last_out(whole, seed=1).users.tolist()


def test_after_a_model_was_trained_only_what_it_has_not_seen_is_asked() -> None:
    whole = drawn()
    split = hold_out_after(whole, 40.0, seed=1, enough=100)
    assert split is not None
    check(split, whole)
    assert len(split.train.rows) / len(whole.rows) == pytest.approx(0.9, abs=0.01)

    # The newest tenth began before that model's data ended: what came after is all there is.
    late = float(np.quantile(whole.times, 0.95))
    split = hold_out_after(whole, late, seed=1, enough=50)
    assert split is not None
    check(split, whole)
    assert split.train.times.max() == whole.times[whole.times <= late].max()
    assert split.cut is not None
    assert split.cut > late


def test_a_model_trained_on_nearly_all_leaves_too_little() -> None:
    whole = drawn()
    assert hold_out_after(whole, 99.9, seed=1, enough=100) is None
    assert hold_out_after(whole, 1e6, seed=1, enough=1) is None


def test_videos_that_only_one_model_has_are_neither_asked_for_nor_in_the_history() -> None:
    split = split_at(drawn(), 50.0, seed=1)
    known = np.arange(VIDEOS) % 5 > 0
    left = of_videos(split, known)
    assert 0 < len(left.users) < len(split.users)
    assert known[left.targets].all()
    assert known[left.train.rows].all()
    assert len(left.train.rows) == known[split.train.rows].sum()
    assert len(left.train.offsets) == len(split.train.offsets)


def test_no_history_gives_nobody_to_judge() -> None:
    empty = Histories(
        users=[],
        offsets=np.zeros(1, np.int64),
        rows=np.zeros(0, np.int32),
        weights=np.zeros(0, np.float32),
        times=np.zeros(0),
        count=0,
        first=None,
        last=None,
    )
    assert len(hold_out(empty, seed=1).users) == 0
    assert hold_out_after(empty, 0.0, seed=1, enough=1) is None
