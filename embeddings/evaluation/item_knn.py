"""Item-kNN: videos near those a user watched, by who watched both. A baseline, scipy only."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from embeddings.dataset import Histories
from embeddings.evaluation.entries import entries_of, offsets_of
from embeddings.evaluation.scorers import for_everybody

NUMBERS_AT_ONCE = 5_000_000
NEIGHBOURS = 500
SHRINK = 10.0


@dataclass(frozen=True, slots=True)
class ItemKnnScorer:
    """A video's score is the sum of its similarities to what the user watched.

    `similar` float32 sparse (n, n), row i the neighbours of video i · `watches` int32 (n,), the
    score for users without a history.
    """

    similar: sparse.csr_array
    watches: NDArray[np.int32]

    def scores(self, histories: Histories, users: NDArray[np.int64]) -> NDArray[np.float32]:
        """See `Scorer.scores`."""
        watched = _incidence(histories, users, len(self.watches))
        table: NDArray[np.float32] = (watched @ self.similar).toarray()
        strangers = np.diff(watched.indptr) == 0
        table[strangers] = for_everybody(self.watches, int(strangers.sum()))
        return table


def fit(
    histories: Histories, videos: int, *, neighbours: int = NEIGHBOURS, shrink: float = SHRINK
) -> ItemKnnScorer:
    """Count who watched what together; no randomness.

    The similarity of i and j is `both / (sqrt(users of i * users of j) + shrink)`: the cosine of
    their columns of users, held back where few watched them. Sarwar, Karypis, Konstan, Riedl,
    *Item-Based Collaborative Filtering Recommendation Algorithms* (WWW 2001), with the shrinkage
    of Ferrari Dacrema, Cremonesi, Jannach, *Are We Really Making Much Progress?* (RecSys 2019).
    A watch counts as one when its weight is above 0, whatever it is.

    Args:
        histories: rows are 0..videos - 1.
        videos: n, how many there are.
        neighbours: of each video the most similar are kept, 1 and up.
        shrink: 0 and up.
    """
    everybody = np.arange(len(histories.offsets) - 1)
    watched = _incidence(histories, everybody, videos)
    by_video = watched.T.tocsr()
    roots = np.sqrt(np.diff(by_video.indptr)).astype(np.float32)
    step = max(1, NUMBERS_AT_ONCE // max(1, videos))
    parts = [sparse.csr_array((0, videos), dtype=np.float32)]
    for start in range(0, videos, step):
        both = (by_video[start : start + step] @ watched).tocoo()
        rows, columns = both.coords[0] + start, both.coords[1]
        similarity = both.data / (roots[rows] * roots[columns] + np.float32(shrink))
        other = rows != columns  # nothing is a neighbour of itself
        place = (similarity[other], (rows[other] - start, columns[other]))
        parts.append(_nearest(sparse.csr_array(place, shape=both.shape), neighbours))
    return ItemKnnScorer(sparse.vstack(parts, format="csr"), histories.watches(videos))


def _nearest(similar: sparse.csr_array, neighbours: int) -> sparse.csr_array:
    """The highest of each row."""
    kept = np.ones(similar.nnz, dtype=np.bool_)
    for row in np.flatnonzero(np.diff(similar.indptr) > neighbours).tolist():
        own = slice(similar.indptr[row], similar.indptr[row + 1])
        kept[own] = False
        kept[own.start + np.argpartition(-similar.data[own], neighbours - 1)[:neighbours]] = True
    owners = np.repeat(np.arange(similar.shape[0]), np.diff(similar.indptr))[kept]
    offsets = offsets_of(owners, similar.shape[0])
    return sparse.csr_array(
        (similar.data[kept], similar.indices[kept], offsets), shape=similar.shape
    )


def _incidence(histories: Histories, users: NDArray[np.int64], videos: int) -> sparse.csr_array:
    """Who of these watched what, float32 (b, videos), 1 where a watch says anything."""
    owners, places = entries_of(histories.offsets, users)
    says = histories.weights[places] > 0
    owners, places = owners[says], places[says]
    ones = np.ones(len(places), dtype=np.float32)
    offsets = offsets_of(owners, len(users))
    shape = (len(users), videos)
    return sparse.csr_array((ones, histories.rows[places], offsets), shape=shape)
