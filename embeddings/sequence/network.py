"""The network: item vectors, and a causal transformer from a history to a user's vector."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from embeddings.sequence.config import SequenceConfig

ID_SHARE = 0.2
"""Length of an id embedding at the start, beside 1: the text leads until watches say otherwise."""
SHARPNESS = 20.0  # of the softmax over cosines at the start
EXACT, BUCKETS = 16, 32  # distances told apart one by one, and all buckets
FORBIDDEN = -1e9


class Network(nn.Module):
    """Vectors of all videos, each of length 1, and the encoder that reads them in order.

    A video's vector is an embedding of its own plus the image of its text. A user's vector is the
    encoder's output at the newest watch, as long as the softmax is sharp: inner products are the
    logits of what is watched next. What stands before the first watch is learned too.
    """

    texts: Tensor

    def __init__(
        self, videos: int, content: NDArray[np.float32] | None, config: SequenceConfig
    ) -> None:
        """Draw the start.

        Args:
            videos: how many, n.
            content: their text vectors, float32 (n, c); None: there are none.
            config: hyper-parameters.
        """
        super().__init__()
        d = config.dimensions
        self.ids = nn.Parameter(torch.randn(videos, d) * (ID_SHARE / d**0.5))
        self.text: nn.Linear | None = None
        if content is not None:
            # Given anew to every network: a checkpoint would hold all texts twice.
            texts = torch.from_numpy(content - content.mean(axis=0))
            self.register_buffer("texts", texts, persistent=False)
            self.text = nn.Linear(content.shape[1], d)
        self.start = nn.Parameter(torch.randn(d) / d**0.5)
        self.loudness = nn.Parameter(torch.tensor(math.log(d) / 2))
        self.sharpness = nn.Parameter(torch.tensor(math.log(SHARPNESS)))
        self.near = Nearness(config)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.last = nn.LayerNorm(d)
        self.dropout = nn.Dropout(config.dropout)

    def items(self, rows: Tensor | None = None) -> Tensor:
        """Vectors of these videos, int64 (m,), or of all: float32 (m, d), each of length 1."""
        made = self.ids if rows is None else self.ids[rows]
        if self.text is not None:
            made = made + self.text(self.texts if rows is None else self.texts[rows])
        return functional.normalize(made, dim=-1)

    def forward(self, watched: Tensor) -> Tensor:
        """Users' vectors before the first of their watches and after each.

        Args:
            watched: item vectors, float32 (b, length, d), oldest first.

        Returns:
            float32 (b, length + 1, d).
        """
        read = self._read(watched)
        near = self.near(read.shape[1])
        for block in self.blocks:
            read = block(read, read, near)
        return self._users(read)

    def newest(self, watched: Tensor) -> Tensor:
        """Users' vectors after the newest watch alone, float32 (b, d): what serving asks for."""
        read = self._read(watched)
        near = self.near(read.shape[1])
        for block in self.blocks[:-1]:
            read = block(read, read, near)
        newest: Tensor = self._users(self.blocks[-1](read[:, -1:], read, near[:, -1:]))
        return newest[:, 0]

    def _read(self, watched: Tensor) -> Tensor:
        start = self.start.expand(watched.shape[0], 1, -1)
        read: Tensor = self.dropout(torch.cat([start, watched * self.loudness.exp()], dim=1))
        return read

    def _users(self, read: Tensor) -> Tensor:
        made: Tensor = functional.normalize(self.last(read), dim=-1) * self.sharpness.exp()
        return made


class Nearness(nn.Module):
    """How much each head heeds a watch for being so many watches ago; what is to come never.

    Distances share a number in buckets that widen (Raffel et al., *Exploring the Limits of
    Transfer Learning with a Unified Text-to-Text Transformer*, JMLR 2020, section 2.1).
    """

    bucket: Tensor

    def __init__(self, config: SequenceConfig) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(config.heads, BUCKETS))
        distance = torch.arange(config.longest + 1)
        widening = (distance.clamp(min=1) / EXACT).log() / math.log((config.longest + 1) / EXACT)
        far = EXACT + (widening * (BUCKETS - EXACT)).long()
        bucket = torch.where(distance < EXACT, distance, far.clamp(EXACT, BUCKETS - 1))
        self.register_buffer("bucket", bucket)

    def forward(self, length: int) -> Tensor:
        """What is added to the attention's logits, float32 (heads, length, length)."""
        at = torch.arange(length, device=self.table.device)
        ago = at[:, None] - at[None, :]
        heed = self.table[:, self.bucket[ago.clamp(min=0)]]
        return heed.masked_fill(ago < 0, FORBIDDEN)


class Block(nn.Module):
    """Attention, then a position-wise network, each beside what it reads (pre-norm)."""

    def __init__(self, config: SequenceConfig) -> None:
        super().__init__()
        d = config.dimensions
        self.heads = config.heads
        self.before_attention, self.before_wide = nn.LayerNorm(d), nn.LayerNorm(d)
        self.asked, self.told = nn.Linear(d, d, bias=False), nn.Linear(d, d)
        self.known = nn.Linear(d, 2 * d, bias=False)
        self.widen, self.narrow = nn.Linear(d, 4 * d), nn.Linear(4 * d, d)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, asking: Tensor, read: Tensor, near: Tensor) -> Tensor:
        """What the positions `asking`, the last k of `read`, become.

        Args:
            asking: (b, k, d).
            read: (b, length, d).
            near: (heads, k, length), see `Nearness`.
        """
        heard = self._heard(self.before_attention(asking), self.before_attention(read), near)
        asking = asking + self.dropout(self.told(heard))
        wide = functional.gelu(self.widen(self.before_wide(asking)))
        made: Tensor = asking + self.dropout(self.narrow(wide))
        return made

    def _heard(self, asking: Tensor, read: Tensor, near: Tensor) -> Tensor:
        query = self._by_head(self.asked(asking))
        key, value = map(self._by_head, self.known(read).chunk(2, dim=-1))
        heard = functional.scaled_dot_product_attention(query, key, value, attn_mask=near[None])
        # A transposed view would do, but that its strides cannot be exported for any length.
        return torch.cat(heard.unbind(1), dim=-1)

    def _by_head(self, vectors: Tensor) -> Tensor:
        parts = vectors.reshape(*vectors.shape[:-1], self.heads, -1)
        return parts.transpose(1, 2)
