import numpy as np
import pytest

from embeddings.encode import TextEncoder
from embeddings.text import CONTENT_DIM

pytestmark = pytest.mark.training

TEXTS = [
    "A detective hunts a serial killer through the rain\nCrime, Thriller",
    "Toys come to life when their boy leaves the room\nAnimation, Children",
    "The police chase a murderer across the city\nCrime, Thriller",
    "Cartoon animals learn to be friends\nAnimation, Children",
]


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    from embeddings.text_encoder import MiniLM  # noqa: PLC0415 - seconds, for who encodes

    return MiniLM(threads=1)


def test_texts_that_say_alike_are_near(encoder: TextEncoder) -> None:
    heard: list[float] = []
    vectors = encoder.encode(TEXTS, heard.append)
    assert vectors.shape == (4, CONTENT_DIM)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    cosines = vectors @ vectors.T
    assert cosines[0, 2] > max(cosines[0, 1], cosines[0, 3]) + 0.2
    assert cosines[1, 3] > max(cosines[1, 0], cosines[1, 2])
    assert heard[-1] == pytest.approx(1.0)


def test_batches_of_like_length_come_back_in_order(encoder: TextEncoder) -> None:
    texts = [f"{'word ' * (n % 30)}number {n}" for n in range(150)]
    heard: list[float] = []
    together = encoder.encode(texts, heard.append)
    for at in (0, 29, 77, 149):
        np.testing.assert_allclose(
            together[at], encoder.encode([texts[at]], lambda _share: None)[0], atol=1e-5
        )
    assert heard == sorted(heard)
    assert len(heard) == 5


def test_what_is_beyond_the_cap_is_not_read(encoder: TextEncoder) -> None:
    long = "a story of the sea and of the wind " * 40
    vectors = encoder.encode([long, long + "and of pirates"], lambda _share: None)
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-6)
