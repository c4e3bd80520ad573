"""The loss: how surprising each next video is."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from embeddings.sequence.batches import Batch
from embeddings.sequence.network import FORBIDDEN, Network


def surprise(network: Network, batch: Batch, negatives: int | None) -> Tensor:
    """Mean cross-entropy of the watches, each counting as much as it weighs.

    Args:
        network: in training.
        batch: what is read and to be told.
        negatives: how many videos, drawn evenly for the whole batch, stand for the catalogue;
            None: the whole catalogue.
    """
    real = batch.weights > 0
    told, weights = batch.rows[real], batch.weights[real]
    if negatives is None:
        items = network.items()
        users = network(items[batch.rows])[:, :-1][real]
        losses = functional.cross_entropy(users @ items.T, told, reduction="none")
    else:
        losses = _sampled(network, batch, real, negatives)
    return (losses * weights).sum() / weights.sum()


def _sampled(network: Network, batch: Batch, real: Tensor, negatives: int) -> Tensor:
    """The softmax over what is watched and `negatives` others that stand for all n.

    Each of those is worth n / negatives, which makes the sum of exponents right on average
    (Bengio, Senecal, *Adaptive Importance Sampling to Accelerate Training of a Neural Probabilistic
    Language Model*, IEEE Transactions on Neural Networks 19(4), 2008).
    """
    videos = len(network.ids)
    own, place = torch.unique(batch.rows, return_inverse=True)
    drawn = torch.randint(videos, (negatives,), device=own.device)
    items = network.items(torch.cat([own, drawn]))
    users = network(items[place])[:, :-1][real]
    told = (users * items[place[real]]).sum(dim=-1, keepdim=True)
    others = users @ items[len(own) :].T + math.log(videos / negatives)
    others = others.masked_fill(batch.rows[real][:, None] == drawn, FORBIDDEN)
    logits = torch.cat([told, others], dim=1)
    return functional.cross_entropy(logits, torch.zeros_like(place[real]), reduction="none")
