"""The encoder as ONNX, for serving without torch."""

import logging
import tempfile
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from embeddings.sequence.config import SequenceConfig
from embeddings.sequence.network import Network

SOME = 7  # watches, of the example that the graph is traced with
logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns of packages that nobody needs


class _Newest(nn.Module):
    """One user's vector: what `Network` gives after the newest watch."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, vectors: Tensor) -> Tensor:
        """(length, d), oldest first, to (d,)."""
        made: Tensor = self.network.newest(vectors[None])[0]
        return made


def exported(network: Network, config: SequenceConfig) -> bytes:
    """A graph from `vectors`, float32 (length, d), oldest first, to `user`, float32 (d,).

    The length is 0 to `config.longest`; without watches it is the vector of a stranger.
    """
    example = torch.zeros(SOME, config.dimensions)
    length = torch.export.Dim("length", min=0, max=config.longest)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own, about its own ways
        program = torch.onnx.export(
            _Newest(network).eval(),
            (example,),
            input_names=["vectors"],
            output_names=["user"],
            dynamic_shapes=({0: length},),
            dynamo=True,
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export gave no program")
    with tempfile.TemporaryDirectory(prefix="upnext-onnx-") as folder:
        file = Path(folder) / "encoder.onnx"
        program.save(file, external_data=False)
        return file.read_bytes()
