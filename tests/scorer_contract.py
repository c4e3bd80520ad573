"""What every scorer promises, and what every model that learns has to find."""

from abc import ABC, abstractmethod

import numpy as np
import pytest

from embeddings.evaluation.ports import Scorer
from embeddings.evaluation.scorers import PopularScorer
from tests.planted import (
    Planted,
    chained,
    checkerboard,
    metrics_of,
    planted_taste,
    ranked_above_others,
)

STRANGER = 3


def with_a_stranger() -> Planted:
    """A checkerboard in which one user has no history."""
    board = checkerboard()
    kept = board.log.owners() != STRANGER
    return Planted(board.log.only(kept), board.groups, board.tastes, board.content)


class ScorerContract(ABC):
    """Inherit and say how a scorer is fitted: with one seed, the same again gives the same."""

    @classmethod
    @abstractmethod
    def fitted(cls, planted: Planted) -> Scorer:
        """A scorer fitted to `planted.case().train`."""

    @pytest.fixture(scope="class")
    @classmethod
    def board(cls) -> Planted:
        return with_a_stranger()

    @pytest.fixture(scope="class")
    @classmethod
    def scorer(cls, board: Planted) -> Scorer:
        return cls.fitted(board)

    def test_every_video_has_a_score_for_every_user(self, board: Planted, scorer: Scorer) -> None:
        case = board.case()
        users = np.array([5, 0, 5, STRANGER])
        scores = scorer.scores(case.train, users)
        assert scores.dtype == np.float32
        assert scores.shape == (4, case.videos)
        assert np.isfinite(scores).all()
        assert scores[0] == pytest.approx(scores[2])
        assert scorer.scores(case.train, users[:0]).shape == (0, case.videos)

    def test_whom_else_is_asked_for_changes_nothing(self, board: Planted, scorer: Scorer) -> None:
        train = board.case().train
        together = scorer.scores(train, np.arange(10))
        alone = np.concatenate([scorer.scores(train, np.array([user])) for user in range(10)])
        assert together == pytest.approx(alone, rel=1e-4, abs=1e-5)

    def test_scores_are_the_callers_to_change(self, board: Planted, scorer: Scorer) -> None:
        train, users = board.case().train, np.array([0, STRANGER])
        first = scorer.scores(train, users)
        kept = first.copy()
        first[:] = -np.inf
        assert (scorer.scores(train, users) == kept).all()

    def test_fitting_again_gives_the_same(self, board: Planted, scorer: Scorer) -> None:
        train, users = board.case().train, np.array([0, 1, STRANGER])
        again = self.fitted(board).scores(train, users)
        assert again == pytest.approx(scorer.scores(train, users), rel=1e-4, abs=1e-5)


class StrangersGetPopular(ScorerContract):
    """Of those that the service shows popular lists."""

    def test_users_without_a_history_get_the_most_watched(
        self, board: Planted, scorer: Scorer
    ) -> None:
        train = board.case().train
        [scores] = scorer.scores(train, np.array([STRANGER]))
        assert scores.tolist() == train.watches(board.log.videos).tolist()


class LearnsTaste(ScorerContract):
    """Of those that learn what a user likes."""

    def test_a_checkerboard_is_told_apart(self) -> None:
        board = checkerboard()
        assert ranked_above_others(self.fitted(board), board) == 1.0

    def test_planted_tastes_are_found(self) -> None:
        planted = planted_taste()
        case = planted.case()
        found = metrics_of(self.fitted(planted), case)
        popular = metrics_of(PopularScorer(case.train.watches(case.videos)), case)
        # A scorer that is told the groups, and nothing else, reaches 0.73.
        assert found["hr@10"] > 0.6
        assert found["ndcg@10"] > 3 * popular["ndcg@10"]


class LearnsOrder(LearnsTaste):
    """Of those that learn what follows what."""

    def test_what_follows_the_last_watch_is_first(self) -> None:
        planted = chained()
        assert metrics_of(self.fitted(planted), planted.case())["hr@1"] > 0.5
