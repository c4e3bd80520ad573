"""Which recipe a model is made by: from histories and text vectors to what a version holds."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec

from core.types import Model, ModelType
from embeddings.als.config import AlsConfig
from embeddings.content_model import ContentConfig
from embeddings.sequence.config import SequenceConfig
from upnext.jobs.fitting.als import Als
from upnext.jobs.fitting.content import Content
from upnext.jobs.fitting.recipe import Material, Recipe
from upnext.jobs.fitting.sequence import Sequence


def recipe_of(
    model_type: ModelType,
    material: Material,
    seed: int,
    params: Mapping[str, Any] | None = None,
) -> Recipe:
    """The recipe for a type of model, its hyper-parameters settled by the data.

    Args:
        model_type: what is asked for.
        material: what it will be fitted to, or the most of it.
        seed: of what is drawn at random.
        params: hyper-parameters to take as they are, not by the rules.

    Raises:
        InvalidInput: there is too little data for it, or there is no such hyper-parameter.
    """
    if model_type == "content":
        return Content.chosen(material, params)
    if model_type == "als":
        return Als.chosen(material, seed, params)
    return Sequence.chosen(material, seed, params)


def recipe_again(model: Model, material: Material, seed: int) -> Recipe:
    """The recipe that a model of the registry was made by, for other data.

    One whose hyper-parameters the registry does not have gets those that its type takes from this
    data. `seed` is for one that had none.

    Raises:
        InvalidInput: there is too little data for it.
    """
    seed = int(model.params.get("seed", seed))
    with suppress(msgspec.ValidationError):  # another release made it
        if model.model_type == "content":
            return Content(material, msgspec.convert(model.params, ContentConfig))
        if model.model_type == "als":
            return Als(material, msgspec.convert(model.params, AlsConfig), seed)
        return Sequence(material, msgspec.convert(model.params, SequenceConfig), seed)
    return recipe_of(model.model_type, material, seed)


def same(one: Recipe, other: Recipe) -> bool:
    """Whether two recipes for the same data give the same model."""
    return type(one) is type(other) and one.params == other.params and one.seed == other.seed
