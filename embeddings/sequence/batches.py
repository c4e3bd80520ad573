"""Histories as batches of like length, so that little of them is padding."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from embeddings.dataset import Histories
from embeddings.sequence.config import SequenceConfig

JITTER = 0.2  # of a length, in sorting: batches differ from epoch to epoch


@dataclass(frozen=True, slots=True)
class Watches:
    """What is learnt from: watches that say something, user by user, oldest first.

    User u's are `rows[offsets[u]:offsets[u + 1]]`, int64, with float32 `weights` above 0 beside.
    """

    offsets: NDArray[np.int64]
    rows: NDArray[np.int64]
    weights: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Batch:
    """b pieces of histories.

    `rows` int64 (b, length) · `weights` float32 (b, length), 0 where a piece is shorter.
    """

    rows: torch.Tensor
    weights: torch.Tensor

    def to(self, device: str) -> "Batch":
        """The same on a device of torch."""
        return Batch(self.rows.to(device), self.weights.to(device))


def watches_of(histories: Histories) -> Watches:
    """The watches that weigh something."""
    says = histories.weights > 0
    before = np.concatenate([[0], np.cumsum(says)])
    return Watches(
        offsets=before[histories.offsets].astype(np.int64),
        rows=histories.rows[says].astype(np.int64),
        weights=histories.weights[says],
    )


def batches(watches: Watches, config: SequenceConfig, draw: np.random.Generator) -> Iterator[Batch]:
    """Every watch once, in batches of at most `config.batch_positions` with their padding.

    A history longer than `config.longest` comes in pieces, cut elsewhere each time.
    """
    starts, lengths = _pieces(watches.offsets, config.longest, draw)
    order = np.argsort(lengths * (1 + JITTER * draw.random(len(lengths))), kind="stable")
    parts = _parts(lengths[order] + 1, config.batch_positions)
    for at in draw.permutation(len(parts)).tolist():
        part = order[parts[at]]
        yield _batch(watches, starts[part], lengths[part])


def _pieces(
    offsets: NDArray[np.int64], longest: int, draw: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where pieces start and how long they are, each int64 (p,)."""
    sizes = np.diff(offsets)
    # Of a long history the first piece has any length, so that the cuts move.
    first = np.where(sizes > longest, draw.integers(1, longest + 1, len(sizes)), sizes)
    more = -(-(sizes - first) // longest)
    users = np.repeat(np.arange(len(sizes)), (sizes > 0) + more)
    number = np.arange(len(users)) - np.searchsorted(users, users)
    begins = np.where(number == 0, 0, first[users] + (number - 1) * longest)
    ends = np.minimum(first[users] + number * longest, sizes[users])
    return offsets[users] + begins, ends - begins


def _parts(lengths: NDArray[np.int64], positions: int) -> list[slice]:
    """Runs of pieces whose number times the longest is at most `positions`, or one alone."""
    parts, start, longest = [], 0, 0
    for at, length in enumerate(lengths.tolist()):
        longest = max(longest, length)
        if at > start and (at + 1 - start) * longest > positions:
            parts.append(slice(start, at))
            start, longest = at, length
    if len(lengths):
        parts.append(slice(start, len(lengths)))
    return parts


def _batch(watches: Watches, starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> Batch:
    places = np.arange(lengths.max())
    real = places < lengths[:, None]
    at = np.where(real, starts[:, None] + places, starts[:, None])
    weights = np.where(real, watches.weights[at], np.float32(0))
    return Batch(torch.from_numpy(watches.rows[at]), torch.from_numpy(weights))
