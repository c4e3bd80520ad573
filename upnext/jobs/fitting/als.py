"""The recipe of `als`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from core.types import Weights
from embeddings.als.config import AlsConfig
from embeddings.als.rules import defaults_for
from embeddings.content_map import ContentMap
from embeddings.dataset import Histories
from embeddings.items import item_vectors
from embeddings.version import Fitted
from upnext.jobs.fitting.recipe import Material, OnProgress, settled
from upnext.jobs.preflight import check_histories

# What `fit_weights` finds on real histories, rounded; for histories too small to fit them on.
WEIGHTS = Weights(similarity=0.86, popularity=0.05, genre=0.07, recency=0.01, exploration=0.01)


@dataclass(frozen=True, slots=True)
class Als:
    """`als`: item vectors from who watched what, drawn to what the texts say."""

    material: Material
    config: AlsConfig
    seed: int

    @classmethod
    def chosen(cls, material: Material, seed: int, params: Mapping[str, Any] | None) -> "Als":
        """The recipe for this material. Raises `InvalidInput`: there are too few watches."""
        check_histories(material.histories, "als")
        config = defaults_for(material.histories, len(material.ids))
        return cls(material, settled(config, params), seed)

    @property
    def params(self) -> dict[str, Any]:
        """See `Recipe.params`."""
        return dict(msgspec.to_builtins(self.config))

    @property
    def weights(self) -> Weights:
        """See `Recipe.weights`."""
        return WEIGHTS

    def fit(
        self,
        histories: Histories,
        on_progress: OnProgress,
        kept: Path | None = None,  # noqa: ARG002 - it takes minutes at most
        after: Fitted | None = None,  # noqa: ARG002 - it takes minutes at most
    ) -> Fitted:
        """See `Recipe.fit`; on a GPU when there is one."""
        on_progress(0.0, "starting")
        # torch takes seconds and memory: only for the types that need it.
        import joblib  # noqa: PLC0415
        import torch  # noqa: PLC0415

        from embeddings.als.model import fit  # noqa: PLC0415

        torch.set_num_threads(joblib.cpu_count())
        ids = self.material.ids
        model = fit(
            histories,
            self.material.content,
            len(ids),
            self.config,
            seed=self.seed,
            device="cuda" if torch.cuda.is_available() else "cpu",
            on_progress=on_progress,
        )
        return Fitted(
            items=item_vectors(ids, model.items),
            content=self.material.texts(),
            watches=histories.watches(len(ids)),
            content_map=ContentMap(model.content_map, normalise=False),
            encoder=model.encoder,
            weights=self.weights,
            metrics={},
        )
