"""How each type of model is fitted: from histories and text vectors to what a version holds."""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from core.errors import InvalidInput
from core.types import Model, ModelType, Weights
from embeddings.als.config import AlsConfig
from embeddings.als.rules import defaults_for
from embeddings.content_map import ContentMap
from embeddings.content_model import ContentConfig, fit_map
from embeddings.dataset import Catalogue, Histories
from embeddings.items import item_vectors
from embeddings.user_encoder import DecayedMean
from embeddings.version import Fitted
from upnext.jobs.preflight import check_histories
from upnext.jobs.reading import Data

# What `fit_weights` finds on real histories, rounded; for histories too small to fit them on.
ALS_WEIGHTS = Weights(similarity=0.86, popularity=0.05, genre=0.07, recency=0.01, exploration=0.01)

OnProgress = Callable[[float, str], None]


class Recipe(Protocol):
    """Fits one type of model with hyper-parameters that were settled when it was chosen."""

    @property
    def params(self) -> dict[str, Any]:
        """The hyper-parameters, as the registry keeps them."""
        ...

    @property
    def weights(self) -> Weights:
        """Weights of the blend where too little is known to fit them."""
        ...

    @property
    def seed(self) -> int:
        """Of what is drawn at random."""
        ...

    def fit(self, histories: Histories, on_progress: OnProgress) -> Fitted:
        """The model of these histories; equal histories give equal models."""
        ...


@dataclass(frozen=True, slots=True)
class Content:
    """`content`: item vectors are text vectors, reduced; histories only count watches."""

    catalogue: Catalogue
    content: NDArray[np.float32]
    config: ContentConfig
    seed: int = 0  # nothing is drawn

    @property
    def params(self) -> dict[str, Any]:
        """See `Recipe.params`."""
        return dict(msgspec.to_builtins(self.config))

    @property
    def weights(self) -> Weights:
        """See `Recipe.weights`."""
        return self.config.weights

    def fit(self, histories: Histories, on_progress: OnProgress) -> Fitted:
        """See `Recipe.fit`."""
        on_progress(0.0, "finding what parts the texts")
        content_map = fit_map(self.content, self.config.dimensions)
        return Fitted(
            items=item_vectors(self.catalogue.ids, content_map(self.content)),
            content=item_vectors(self.catalogue.ids, self.content),
            watches=histories.watches(len(self.catalogue.ids)),
            content_map=content_map,
            encoder=DecayedMean(self.config.half_life),
            weights=self.config.weights,
            metrics={},
        )


@dataclass(frozen=True, slots=True)
class Als:
    """`als`: item vectors from who watched what, drawn to what the texts say."""

    catalogue: Catalogue
    content: NDArray[np.float32]
    config: AlsConfig
    seed: int

    @property
    def params(self) -> dict[str, Any]:
        """See `Recipe.params`."""
        return dict(msgspec.to_builtins(self.config))

    @property
    def weights(self) -> Weights:
        """See `Recipe.weights`."""
        return ALS_WEIGHTS

    def fit(self, histories: Histories, on_progress: OnProgress) -> Fitted:
        """See `Recipe.fit`; on a GPU when there is one."""
        on_progress(0.0, "starting")
        # torch takes seconds and memory: only for the type that needs it.
        import torch  # noqa: PLC0415

        from embeddings.als.model import fit  # noqa: PLC0415

        torch.set_num_threads(os.cpu_count() or 1)
        ids = self.catalogue.ids
        model = fit(
            histories,
            self.content,
            len(ids),
            self.config,
            seed=self.seed,
            device="cuda" if torch.cuda.is_available() else "cpu",
            on_progress=on_progress,
        )
        return Fitted(
            items=item_vectors(ids, model.items),
            content=item_vectors(ids, self.content),
            watches=histories.watches(len(ids)),
            content_map=ContentMap(model.content_map, normalise=False),
            encoder=model.encoder,
            weights=self.weights,
            metrics={},
        )


def recipe_of(model_type: ModelType, data: Data, content: NDArray[np.float32], seed: int) -> Recipe:
    """The recipe for a type of model, its hyper-parameters settled by the data.

    Raises:
        InvalidInput: there is too little data for it, or no such type can be trained.
    """
    if model_type == "content":
        return Content(data.catalogue, content, ContentConfig())
    if model_type == "als":
        check_histories(data.histories)
        config = defaults_for(data.histories, len(data.catalogue.ids))
        return Als(data.catalogue, content, config, seed)
    raise InvalidInput(f"Models of type {model_type} cannot be trained.")


def recipe_again(model: Model, data: Data, content: NDArray[np.float32], seed: int) -> Recipe:
    """The recipe that a model of the registry was made by, for other data.

    One whose hyper-parameters the registry does not have gets those that its type takes from this
    data. `seed` is for one that had none.

    Raises:
        InvalidInput: there is too little data for it, or no such type can be trained.
    """
    seed = int(model.params.get("seed", seed))
    with suppress(msgspec.ValidationError):  # another release made it
        if model.model_type == "content":
            return Content(data.catalogue, content, msgspec.convert(model.params, ContentConfig))
        if model.model_type == "als":
            return Als(data.catalogue, content, msgspec.convert(model.params, AlsConfig), seed)
    return recipe_of(model.model_type, data, content, seed)


def same(one: Recipe, other: Recipe) -> bool:
    """Whether two recipes for the same data give the same model."""
    return type(one) is type(other) and one.params == other.params and one.seed == other.seed
