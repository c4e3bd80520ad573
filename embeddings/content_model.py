"""The `content` model: videos are near each other when their texts say alike."""

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from core.types import VideoId, Weights
from embeddings.dataset import Histories
from embeddings.items import ItemVectors, item_vectors, normalised
from embeddings.user_encoder import DecayedMean


class ContentConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Hyper-parameters; why these: `docs/decisions/0007-content-model.md`."""

    dimensions: int = 128
    """Length of an item vector, at most: fewer videos, or poorer texts, give shorter ones."""
    half_life: float = 3.0
    """Watches after which one counts half in the user's vector; see `DecayedMean`."""
    recent: int = 200
    """Newest watches that make a user's vector, as `UPNEXT_STATE_RECENT`."""
    weights: Weights = Weights(
        similarity=0.60, popularity=0.30, genre=0.03, recency=0.05, exploration=0.02
    )
    """Weights of the blend."""


def fit_items(ids: Sequence[VideoId], content: NDArray[np.float32], dimensions: int) -> ItemVectors:
    """Item vectors from text vectors, float32 (n, c).

    Texts have most of their vector in common, so that every mean of a few resembles every other:
    what they share (the mean) is taken away, and the `dimensions` principal components kept.
    """
    centred = content - content.mean(axis=0, dtype=np.float64).astype(np.float32)
    covariance = centred.T.astype(np.float64) @ centred / len(content)
    values, axes = np.linalg.eigh(covariance)
    rank = int((values > values[-1] * 1e-9).sum()) if values[-1] > 0 else 1
    best = axes[:, ::-1][:, : max(1, min(dimensions, rank))].astype(np.float32)
    return item_vectors(ids, centred @ best)


def user_vectors(
    histories: Histories, items: NDArray[np.float32], encoder: DecayedMean, recent: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The vectors that `encoder` gives the users, all at once.

    Args:
        histories: their `rows` are rows of `items`.
        items: float32 (n, d).
        encoder: of the same version as `items`.
        recent: how many of a user's newest watches in `histories` count.

    Returns:
        float32 (m, d) L2-normalised and int64 (m,), which users they are: those that have one.
    """
    made = np.zeros((len(histories.users), items.shape[1]), dtype=np.float32)
    for user in range(len(made)):
        end = int(histories.offsets[user + 1])
        start = max(int(histories.offsets[user]), end - recent)
        decay = encoder.decay(end - start)[::-1]
        made[user] = (histories.weights[start:end] * decay) @ items[histories.rows[start:end]]
    has = np.flatnonzero(np.linalg.norm(made, axis=1) > 0)
    return normalised(made[has]), has
