import numpy as np
import pytest
from numpy.typing import NDArray

from core.hashing import hash64_many
from core.types import VideoId
from embeddings.content_model import fit_map
from embeddings.evaluate import evaluate
from embeddings.items import ItemVectors, item_vectors, normalised
from embeddings.split import leave_last_out
from embeddings.user_encoder import DecayedMean
from tests.unit.test_evaluate import histories

pytestmark = pytest.mark.unit

TASTES, EACH, DIM = 5, 40, 64


def _ids() -> list[VideoId]:
    return [VideoId(str(n)) for n in range(TASTES * EACH)]


def fit_items(ids: list[VideoId], content: NDArray[np.float32], dimensions: int) -> ItemVectors:
    return item_vectors(ids, fit_map(content, dimensions)(content))


def test_taking_the_mean_away_parts_the_tastes() -> None:
    rng = np.random.default_rng(1)
    shared, tastes = rng.normal(size=DIM) * 3, rng.normal(size=(TASTES, DIM))
    content = (shared + np.repeat(tastes, EACH, axis=0)).astype(np.float32)
    content += rng.normal(size=content.shape).astype(np.float32) * 0.2
    before = item_vectors(_ids(), normalised(content))
    items = fit_items(_ids(), content, dimensions=16)
    taste = np.repeat(np.arange(TASTES), EACH)
    for vectors, parted in ((before, False), (items, True)):
        own = np.stack([vectors.take([id_])[0][0] for id_ in _ids()])
        cosines = own @ own.T
        alike = cosines[taste[:, None] == taste].mean()
        apart = cosines[taste[:, None] != taste].mean()
        assert bool(apart < 0.1) is parted
        assert alike > 0.8
    assert items.dim == 16
    np.testing.assert_allclose(np.linalg.norm(items.vectors, axis=1), 1, rtol=1e-5)


def test_users_of_one_taste_get_more_of_it() -> None:
    rng = np.random.default_rng(1)
    taste_of = np.repeat(np.arange(TASTES), EACH)
    content = rng.normal(size=(TASTES, DIM))[taste_of]
    content += rng.normal(size=content.shape) * 0.2
    items = fit_items(_ids(), content.astype(np.float32), dimensions=16)
    row_of = {
        int(id_): int(row) for id_, row in zip(_ids(), items.rows(hash64_many(_ids())), strict=True)
    }
    users = [
        [row_of[taste * EACH + at] for at in rng.permutation(EACH)[:33].tolist()]
        for taste in range(TASTES)
        for _ in range(10)
    ]
    metrics = evaluate(
        leave_last_out(histories(*users), seed=0), items.vectors, DecayedMean(3), 200
    )
    # Eight of the taste are left; knowing the taste puts all of them into the first ten.
    assert metrics["recall@10"] > 0.95


def test_poor_texts_give_shorter_vectors() -> None:
    content = np.random.default_rng(0).normal(size=(6, DIM)).astype(np.float32)
    assert fit_items(_ids()[:6], content, dimensions=128).dim == 5  # six points span five axes
    same = np.ones((6, DIM), dtype=np.float32)
    assert fit_items(_ids()[:6], same, dimensions=128).dim == 1


def test_equal_data_gives_equal_vectors() -> None:
    content = np.random.default_rng(0).normal(size=(30, DIM)).astype(np.float32)
    once, again = (fit_items(_ids()[:30], content, 8) for _ in range(2))
    assert once.vectors.tobytes() == again.vectors.tobytes()
