"""The scorers of evaluations keep their contract; item-kNN counts as by hand."""

import numpy as np
import pytest

from embeddings.content_model import fit_map
from embeddings.evaluation.item_knn import fit
from embeddings.evaluation.ports import Scorer
from embeddings.evaluation.scorers import (
    NewestScorer,
    PopularScorer,
    RandomScorer,
    VectorScorer,
)
from embeddings.fold_in import FoldIn, FoldInConfig
from embeddings.user_encoder import DecayedMean
from tests.evaluations import log_of
from tests.planted import Planted
from tests.scorer_contract import LearnsTaste, ScorerContract, StrangersGetPopular

pytestmark = pytest.mark.unit


class TestPopular(StrangersGetPopular):
    @classmethod
    def fitted(cls, planted: Planted) -> Scorer:
        return PopularScorer(planted.case().train.watches(planted.log.videos))


class TestRandom(ScorerContract):
    @classmethod
    def fitted(cls, planted: Planted) -> Scorer:
        return RandomScorer(planted.log.videos)


class TestNewest(ScorerContract):
    @classmethod
    def fitted(cls, planted: Planted) -> Scorer:
        return NewestScorer(planted.log.appeared())


class TestItemKnn(LearnsTaste, StrangersGetPopular):
    @classmethod
    def fitted(cls, planted: Planted) -> Scorer:
        return fit(planted.case().train, planted.log.videos)


class TestContentVectors(LearnsTaste, StrangersGetPopular):
    @classmethod
    def fitted(cls, planted: Planted) -> Scorer:
        items = fit_map(planted.content, 8)(planted.content)
        watches = planted.case().train.watches(planted.log.videos)
        return VectorScorer(items, DecayedMean(3.0), 200, watches)


def test_a_stranger_gets_what_is_nearest_to_what_everybody_watches() -> None:
    histories = log_of([0, 1], [0], [], videos=4).histories()
    items = np.array([[1, 0], [0, 1], [0, 1], [0.9, 0.1]], dtype=np.float32)
    config = FoldInConfig(
        videos=4, unobserved=0.1, regularisation=0.1, exponent=1.0, half_life=None
    )
    scorer = VectorScorer(items, FoldIn(config, items.T @ items), 200, histories.watches(4))
    [scores] = scorer.scores(histories, np.array([2]))
    assert scores == pytest.approx(items @ [2 / 3, 1 / 3])


def test_where_nobody_watched_anything_all_videos_tie() -> None:
    histories = log_of([], videos=4).histories()
    scorer = VectorScorer(np.eye(4, dtype=np.float32), DecayedMean(3.0), 200, np.zeros(4, np.int32))
    assert scorer.scores(histories, np.array([0])).tolist() == [[0, 0, 0, 0]]


def test_item_knn_is_the_shrunk_cosine_of_who_watched() -> None:
    # 0 and 1 share two of 3 and 2 users; 2 was watched by one user of 0.
    histories = log_of([0, 1], [0, 1], [0, 2], videos=4).histories()
    scorer = fit(histories, 4, neighbours=3, shrink=1.0)
    expected = np.zeros((4, 4))
    expected[0, 1] = expected[1, 0] = 2 / (np.sqrt(3 * 2) + 1)
    expected[0, 2] = expected[2, 0] = 1 / (np.sqrt(3 * 1) + 1)
    assert scorer.similar.toarray() == pytest.approx(expected)
    [scores] = scorer.scores(histories, np.array([2]))
    assert scores == pytest.approx(expected[0] + expected[2])


def test_item_knn_keeps_the_nearest_of_each() -> None:
    histories = log_of([0, 1], [0, 1], [0, 2], videos=4).histories()
    nearest = fit(histories, 4, neighbours=1, shrink=1.0).similar.toarray()
    assert (nearest > 0).sum(axis=1).tolist() == [1, 1, 1, 0]
    assert nearest[0, 1] > 0


def test_watches_that_say_nothing_are_no_watches_for_item_knn() -> None:
    log = log_of([0, 1], [0, 1, 2], videos=3)
    log.weights[4] = 0
    scorer = fit(log.histories(), 3)
    assert scorer.similar.toarray()[:, 2].tolist() == [0, 0, 0]


def test_the_newest_come_first_to_the_minute_and_the_unknown_last() -> None:
    minute = 1 / 24 / 60
    times = np.array([19_000.0, np.nan, 19_000.0 + minute, 18_000.0])
    histories = log_of([0], videos=4).histories()
    [scores] = NewestScorer(times).scores(histories, np.array([0]))
    assert np.argsort(-scores).tolist() == [2, 0, 3, 1]
