"""What a training has come to, kept after each epoch: whoever is killed goes on from there."""

import copy
import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import structlog
import torch
from numpy.typing import NDArray

from embeddings.epoch import Epoch
from embeddings.sequence.batches import Watches
from embeddings.sequence.config import SequenceConfig

Parameters = dict[str, torch.Tensor]
_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class State:
    """How far a training is.

    `learnt` counts epochs with the validation watches held out, `cooled` those after; `best` is
    which of the first was best (0: none) and `parameters` what the network was then, or at the end.
    `network` and `optimizer` are as they were after the last epoch.
    """

    learnt: int = 0
    cooled: int = 0
    steps: int = 0
    best: int = 0
    best_ndcg: float = 0.0
    parameters: Parameters = field(default_factory=dict)
    network: Parameters = field(default_factory=dict)
    optimizer: dict[str, Any] = field(default_factory=dict)
    curve: list[Epoch] = field(default_factory=list)

    def cooling(self) -> "State":
        """The end of this training as the place from which another only has to cool down."""
        # An optimizer goes on in the very tensors that it is given.
        optimizer = copy.deepcopy(self.optimizer)
        return replace(self, cooled=0, network={}, optimizer=optimizer, curve=[])


class Checkpoints:
    """One file, written over after each epoch; of another training it is not read."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def read(self) -> State | None:
        """What was kept last, None if nothing was or it cannot be read."""
        try:
            # To the CPU: wherever it was written, and what is loaded is copied once more.
            kept = torch.load(self._file, map_location="cpu", weights_only=True)
        except FileNotFoundError:
            return None
        except Exception as error:  # noqa: BLE001 - torch raises of all kinds; it is only time lost
            _log.warning("a checkpoint cannot be read", file=str(self._file), reason=str(error))
            return None
        curve = msgspec.convert(kept.pop("curve"), list[Epoch])
        return State(**kept, curve=curve)

    def write(self, state: State) -> None:
        """Keep it in the place of what was kept before."""
        kept = {name: getattr(state, name) for name in State.__dataclass_fields__}
        kept["curve"] = msgspec.to_builtins(state.curve)
        self._file.parent.mkdir(parents=True, exist_ok=True)
        made = self._file.with_suffix(".new")
        torch.save(kept, made)
        made.replace(self._file)


def copied(parameters: Parameters) -> Parameters:
    """Parameters that do not change as training goes on."""
    return {name: one.detach().clone() for name, one in parameters.items()}


def checkpoints(
    folder: Path,
    watches: Watches,
    content: NDArray[np.float32] | None,
    config: SequenceConfig,
    seed: int,
) -> Checkpoints:
    """Those of this very training in a folder: of the same data, settings and seed."""
    name = hashlib.sha256(msgspec.json.encode([config, seed, str(torch.__version__)]))
    for array in (watches.offsets, watches.rows, watches.weights, content):
        name.update(b"" if array is None else np.ascontiguousarray(array).data)
    return Checkpoints(folder / f"{name.hexdigest()[:16]}.pt")
