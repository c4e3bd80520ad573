"""The recipe of `sequence`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embeddings.content_map import ContentMap
from embeddings.dataset import Histories
from embeddings.items import item_vectors
from embeddings.sequence.config import SequenceConfig
from embeddings.sequence.rules import defaults_for
from embeddings.sequence_encoder import SequenceEncoder
from embeddings.version import Fitted
from upnext.jobs.fitting.recipe import Learnt, Material, OnProgress, settled, torch_device
from upnext.jobs.preflight import check_histories


@dataclass(frozen=True, slots=True)
class Sequence(Learnt[SequenceConfig]):
    """`sequence`: a network that reads watches in their order and tells the next one."""

    @classmethod
    def chosen(cls, material: Material, seed: int, params: Mapping[str, Any] | None) -> "Sequence":
        """The recipe for this material. Raises `InvalidInput`: there are too few watches."""
        check_histories(material.histories, "sequence")
        config = defaults_for(material.histories, len(material.ids))
        return cls(material, settled(config, params), seed)

    def fit(
        self,
        histories: Histories,
        on_progress: OnProgress,
        kept: Path | None = None,
        after: Fitted | None = None,
    ) -> Fitted:
        """See `Recipe.fit`; on a GPU when there is one."""
        on_progress(0.0, "starting")
        device = torch_device()

        from embeddings.sequence.checkpoint import State  # noqa: PLC0415
        from embeddings.sequence.model import fit  # noqa: PLC0415

        ids = self.material.ids
        model = fit(
            histories,
            self.material.content,
            len(ids),
            self.config,
            seed=self.seed,
            device=device,
            on_progress=on_progress,
            checkpoint=kept,
            start=after.learnt if after and isinstance(after.learnt, State) else None,
        )
        return Fitted(
            items=item_vectors(ids, model.items),
            content=self.material.texts(),
            watches=histories.watches(len(ids)),
            content_map=ContentMap(model.content_map, normalise=True),
            encoder=SequenceEncoder(model.onnx, self.config.longest),
            weights=self.weights,
            metrics={},
            curve=tuple(model.curve),
            learnt=model.state,
        )
