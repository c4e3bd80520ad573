"""Hyper-parameters of the sequence model; `rules.defaults` chooses them from the data's size."""

import msgspec


class SequenceConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A causal transformer over a user's history, trained to tell each next video.

    Kang, McAuley, *Self-Attentive Sequential Recommendation* (ICDM 2018).
    """

    dimensions: int = 128
    """d, the length of a vector."""
    layers: int = 2
    heads: int = 2
    longest: int = 200
    """How many of the newest watches are read."""
    dropout: float = 0.2
    negatives: int | None = None
    """Videos drawn beside each batch's own for the softmax; None: the whole catalogue."""
    learning_rate: float = 2e-3
    batch_positions: int = 1_024
    """Watches of a step with their padding, at most."""
    epochs: int = 100
    """Passes over all histories, at most."""
    patience: int = 6
    """Epochs without a better nDCG@10 on the validation watches after which training cools down."""
    cooling: float = 0.25
    """Epochs of cooling down, as a share of those up to the best."""
