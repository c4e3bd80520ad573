"""How each type of model is fitted: from histories and text vectors to what a version holds."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from core.errors import InvalidInput
from core.types import ModelType, Weights
from embeddings.content_model import ContentConfig, fit_map
from embeddings.dataset import Catalogue, Histories
from embeddings.items import item_vectors
from embeddings.user_encoder import DecayedMean
from embeddings.version import Fitted
from upnext.jobs.reading import Data

MIN_WATCHES, MIN_USERS = 100, 10

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

    def fit(self, histories: Histories, on_progress: OnProgress) -> Fitted:
        """The model of these histories; equal histories give equal models."""
        ...


@dataclass(frozen=True, slots=True)
class Content:
    """`content`: item vectors are text vectors, reduced; histories only count watches."""

    catalogue: Catalogue
    content: NDArray[np.float32]
    config: ContentConfig

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


def recipe_of(model_type: ModelType, data: Data, content: NDArray[np.float32], seed: int) -> Recipe:
    """The recipe for a type of model, its hyper-parameters settled by the data.

    Raises:
        InvalidInput: there is too little data for it, or no such type can be trained.
    """
    if model_type == "content":
        return Content(data.catalogue, content, ContentConfig())
    raise InvalidInput(f"Models of type {model_type} cannot be trained.")
