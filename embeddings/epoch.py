"""How a training went, epoch by epoch."""

import msgspec


class Epoch(msgspec.Struct, frozen=True):
    """One epoch: its number from 1, seconds of learning up to its end, mean loss, nDCG@10.

    `ndcg` is of the watches that the training holds out for itself; None once they are learnt from.
    """

    number: int = msgspec.field(name="epoch")
    seconds: float
    loss: float
    ndcg: float | None
