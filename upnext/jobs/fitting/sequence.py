"""The recipe of `sequence`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from core.types import Weights
from embeddings.content_map import ContentMap
from embeddings.dataset import Histories
from embeddings.items import item_vectors
from embeddings.sequence.config import SequenceConfig
from embeddings.sequence.rules import defaults_for
from embeddings.sequence_encoder import SequenceEncoder
from embeddings.version import Epoch, Fitted
from upnext.jobs.fitting.recipe import Material, OnProgress, settled
from upnext.jobs.preflight import check_histories

# Those of `als`, whose lists are ordered alike; for histories too small to fit them on.
WEIGHTS = Weights(similarity=0.86, popularity=0.05, genre=0.07, recency=0.01, exploration=0.01)


@dataclass(frozen=True, slots=True)
class Sequence:
    """`sequence`: a network that reads watches in their order and tells the next one."""

    material: Material
    config: SequenceConfig
    seed: int

    @classmethod
    def chosen(cls, material: Material, seed: int, params: Mapping[str, Any] | None) -> "Sequence":
        """The recipe for this material. Raises `InvalidInput`: there are too few watches."""
        check_histories(material.histories, "sequence")
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
        kept: Path | None = None,
        after: Fitted | None = None,
    ) -> Fitted:
        """See `Recipe.fit`; on a GPU when there is one."""
        on_progress(0.0, "starting")
        # torch takes seconds and memory: only for the types that need it.
        import joblib  # noqa: PLC0415
        import torch  # noqa: PLC0415

        from embeddings.sequence.checkpoint import State  # noqa: PLC0415
        from embeddings.sequence.model import fit  # noqa: PLC0415

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
            curve=tuple(Epoch(one.number, one.seconds, one.loss, one.ndcg) for one in model.curve),
            learnt=model.state,
        )
