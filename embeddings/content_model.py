"""The `content` model: videos are near each other when their texts say alike."""

from typing import Annotated

import msgspec
import numpy as np
from numpy.typing import NDArray

from core.types import Weights
from embeddings.content_map import ContentMap


class ContentConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Hyper-parameters; why these: `docs/decisions/0007-content-model.md`."""

    dimensions: Annotated[int, msgspec.Meta(ge=1)] = 128
    """Length of an item vector, at most: fewer videos, or poorer texts, give shorter ones."""
    half_life: Annotated[float, msgspec.Meta(gt=0)] = 2.0
    """Watches after which one counts half in the user's vector; see `DecayedMean`."""
    lasting: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.06
    """What a watch keeps in the user's vector however old it is, 0 to 1."""
    weights: Weights = Weights(
        similarity=0.60, popularity=0.30, genre=0.03, recency=0.05, exploration=0.02
    )
    """Weights of the blend."""


def fit_map(content: NDArray[np.float32], dimensions: int) -> ContentMap:
    """The map from text vectors, float32 (n, c), to the item vectors of this model.

    Texts have most of their vector in common, so that every mean of a few resembles every other:
    what they share (the mean) is taken away, and the `dimensions` principal components kept.
    """
    mean = content.mean(axis=0, dtype=np.float64)
    centred = content - mean.astype(np.float32)
    covariance = centred.T.astype(np.float64) @ centred / len(content)
    values, axes = np.linalg.eigh(covariance)
    rank = int((values > values[-1] * 1e-9).sum()) if values[-1] > 0 else 1
    best = axes[:, ::-1][:, : max(1, min(dimensions, rank))]
    return ContentMap(np.vstack([best, -mean @ best]).astype(np.float32), normalise=True)
