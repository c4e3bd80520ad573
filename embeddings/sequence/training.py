"""Epochs until the validation watches are told no better, then some more on everything."""

import math
import time
from collections.abc import Callable

import numpy as np
import torch

from core.errors import InvalidInput
from embeddings.epoch import Epoch
from embeddings.sequence.batches import Batch, Watches, batches
from embeddings.sequence.checkpoint import Checkpoints, State, copied
from embeddings.sequence.config import SequenceConfig
from embeddings.sequence.network import Network
from embeddings.sequence.softmax import surprise
from embeddings.sequence.validation import hold_out, ndcg

WARM_UP = 100  # steps
STEEPEST = 5.0  # norm of a gradient: longer ones are cut
BETAS = 0.9, 0.98
EPOCHS_A_SEED = 1_000_000

OnProgress = Callable[[float, str], None]


class Training:
    """Trains a network; its state can be kept after each epoch and gone on from.

    It learns with the last watches of some users held out, as long as their nDCG@10 still rises now
    and then. From the best of these epochs on it cools down: on all watches, with a learning rate
    that falls to nothing (Hu et al., *MiniCPM: Unveiling the Potential of Small Language Models
    with Scalable Training Strategies*, 2024, section 4).
    """

    def __init__(
        self,
        network: Network,
        watches: Watches,
        config: SequenceConfig,
        *,
        seed: int,
        device: str,
        on_progress: OnProgress,
        kept: Checkpoints | None,
    ) -> None:
        """Prepare; see `embeddings.sequence.model.fit`."""
        self._network = network
        self._config = config
        self._seed = seed
        self._device = device
        self._on_progress = on_progress
        self._kept = kept
        self._watches = watches
        self._validation = hold_out(watches, config.longest, np.random.default_rng(seed))
        self._optimizer = torch.optim.AdamW(network.parameters(), betas=BETAS, weight_decay=0.0)
        self._state = State()

    def run(self, start: State | None = None) -> State:
        """Train to the end; what it came to.

        Args:
            start: what another training of such a network came to: only cooling down is left.
        """
        self._resume((self._kept and self._kept.read()) or (start and start.cooling()))
        while not self._stopped():
            self._learn()
        if not self._state.cooled and self._state.parameters:
            self._network.load_state_dict(self._state.parameters)
        while self._state.cooled < self._cooling():
            self._cool()
        self._state.parameters = copied(self._network.state_dict())
        self._state.optimizer = self._optimizer.state_dict()
        return self._state

    def _resume(self, state: State | None) -> None:
        if state is None:
            return
        self._state = state
        self._network.load_state_dict(state.network or state.parameters)
        if state.optimizer:
            self._optimizer.load_state_dict(state.optimizer)

    def _stopped(self) -> bool:
        state, config = self._state, self._config
        waited = state.learnt - state.best
        return state.learnt >= config.epochs or (state.learnt > 0 and waited >= config.patience)

    def _cooling(self) -> int:
        return max(1, math.ceil(self._config.cooling * self._state.best))

    def _learn(self) -> None:
        state = self._state
        number, before = state.learnt + 1, self._seconds()
        seconds, loss = self._epoch(self._validation.train, number, 1.0)
        found = ndcg(self._network, self._validation, self._config)
        state.learnt = number
        state.curve.append(Epoch(number, before + seconds, loss, found))
        if not state.best or found > state.best_ndcg:
            state.best, state.best_ndcg = number, found
            state.parameters = copied(self._network.state_dict())
        self._keep()
        self._tell(number, f"nDCG@10 {found:.4f}, best {state.best_ndcg:.4f} of {state.best}")

    def _cool(self) -> None:
        state = self._state
        number, before = state.learnt + state.cooled + 1, self._seconds()
        hot = 1 - (state.cooled + 1) / (self._cooling() + 1)
        seconds, loss = self._epoch(self._watches, number, hot)
        state.cooled += 1
        state.curve.append(Epoch(number, before + seconds, loss, None))
        self._keep()
        self._tell(number, f"cooling down, {state.cooled} of {self._cooling()}")

    def _epoch(self, watches: Watches, number: int, hot: float) -> tuple[float, float]:
        """Seconds taken and mean loss. An epoch draws the same whatever came before it."""
        torch.manual_seed(self._seed * EPOCHS_A_SEED + number)
        draw = np.random.default_rng((self._seed, number))
        began = time.perf_counter()
        losses = [
            self._step(batch.to(self._device), hot)
            for batch in batches(watches, self._config, draw)
        ]
        loss = float(np.mean(losses))
        if not np.isfinite(loss):  # nothing would be ranked above what is asked for: the best nDCG
            raise InvalidInput(
                f"Training came to no numbers in epoch {number}: lower learning_rate.",
                field="learning_rate",
            )
        return time.perf_counter() - began, loss

    def _step(self, batch: Batch, hot: float) -> float:
        self._state.steps += 1
        rate = self._config.learning_rate * hot * min(1.0, self._state.steps / WARM_UP)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        loss = surprise(self._network, batch, self._config.negatives)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self._network.parameters(), STEEPEST)
        self._optimizer.step()
        return float(loss.detach())

    def _seconds(self) -> float:
        return self._state.curve[-1].seconds if self._state.curve else 0.0

    def _keep(self) -> None:
        if self._kept is not None:
            self._state.network = self._network.state_dict()
            self._state.optimizer = self._optimizer.state_dict()
            self._kept.write(self._state)

    def _tell(self, number: int, said: str) -> None:
        most = self._config.epochs * (1 + self._config.cooling)
        self._on_progress(min(number / most, 1.0), f"epoch {number}: {said}")
