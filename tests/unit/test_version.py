from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from core.clock import EPOCH
from core.errors import NotFound, Unavailable
from core.types import VideoId, Weights
from embeddings.content_map import ContentMap
from embeddings.items import item_vectors
from embeddings.user_encoder import DecayedMean
from embeddings.version import Fitted, keep_versions, open_version, write_version
from storage.artifacts import DirectoryArtifacts

pytestmark = pytest.mark.unit

NAME = "content_20260101_000000_abcd"
IDS = tuple(VideoId(f"video {n}") for n in range(40))
FILES = [
    "content.npy", "content_map.npy", "encoder.json", "hashes.npy", "ids.npy", "items.npy",
    "manifest.json", "watches.npy",
]  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> DirectoryArtifacts:
    return DirectoryArtifacts(tmp_path / "store")


@pytest.fixture
def fitted() -> Fitted:
    rng = np.random.default_rng(0)
    return Fitted(
        items=item_vectors(IDS, rng.normal(size=(40, 8)).astype(np.float32)),
        content=item_vectors(IDS, rng.normal(size=(40, 16)).astype(np.float32)),
        watches=np.arange(40, dtype=np.int32),
        content_map=ContentMap(rng.normal(size=(17, 8)).astype(np.float32), normalise=True),
        encoder=DecayedMean(half_life=7.0),
        weights=Weights(similarity=0.9),
        metrics={"ndcg@10": 0.25},
    )


def write(store: DirectoryArtifacts, fitted: Fitted) -> str:
    return write_version(
        store,
        fitted,
        version=NAME,
        model_type="content",
        content_revision="tiny_t1",
        created_at=EPOCH,
    )


def test_what_was_written_is_opened(
    store: DirectoryArtifacts, fitted: Fitted, tmp_path: Path
) -> None:
    assert write(store, fitted) == f"{store.url}/models/{NAME}/"
    opened = open_version(store, NAME, tmp_path / "cache")
    assert opened.version == NAME
    assert opened.content_revision == "tiny_t1"
    assert opened.encoder == DecayedMean(half_life=7.0)
    assert opened.weights == Weights(similarity=0.9)
    for ours, theirs in ((fitted.items, opened.items), (fitted.content, opened.content)):
        assert isinstance(theirs.vectors, np.memmap)
        np.testing.assert_array_equal(ours.hashes, theirs.hashes)
        np.testing.assert_array_equal(ours.vectors, theirs.vectors)
        np.testing.assert_array_equal(ours.ids, theirs.ids)
    np.testing.assert_array_equal(opened.watches, fitted.watches)
    np.testing.assert_array_equal(opened.content_map.matrix, fitted.content_map.matrix)
    assert opened.content_map.normalise


def test_an_opened_version_needs_no_store(
    store: DirectoryArtifacts, fitted: Fitted, tmp_path: Path
) -> None:
    write(store, fitted)
    open_version(store, NAME, tmp_path / "cache")
    store.delete("models/")
    assert len(open_version(store, NAME, tmp_path / "cache").items) == 40


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["shorter", "changed", "gone"])
def test_a_damaged_local_file_is_fetched_again(
    store: DirectoryArtifacts, fitted: Fitted, tmp_path: Path, name: str, damage: str
) -> None:
    write(store, fitted)
    cache = tmp_path / "cache"
    open_version(store, NAME, cache)
    file = cache / NAME / name
    if damage == "gone":
        file.unlink()
    else:
        kept = file.read_bytes()
        file.write_bytes(kept[:-9] if damage == "shorter" else kept[:-9] + b"\xff" * 9)
    opened = open_version(store, NAME, cache)
    np.testing.assert_array_equal(opened.items.vectors, fitted.items.vectors)
    assert sorted(path.name for path in (cache / NAME).iterdir()) == FILES


def test_a_damaged_file_in_the_store_is_refused(
    store: DirectoryArtifacts, fitted: Fitted, tmp_path: Path
) -> None:
    write(store, fitted)
    (tmp_path / "store" / "models" / NAME / "items.npy").write_bytes(b"nonsense")
    with pytest.raises(Unavailable, match=r"items.npy is damaged in the store"):
        open_version(store, NAME, tmp_path / "cache")
    assert not (tmp_path / "cache" / NAME / "items.npy").exists()


def test_a_version_without_a_manifest_is_none(
    store: DirectoryArtifacts, fitted: Fitted, tmp_path: Path
) -> None:
    write(store, fitted)
    (tmp_path / "store" / "models" / NAME / "manifest.json").unlink()
    with pytest.raises(NotFound):
        open_version(store, NAME, tmp_path / "cache")


def test_many_may_open_it_at_once(
    store: DirectoryArtifacts, fitted: Fitted, tmp_path: Path
) -> None:
    write(store, fitted)
    with ThreadPoolExecutor(8) as pool:
        opened = list(pool.map(lambda _: open_version(store, NAME, tmp_path / "cache"), range(16)))
    for one in opened:
        np.testing.assert_array_equal(one.items.vectors, fitted.items.vectors)
    assert sorted(path.name for path in (tmp_path / "cache" / NAME).iterdir()) == FILES


def test_other_local_copies_are_deleted_and_open_ones_stay_readable(
    store: DirectoryArtifacts, fitted: Fitted, tmp_path: Path
) -> None:
    write(store, fitted)
    cache = tmp_path / "cache"
    opened = open_version(store, NAME, cache)
    keep_versions(cache, [NAME])
    assert (cache / NAME / "items.npy").exists()
    keep_versions(cache, ["content_2"])
    assert not (cache / NAME).exists()
    np.testing.assert_array_equal(opened.items.vectors, fitted.items.vectors)
    assert len(open_version(store, NAME, cache).items) == 40
