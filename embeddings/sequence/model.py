"""The sequence model from histories to files. Imports torch: for training processes."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from core.errors import InvalidInput
from embeddings.dataset import Histories
from embeddings.epoch import Epoch
from embeddings.sequence.batches import watches_of
from embeddings.sequence.checkpoint import State, checkpoints
from embeddings.sequence.config import SequenceConfig
from embeddings.sequence.export import exported
from embeddings.sequence.network import Network
from embeddings.sequence.training import Training

OnProgress = Callable[[float, str], None]


@dataclass(frozen=True)
class SequenceModel:
    """What was learnt.

    `items` float32 (n, d), each of length 1, a score being the inner product with a user's vector ·
    `content_map` float32 (c + 1, d), text vector to item vector before it is brought to length 1,
    the offset its last row, c being 0 when it was fitted without content · `curve`, what each epoch
    came to · `state`, for the `start` of another fit · `network`, ready to encode, and its
    `config`.
    """

    items: NDArray[np.float32]
    content_map: NDArray[np.float32]
    curve: list[Epoch]
    state: State
    network: Network
    config: SequenceConfig

    @cached_property
    def onnx(self) -> bytes:
        """The encoder as `exported` writes it; made when it is first asked for, in seconds."""
        return exported(self.network, self.config)


def fit(
    histories: Histories,
    content: NDArray[np.float32] | None,
    videos: int,
    config: SequenceConfig,
    *,
    seed: int,
    device: str,
    on_progress: OnProgress,
    checkpoint: Path | None = None,
    start: State | None = None,
) -> SequenceModel:
    """Train until the validation watches are told no better, then cool down on everything.

    On one device with as many threads the same seed gives the same model, also when it was
    interrupted and goes on from a checkpoint.

    Args:
        histories: rows are 0..videos - 1. The last watches of some users are the validation.
        content: text vectors of the videos, float32 (videos, c); None: there are none.
        videos: how many there are.
        config: hyper-parameters.
        seed: of all that is drawn.
        device: of torch, `cpu` or `cuda`.
        on_progress: hears the share done, 0..1, and a sentence, after every epoch.
        checkpoint: a folder to keep each epoch in, and to go on from.
        start: what an earlier fit of the same videos ended with: only the cooling down is done.

    Raises:
        InvalidInput: no watch says anything, or the network came to no numbers.
    """
    torch.manual_seed(seed)
    network = Network(videos, content, config).to(device)
    watches = watches_of(histories)
    if not len(watches.rows):
        raise InvalidInput("All watches weigh 0: there is nothing to learn from.", field="weight")
    kept = None
    if checkpoint is not None:
        kept = checkpoints(checkpoint, watches, content, config, seed)
    training = Training(
        network,
        watches,
        config,
        seed=seed,
        device=device,
        on_progress=on_progress,
        kept=kept,
    )
    state = training.run(start)
    network = network.cpu().eval()
    if content is not None:
        _forget_unwatched(network, histories.watches(videos))
    return SequenceModel(
        items=network.items().detach().numpy(),
        content_map=_content_map(network, content),
        curve=state.curve,
        state=state,
        network=network,
        config=config,
    )


@torch.no_grad()
def _forget_unwatched(network: Network, watches: NDArray[np.int32]) -> None:
    """Leave videos that nobody watched to their texts: all they learnt is that nobody did."""
    network.ids[torch.from_numpy(watches == 0)] = 0.0


@torch.no_grad()
def _content_map(network: Network, content: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """Text vector to item vector before it is brought to length 1, float32 (c + 1, d)."""
    if content is None or network.text is None:
        return np.zeros((1, network.start.shape[0]), np.float32)
    weight, offset = network.text.weight.numpy().T, network.text.bias.numpy()
    made: NDArray[np.float32] = np.vstack([weight, offset - content.mean(axis=0) @ weight])
    return made
