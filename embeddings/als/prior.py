"""The content prior: where a video's text says that its vector should be."""

import numpy as np
import torch
from numpy.typing import NDArray


class ContentPrior:
    """A ridge regression from text vectors to item vectors, fitted anew in each iteration.

    `mapped` float32 (n, d) is what the last fit says of every video, None before the first.
    """

    def __init__(
        self, content: NDArray[np.float32], weights: torch.Tensor, ridge: float, device: str
    ) -> None:
        """Prepare the normal equations once.

        Args:
            content: text vectors, float32 (n, c).
            weights: float32 (n,), how much each video counts in the fit; 0: not at all.
            ridge: as in `AlsConfig`.
            device: of torch.
        """
        self._mean = content.mean(axis=0, dtype=np.float64).astype(np.float32)
        centred = torch.from_numpy(content - self._mean).to(device)
        self._texts = torch.cat([centred, torch.ones_like(centred[:, :1])], dim=1)
        self._weights = weights[:, None] / weights.sum().clamp(min=1e-12) * (weights > 0).sum()
        penalty = torch.full((self._texts.shape[1],), ridge, device=device, dtype=torch.float64)
        penalty[-1] = 1e-3  # the offset is free; this only keeps a fit of nothing solvable
        normal = (self._texts.T @ (self._texts * self._weights)).double() + torch.diag(penalty)
        self._factor = torch.linalg.cholesky(normal)
        self._matrix = torch.zeros(0, device=device)
        self.mapped: torch.Tensor | None = None

    def fit(self, items: torch.Tensor) -> torch.Tensor:
        """Fit to item vectors, float32 (n, d); returns the new `mapped`."""
        right = (self._texts.T @ (items * self._weights)).double()
        self._matrix = torch.cholesky_solve(right, self._factor).float()
        self.mapped = self._texts @ self._matrix
        return self.mapped

    def matrix(self) -> NDArray[np.float32]:
        """The last fit as `ContentMap` takes it, float32 (c + 1, d), the offset last."""
        matrix = self._matrix.cpu().numpy()
        made: NDArray[np.float32] = np.vstack([matrix[:-1], matrix[-1] - self._mean @ matrix[:-1]])
        return made
