from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from core.errors import Unavailable
from core.hashing import hash64
from core.types import Video, VideoId
from embeddings.content_store import COMPACT_AT, ContentStore, Segment
from embeddings.dataset import Catalogue
from embeddings.encode import encode_new
from embeddings.items import normalised
from embeddings.text import CONTENT_DIM, GENRE_SHARE, genres_of, text_of
from storage.artifacts import DirectoryArtifacts

pytestmark = pytest.mark.unit


@dataclass
class Drawn:
    """Gives each text a vector drawn with the text as seed, and remembers what was asked."""

    asked: list[str] = field(default_factory=list)

    def encode(
        self, texts: Sequence[str], on_progress: Callable[[float], None]
    ) -> NDArray[np.float32]:
        self.asked.extend(texts)
        on_progress(1.0)
        return np.stack([vector_of(text) for text in texts])


def vector_of(text: str) -> NDArray[np.float32]:
    drawn = np.random.default_rng(hash64(text)).normal(size=(1, CONTENT_DIM))
    return normalised(drawn.astype(np.float32)).ravel()


@pytest.fixture
def kept(tmp_path: Path) -> ContentStore:
    return ContentStore(DirectoryArtifacts(tmp_path), "drawn_t1")


def drawn(name: str) -> Segment:
    return Segment([name], np.array([hash64(name)], dtype=np.uint64), vector_of(name)[np.newaxis])


def catalogue(**texts: tuple[str, str]) -> Catalogue:
    ids = [VideoId(name) for name in texts]
    return Catalogue(ids, [one[0] for one in texts.values()], [one[1] for one in texts.values()])


def encode(videos: Catalogue, kept: ContentStore) -> tuple[NDArray[np.float32], list[str]]:
    encoder = Drawn()
    encoded = encode_new(videos, kept, lambda: encoder, lambda _share, _message: None)
    return encoded.vectors, encoder.asked


def test_a_vector_is_the_text_with_a_share_of_the_genres(kept: ContentStore) -> None:
    vectors, _ = encode(catalogue(a=("Heat", "Crime"), b=("Home", "")), kept)
    mixed = vector_of("Heat") + GENRE_SHARE * vector_of("Crime")
    np.testing.assert_allclose(vectors[0], mixed / np.linalg.norm(mixed), atol=1e-6)
    np.testing.assert_allclose(vectors[1], vector_of("Home"), atol=1e-6)


def test_only_what_is_new_or_changed_is_encoded(kept: ContentStore) -> None:
    first, asked = encode(catalogue(a=("one", ""), b=("two", ""), c=("three", "G")), kept)
    assert sorted(asked) == ["G", "one", "three", "two"]
    changed = catalogue(c=("three", "H"), d=("four", ""), a=("one", ""), b=("TWO", ""))
    second, asked = encode(changed, kept)
    assert sorted(asked) == ["H", "TWO", "four", "three"]
    np.testing.assert_array_equal(second[2], first[0])
    np.testing.assert_allclose(second[3], vector_of("TWO"), atol=1e-6)


def test_no_encoder_is_made_when_nothing_is_new(kept: ContentStore) -> None:
    videos = catalogue(a=("one", ""), b=("two", "G"))
    vectors, _ = encode(videos, kept)
    again = encode_new(videos, kept, lambda: pytest.fail("made"), lambda *_: None)
    assert again.fresh == 0
    np.testing.assert_array_equal(again.vectors, vectors)


def test_many_segments_become_one(kept: ContentStore) -> None:
    texts = {f"v{n}": (f"text {n}", "") for n in range(COMPACT_AT + 1)}
    for count in range(1, COMPACT_AT):
        encode(catalogue(**dict(list(texts.items())[:count])), kept)
    assert len(kept.segments()) == COMPACT_AT - 1
    vectors, asked = encode(catalogue(**dict(list(texts.items())[:COMPACT_AT])), kept)
    assert asked == [f"text {COMPACT_AT - 1}"]
    [segment] = kept.segments()
    np.testing.assert_array_equal(segment.vectors, vectors)
    assert encode(catalogue(**dict(list(texts.items())[:COMPACT_AT])), kept)[1] == []


def test_what_another_adds_while_one_compacts_is_kept(tmp_path: Path) -> None:
    store = DirectoryArtifacts(tmp_path)
    one, other = ContentStore(store, "drawn_t1"), ContentStore(store, "drawn_t1")
    for number in range(COMPACT_AT):
        one.append(drawn(f"v{number}"))
    other.append(drawn("late"))
    assert one.compact(drawn("all"))
    assert [segment.ids for segment in one.segments()] == [["late"], ["all"]]


class Compacting(DirectoryArtifacts):
    """A store in which another process compacts after each of the next listings."""

    def __init__(self, root: Path, times: int) -> None:
        super().__init__(root)
        self._others = [ContentStore(DirectoryArtifacts(root), "drawn_t1") for _ in range(times)]

    def keys(self, prefix: str) -> list[str]:
        listed = super().keys(prefix)
        if self._others:
            other = self._others.pop()
            other.segments()
            for _ in range(COMPACT_AT - 1):
                other.append(drawn("again"))
            assert other.compact(drawn("all"))
        return listed


def test_what_is_compacted_while_it_is_read_is_read_where_it_is_now(tmp_path: Path) -> None:
    ContentStore(DirectoryArtifacts(tmp_path), "drawn_t1").append(drawn("v1"))
    kept = ContentStore(Compacting(tmp_path, times=2), "drawn_t1")
    assert [segment.ids for segment in kept.segments()] == [["all"]]


def test_what_changes_all_the_time_is_not_taken_for_lost(tmp_path: Path) -> None:
    ContentStore(DirectoryArtifacts(tmp_path), "drawn_t1").append(drawn("v1"))
    with pytest.raises(Unavailable, match="changes faster"):
        ContentStore(Compacting(tmp_path, times=9), "drawn_t1").segments()


def test_two_that_append_at_the_same_time_take_different_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = DirectoryArtifacts(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(store, "keys", lambda _prefix: [])  # neither sees the other's
        encode(catalogue(a=("one", "")), ContentStore(store, "drawn_t1"))
        encode(catalogue(b=("two", "")), ContentStore(store, "drawn_t1"))
    videos = catalogue(a=("one", ""), b=("two", ""))
    assert encode(videos, ContentStore(store, "drawn_t1"))[1] == []


def test_the_year_in_a_title_is_not_read() -> None:
    video = Video(id=VideoId("1"), title="Toy Story (1995)", genres=("Animation", "Comedy"))
    assert text_of(video) == "Toy Story\nAnimation, Comedy"
    assert genres_of(video) == "Animation, Comedy"
    told = Video(id=VideoId("2"), title="2001 (1968) again", description="A ship.")
    assert text_of(told) == "2001 (1968) again\nA ship."
