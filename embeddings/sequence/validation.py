"""Which watches tell when training is to stop, and how well they are foretold."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from embeddings.sequence.batches import Watches
from embeddings.sequence.config import SequenceConfig
from embeddings.sequence.network import Network

MOST = 4_000
"""Watches that are held out, about: with fewer chance would say when to stop."""
MOST_OF_A_USER = 10
SHARE = 0.2  # of a user's watches, but always one: the others are needed to learn from
TOP = 10
AT_ONCE = 64  # users


@dataclass(frozen=True, slots=True)
class Validation:
    """`train` is `everything` less the newest watches of `users`, `held` of each, int64 (m,)."""

    everything: Watches
    train: Watches
    users: NDArray[np.int64]
    held: NDArray[np.int64]


def hold_out(watches: Watches, longest: int, draw: np.random.Generator) -> Validation:
    """Hold out the last watch of some users with two or more; of few users, more of each.

    `longest` is how many watches are read: no more than these are held out of a user, so that one
    reading foretells them all.
    """
    sizes = np.diff(watches.offsets)
    able = np.flatnonzero(sizes > 1)
    users = np.sort(draw.permutation(able)[:MOST])
    each = min(MOST_OF_A_USER, longest, MOST // max(len(users), 1))
    held = np.clip((sizes[users] * SHARE).astype(np.int64), 1, max(each, 1))
    kept = np.ones(len(watches.rows), dtype=np.bool_)
    for back in range(int(held.max(initial=0))):
        kept[watches.offsets[users + 1][held > back] - 1 - back] = False
    before = np.concatenate([[0], np.cumsum(kept)])
    train = Watches(before[watches.offsets], watches.rows[kept], watches.weights[kept])
    return Validation(watches, train, users, held)


@torch.no_grad()
def ndcg(network: Network, validation: Validation, config: SequenceConfig) -> float:
    """NDCG@10 of the held-out watches, each ranked among all videos not watched before it.

    0 without any. Leaves the network in training.
    """
    if not len(validation.users):
        return 0.0
    network.eval()
    items = network.items()
    by_length = np.argsort(np.diff(validation.everything.offsets)[validation.users], kind="stable")
    parts = (by_length[at : at + AT_ONCE] for at in range(0, len(by_length), AT_ONCE))
    gained = sum(_gained(network, items, validation, part, config.longest) for part in parts)
    network.train()
    return gained / int(validation.held.sum())


def _gained(
    network: Network, items: torch.Tensor, of: Validation, part: NDArray[np.int64], longest: int
) -> float:
    """Sum of the gains of some users' held-out watches."""
    watches, users = of.everything, of.users[part]
    ends = watches.offsets[users + 1] - 1
    starts = np.maximum(watches.offsets[users], ends - longest)
    at = np.minimum(starts[:, None] + np.arange((ends - starts).max()), ends[:, None])
    read = network(items[torch.from_numpy(watches.rows[at])])
    user = np.repeat(np.arange(len(users)), of.held[part])
    asked = np.concatenate(
        [np.arange(end - held + 1, end + 1) for end, held in zip(ends, of.held[part], strict=True)]
    )
    scores = (read[torch.from_numpy(user), torch.from_numpy(asked - starts[user])] @ items.T).cpu()
    own = scores.gather(1, torch.from_numpy(watches.rows[asked])[:, None])
    first = watches.offsets[users][user]
    for row, begin, end in zip(scores, first.tolist(), asked.tolist(), strict=True):
        row[torch.from_numpy(watches.rows[begin:end])] = -torch.inf
    above = (scores > own).sum(dim=1)
    return float(torch.where(above < TOP, 1 / torch.log2(above + 2.0), 0.0).sum())
