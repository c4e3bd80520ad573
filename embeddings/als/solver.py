"""One half of an iteration: with one side's vectors fixed, the other's are a ridge regression each.

In the eigenbasis of the fixed side's Gram matrix, "all pairs" and penalty are diagonal. A row with
fewer entries than factors is then solved in its entries (the Woodbury identity: Golub, Van Loan,
*Matrix Computations*, 2.1.4), a longer one in its factors; both by Cholesky.
"""

from collections.abc import Sequence

import torch

from embeddings.als.blocks import CELLS, Block


def solve_rows(
    blocks: Sequence[Block],
    fixed: torch.Tensor,
    penalties: torch.Tensor,
    unobserved: float,
    prior: torch.Tensor | None = None,
) -> torch.Tensor:
    """The vectors that minimise the loss of `AlsConfig` while `fixed` stay.

    Args:
        blocks: the rows' watches, their columns rows of `fixed`.
        fixed: float32 (n, d).
        penalties: float32 (m,), above 0.
        unobserved: as in `AlsConfig`.
        prior: float32 (m, d), what the rows are drawn to; None: zeros.

    Returns:
        float32 (m, d).
    """
    values, basis = torch.linalg.eigh((fixed.T @ fixed).double())
    spread = unobserved * values.clamp(min=0).float()
    turn = basis.float()
    turned = fixed @ turn
    solved = torch.zeros(len(penalties), fixed.shape[1], device=fixed.device)
    if prior is not None:  # m x d numbers again, of which users have none
        scale = penalties[:, None] / (spread + penalties[:, None])
        solved += scale * (prior @ turn)
    for block in blocks:
        diagonal = spread + penalties[block.rows, None]
        solve = _in_entries if block.columns.shape[1] <= fixed.shape[1] else _in_factors
        solved[block.rows] += solve(block, turned, diagonal, solved[block.rows])
    for part in torch.split(solved, max(1, CELLS // fixed.shape[1])):  # one more copy is large
        part.copy_(part @ turn.T)
    return solved


def _in_entries(
    block: Block, turned: torch.Tensor, diagonal: torch.Tensor, base: torch.Tensor
) -> torch.Tensor:
    """What the entries add to `base`: x = D^-1 A^T (I + A D^-1 A^T)^-1 (roots - A base)."""
    entries = turned[block.columns] * block.roots[:, :, None]
    residual = block.roots - (entries @ base[:, :, None])[:, :, 0]
    scaled = entries * diagonal.rsqrt()[:, None]
    kernel = scaled @ scaled.mT
    kernel.diagonal(dim1=1, dim2=2).add_(1.0)
    dual = torch.cholesky_solve(residual[:, :, None], torch.linalg.cholesky(kernel))
    return (entries.mT @ dual)[:, :, 0] / diagonal


def _in_factors(
    block: Block, turned: torch.Tensor, diagonal: torch.Tensor, base: torch.Tensor
) -> torch.Tensor:
    """What the entries add to `base`: x = (D + A^T A)^-1 A^T (roots - A base)."""
    normal = torch.diag_embed(diagonal)
    right = torch.zeros_like(diagonal)
    step = max(1, CELLS // (len(block.rows) * turned.shape[1]))
    # What gathers around a video that everyone watched need not fit in memory at once.
    pieces = zip(
        torch.split(block.columns, step, 1), torch.split(block.roots, step, 1), strict=True
    )
    for columns, roots in pieces:
        entries = turned[columns] * roots[:, :, None]
        residual = roots - (entries @ base[:, :, None])[:, :, 0]
        normal += entries.mT @ entries
        right += (entries.mT @ residual[:, :, None])[:, :, 0]
    return torch.cholesky_solve(right[:, :, None], torch.linalg.cholesky(normal))[:, :, 0]
