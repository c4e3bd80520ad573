from dataclasses import replace

import numpy as np
import pytest

from core.hashing import hash64, hash64_many
from core.types import VideoId
from embeddings.items import ItemVectors, item_vectors, normalised

pytestmark = pytest.mark.unit

IDS = [VideoId(name) for name in ("a", "b", "c", "d")]
VECTORS = np.array([[3, 4], [0, 2], [1, 0], [0, 0]], dtype=np.float32)


def test_vectors_are_sorted_by_hash() -> None:
    items = item_vectors(IDS, VECTORS)
    assert items.hashes.tolist() == sorted(hash64(id_) for id_ in IDS)
    assert (len(items), items.dim) == (4, 2)
    rows = items.rows(hash64_many(IDS))
    np.testing.assert_array_equal(items.vectors[rows], VECTORS)
    assert items.ids[rows].tolist() == [b"a", b"b", b"c", b"d"]


def test_take_gives_known_vectors_in_the_order_asked() -> None:
    items = item_vectors(IDS, VECTORS)
    vectors, known = items.take([VideoId("c"), VideoId("nobody"), VideoId("b"), VideoId("c")])
    assert known.tolist() == [True, False, True, True]
    np.testing.assert_array_equal(vectors, [[1, 0], [0, 2], [1, 0]])


def test_unknown_hashes_have_row_minus_one_at_both_ends_and_between() -> None:
    names = np.array([b"x", b"y"])
    items = ItemVectors(np.array([5, 9], dtype=np.uint64), names, np.eye(2, dtype=np.float32))
    asked = np.array([0, 5, 7, 9, 2**64 - 1], dtype=np.uint64)
    assert items.rows(asked).tolist() == [-1, 0, -1, 1, -1]


def test_the_tail_adds_videos_and_wins_over_what_was_there() -> None:
    tail = item_vectors([VideoId("e"), VideoId("b")], np.array([[7, 7], [8, 8]], dtype=np.float32))
    items = replace(item_vectors(IDS, VECTORS), tail=tail)
    vectors, known = items.at(hash64_many(["a", "b", "e", "nobody"]))
    assert known.tolist() == [True, True, True, False]
    np.testing.assert_array_equal(vectors, [[3, 4], [8, 8], [7, 7], [0, 0]])
    assert [len(part) for part in items.parts] == [4, 2]


def test_no_items_know_nothing() -> None:
    items = item_vectors([], np.zeros((0, 3), dtype=np.float32))
    vectors, known = items.take([VideoId("a")])
    assert vectors.shape == (0, 3)
    assert known.tolist() == [False]


def test_arrays_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="one length"):
        ItemVectors(
            np.zeros(2, dtype=np.uint64), np.array([b"x"]), np.zeros((2, 2), dtype=np.float32)
        )


def test_rows_of_zeros_stay_zeros() -> None:
    assert normalised(np.zeros((2, 3), dtype=np.float32)).tolist() == [[0, 0, 0], [0, 0, 0]]
