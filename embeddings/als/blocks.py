"""Rows of a sparse matrix in padded blocks of like length, which is what batched algebra needs."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

CELLS = 2_000_000  # numbers gathered at a time: more would leave the cache and gain nothing
SLACK = 1.25  # the longest row of a block to its shortest


@dataclass(frozen=True, slots=True)
class Sparse:
    """Rows: row r has `columns[offsets[r]:offsets[r + 1]]`, int32, with float32 `weights` > 0."""

    offsets: NDArray[np.int64]
    columns: NDArray[np.int32]
    weights: NDArray[np.float32]

    @property
    def counts(self) -> NDArray[np.int64]:
        """Length of each row, int64 (m,)."""
        return np.diff(self.offsets)

    def transposed(self, columns: int) -> "Sparse":
        """The same matrix by its columns, of which there are so many."""
        order = np.argsort(self.columns, kind="stable")
        rows = np.repeat(np.arange(len(self.counts), dtype=np.int32), self.counts)
        counts = np.bincount(self.columns, minlength=columns)
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return Sparse(offsets, rows[order], self.weights[order])


@dataclass(frozen=True, slots=True)
class Block:
    """b rows of up to L entries each.

    `rows` int64 (b,), where they are in the matrix · `columns` int32 (b, L) · `roots` float32
    (b, L), square roots of the weights, 0 where a row is shorter than L.
    """

    rows: torch.Tensor
    columns: torch.Tensor
    roots: torch.Tensor


def blocks(matrix: Sparse, factors: int, device: str) -> list[Block]:
    """All rows that have entries, by length; a block gathers about `CELLS` numbers at most."""
    counts = matrix.counts
    order = np.argsort(counts, kind="stable")
    order = order[counts[order] > 0]
    lengths = counts[order]
    made = []
    start = 0
    while start < len(order):
        end = _end(lengths, start, factors)
        made.append(_block(matrix, order[start:end], device))
        start = end
    return made


def _end(lengths: NDArray[np.int64], start: int, factors: int) -> int:
    shortest = int(lengths[start])
    longest = max(shortest, int(shortest * SLACK))
    if shortest <= factors:  # long rows are solved in another way: none beside short ones
        longest = min(longest, factors)
    end = int(np.searchsorted(lengths, longest, side="right"))
    return min(end, start + max(1, CELLS // (longest * factors)))


def _block(matrix: Sparse, rows: NDArray[np.int64], device: str) -> Block:
    starts, counts = matrix.offsets[rows], matrix.counts[rows]
    places = np.arange(counts.max())
    real = places < counts[:, None]
    at = np.where(real, starts[:, None] + places, starts[:, None])
    roots = np.where(real, np.sqrt(matrix.weights[at]), np.float32(0))
    return Block(
        torch.from_numpy(rows).to(device),
        torch.from_numpy(matrix.columns[at]).to(device),
        torch.from_numpy(roots).to(device),
    )
