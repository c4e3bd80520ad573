"""The recipe of `als`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embeddings.als.config import AlsConfig
from embeddings.als.rules import defaults_for
from embeddings.content_map import ContentMap
from embeddings.dataset import Histories
from embeddings.items import item_vectors
from embeddings.version import Fitted
from upnext.jobs.fitting.recipe import Learnt, Material, OnProgress, settled, torch_device
from upnext.jobs.preflight import check_histories


@dataclass(frozen=True, slots=True)
class Als(Learnt[AlsConfig]):
    """`als`: item vectors from who watched what, drawn to what the texts say."""

    @classmethod
    def chosen(cls, material: Material, seed: int, params: Mapping[str, Any] | None) -> "Als":
        """The recipe for this material. Raises `InvalidInput`: there are too few watches."""
        check_histories(material.histories, "als")
        config = defaults_for(material.histories, len(material.ids))
        return cls(material, settled(config, params), seed)

    def fit(
        self,
        histories: Histories,
        on_progress: OnProgress,
        kept: Path | None = None,  # noqa: ARG002 - it takes minutes at most
        after: Fitted | None = None,  # noqa: ARG002 - it takes minutes at most
    ) -> Fitted:
        """See `Recipe.fit`; on a GPU when there is one."""
        on_progress(0.0, "starting")
        device = torch_device()

        from embeddings.als.model import fit  # noqa: PLC0415

        ids = self.material.ids
        model = fit(
            histories,
            self.material.content,
            len(ids),
            self.config,
            seed=self.seed,
            device=device,
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
