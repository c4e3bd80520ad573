"""The vectors that a version's encoder gives to users as training knows them."""

import numpy as np
from numpy.typing import NDArray

from embeddings.dataset import Histories
from embeddings.user_encoder import UserEncoder


def user_vectors(
    histories: Histories,
    items: NDArray[np.float32],
    encoder: UserEncoder,
    recent: int,
    users: NDArray[np.int64] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The vectors that `encoder` gives users, the same as online.

    Args:
        histories: their `rows` are rows of `items`.
        items: float32 (n, d).
        encoder: of the same version as `items`.
        recent: how many of a user's newest watches in `histories` count.
        users: which users, int64 (m,); None: all of them.

    Returns:
        float32 (k, d) and int64 (k,), which of the m users they are: those that have a vector.
    """
    asked = np.arange(len(histories.users)) if users is None else users
    made = np.zeros((len(asked), items.shape[1]), dtype=np.float32)
    has = np.zeros(len(asked), dtype=np.bool_)
    for at, user in enumerate(asked.tolist()):
        own = histories.of(user)
        newest = np.arange(own.start, own.stop)[-recent:][::-1]
        vector = encoder.encode(items[histories.rows[newest]], histories.weights[newest])
        if vector is not None:
            made[at], has[at] = vector, True
    # A copy of millions of vectors would be as large again, and nearly all users have one.
    return made if has.all() else made[has], np.flatnonzero(has)
