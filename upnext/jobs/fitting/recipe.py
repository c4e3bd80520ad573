"""What a recipe is: one type of model with its hyper-parameters, ready to be fitted."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from core.errors import InvalidInput
from core.types import VideoId, Weights
from embeddings.dataset import Histories
from embeddings.items import ItemVectors, item_vectors
from embeddings.version import Fitted

Config = TypeVar("Config", bound=msgspec.Struct)
OnProgress = Callable[[float, str], None]


@dataclass(frozen=True, slots=True)
class Material:
    """What models are made of, whether a database has it or files.

    `ids` are the n videos in the order of their 64-bit hashes (`core.hashing.hash64`), which rows
    of `histories` count. `content` float32 (n, c) are their text vectors, None without texts.
    """

    ids: Sequence[VideoId]
    histories: Histories
    content: NDArray[np.float32] | None

    def texts(self) -> ItemVectors:
        """The text vectors by id; (n, 0) without texts."""
        none = np.zeros((len(self.ids), 0), dtype=np.float32)
        return item_vectors(self.ids, none if self.content is None else self.content)


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

    def fit(
        self,
        histories: Histories,
        on_progress: OnProgress,
        kept: Path | None = None,
        after: Fitted | None = None,
    ) -> Fitted:
        """The model of these histories; equal arguments give equal models.

        Args:
            histories: rows are those of the material that the recipe was made for.
            on_progress: hears the share done, 0..1, and a sentence.
            kept: a folder, there or not, where a fit that takes long keeps how far it came; one
                that was killed goes on from there when it is asked for again.
            after: what this recipe made of a part of these histories: a model that takes long to
                learn may go on from it.
        """
        ...


LEARNT_WEIGHTS = Weights(
    similarity=0.86, popularity=0.05, genre=0.07, recency=0.01, exploration=0.01
)
"""Of models that learn from watches, whose lists are ordered alike: what `fit_weights` finds on
real histories, rounded; for histories too small to fit them on."""


@dataclass(frozen=True, slots=True)
class Learnt(Generic[Config]):
    """What recipes of models that learn from watches have in common; see `Recipe`."""

    material: Material
    config: Config
    seed: int

    @property
    def params(self) -> dict[str, Any]:
        """See `Recipe.params`."""
        return dict(msgspec.to_builtins(self.config))

    @property
    def weights(self) -> Weights:
        """See `Recipe.weights`."""
        return LEARNT_WEIGHTS


def torch_device() -> str:
    """Have torch use all cores that there are; where to fit: on a GPU when there is one."""
    # torch takes seconds and memory: only for the types that need it.
    import joblib  # noqa: PLC0415
    import torch  # noqa: PLC0415

    torch.set_num_threads(joblib.cpu_count())
    return "cuda" if torch.cuda.is_available() else "cpu"


def settled(config: Config, params: Mapping[str, Any] | None) -> Config:
    """The hyper-parameters with those of `params` in the place of the rules'.

    Raises:
        InvalidInput: one of `params` is unknown, of another type or out of its bounds.
    """
    if not params:
        return config
    known = [field.name for field in msgspec.structs.fields(config)]
    for name in params:
        if name not in known:
            choice = f"choose of {', '.join(known)}" if known else "this model has none"
            raise InvalidInput(f"There is no parameter {name}: {choice}.")
        if isinstance(params[name], float) and not isfinite(params[name]):
            raise InvalidInput(f"A parameter is not what it must be: {name} is {params[name]}.")
    try:
        return msgspec.convert(msgspec.to_builtins(config) | dict(params), type(config))
    except msgspec.ValidationError as error:
        raise InvalidInput(f"A parameter is not what it must be: {error}.") from error
