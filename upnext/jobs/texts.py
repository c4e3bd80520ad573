"""Text vectors of a catalogue, whoever asks for them."""

from collections.abc import Callable

from embeddings.content_store import ContentStore
from embeddings.dataset import Catalogue
from embeddings.encode import Encoded, TextEncoder, encode_new
from embeddings.ports import ArtifactStore
from embeddings.text import REVISION


def encoded(
    store: ArtifactStore, catalogue: Catalogue, on_progress: Callable[[float, str], None]
) -> Encoded:
    """Vectors by the encoder's current revision, those that are kept and those made now.

    Raises:
        Unavailable: the artifact store did not answer; what was made before is kept.
    """
    return encode_new(catalogue, ContentStore(store, REVISION), _encoder, on_progress)


def _encoder() -> TextEncoder:
    # torch takes seconds and memory: only when a text is new.
    import joblib  # noqa: PLC0415

    from embeddings.text_encoder import MiniLM  # noqa: PLC0415

    return MiniLM(threads=joblib.cpu_count())
