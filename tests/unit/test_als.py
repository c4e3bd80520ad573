from typing import NamedTuple

import msgspec
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from core.types import UserId
from embeddings.als.blocks import Sparse, blocks
from embeddings.als.config import AlsConfig
from embeddings.als.model import AlsModel, encoder_of, faded, fit, penalties
from embeddings.als.solver import solve_rows
from embeddings.content_map import ContentMap
from embeddings.dataset import Histories
from embeddings.encode_users import user_vectors

pytestmark = pytest.mark.unit

VIDEOS, TEXT = 60, 12
CONFIG = AlsConfig(factors=8, unobserved=0.05, regularisation=0.02, iterations=5)


class Watch(NamedTuple):
    row: int
    weight: float


def histories_of(*users: list[Watch]) -> Histories:
    flat = [watch for user in users for watch in user]
    return Histories(
        users=[UserId(str(n)) for n in range(len(users))],
        offsets=np.cumsum([0, *map(len, users)], dtype=np.int64),
        rows=np.array([watch.row for watch in flat], dtype=np.int32),
        weights=np.array([watch.weight for watch in flat], dtype=np.float32),
        times=np.zeros(len(flat)),
        count=len(flat),
        first=None,
        last=None,
    )


def two_tastes(users: int = 80, seed: int = 0) -> Histories:
    """Half of the users watch even videos, half odd ones; nobody the last ten; some much."""
    random = np.random.default_rng(seed)
    made = []
    for user in range(users):
        liked = np.arange(user % 2, VIDEOS - 10, 2)
        rows = random.permutation(liked)[: random.integers(2, 20)]
        made.append([Watch(int(row), float(random.uniform(0.2, 1))) for row in rows])
    return histories_of(*made)


HISTORIES = two_tastes()
CONTENT = np.random.default_rng(9).normal(0, 0.2, (VIDEOS, TEXT)).astype(np.float32)
CONTENT[::2, 0] += 1


def fitted(config: AlsConfig = CONFIG, seed: int = 1, *, content: bool = True) -> AlsModel:
    texts = CONTENT if content else None
    return fit(
        HISTORIES, texts, VIDEOS, config, seed=seed, device="cpu", on_progress=lambda *_: None
    )


def loss(config: AlsConfig, users: NDArray[np.float64], items: NDArray[np.float64]) -> float:
    """The docstring of `AlsConfig` without content, pair by pair."""
    scores = users @ items.T
    total = config.unobserved * (scores**2).sum()
    for user in range(len(users)):
        own = HISTORIES.of(user)
        rows, weights = HISTORIES.rows[own], HISTORIES.weights[own]
        total += (weights * (1 - scores[user, rows]) ** 2).sum()
    by_user = penalties(np.diff(HISTORIES.offsets), len(items), config).numpy()
    counts = HISTORIES.watches(VIDEOS).astype(np.int64)
    by_video = penalties(counts, len(users), config).numpy()
    held = (by_user * (users**2).sum(axis=1)).sum() + (by_video * (items**2).sum(axis=1)).sum()
    return float(total + held)


@pytest.mark.parametrize("factors", [4, 8, 32])
def test_each_half_step_finds_the_minimum_of_the_loss(factors: int) -> None:
    config = msgspec.structs.replace(CONFIG, factors=factors)
    matrix = Sparse(HISTORIES.offsets, HISTORIES.rows, HISTORIES.weights)
    items = torch.randn(VIDEOS, factors, generator=torch.Generator().manual_seed(5))
    held = penalties(matrix.counts, VIDEOS, config)
    users = solve_rows(blocks(matrix, factors, "cpu"), items, held, config.unobserved).numpy()
    best = loss(config, users.astype(np.float64), items.double().numpy())
    random = np.random.default_rng(6)
    for _ in range(20):
        moved = users + random.normal(0, 0.01, users.shape)
        assert loss(config, moved, items.double().numpy()) > best


@pytest.mark.parametrize("factors", [4, 32])
def test_a_prior_is_what_a_row_moves_away_from(factors: int) -> None:
    matrix = Sparse(HISTORIES.offsets, HISTORIES.rows, HISTORIES.weights)
    random = np.random.default_rng(7)
    items = random.normal(size=(VIDEOS, factors))
    prior = random.normal(size=(80, factors))
    held = penalties(matrix.counts, VIDEOS, CONFIG)
    solved = solve_rows(
        blocks(matrix, factors, "cpu"),
        torch.from_numpy(items).float(),
        held,
        CONFIG.unobserved,
        torch.from_numpy(prior).float(),
    )
    for user in (0, 1, 40):
        own = HISTORIES.of(user)
        count = np.full(VIDEOS, CONFIG.unobserved)
        count[HISTORIES.rows[own]] += HISTORIES.weights[own]
        normal = (items.T * count) @ items + float(held[user]) * np.eye(factors)
        right = items[HISTORIES.rows[own]].T @ HISTORIES.weights[own]
        right += float(held[user]) * prior[user]
        assert solved[user].numpy() == pytest.approx(np.linalg.solve(normal, right), abs=1e-3)


def test_blocks_hold_every_entry_once_and_rows_of_a_like_length() -> None:
    matrix = Sparse(HISTORIES.offsets, HISTORIES.rows, HISTORIES.weights)
    dense = np.zeros((80, VIDEOS), dtype=np.float32)
    for block in blocks(matrix, 8, "cpu"):
        lengths = (block.roots > 0).sum(dim=1)
        assert block.columns.shape[1] == lengths.max() <= max(8, 1.25 * float(lengths.min()))
        for row, columns, roots in zip(block.rows, block.columns, block.roots, strict=True):
            np.add.at(dense[row], columns.numpy(), roots.numpy() ** 2)
    expected = np.zeros_like(dense)
    for user in range(80):
        expected[user, HISTORIES.rows[HISTORIES.of(user)]] = HISTORIES.weights[HISTORIES.of(user)]
    assert dense == pytest.approx(expected, abs=1e-6)
    assert (matrix.transposed(VIDEOS).counts == HISTORIES.watches(VIDEOS)).all()


def test_two_tastes_come_apart() -> None:
    model = fitted()
    vectors, has = user_vectors(HISTORIES, model.items, model.encoder, 200)
    assert len(has) == 80
    scores = vectors @ model.items[: VIDEOS - 10].T
    assert scores[0::2, 0::2].mean() > scores[0::2, 1::2].mean() + 0.3
    assert scores[1::2, 1::2].mean() > scores[1::2, 0::2].mean() + 0.3


def test_the_encoder_gives_what_training_gives() -> None:
    model = fitted()
    matrix = Sparse(HISTORIES.offsets, HISTORIES.rows, HISTORIES.weights)
    held = penalties(matrix.counts, VIDEOS, CONFIG)
    solved = solve_rows(
        blocks(matrix, CONFIG.factors, "cpu"),
        torch.from_numpy(model.items),
        held,
        CONFIG.unobserved,
    )
    vectors, _ = user_vectors(HISTORIES, model.items, encoder_of(model.items, CONFIG), 200)
    assert vectors == pytest.approx(solved.numpy(), abs=1e-4)


def test_a_video_without_watches_is_where_its_text_is_mapped_and_near_its_like() -> None:
    model = fitted()
    assert model.content_map.shape == (TEXT + 1, CONFIG.factors)
    mapped = ContentMap(model.content_map, normalise=False)(CONTENT)
    assert model.items[-10:] == pytest.approx(mapped[-10:], abs=1e-5)
    assert not np.allclose(model.items[:-10], mapped[:-10], atol=0.05)
    likeness = model.items[-10:] @ model.items[:-10].T
    assert likeness[0::2, 0::2].mean() > likeness[0::2, 1::2].mean()
    assert likeness[1::2, 1::2].mean() > likeness[1::2, 0::2].mean()


def test_without_content_it_is_plain_als_and_the_unwatched_stay_at_zero() -> None:
    model = fitted(content=False)
    assert model.content_map.tolist() == [[0.0] * CONFIG.factors]
    assert not model.items[-10:].any()
    assert (np.linalg.norm(model.items[:-10], axis=1) > 0).all()


def test_the_seed_decides() -> None:
    once, again, other = fitted(seed=1), fitted(seed=1), fitted(seed=2)
    assert (once.items == again.items).all()
    assert not np.allclose(once.items, other.items)


def test_progress_is_told_after_each_iteration() -> None:
    told: list[tuple[float, str]] = []
    fit(
        HISTORIES,
        None,
        VIDEOS,
        CONFIG,
        seed=0,
        device="cpu",
        on_progress=lambda share, sentence: told.append((share, sentence)),
    )
    assert [share for share, _ in told] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert told[1][1] == "iteration 2 of 5"


def test_older_watches_fade_by_their_share_of_the_history() -> None:
    four = histories_of([Watch(n, 1.0) for n in range(4)], [Watch(5, 0.5)])
    assert faded(four, 0.5).tolist() == pytest.approx([2**-1.5, 0.5, 2**-0.5, 1.0, 0.5])
    assert (faded(four, None) == four.weights).all()
