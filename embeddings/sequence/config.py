"""Hyper-parameters of the sequence model; `rules.defaults` chooses them from the data's size."""

from typing import Annotated

import msgspec

Count = Annotated[int, msgspec.Meta(ge=1)]


class SequenceConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A causal transformer over a user's history, trained to tell each next video.

    Kang, McAuley, *Self-Attentive Sequential Recommendation* (ICDM 2018).
    """

    dimensions: Annotated[int, msgspec.Meta(ge=1, le=4_096)] = 128
    """d, the length of a vector, at most 4,096; `heads` share it evenly."""
    layers: Count = 2
    heads: Count = 2
    longest: Count = 200
    """How many of the newest watches are read."""
    dropout: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.2
    negatives: Count | None = None
    """Videos drawn beside each batch's own for the softmax; None: the whole catalogue."""
    learning_rate: Annotated[float, msgspec.Meta(gt=0)] = 2e-3
    batch_positions: Count = 1_024
    """Watches of a step with their padding, at most."""
    epochs: Count = 100
    """Passes over all histories, at most."""
    patience: Count = 6
    """Epochs without a better nDCG@10 on the validation watches after which training cools down."""
    cooling: Annotated[float, msgspec.Meta(ge=0)] = 0.25
    """Epochs of cooling down, as a share of those up to the best."""

    def __post_init__(self) -> None:
        """Raises `ValueError`: the heads cannot share a vector."""
        if self.dimensions % self.heads:
            raise ValueError(f"{self.heads} heads cannot share {self.dimensions} dimensions evenly")
