"""What the sequence model's user encoder takes online: `python -m bench.sequence_encoder`.

One caller, one thread, the default number of layers and heads; weights are drawn, which changes no
time. The processor's time is told beside the clock's, for machines that are not quiet.
"""

import time

import click
import msgspec
import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from embeddings.sequence.config import SequenceConfig
from embeddings.sequence.export import exported
from embeddings.sequence.network import Network
from embeddings.sequence_encoder import SequenceEncoder

LENGTHS = (1, 10, 50, 100, 200, 500)
SIZES = (64, 128)
WARM = 20
MILLISECONDS = 1e3


@click.command()
@click.option("--rounds", type=click.IntRange(10), default=500, show_default=True)
def main(rounds: int) -> None:
    """Print milliseconds a user by the length of the history, p50 and p99."""
    torch.set_num_threads(1)
    table = Table("d", "watches", "p50 ms", "p99 ms", "processor ms", title="A user's vector")
    for size in SIZES:
        onnx, config = _network(size)
        encoder = SequenceEncoder(onnx, config.longest)
        for length in LENGTHS:
            seconds, mean = _seconds(encoder, length, size, rounds)
            times = (*np.percentile(seconds, [50, 99]), mean)
            shown = [f"{one * MILLISECONDS:.2f}" for one in times]
            table.add_row(str(size), str(length), *shown)
    Console().print(table)


def _network(size: int) -> tuple[bytes, SequenceConfig]:
    config = msgspec.structs.replace(SequenceConfig(), dimensions=size)
    return exported(Network(100, None, config).eval(), config), config


def _seconds(
    encoder: SequenceEncoder, length: int, size: int, rounds: int
) -> tuple[list[float], float]:
    """Of each round by the clock, and the mean of this thread's processor time."""
    vectors = np.random.default_rng(1).standard_normal((length, size)).astype(np.float32)
    weights = np.ones(length, np.float32)
    for _ in range(WARM):
        encoder.encode(vectors, weights)
    taken, spent = [], time.thread_time()
    for _ in range(rounds):
        began = time.perf_counter()
        encoder.encode(vectors, weights)
        taken.append(time.perf_counter() - began)
    return taken, (time.thread_time() - spent) / rounds


if __name__ == "__main__":
    main()
