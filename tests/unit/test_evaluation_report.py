"""Intervals, segments and the report as a whole."""

import msgspec
import numpy as np
import pytest

from embeddings.evaluation.bootstrap import difference, intervals
from embeddings.evaluation.metrics import NAMES
from embeddings.evaluation.over_time import evaluate_over_time
from embeddings.evaluation.protocols import leave_last_out, temporal
from embeddings.evaluation.report import Options, Report, evaluate
from embeddings.evaluation.scorers import PopularScorer
from embeddings.evaluation.segments import buckets
from tests.evaluations import TableScorer, case_of, log_of
from tests.planted import planted_taste

pytestmark = pytest.mark.unit

OPTIONS = Options(seed=1, draws=200)


def test_intervals_hold_the_true_mean_about_as_often_as_they_say() -> None:
    draw = np.random.default_rng(3)
    samples = draw.exponential(1.0, (200, 80))
    ends = [intervals(own[:, None], seed=1, draws=200)[:, 0] for own in samples]
    held = np.mean([low <= 1.0 <= high for low, high in ends])
    assert 0.88 <= held <= 0.99


def test_intervals_are_as_wide_as_the_error_of_the_mean() -> None:
    values = np.random.default_rng(4).normal(5.0, 2.0, (400, 1))
    low, high = intervals(values, seed=1)[:, 0]
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.15)
    assert low < values.mean() < high


def test_the_seed_says_what_is_drawn() -> None:
    values = np.random.default_rng(5).random((50, 3))
    one, same, other = (intervals(values, seed=seed, draws=100) for seed in (1, 1, 2))
    assert one.tolist() == same.tolist() != other.tolist()


def test_a_ratio_of_sums_weighs_users_by_their_parts() -> None:
    # Of each video the share found is 1/2, whoever's it is: there is nothing to be unsure of.
    parts = np.array([2.0, 4.0, 6.0])
    assert intervals(parts[:, None] / 2, seed=1, parts=parts, draws=50) == pytest.approx(0.5)


def test_a_difference_of_the_same_users_is_surer_than_two_means() -> None:
    draw = np.random.default_rng(6)
    ease = draw.random((300, 1))
    gains = ease + draw.normal(0.02, 0.01, (300, 1))
    mean, low, high = difference(gains, ease, seed=1, draws=200)[:, 0]
    assert 0 < low < mean < high
    alone = intervals(ease, seed=1, draws=200)[:, 0]
    assert high - low < (alone[1] - alone[0]) / 10


def test_buckets_are_of_like_size_with_equals_together_and_nothing_apart() -> None:
    measure = np.array([0, 5, 1, 1, 1, 1, 2, 9, 0, 3, np.nan])
    found = [np.sort(measure[among]).tolist() for among in buckets(measure)]
    assert found == [[0, 0], [1, 1, 1, 1], [2, 3], [5, 9]]
    assert list(buckets(np.zeros(0))) == []


def test_a_report_says_to_whom_a_model_is_worth_what() -> None:
    # Users with a long history are found what they watched next, strangers nothing.
    case = case_of([[0, 1], [2, 3], []], [[4], [5], [6]], videos=120)
    table = np.zeros((3, 120), dtype=np.float32)
    table[:, 10:] = 1
    table[[0, 1], [4, 5]] = 2
    report = evaluate(TableScorer(table), case, OPTIONS).report
    assert report.users == report.relevant == 3
    assert report.metrics["hr@10"] == pytest.approx(2 / 3)
    low, high = report.intervals["hr@10"]
    assert low < 2 / 3 < high
    strangers, others = report.segments["history_length"]
    assert (strangers.low, strangers.high, strangers.count) == (0, 0, 1)
    assert strangers.metrics["ndcg@10"] == 0
    assert (others.low, others.high, others.count) == (2, 2, 2)
    assert others.metrics["ndcg@10"] == 1
    assert others.intervals["ndcg@10"] == pytest.approx((1, 1))
    assert "item_age" not in report.segments


def test_videos_are_told_apart_by_their_watches_and_their_age() -> None:
    log = log_of([0, 1], [0, 2], [0, 3], [3, 0], videos=60, times=[[0, 9], [1, 2], [2, 12], [3, 4]])
    case = leave_last_out(log)
    table = np.tile(-np.arange(60, dtype=np.float32), (4, 1))
    options = Options(seed=1, draws=50, appeared=log.appeared())
    report = evaluate(TableScorer(table), case, options).report
    new, *seen = report.segments["item_age"]
    assert (new.high, new.count) == (0, 2)  # 1 and 2 appeared when they were watched
    assert [(one.low, one.high) for one in seen] == [(4, 4), (9, 9)]
    unwatched, once, thrice = report.segments["item_popularity"]
    assert (unwatched.low, unwatched.high, unwatched.count) == (0, 0, 2)
    assert (once.low, thrice.low) == (1, 3)
    assert thrice.metrics["dcg@10"] == 1
    assert once.metrics["dcg@10"] == pytest.approx(1 / np.log2(4))  # behind 1 and 2


def test_new_users_and_new_videos_are_reported_apart() -> None:
    # From day 10 on user 1 finds the new video 3, user 2 is new and watches 0 and the new 4.
    log = log_of([0, 1], [1, 2, 3], [0, 4], videos=60, times=[[0, 1], [2, 3, 10], [11, 12]])
    cold = temporal(log, 10.0)
    scorer = PopularScorer(cold.case.train.watches(60))
    report = evaluate_over_time(scorer, cold, OPTIONS).report
    assert report.users == 2
    assert {name: part.users for name, part in report.parts.items()} == {"returning": 1, "new": 1}
    assert report.parts["returning"].metrics["hr@10"] == pytest.approx(9 / 57)  # behind 0
    assert report.parts["new"].metrics["recall@5"] > 0.5  # 0 is among the three that were watched
    assert report.cold is not None
    assert report.cold.videos == 2
    assert report.cold.among_new.users == report.cold.among_new.relevant == 2
    assert report.cold.returning.users == 1  # user 1
    assert report.cold.random.metrics["recall@1"] == pytest.approx(1 / 2)
    assert report.cold.newest.metrics["recall@1"] == pytest.approx(1 / 2)  # 4 of user 2's
    assert report.cold.newest.metrics["mrr@5"] == pytest.approx((1 + 1 / 2) / 2)
    assert report.cold.among_all.metrics["recall@1"] == 0
    assert 0 <= report.cold.shown["shown@10"] <= 0.2


def test_without_new_videos_nothing_is_said_of_them() -> None:
    log = log_of([0, 1], [1, 0], videos=3, times=[[0, 10], [1, 11]])
    cold = temporal(log, 10.0)
    report = evaluate_over_time(PopularScorer(cold.case.train.watches(3)), cold, OPTIONS).report
    assert report.cold is None
    assert report.parts["new"].metrics == {}


def test_a_report_is_json_and_reads_back() -> None:
    planted = planted_taste(60, 60, groups=3)
    case = planted.case()
    scorer = PopularScorer(case.train.watches(60))
    options = Options(seed=1, draws=20, vectors=planted.content, appeared=planted.log.appeared())
    report = evaluate(scorer, case, options).report
    assert set(report.metrics) == set(report.intervals) == set(NAMES)
    assert msgspec.json.decode(msgspec.json.encode(report), type=Report) == report
