"""Implicit-feedback ALS from histories to item vectors. Imports torch: for training processes."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from embeddings.als.blocks import Sparse, blocks
from embeddings.als.config import AlsConfig
from embeddings.als.prior import ContentPrior
from embeddings.als.solver import solve_rows
from embeddings.dataset import Histories
from embeddings.fold_in import FoldIn, FoldInConfig

DEVIATION = 0.1  # of a vector's length at the start, as in the paper

OnProgress = Callable[[float, str], None]


@dataclass(frozen=True, slots=True)
class AlsModel:
    """What was learnt.

    `items` float32 (n, d), a score being the inner product with a user's vector · `content_map`
    float32 (c + 1, d), text vector to item vector with the offset as its last row, c being
    0 when it was fitted without content · `encoder`, which holds the Gram matrix of `items`.
    """

    items: NDArray[np.float32]
    content_map: NDArray[np.float32]
    encoder: FoldIn


def fit(
    histories: Histories,
    content: NDArray[np.float32] | None,
    videos: int,
    config: AlsConfig,
    *,
    seed: int,
    device: str,
    on_progress: OnProgress,
) -> AlsModel:
    """Fit item vectors: on one device with as many threads, the same seed gives the same ones.

    Args:
        histories: rows are 0..videos - 1.
        content: text vectors of the videos, float32 (videos, c); None: plain ALS.
        videos: how many there are. One without a watch ends where `content_map` puts its text,
            without content at zero.
        config: hyper-parameters.
        seed: of the start.
        device: of torch, `cpu` or `cuda`.
        on_progress: hears the share done, 0..1, and a sentence, after every iteration.
    """
    by_user = Sparse(histories.offsets, histories.rows, faded(histories, config.fade))
    by_video = by_user.transposed(videos)
    user_blocks = blocks(by_user, config.factors, device)
    video_blocks = blocks(by_video, config.factors, device)
    user_penalties = penalties(by_user.counts, videos, config).to(device)
    video_penalties = penalties(by_video.counts, len(histories.users), config).to(device)
    watched = torch.from_numpy(by_video.counts > 0).to(device)
    del by_user, by_video  # the blocks have what they hold

    items = _start(videos, config.factors, seed).to(device)
    prior = None
    if content is not None:
        prior = ContentPrior(content, video_penalties * watched, config.ridge, device)
    for iteration in range(config.iterations):
        users = solve_rows(user_blocks, items, user_penalties, config.unobserved)
        drawn_to = None if prior is None else prior.mapped
        items = solve_rows(video_blocks, users, video_penalties, config.unobserved, drawn_to)
        del users  # before the next are made
        elsewhere = torch.zeros_like(items) if prior is None else prior.fit(items)
        items = torch.where(watched[:, None], items, elsewhere)
        done = iteration + 1
        on_progress(done / config.iterations, f"iteration {done} of {config.iterations}")

    return AlsModel(
        items=items.cpu().numpy(),
        content_map=np.zeros((1, items.shape[1]), np.float32) if prior is None else prior.matrix(),
        encoder=encoder_of(items.cpu().numpy(), config),
    )


def encoder_of(items: NDArray[np.float32], config: AlsConfig) -> FoldIn:
    """The user encoder of these item vectors, float32 (n, d)."""
    folding = FoldInConfig(
        videos=len(items),
        unobserved=config.unobserved,
        regularisation=config.regularisation,
        exponent=config.exponent,
        half_life=config.half_life,
    )
    return FoldIn(folding, items.T @ items)


def faded(histories: Histories, fade: float | None) -> NDArray[np.float32]:
    """Weights in training, float32 (len(rows),): see `AlsConfig.fade`."""
    if fade is None:
        return histories.weights
    lengths = np.diff(histories.offsets)
    ages = np.repeat(histories.offsets[1:], lengths) - 1 - np.arange(len(histories.rows))
    shares = (ages / np.repeat(lengths, lengths)).astype(np.float32)
    kept: NDArray[np.float32] = histories.weights * np.exp2(-shares / np.float32(fade))
    return kept


def penalties(counts: NDArray[np.int64], others: int, config: AlsConfig) -> torch.Tensor:
    """How strongly vectors with so many watches, (m,), are held back, float32 (m,)."""
    sizes = counts + config.unobserved * others
    return torch.from_numpy((config.regularisation * sizes**config.exponent).astype(np.float32))


def _start(videos: int, factors: int, seed: int) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)  # on the CPU: the same start on every device
    return torch.randn(videos, factors, generator=random).mul_(DEVIATION / factors**0.5)
