from datetime import timedelta

import numpy as np
import pytest

from core.clock import EPOCH
from core.hashing import hash64_many
from core.types import UserId, VideoId, Watch
from embeddings.dataset import Histories
from embeddings.encode_users import user_vectors
from embeddings.items import item_vectors
from embeddings.user_encoder import DecayedMean, user_vector

pytestmark = pytest.mark.unit

X, Y, Z = VideoId("x"), VideoId("y"), VideoId("z")
ITEMS = item_vectors([X, Y, Z], np.eye(3, dtype=np.float32))
ENCODER = DecayedMean(half_life=1.0)


def watched(*pairs: tuple[VideoId, float]) -> list[Watch]:
    return [
        Watch(id_, EPOCH - timedelta(days=at), weight) for at, (id_, weight) in enumerate(pairs)
    ]


def test_each_watch_weighs_half_of_the_next_newer_one() -> None:
    vector = user_vector(ENCODER, watched((X, 1.0), (Y, 1.0), (Z, 1.0)), ITEMS)
    assert vector is not None
    # 1 : 1/2 : 1/4, divided by its norm sqrt(21) / 4
    rows = {id_: ITEMS.take([id_])[0][0] for id_ in (X, Y, Z)}
    for id_, expected in ((X, 4), (Y, 2), (Z, 1)):
        assert float(vector @ rows[id_]) == pytest.approx(expected / 21**0.5, rel=1e-6)


def test_what_lasts_of_a_watch_does_not_fade() -> None:
    decay = DecayedMean(half_life=1.0, lasting=0.1).decay(60)
    assert decay[:2] == pytest.approx([1.0, 0.1 + 0.9 / 2])
    assert decay[-1] == pytest.approx(0.1)
    assert decay.dtype == np.float32


def test_what_a_watch_says_counts_by_its_weight() -> None:
    vector = user_vector(ENCODER, watched((X, 0.25), (Y, 1.0)), ITEMS)
    assert vector is not None
    x, y = (float(vector @ ITEMS.take([id_])[0][0]) for id_ in (X, Y))
    assert x / y == pytest.approx(0.5, rel=1e-6)


def test_an_unknown_video_takes_no_place_in_the_decay() -> None:
    with_unknown = user_vector(ENCODER, watched((X, 1.0), (VideoId("?"), 1.0), (Y, 1.0)), ITEMS)
    assert with_unknown is not None
    x, y = (float(with_unknown @ ITEMS.take([id_])[0][0]) for id_ in (X, Y))
    assert x / y == pytest.approx(2.0, rel=1e-6)


@pytest.mark.parametrize("recent", [[], watched((VideoId("?"), 1.0)), watched((X, 0.0))])
def test_nothing_known_gives_no_vector(recent: list[Watch]) -> None:
    assert user_vector(ENCODER, recent, ITEMS) is None


def test_training_and_serving_give_users_the_same_vectors() -> None:
    rng = np.random.default_rng(3)
    ids = [VideoId(str(n)) for n in range(50)]
    items = item_vectors(ids, rng.normal(size=(50, 8)).astype(np.float32))
    by_row = sorted(ids, key=lambda id_: int(items.rows(hash64_many([id_]))[0]))
    lengths = [1, 5, 40, 0, 12]
    rows = np.concatenate([rng.permutation(50)[:n] for n in lengths]).astype(np.int32)
    weights = rng.random(len(rows)).astype(np.float32)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    users = [UserId(str(n)) for n in range(5)]
    histories = Histories(users, offsets, rows, weights, np.zeros(len(rows)), len(rows), None, None)
    encoder, recent = DecayedMean(half_life=3.0), 10
    vectors, has = user_vectors(histories, items.vectors, encoder, recent)
    assert has.tolist() == [0, 1, 2, 4]
    for vector, user in zip(vectors, has, strict=True):
        own = range(offsets[user], offsets[user + 1])[::-1][:recent]
        state = [Watch(by_row[rows[at]], EPOCH, float(weights[at])) for at in own]
        served = user_vector(encoder, state, items)
        assert served is not None
        np.testing.assert_allclose(vector, served, atol=1e-6)
