from time import perf_counter

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from embeddings.fold_in import FoldIn, FoldInConfig

pytestmark = pytest.mark.unit

ITEMS = np.random.default_rng(2).normal(0, 0.3, (500, 16)).astype(np.float32)
WEIGHTS = np.random.default_rng(3).uniform(0.05, 1, 40).astype(np.float32)


def folding(items: NDArray[np.float32] = ITEMS, half_life: float | None = None) -> FoldIn:
    config = FoldInConfig(
        videos=len(items),
        unobserved=0.02,
        regularisation=0.01,
        exponent=1.0,
        half_life=half_life,
    )
    return FoldIn(config, items.T @ items)


def solved(watched: list[int], weights: NDArray[np.float32]) -> NDArray[np.float64]:
    """The minimum of the loss by its definition: a dense regression on every video."""
    items = ITEMS.astype(np.float64)
    count = np.full(len(items), 0.02)
    count[watched] += weights
    normal = (items.T * count) @ items
    normal += 0.01 * (len(watched) + 0.02 * len(items)) * np.eye(16)
    return np.linalg.solve(normal, items[watched].T @ weights)


@pytest.mark.parametrize("watches", [1, 5, 15, 16, 40])
def test_the_vector_minimises_the_loss_with_fewer_and_with_more_watches_than_factors(
    watches: int,
) -> None:
    watched = list(range(7, 7 + watches))
    vector = folding().encode(ITEMS[watched], WEIGHTS[:watches])
    assert vector is not None
    assert vector.dtype == np.float32
    assert vector == pytest.approx(solved(watched, WEIGHTS[:watches]), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("watches", [5, 30])
def test_newer_watches_count_more_by_the_half_life(watches: int) -> None:
    watched = list(range(watches))
    vector = folding(half_life=2.0).encode(ITEMS[watched], WEIGHTS[:watches])
    decayed = WEIGHTS[:watches] * np.exp2(-np.arange(watches) / 2)
    assert vector == pytest.approx(solved(watched, decayed), rel=1e-3, abs=1e-4)


def test_nothing_watched_gives_no_vector() -> None:
    nothing = np.zeros(0, dtype=np.float32)
    assert folding().encode(ITEMS[:0], nothing) is None
    assert folding().encode(ITEMS[:3], np.zeros(3, dtype=np.float32)) is None


def test_the_config_survives_being_written() -> None:
    config = folding(half_life=None).config
    assert msgspec.json.decode(msgspec.json.encode(config), type=FoldInConfig) == config


def test_a_hundred_watches_at_64_factors_are_folded_in_fast() -> None:
    # 100 microseconds on a quiet core; the bound leaves room for a busy machine.
    items = np.random.default_rng(4).normal(0, 0.3, (1_000, 64)).astype(np.float32)
    encoder = folding(items)
    weights = np.ones(100, dtype=np.float32)
    encoder.encode(items[:100], weights)
    seconds = []
    for _ in range(200):
        began = perf_counter()
        encoder.encode(items[:100], weights)
        seconds.append(perf_counter() - began)
    assert min(seconds) < 500e-6
