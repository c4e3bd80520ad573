"""Whole lists of the past: made as the service makes them, judged beside retrieval alone."""

from dataclasses import replace

import numpy as np
import pytest

from core.clock import days
from core.errors import Unavailable
from core.settings import Settings, load
from core.types import RankingConfig, UserId, VideoId, Weights
from embeddings.content_map import ContentMap
from embeddings.dataset import Histories
from embeddings.evaluation.case import Case
from embeddings.evaluation.report import Options, evaluate
from embeddings.evaluation.scorers import VectorScorer
from embeddings.items import item_vectors, normalised
from embeddings.split import leave_last_out
from embeddings.user_encoder import DecayedMean
from embeddings.version import Fitted
from storage.milvus_writer import MilvusWriter
from tests.catalogues import DIM, NOW, random_vectors, video
from upnext.evaluating.ann import measure
from upnext.evaluating.end_to_end import APART, EndToEnd, Making, end_to_end, facts_of
from upnext.evaluating.lists import NOTHING, ListScorer, make_lists
from upnext.jobs.past import Past
from upnext.jobs.replay import replay

pytestmark = pytest.mark.unit

VIDEOS, USERS, WATCHED = 150, 130, 5
NAMES = [VideoId(f"v{number:03}") for number in range(VIDEOS)]
ITEMS = item_vectors(NAMES, normalised(random_vectors(VIDEOS, seed=3)))
IDS = [VideoId(id_.decode()) for id_ in ITEMS.ids.tolist()]
OPTIONS = Options(seed=1, draws=50)
MAKING = Making(recent=50)
DEFAULT = Weights(similarity=0.8, popularity=0.1, genre=0.05, recency=0.04, exploration=0.01)


def histories(users: int = USERS) -> Histories:
    """Users who watch what is near a taste of theirs, an hour apart."""
    draw = np.random.default_rng(4)
    tastes = normalised(random_vectors(users, seed=8))
    chances = np.exp(9.0 * (tastes @ ITEMS.vectors.T).astype(np.float64))
    chances /= chances.sum(axis=1, keepdims=True)
    rows = [draw.choice(VIDEOS, WATCHED, replace=False, p=own) for own in chances]
    starts = days(NOW) - 20 + np.sort(draw.uniform(0, 10, users))
    return Histories(
        users=[UserId(f"u{user:03}") for user in range(users)],
        offsets=np.arange(users + 1, dtype=np.int64) * WATCHED,
        rows=np.concatenate(rows).astype(np.int32),
        weights=np.ones(users * WATCHED, dtype=np.float32),
        times=np.concatenate([start + np.arange(WATCHED) / 24 for start in starts]),
        count=users * WATCHED,
        first=None,
        last=None,
    )


def fitted(known: Histories) -> Fitted:
    return Fitted(
        items=ITEMS,
        content=ITEMS,
        watches=known.watches(VIDEOS),
        content_map=ContentMap(np.eye(DIM + 1, DIM, dtype=np.float32), normalise=True),
        encoder=DecayedMean(half_life=100.0),
        weights=DEFAULT,
        metrics={},
    )


def case_of(known: Histories) -> Case:
    split = leave_last_out(known, seed=0)
    return Case(
        train=split.train,
        videos=VIDEOS,
        users=split.users,
        offsets=np.arange(len(split.users) + 1),
        relevant=split.targets,
    )


@pytest.fixture(scope="module")
def judged() -> tuple[EndToEnd, Case, list[Histories]]:
    case, seen = case_of(histories()), []

    def again(known: Histories) -> Fitted:
        seen.append(known)
        return fitted(known)

    facts = facts_of(IDS, {VideoId("v001"): video("v001", "drama")})
    found = end_to_end(facts, case, fitted(case.train), again, options=OPTIONS, making=MAKING)
    return found, case, seen


def test_weights_are_fitted_to_what_is_neither_judged_nor_learnt(
    judged: tuple[EndToEnd, Case, list[Histories]],
) -> None:
    found, case, seen = judged
    assert [len(known.rows) for known in seen] == [len(case.train.rows) - USERS]
    assert set(found.fitting) >= {"ndcg@10:list", "ndcg@10:retrieval", "recall:candidates"}


def test_retrieval_alone_is_the_models_own_order(
    judged: tuple[EndToEnd, Case, list[Histories]],
) -> None:
    found, case, _ = judged
    scorer = VectorScorer(ITEMS.vectors, DecayedMean(half_life=100.0), 50, case.train.watches(150))
    expected = evaluate(scorer, case, OPTIONS).report
    assert found.retrieval.metrics == expected.metrics
    assert found.users == expected.users == USERS
    gain = found.lists.metrics["ndcg@10"] - found.retrieval.metrics["ndcg@10"]
    assert found.difference.metrics["ndcg@10"] == pytest.approx(gain)


def test_diversity_is_what_parts_lists_from_ranked_ones(
    judged: tuple[EndToEnd, Case, list[Histories]],
) -> None:
    found, _, _ = judged
    assert found.lists.beyond[APART] > found.ranked.beyond[APART]
    assert found.diversity == RankingConfig().diversity > 0
    assert {"coverage@10", "gini@10", "popularity@10"} <= set(found.lists.beyond)


def test_lists_have_what_was_not_watched_each_video_once_and_fifty_of_them() -> None:
    case = case_of(histories())
    past = Past(facts_of(IDS, {}), case.train, ITEMS, recent=50)
    [lists] = make_lists(past, case.users, fitted(case.train), [RankingConfig()])
    assert lists.shape == (USERS, 50)
    assert (lists != NOTHING).all()
    for user, own in zip(case.users.tolist(), lists, strict=True):
        assert len(set(own.tolist())) == 50
        assert not set(own.tolist()) & set(case.train.rows[case.train.of(user)].tolist())


def test_somebody_without_a_history_gets_what_is_popular_when_all_had_happened() -> None:
    known = histories()
    stranger = replace(
        known,
        users=[*known.users, UserId("new")],
        offsets=np.concatenate([known.offsets, known.offsets[-1:]]),
    )
    past = Past(facts_of(IDS, {}), stranger, ITEMS, recent=50)
    popular = RankingConfig(preset="seed", diversity=0.0)
    [[own]] = make_lists(past, np.array([USERS]), fitted(known), [popular])
    watches = known.watches(VIDEOS)
    assert watches[own[:10]].mean() > 2 * watches.mean()


def test_lists_are_scored_by_place_and_nothing_else_is_shown() -> None:
    scorer = ListScorer(np.array([[2, 0, NOTHING], [NOTHING, NOTHING, NOTHING]], np.int32), 4)
    scores = scorer.scores(histories(2), np.array([1, 0]))
    assert scores.tolist() == [[-np.inf] * 4, [2.0, -np.inf, 3.0, -np.inf]]


def test_of_many_users_some_are_judged() -> None:
    case = case_of(histories())
    few = Making(recent=50, most_users=20)
    found = end_to_end(
        facts_of(IDS, {}), case, fitted(case.train), fitted, options=OPTIONS, making=few
    )
    assert found.users == 20


def test_an_index_is_not_asked_when_nobody_has_a_vector() -> None:
    said = measure(load({}), ITEMS, np.zeros((0, DIM), dtype=np.float32))
    assert isinstance(said, str)
    assert said.startswith("not measured")


def test_an_index_that_does_not_answer_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(settings: Settings) -> MilvusWriter:
        raise Unavailable(str(settings.milvus_uri))

    monkeypatch.setattr(MilvusWriter, "of", refuse)
    settings = load({"milvus_uri": "http://milvus:19530"})
    said = measure(settings, ITEMS, ITEMS.vectors[:2])
    assert said == "not measured: http://milvus:19530 did not answer"


async def test_a_date_of_publication_to_come_is_not_known() -> None:
    known = histories()
    ages = {id_: 40.0 if at % 2 else -5.0 for at, id_ in enumerate(IDS)}
    facts = facts_of(IDS, {id_: video(id_, age_days=age) for id_, age in ages.items()})
    past = Past(facts, known, ITEMS, recent=50)
    async for met in replay(past, np.arange(3), fitted(known), RankingConfig()):
        names = [candidate.video_id for candidate in met.found.candidates]
        unknown = np.isnan(met.found.columns.published_day)
        assert {ages[name] for name in names} == {40.0, -5.0}
        assert unknown.tolist() == [ages[name] < 0 for name in names]
