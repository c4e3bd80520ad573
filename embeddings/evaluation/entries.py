"""Where the entries of several users lie in arrays that hold those of all, one user's together."""

import numpy as np
from numpy.typing import NDArray


def entries_of(
    offsets: NDArray[np.int64], users: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The entries of these users, one user after the other.

    Args:
        offsets: user u's are `offsets[u]:offsets[u + 1]`, int64 (all users + 1,).
        users: int64 (b,); one may come twice.

    Returns:
        Of each entry the position in `users` and the place in the arrays, both int64 (k,).
    """
    starts, counts = offsets[users], offsets[users + 1] - offsets[users]
    owners = np.repeat(np.arange(len(users)), counts)
    before = np.cumsum(counts) - counts
    return owners, np.arange(len(owners)) + (starts - before)[owners]


def offsets_of(owners: NDArray[np.int64], users: int) -> NDArray[np.int64]:
    """Offsets, int64 (users + 1,), of entries sorted by owner, int64 (k,)."""
    return np.concatenate([[0], np.cumsum(np.bincount(owners, minlength=users))]).astype(np.int64)
