from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from core.types import VideoId
from embeddings.additions import additions
from embeddings.content_map import ContentMap
from embeddings.items import ItemVectors, item_vectors, normalised
from embeddings.tail import segment
from embeddings.version import Version
from tests.catalogues import ids, random_vectors, version_of

pytestmark = pytest.mark.unit

NAMES = [f"v{number}" for number in range(20)]
TEXTS = normalised(random_vectors(20, 12))
MAP = ContentMap(random_vectors(13, 5, seed=2), normalise=False)
NEW = normalised(random_vectors(2, 12, seed=3))


def version(items: NDArray[np.float32]) -> Version:
    """A version of `NAMES` with these item vectors."""
    content = item_vectors(ids(*NAMES), TEXTS)
    return replace(version_of(content), items=item_vectors(ids(*NAMES), items), content_map=MAP)


def with_tail(of: Version, *names: str, texts: NDArray[np.float32]) -> Version:
    rows = segment(ids(*names), MAP(texts), texts)
    items, content = (ItemVectors(rows["hash"], rows["id"], rows[f]) for f in ("item", "content"))
    return replace(
        of, items=replace(of.items, tail=items), content=replace(of.content, tail=content)
    )


def test_nothing_is_added_to_a_version_that_has_it_all() -> None:
    found = additions(version(MAP(TEXTS)), ids(*NAMES), TEXTS)
    assert (found.ids, found.items.shape, found.content.shape) == ([], (0, 5), (0, 12))
    assert additions(version(MAP(TEXTS)), [], TEXTS[:0]).ids == []


def test_a_new_video_gets_the_image_of_its_text() -> None:
    texts = np.concatenate([NEW[:1], TEXTS, NEW[1:]])
    found = additions(version(MAP(TEXTS)), ids("new 1", *NAMES, "new 2"), texts)
    assert found.ids == ["new 1", "new 2"]
    np.testing.assert_allclose(found.items, MAP(NEW), rtol=1e-5)
    np.testing.assert_array_equal(found.content, NEW)


def test_a_changed_text_moves_an_item_that_only_its_text_has_placed() -> None:
    texts = TEXTS.copy()
    texts[3] = NEW[0]
    found = additions(version(MAP(TEXTS)), ids(*NAMES), texts)
    assert found.ids == ["v3"]
    np.testing.assert_allclose(found.items, MAP(NEW[:1]), rtol=1e-5)


def test_an_item_learned_from_watches_stays_where_it_is() -> None:
    learned = MAP(TEXTS)
    learned[3] += 0.5
    texts = TEXTS.copy()
    texts[[3, 4]] = NEW
    found = additions(version(learned), ids(*NAMES), texts)
    assert found.ids == ["v3", "v4"]
    np.testing.assert_array_equal(found.items[0], learned[3])
    np.testing.assert_allclose(found.items[1], MAP(NEW[1:])[0], rtol=1e-5)
    np.testing.assert_array_equal(found.content, NEW)


def test_what_the_tail_has_is_not_added_again() -> None:
    tailed = with_tail(version(MAP(TEXTS)), "new 1", "v3", texts=NEW)
    texts = np.concatenate([TEXTS, NEW[:1]])
    texts[3] = NEW[1]
    names = [*NAMES, "new 1"]
    assert additions(tailed, ids(*names), texts).ids == []
    texts[[3, 20]] = NEW[[0, 1]]
    assert additions(tailed, ids(*names), texts).ids == ["v3", "new 1"]


def test_large_catalogues_are_compared_in_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("embeddings.additions.PAGE", 3)
    names = [VideoId(f"w{number}") for number in range(20)]
    found = additions(version(MAP(TEXTS)), [*ids(*NAMES), *names], np.concatenate([TEXTS, TEXTS]))
    assert found.ids == names
