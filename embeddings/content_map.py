"""From a text's vector to an item vector: how a video without watches enters a version."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embeddings.items import normalised


@dataclass(frozen=True, slots=True)
class ContentMap:
    """An affine map; `matrix` float32 (c + 1, d), its last row the offset.

    With `normalise` the images are L2-normalised, as the item vectors of such a version are.
    """

    matrix: NDArray[np.float32]
    normalise: bool

    def __call__(self, content: NDArray[np.float32]) -> NDArray[np.float32]:
        """Item vectors, float32 (n, d), of text vectors (n, c)."""
        mapped: NDArray[np.float32] = content @ self.matrix[:-1] + self.matrix[-1]
        return normalised(mapped) if self.normalise else mapped
