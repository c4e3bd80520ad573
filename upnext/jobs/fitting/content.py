"""The recipe of `content`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from core.errors import InvalidInput
from core.types import Weights
from embeddings.content_model import ContentConfig, fit_map
from embeddings.dataset import Histories
from embeddings.items import item_vectors
from embeddings.user_encoder import DecayedMean
from embeddings.version import Fitted
from upnext.jobs.fitting.recipe import Material, OnProgress, settled


@dataclass(frozen=True, slots=True)
class Content:
    """`content`: item vectors are text vectors, reduced; histories only count watches."""

    material: Material
    config: ContentConfig
    seed: int = 0  # nothing is drawn

    @classmethod
    def chosen(cls, material: Material, params: Mapping[str, Any] | None) -> "Content":
        """The recipe for this material. Raises `InvalidInput`: there are no texts."""
        return cls(material, settled(ContentConfig(), params))

    def __post_init__(self) -> None:
        if self.material.content is None:
            raise InvalidInput(
                "A content model learns from what videos say: bring texts (titles, genres, "
                "descriptions), or train an als model."
            )

    @property
    def params(self) -> dict[str, Any]:
        """See `Recipe.params`."""
        return dict(msgspec.to_builtins(self.config))

    @property
    def weights(self) -> Weights:
        """See `Recipe.weights`."""
        return self.config.weights

    def fit(
        self,
        histories: Histories,
        on_progress: OnProgress,
        kept: Path | None = None,  # noqa: ARG002 - a moment's work
        after: Fitted | None = None,  # noqa: ARG002 - a moment's work
    ) -> Fitted:
        """See `Recipe.fit`."""
        on_progress(0.0, "finding what parts the texts")
        ids, texts = self.material.ids, self.material.texts()
        content_map = fit_map(texts.vectors, self.config.dimensions)
        return Fitted(
            items=item_vectors(ids, content_map(texts.vectors)),
            content=texts,
            watches=histories.watches(len(ids)),
            content_map=content_map,
            encoder=DecayedMean(self.config.half_life, self.config.lasting),
            weights=self.config.weights,
            metrics={},
        )
