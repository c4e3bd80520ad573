"""Recipes: chosen by the data or by hand, with texts or without."""

from datetime import timedelta

import numpy as np
import pytest

from core.clock import EPOCH
from core.errors import InvalidInput
from core.types import Model, ModelType, UserId, VideoId
from embeddings.dataset import Histories
from embeddings.items import item_vectors
from upnext.jobs.fitting.recipe import Material
from upnext.jobs.recipes import recipe_again, recipe_of, same

pytestmark = pytest.mark.unit

USERS, WATCHED = 20, 6
NAMES = [VideoId(f"v{number}") for number in range(30)]
IDS = [VideoId(id_.decode()) for id_ in item_vectors(NAMES, np.zeros((30, 1), np.float32)).ids]
HISTORIES = Histories(
    users=[UserId(f"u{user}") for user in range(USERS)],
    offsets=np.arange(USERS + 1, dtype=np.int64) * WATCHED,
    rows=np.tile(np.arange(WATCHED, dtype=np.int32), USERS),
    weights=np.ones(USERS * WATCHED, np.float32),
    times=np.tile(np.arange(WATCHED, dtype=np.float64), USERS),
    count=USERS * WATCHED,
    first=EPOCH,
    last=EPOCH + timedelta(days=WATCHED - 1),
)
TEXTS = np.random.default_rng(1).standard_normal((len(IDS), 12)).astype(np.float32)
BARE, WHOLE = Material(IDS, HISTORIES, None), Material(IDS, HISTORIES, TEXTS)


def test_without_texts_als_is_fitted_and_content_says_what_to_bring() -> None:
    fitted = recipe_of("als", BARE, 1).fit(HISTORIES, lambda *_at: None)
    assert fitted.content.vectors.shape == (len(IDS), 0)
    assert np.isfinite(fitted.items.vectors).all()
    with pytest.raises(InvalidInput, match="bring texts"):
        recipe_of("content", BARE, 1)


@pytest.mark.parametrize(
    ("model_type", "params"),
    [
        ("als", {"factors": 4, "fade": None}),
        ("content", {"dimensions": 3}),
        ("sequence", {"layers": 1}),
    ],
)
def test_parameters_given_by_hand_take_the_place_of_the_rules(
    model_type: ModelType, params: dict[str, int | None]
) -> None:
    recipe = recipe_of(model_type, WHOLE, 1, params)
    assert recipe.params == recipe_of(model_type, WHOLE, 1).params | params
    with pytest.raises(InvalidInput, match="no parameter colour"):
        recipe_of(model_type, WHOLE, 1, {"colour": 1})
    with pytest.raises(InvalidInput, match="not what it must be"):
        recipe_of(model_type, WHOLE, 1, dict.fromkeys(params, "many"))


@pytest.mark.parametrize(
    ("model_type", "name", "value"),
    [
        ("als", "factors", 0),
        ("als", "factors", 5_000),
        ("als", "regularisation", -1),
        ("als", "regularisation", float("nan")),
        ("als", "regularisation", float("inf")),
        ("als", "iterations", 0),
        ("als", "fade", 0),
        ("als", "exponent", 2),
        ("content", "dimensions", 0),
        ("content", "lasting", 1.5),
        ("sequence", "dimensions", 5_000),
        ("sequence", "heads", 3),
    ],
)
def test_parameters_that_no_model_can_have_are_refused(
    model_type: ModelType, name: str, value: float
) -> None:
    with pytest.raises(InvalidInput, match="not what it must be"):
        recipe_of(model_type, WHOLE, 1, {name: value})


@pytest.mark.parametrize("model_type", ["als", "content", "sequence"])
def test_a_model_is_made_again_by_the_recipe_it_was_made_by(model_type: ModelType) -> None:
    recipe = recipe_of(model_type, WHOLE, 7)
    made = Model(
        id="m",
        model_type=model_type,
        version="v",
        status="live",
        created_at=EPOCH,
        params=recipe.params | {"seed": recipe.seed, "start": None, "owner": {"pid": 1}},
    )
    assert same(recipe_again(made, WHOLE, 1), recipe)
