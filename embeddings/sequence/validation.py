"""Which watches tell when training is to stop, and how well they are foretold."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from embeddings.sequence.batches import Watches
from embeddings.sequence.config import SequenceConfig
from embeddings.sequence.network import Network

MOST_USERS = 4_000
SHARE = 0.5  # of the users, at most: the rest of a small history is needed to learn from
TOP = 10
AT_ONCE = 64  # users


@dataclass(frozen=True, slots=True)
class Validation:
    """`train` is what is learnt from; `users` int64 (m,) had their last watch taken from it.

    `everything` has it still.
    """

    everything: Watches
    train: Watches
    users: NDArray[np.int64]


def hold_out(watches: Watches, draw: np.random.Generator) -> Validation:
    """Hold out the last watch of some users with two or more."""
    able = np.flatnonzero(np.diff(watches.offsets) > 1)
    most = min(MOST_USERS, int(np.ceil(len(able) * SHARE)))
    users = np.sort(draw.permutation(able)[:most])
    kept = np.ones(len(watches.rows), dtype=np.bool_)
    kept[watches.offsets[users + 1] - 1] = False
    before = np.concatenate([[0], np.cumsum(kept)])
    train = Watches(before[watches.offsets], watches.rows[kept], watches.weights[kept])
    return Validation(watches, train, users)


@torch.no_grad()
def ndcg(network: Network, validation: Validation, config: SequenceConfig) -> float:
    """NDCG@10 of the held-out watches, ranked among all videos not watched before.

    0 without any. Leaves the network in training.
    """
    if not len(validation.users):
        return 0.0
    network.eval()
    items = network.items()
    by_length = validation.users[np.argsort(_lengths(validation), kind="stable")]
    parts = (by_length[at : at + AT_ONCE] for at in range(0, len(by_length), AT_ONCE))
    gained = sum(_gained(network, items, validation, part, config.longest) for part in parts)
    network.train()
    return gained / len(by_length)


def _lengths(validation: Validation) -> NDArray[np.int64]:
    return np.diff(validation.everything.offsets)[validation.users]


def _gained(
    network: Network, items: torch.Tensor, of: Validation, users: NDArray[np.int64], longest: int
) -> float:
    watches = of.everything
    ends = watches.offsets[users + 1] - 1
    starts = np.maximum(watches.offsets[users], ends - longest)
    lengths = ends - starts
    places = np.arange(lengths.max())
    at = np.minimum(starts[:, None] + places, ends[:, None])
    read = network(items[torch.from_numpy(watches.rows[at])])
    scores = (read[torch.arange(len(users)), torch.from_numpy(lengths)] @ items.T).cpu()
    targets = torch.from_numpy(watches.rows[ends])
    own = scores.gather(1, targets[:, None])
    for row, user, end in zip(scores, users.tolist(), ends.tolist(), strict=True):
        row[torch.from_numpy(watches.rows[watches.offsets[user] : end])] = -torch.inf
    above = (scores > own).sum(dim=1)
    return float(torch.where(above < TOP, 1 / torch.log2(above + 2.0), 0.0).sum())
