from pathlib import Path

import numpy as np
import pytest

from embeddings.encoders import read_encoder, write_encoder
from embeddings.fold_in import FoldIn, FoldInConfig
from embeddings.user_encoder import DecayedMean

pytestmark = pytest.mark.unit


def test_a_mean_is_one_file(tmp_path: Path) -> None:
    assert write_encoder(DecayedMean(half_life=3.0), tmp_path) == ["encoder.json"]
    assert read_encoder(tmp_path) == DecayedMean(half_life=3.0)


def test_a_fold_in_encodes_as_before(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    items = rng.normal(size=(30, 8)).astype(np.float32)
    config = FoldInConfig(
        videos=30, unobserved=0.1, regularisation=0.01, exponent=1.0, half_life=4.0
    )
    encoder = FoldIn(config, items.T @ items)
    assert write_encoder(encoder, tmp_path) == ["encoder.json", "gram.npy"]
    kept = read_encoder(tmp_path)
    weights = rng.random(5).astype(np.float32)
    before, after = (one.encode(items[:5], weights) for one in (encoder, kept))
    assert before is not None
    np.testing.assert_array_equal(before, after)
