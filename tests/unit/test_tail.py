from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from core.clock import EPOCH
from core.errors import Unavailable
from core.hashing import hash64_many
from core.types import VideoId
from embeddings.tail import COMPACT_AT, Segment, append, open_tail, segment, segments
from embeddings.version import Version, open_version, renewed, write_version
from storage.artifacts import DirectoryArtifacts
from tests.catalogues import fitted_of, ids, random_vectors

pytestmark = pytest.mark.unit

NAME = "content_1"
BASE = [f"v{number}" for number in range(30)]


@pytest.fixture
def store(tmp_path: Path) -> DirectoryArtifacts:
    store = DirectoryArtifacts(tmp_path / "store")
    write_version(
        store,
        fitted_of(BASE, random_vectors(30, 8)),
        version=NAME,
        model_type="content",
        content_revision="r1",
        created_at=EPOCH,
    )
    return store


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


class Away(DirectoryArtifacts):
    """A store that does not answer."""

    def keys(self, prefix: str) -> list[str]:
        raise Unavailable("artifacts", f"no answer about {prefix}")


def rows(*names: str, seed: int = 1) -> Segment:
    drawn = random_vectors(len(names), 16, seed)
    return segment(ids(*names), drawn[:, :8], drawn[:, 8:])


def of(version: Version, name: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    items, known = version.items.take([VideoId(name)])
    content, _ = version.content.take([VideoId(name)])
    assert known.all()
    return items[0], content[0]


def test_segments_are_opened_with_the_version(store: DirectoryArtifacts, cache: Path) -> None:
    added = rows("new", "é", "v3")
    append(store, NAME, added)
    version = open_version(store, NAME, cache)
    assert version.items.tail is not None
    assert version.content.tail is not None
    assert sorted(version.items.tail.ids.tolist()) == sorted([b"new", "é".encode(), b"v3"])
    assert np.all(np.diff(version.items.tail.hashes.astype(object)) > 0)
    for row in added:
        items, content = of(version, row["id"].decode())
        np.testing.assert_array_equal(items, row["item"])
        np.testing.assert_array_equal(content, row["content"])
    [name] = version.segments
    assert (cache / NAME / "tail" / name).is_file()


def test_a_single_segment_is_mapped_and_its_vectors_aligned(
    store: DirectoryArtifacts, cache: Path
) -> None:
    append(store, NAME, rows("a", "b" * 13))
    tail = open_version(store, NAME, cache).items.tail
    assert tail is not None
    assert isinstance(tail.vectors, np.memmap)
    assert tail.vectors.flags.aligned


def test_of_several_segments_the_last_wins(store: DirectoryArtifacts, cache: Path) -> None:
    append(store, NAME, rows("a", "b", seed=1))
    last = rows("b", "c", seed=2)
    append(store, NAME, last)
    version = open_version(store, NAME, cache)
    assert version.items.tail is not None
    assert len(version.items.tail) == 3
    row = last[last["id"] == b"b"][0]
    np.testing.assert_array_equal(of(version, "b")[0], row["item"])


def merged_files(cache: Path) -> list[Path]:
    return sorted((cache / NAME / "tail").glob("merged-*"))


def test_several_segments_are_merged_once_for_a_machine(
    store: DirectoryArtifacts, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(store, NAME, rows("a", "b", seed=1))
    append(store, NAME, rows("b", "c", seed=2))
    first = open_version(store, NAME, cache)
    [before] = merged_files(cache)
    with monkeypatch.context() as patch:
        patch.setattr("embeddings.tail._merged", lambda _arrays: pytest.fail("merged again"))
        second = open_version(store, NAME, cache)
    for opened in (first, second):
        assert opened.items.tail is not None
        assert isinstance(opened.items.tail.vectors, np.memmap)
    np.testing.assert_array_equal(of(first, "b")[0], of(second, "b")[0])
    append(store, NAME, rows("d"))
    third = renewed(store, second, cache)
    assert third is not None
    assert of(third, "d")
    assert of(second, "a")
    assert len(merged_files(cache)) == 1
    assert not before.exists()


def test_a_damaged_merged_file_is_made_anew(store: DirectoryArtifacts, cache: Path) -> None:
    append(store, NAME, rows("a"))
    append(store, NAME, rows("b"))
    open_version(store, NAME, cache)
    [path] = merged_files(cache)
    kept = path.read_bytes()
    path.write_bytes(kept[:-4])
    assert of(open_version(store, NAME, cache), "b")
    assert path.read_bytes() == kept


def test_an_open_version_hears_of_new_segments(store: DirectoryArtifacts, cache: Path) -> None:
    opened = open_version(store, NAME, cache)
    assert renewed(store, opened, cache) is None
    append(store, NAME, rows("a"))
    first = renewed(store, opened, cache)
    assert first is not None
    assert of(first, "a")
    assert opened.items.tail is None
    assert first.items.vectors is opened.items.vectors
    assert renewed(store, first, cache) is None
    append(store, NAME, rows("b"))
    second = renewed(store, first, cache)
    assert second is not None
    assert of(second, "a")
    assert of(second, "b")


def test_many_segments_become_one_that_replaces_the_local_ones(
    store: DirectoryArtifacts, cache: Path
) -> None:
    for number in range(COMPACT_AT - 1):
        append(store, NAME, rows(f"n{number}", "shared", seed=number))
    before = open_version(store, NAME, cache)
    assert len(before.segments) == COMPACT_AT - 1
    last = rows("last", "shared", seed=77)
    append(store, NAME, last)
    after = renewed(store, before, cache)
    assert after is not None
    assert len(after.segments) == len(segments(store, NAME)) == 1
    assert [path.name for path in (cache / NAME / "tail").iterdir()] == [*after.segments]
    assert after.items.tail is not None
    assert len(after.items.tail) == COMPACT_AT + 1
    np.testing.assert_array_equal(of(after, "shared")[0], last[last["id"] == b"shared"][0]["item"])
    append(store, NAME, rows("later"))
    assert len(segments(store, NAME)) == 2
    assert of(before, "n0")  # its file has gone, its memory has not


def test_a_compaction_killed_before_it_deleted_changes_nothing(
    store: DirectoryArtifacts, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(COMPACT_AT - 1):
        append(store, NAME, rows(f"n{number}"))

    def killed(_prefix: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(store, "delete", killed)
        with pytest.raises(KeyboardInterrupt):
            append(store, NAME, rows("last"))
    version = open_version(store, NAME, cache)
    assert len(version.segments) == COMPACT_AT
    assert version.items.tail is not None
    assert len(version.items.tail) == COMPACT_AT
    append(store, NAME, rows("again"))
    assert len(segments(store, NAME)) == 1


def test_segments_that_vanish_while_they_are_fetched_are_looked_up_again(
    store: DirectoryArtifacts, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(COMPACT_AT - 1):
        append(store, NAME, rows(f"n{number}"))
    list_keys = store.keys
    listed: list[list[str]] = []

    def keys(prefix: str) -> list[str]:
        listed.append(list_keys(prefix))
        if len(listed) == 1:
            with monkeypatch.context() as patch:
                patch.setattr(store, "keys", list_keys)
                append(store, NAME, rows("meanwhile"))
        return listed[-1]

    monkeypatch.setattr(store, "keys", keys)
    tail = open_tail(store, NAME, cache)
    assert len(tail.names) == 1
    assert len(listed) == 2


def test_who_knows_less_of_a_tail_deletes_nothing_newer(
    store: DirectoryArtifacts, cache: Path
) -> None:
    append(store, NAME, rows("a"))
    local = cache / NAME / "tail"
    names = open_tail(store, NAME, local).names
    newer = local / f"00000002-{'0' * 16}.npy"
    newer.write_bytes(b"fetched by another, after our listing")
    assert open_tail(store, NAME, local).names == names
    assert newer.exists()
    store.delete(f"models/{NAME}/tail/")
    assert open_tail(store, NAME, local).names == ()
    assert newer.exists()


@pytest.mark.parametrize("damage", [b"", b"nonsense"])
def test_a_damaged_segment_is_refused_or_fetched_again(
    store: DirectoryArtifacts, cache: Path, tmp_path: Path, damage: bytes
) -> None:
    append(store, NAME, rows("a"))
    [name] = segments(store, NAME)
    open_version(store, NAME, cache)
    (cache / NAME / "tail" / name).write_bytes(damage)
    assert of(open_version(store, NAME, cache), "a")
    (tmp_path / "store" / "models" / NAME / "tail" / name).write_bytes(damage)
    (cache / NAME / "tail" / name).unlink()
    with pytest.raises(Unavailable, match=f"{name} is damaged"):
        open_tail(store, NAME, cache / NAME / "tail")
    assert list((cache / NAME / "tail").iterdir()) == []


def test_without_the_store_what_was_fetched_is_opened(
    store: DirectoryArtifacts, cache: Path, tmp_path: Path
) -> None:
    append(store, NAME, rows("a"))
    append(store, NAME, rows("b"))
    names = open_version(store, NAME, cache).segments
    (cache / NAME / "tail" / names[1]).write_bytes(b"nonsense")
    version = open_version(Away(tmp_path / "store"), NAME, cache)
    assert (version.segments, version.behind) == (names[:1], True)
    assert "favourites" in vars(version)  # found while it was opened
    assert of(version, "a")
    whole = renewed(store, version, cache)
    assert whole is not None
    assert of(whole, "b")
    assert not whole.behind


def test_searches_of_a_tail_and_of_its_version_agree_on_hashes() -> None:
    added = rows("x", "y", "z")
    np.testing.assert_array_equal(added["hash"], np.sort(hash64_many(["x", "y", "z"])))
