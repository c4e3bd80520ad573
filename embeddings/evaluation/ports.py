"""What an evaluation asks of a model, however it was made."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from embeddings.dataset import Histories


class Scorer(Protocol):
    """A fitted model that scores every video for users it may never have met."""

    def scores(self, histories: Histories, users: NDArray[np.int64]) -> NDArray[np.float32]:
        """Scores of all n videos, the higher the better; equal ones are ties.

        Watched videos are scored like any other: who ranks leaves them out.

        Args:
            histories: what is known of users at that moment; rows are those that were fitted.
            users: which of them, int64 (b,); one without a history gets what a stranger gets.

        Returns:
            float32 (b, n), the caller's to change.
        """
        ...
