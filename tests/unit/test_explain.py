"""What explanations say: terms that add up, and the watch that was nearest."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.answers import Asked
from core.types import ListType, RankingConfig, UserId, VideoId, Weights
from embeddings.items import normalised
from ranking.explain import blended, nearest_watched
from ranking.features import Features
from tests.catalogues import ids
from tests.serving import NAMES, World

pytestmark = pytest.mark.unit
ANN = UserId("ann")
WEIGHTS = Weights(similarity=0.5, popularity=0.2, genre=0.1, recency=0.15, exploration=0.05)


def features(*rows: tuple[float, ...]) -> Features:
    return Features(*(np.array(column) for column in zip(*rows, strict=True)))


def added_up(terms: dict[str, Any]) -> float:
    millionths: int = sum(round(term.contribution * 1_000_000) for term in terms.values())
    return millionths / 1e6


def test_a_term_is_value_times_weight_and_they_add_up() -> None:
    terms = blended(features((0, 0, 0, 0, 0), (0.71, 0.5, 0.1, 1, 0.2)), WEIGHTS, 1, 0.625)
    assert {name: term.contribution for name, term in terms.items()} == {
        "similarity": 0.355,
        "popularity": 0.1,
        "genre": 0.01,
        "recency": 0.15,
        "exploration": 0.01,
    }
    assert terms["similarity"].value == 0.71
    assert terms["similarity"].weight == 0.5


shares = st.tuples(*[st.floats(0, 1)] * 5)


@given(values=shares, weights=shares)
def test_contributions_add_up_to_the_score_as_it_is_written(
    values: tuple[float, ...], weights: tuple[float, ...]
) -> None:
    exact = sum(value * weight for value, weight in zip(values, weights, strict=True))
    score = round(float(np.float32(exact)), 6)
    terms = blended(features(values), Weights(*weights), 0, score)
    assert added_up(terms) == score
    for term in terms.values():
        assert term.contribution == pytest.approx(term.value * term.weight, abs=6e-6)


def test_because_is_the_watch_with_the_highest_cosine() -> None:
    watched = np.array([[1, 0, 0], [0, 2, 0], [0, 2, 0]], dtype=np.float32)
    vectors = np.array([[3, 1, 0], [0, 1, 0], [0, 0, 0], [-1, -1, 0]], dtype=np.float32)
    because = nearest_watched(vectors, watched, ids("latest", "b", "c"))
    assert because == ["latest", "b", None, None]
    assert nearest_watched(vectors, watched[:0], []) == [None] * 4


async def explained(world: World, list_type: ListType = "personalized") -> list[Any]:
    body = await world.recommender.recommend(Asked(ANN, 20, list_type, explain=True))
    assert not body.metadata.cache_hit
    return list(body.recommendations)


@pytest.mark.parametrize("config", [RankingConfig(), RankingConfig(preset="seed")])
async def test_an_explained_list_is_the_list_with_its_reasons(
    world: World, config: RankingConfig
) -> None:
    world.config = config
    watched = NAMES[2:30:3]
    await world.watched("ann", *watched)
    entries = await explained(world)
    plain = (await world.recommender.recommend(Asked(ANN, 20))).recommendations
    assert [(e.content_id, e.score) for e in entries] == [(e.content_id, e.score) for e in plain]
    vectors = normalised(world.version.items.at(world.catalogue.snapshot.facts["hash"])[0])
    for entry in entries:
        terms = entry.explanation.terms
        assert added_up(terms) == entry.score
        assert (terms["similarity"].weight == 0) == (config.preset == "seed")
        assert terms["popularity"].value == pytest.approx(entry.popularity_score, abs=1e-4)
        cosines = {
            name: vectors[NAMES.index(name)] @ vectors[NAMES.index(entry.content_id)]
            for name in watched
        }
        assert entry.explanation.because == max(cosines, key=lambda name: cosines[name])


@pytest.mark.parametrize("list_type", ["trending", "popular", "new"])
async def test_lists_by_popularity_have_that_one_term(world: World, list_type: ListType) -> None:
    for entry in await explained(world, list_type):
        assert entry.explanation.terms.keys() == {"popularity"}
        assert added_up(entry.explanation.terms) == entry.score
        assert entry.explanation.because is None  # nothing was watched


async def test_a_stranger_is_told_of_no_watch(world: World) -> None:
    for entry in await explained(world):
        assert added_up(entry.explanation.terms) == entry.score
        assert entry.explanation.because is None


async def test_explained_lists_are_not_kept(world: World) -> None:
    await world.watched("ann", NAMES[0])
    await explained(world)
    assert "put_list" not in world.cache.calls


async def test_own_candidates_are_explained_too(world: World) -> None:
    await world.watched("ann", *NAMES[2:30:3])
    body = await world.recommender.rank(ANN, [VideoId(name) for name in NAMES[40:60]], explain=True)
    for entry in body.recommendations:
        assert entry.explanation
        assert added_up(entry.explanation.terms) == entry.score
        assert entry.explanation.because in NAMES[2:30:3]
