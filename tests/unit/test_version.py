import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from shutil import rmtree
from threading import Barrier, Event

import numpy as np
import pytest

from core.clock import EPOCH
from core.errors import NotFound, Unavailable
from core.types import VideoId, Weights
from embeddings.content_map import ContentMap
from embeddings.encoders import read_encoder
from embeddings.items import item_vectors
from embeddings.manifest import OtherFormat, stored_manifest
from embeddings.user_encoder import DecayedMean, UserEncoder
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


def write(store: DirectoryArtifacts, fitted: Fitted, version: str = NAME) -> str:
    return write_version(
        store,
        fitted,
        version=version,
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


@pytest.mark.parametrize("made", [None, 1, 3])
def test_a_version_of_another_format_says_so_and_what_to_do(
    store: DirectoryArtifacts, fitted: Fitted, tmp_path: Path, made: int | None
) -> None:
    write(store, fitted)
    path = tmp_path / "store" / "models" / NAME / "manifest.json"
    manifest = json.loads(path.read_bytes())
    assert manifest.pop("format") == 2
    del manifest["normalised"]
    path.write_text(json.dumps(manifest | ({"format": made} if made else {})))
    for _ in range(2):  # fetched, and from the local copy
        with pytest.raises(OtherFormat, match=rf"format {made or 1}, .*`upnext train content"):
            open_version(store, NAME, tmp_path / "cache")
    with pytest.raises(OtherFormat):
        stored_manifest(store, NAME)


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


class Hanging(DirectoryArtifacts):
    """A store that answers no listing before all who open are waiting for one."""

    def __init__(self, root: Path, openers: int) -> None:
        super().__init__(root)
        self._all = Barrier(openers)

    def keys(self, prefix: str) -> list[str]:
        self._all.wait(20)
        raise Unavailable("artifacts", f"no answer about {prefix}")


def test_with_a_store_that_hangs_nobody_waits_for_another(
    store: DirectoryArtifacts, fitted: Fitted, tmp_path: Path
) -> None:
    write(store, fitted)
    assert not open_version(store, NAME, tmp_path / "cache").behind
    hanging = Hanging(tmp_path / "store", openers=6)
    with ThreadPoolExecutor(6) as pool:
        opened = list(pool.map(lambda _: open_version(hanging, NAME, tmp_path / "cache"), range(6)))
    assert [(len(one.items), one.behind) for one in opened] == [(40, True)] * 6


class Slow(DirectoryArtifacts):
    """A store that gives the vectors of one version only when told to."""

    def __init__(self, root: Path, version: str) -> None:
        super().__init__(root)
        self._slow = f"models/{version}/items.npy"
        self.asked, self.go_on = Event(), Event()
        self.fetches = 0

    def fetch(self, key: str, path: Path) -> None:
        if key == self._slow:
            self.fetches += 1
            self.asked.set()
            assert self.go_on.wait(20)
        super().fetch(key, path)


def test_fetching_one_version_holds_up_no_other_and_is_not_disturbed(
    store: DirectoryArtifacts, fitted: Fitted, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    write(store, fitted)
    write(store, fitted, "content_ready")
    slow = Slow(tmp_path / "store", "content_ready")
    with ThreadPoolExecutor(2) as pool:
        fetching = [pool.submit(open_version, slow, "content_ready", cache) for _ in range(2)]
        try:
            assert slow.asked.wait(20)
            assert len(open_version(slow, NAME, cache).items) == 40
            keep_versions(cache, [NAME])
            assert (cache / "content_ready" / "manifest.json").exists()
        finally:
            slow.go_on.set()
        assert [len(each.result().items) for each in fetching] == [40, 40]
    assert slow.fetches == 1


def test_a_copy_that_is_deleted_while_it_is_opened_is_fetched_again(
    store: DirectoryArtifacts, fitted: Fitted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(store, fitted)
    deleted: list[Path] = []

    def deleting(folder: Path) -> UserEncoder:
        if not deleted:
            deleted.append(folder)
            rmtree(folder)
        return read_encoder(folder)

    monkeypatch.setattr("embeddings.version.read_encoder", deleting)
    opened = open_version(store, NAME, tmp_path / "cache")
    np.testing.assert_array_equal(opened.items.vectors, fitted.items.vectors)
    assert deleted == [tmp_path / "cache" / NAME]


def test_where_no_version_was_ever_opened_there_is_nothing_to_delete(tmp_path: Path) -> None:
    keep_versions(tmp_path / "never", [])
    assert not (tmp_path / "never").exists()
