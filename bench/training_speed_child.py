"""One training of `bench.training_speed`, in a process of its own: `ASKED` as JSON."""

import sys
import time
from collections.abc import Callable
from itertools import pairwise
from statistics import median

import msgspec
import torch
from threadpoolctl import threadpool_limits

from bench.made_up_history import catalogue, content_vectors, histories
from bench.training_child import peak
from bench.training_speed import Asked, Figures, Model
from embeddings.als.model import fit as fit_als
from embeddings.als.rules import defaults_for as als_defaults
from embeddings.dataset import Histories
from embeddings.sequence.model import fit as fit_sequence
from embeddings.sequence.rules import defaults_for as sequence_defaults
from embeddings.text import text_of
from embeddings.text_encoder import MiniLM

TEXTS = 512
SEED = 1


def main() -> None:
    """Train as the command line asks and print the figures."""
    asked = msgspec.json.decode(sys.argv[1], type=Asked)
    torch.set_num_threads(asked.threads)
    with threadpool_limits(asked.threads):
        count, before, seconds = MEASURES[asked.model](asked)
    figures = Figures(model=asked.model, count=count, seconds=seconds, before=before, peak=peak())
    sys.stdout.write(msgspec.json.encode(figures).decode())


def _als(asked: Asked) -> tuple[int, int, float]:
    made, before = _made(asked)
    config = msgspec.structs.replace(als_defaults(made, asked.videos), iterations=asked.epochs + 1)
    ends: list[float] = []
    fit_als(
        made,
        content_vectors(asked.videos),
        asked.videos,
        config,
        seed=SEED,
        device="cpu",
        on_progress=lambda *_: ends.append(time.perf_counter()),
    )
    # The first iteration is told with what is prepared before it.
    steps = [end - begin for begin, end in pairwise(ends)]
    return len(made.rows), before, median(steps)


def _sequence(asked: Asked) -> tuple[int, int, float]:
    made, before = _made(asked)
    config = msgspec.structs.replace(sequence_defaults(made, asked.videos), epochs=asked.epochs)
    model = fit_sequence(
        made,
        content_vectors(asked.videos),
        asked.videos,
        config,
        seed=SEED,
        device="cpu",
        on_progress=lambda *_: None,
    )
    last = model.curve[-1]
    return len(made.rows), before, last.seconds / last.number


def _encoding(asked: Asked) -> tuple[int, int, float]:
    texts = [text_of(video) for video in catalogue(TEXTS)]
    encoder = MiniLM(threads=asked.threads)
    encoder.encode(texts[:1], lambda _: None)  # what is loaded on first use
    before = peak()
    began = time.perf_counter()
    encoder.encode(texts, lambda _: None)
    return TEXTS, before, time.perf_counter() - began


def _made(asked: Asked) -> tuple[Histories, int]:
    return histories(asked.interactions, asked.videos), peak()


MEASURES: dict[Model, Callable[[Asked], tuple[int, int, float]]] = {
    "als": _als,
    "sequence": _sequence,
    "encoding": _encoding,
}

if __name__ == "__main__":
    main()
