"""Each text encoded once per revision: what is known is read, what is new or changed is encoded."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from embeddings.content_store import ContentStore, Segment
from embeddings.dataset import Catalogue
from embeddings.items import normalised
from embeddings.text import CONTENT_DIM, GENRE_SHARE, text_hash

SEGMENT = 4_000  # videos; what a killed run has to encode again


class TextEncoder(Protocol):
    """Texts to vectors."""

    def encode(
        self, texts: Sequence[str], on_progress: Callable[[float], None]
    ) -> NDArray[np.float32]:
        """L2-normalised vectors, float32 (len(texts), 384), telling the share done, 0..1."""
        ...


@dataclass(frozen=True, slots=True)
class Encoded:
    """`vectors` float32 (n, 384) in the catalogue's order; `fresh` of them were encoded now."""

    vectors: NDArray[np.float32]
    fresh: int


def encode_new(
    catalogue: Catalogue,
    kept: ContentStore,
    make_encoder: Callable[[], TextEncoder],
    on_progress: Callable[[float, str], None],
) -> Encoded:
    """Text vectors of videos; `make_encoder` is only called when there is something to encode.

    Raises:
        Unavailable: the artifact store did not answer; segments written before are kept.
    """
    pairs = zip(catalogue.texts, catalogue.genres, strict=True)
    hashes = np.array([text_hash(*pair) for pair in pairs], dtype=np.uint64)
    vectors = np.zeros((len(hashes), CONTENT_DIM), dtype=np.float32)
    known = _fill_known(vectors, catalogue, hashes, kept)
    # Like lengths together: a segment's texts are batched by length.
    missing = sorted(np.flatnonzero(~known).tolist(), key=lambda at: len(catalogue.texts[at]))
    if missing:
        encoder = make_encoder()
        for start in range(0, len(missing), SEGMENT):
            part = missing[start : start + SEGMENT]

            def tell(share: float, start: int = start, size: int = len(part)) -> None:
                done = start + int(share * size)
                on_progress(done / len(missing), f"{done:,} of {len(missing):,} texts encoded")

            vectors[part] = _encode(catalogue, part, encoder, tell)
            kept.append(Segment([catalogue.ids[at] for at in part], hashes[part], vectors[part]))
    kept.compact(Segment(list(catalogue.ids), hashes, vectors))
    return Encoded(vectors, len(missing))


def _encode(
    catalogue: Catalogue,
    part: Sequence[int],
    encoder: TextEncoder,
    on_progress: Callable[[float], None],
) -> NDArray[np.float32]:
    """Normalised sum of the text's vector and a share of the genres', float32 (len(part), 384)."""
    distinct = sorted({catalogue.genres[at] for at in part} - {""})
    lines = encoder.encode([catalogue.texts[at] for at in part] + distinct, on_progress)
    texts, genres = lines[: len(part)], lines[len(part) :]
    genre_at = {line: at for at, line in enumerate(distinct)}
    for row, at in enumerate(part):
        if catalogue.genres[at]:
            texts[row] += GENRE_SHARE * genres[genre_at[catalogue.genres[at]]]
    return normalised(texts)


def _fill_known(
    vectors: NDArray[np.float32],
    catalogue: Catalogue,
    hashes: NDArray[np.uint64],
    kept: ContentStore,
) -> NDArray[np.bool_]:
    at_of: dict[str, int] = {id_: at for at, id_ in enumerate(catalogue.ids)}
    known = np.zeros(len(hashes), dtype=np.bool_)
    for segment in kept.segments():
        pairs = [(at_of[id_], row) for row, id_ in enumerate(segment.ids) if id_ in at_of]
        if not pairs:
            continue
        at, row = np.array(pairs).T
        same = segment.text_hashes[row] == hashes[at]
        vectors[at[same]] = segment.vectors[row[same]]
        known[at[same]] = True
    return known
