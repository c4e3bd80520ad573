"""A store that breaks off, garbles, hangs, fails and refuses: whole files or none."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import boto3
import numpy as np
import pytest
from botocore.config import Config

from core.clock import EPOCH
from core.errors import Unavailable
from embeddings.ports import ArtifactStore
from embeddings.tail import append, segment
from embeddings.version import Version, open_version, renewed, write_version
from storage import artifacts_s3
from storage.artifacts import artifact_store
from tests.catalogues import fitted_of, ids, random_vectors
from tests.s3 import BUCKET, Fault, FaultyS3, point_at

pytestmark = pytest.mark.integration

FAULTS: tuple[Fault, ...] = ("partial", "corrupted", "unnoticed", "slow", "error")
NAME = "content_1"
FITTED = fitted_of([f"v{number}" for number in range(50)], random_vectors(50, 8))
LARGE = 20_000_000  # fetched and put in parts


@pytest.fixture(scope="module")
def server() -> Iterator[FaultyS3]:
    with FaultyS3() as server:
        yield server


@pytest.fixture
def s3(server: FaultyS3) -> Iterator[FaultyS3]:
    yield server
    server.mend()


Opens = Callable[[float, float], ArtifactStore]


@pytest.fixture
def over(s3: FaultyS3, monkeypatch: pytest.MonkeyPatch) -> Opens:
    """The store over `s3`, which tries less, and waits for answers so long: reading, writing."""
    url = point_at(s3, monkeypatch)

    def opened(reading: float, writing: float) -> ArtifactStore:
        config = Config(
            connect_timeout=min(writing, 10),  # also what a piece of a body may take to go out
            read_timeout=reading,
            retries={"total_max_attempts": 2},
        )
        monkeypatch.setattr(artifacts_s3, "READING", config)
        monkeypatch.setattr(artifacts_s3, "WRITING", config.merge(Config(read_timeout=writing)))
        return artifact_store(url)

    return opened


@pytest.fixture
def store(over: Opens) -> ArtifactStore:
    """One that waits for as long as a busy machine takes."""
    return over(10, 30)


class Stores(NamedTuple):
    """The same store, asked with more or less patience where it may be that no answer comes."""

    patient: ArtifactStore
    brisk: ArtifactStore  # where one of two answers comes
    hasty: ArtifactStore  # where none does


@pytest.fixture
def stores(over: Opens, store: ArtifactStore, fault: Fault) -> Stores:
    hangs = fault == "slow"
    return Stores(store, over(2, 30) if hangs else store, over(0.6, 1) if hangs else store)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"\x00one" * 1000)
    return path


def write(store: ArtifactStore) -> None:
    write_version(
        store,
        FITTED,
        version=NAME,
        model_type="content",
        content_revision="r1",
        created_at=EPOCH,
    )


def right(version: Version) -> bool:
    assert np.array_equal(version.items.vectors, FITTED.items.vectors)
    assert np.array_equal(version.content.vectors, FITTED.content.vectors)
    return True


@pytest.mark.parametrize("fault", ["partial", "slow", "error"])
def test_what_fails_once_is_tried_again(
    stores: Stores, s3: FaultyS3, file: Path, tmp_path: Path, fault: Fault
) -> None:
    stores.patient.put("key", file)
    s3.fail(fault, times=1)
    stores.brisk.fetch("key", tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == file.read_bytes()


@pytest.mark.parametrize("fault", ["partial", "corrupted", "slow", "error"])
def test_a_file_that_cannot_be_had_whole_is_not_there(
    stores: Stores, s3: FaultyS3, file: Path, tmp_path: Path, fault: Fault
) -> None:
    stores.patient.put("key", file)
    s3.fail(fault)
    with pytest.raises(Unavailable, match="of key"):
        stores.hasty.fetch("key", tmp_path / "folder" / "got")
    assert list((tmp_path / "folder").iterdir()) == []


def test_a_store_that_refuses_is_unavailable(
    store: ArtifactStore, s3: FaultyS3, file: Path, tmp_path: Path
) -> None:
    s3.refuse()
    for ask in (
        lambda: store.fetch("key", tmp_path / "got"),
        lambda: store.put("key", file),
        lambda: store.keys(""),
        lambda: store.delete(""),
        store.probe,
    ):
        with pytest.raises(Unavailable, match="Could not connect"):
            ask()
    s3.mend()
    store.put("key", file)
    assert store.keys("") == ["key"]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_version_is_opened_when_one_transfer_goes_wrong(
    stores: Stores, s3: FaultyS3, tmp_path: Path, fault: Fault
) -> None:
    write(stores.patient)
    s3.fail(fault, times=1)
    assert right(open_version(stores.brisk, NAME, tmp_path))


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("file", ["manifest.json", "items.npy"])
def test_a_version_that_cannot_be_had_whole_is_not_opened(
    stores: Stores, s3: FaultyS3, tmp_path: Path, fault: Fault, file: str
) -> None:
    write(stores.patient)
    whole, part = tmp_path / "whole", tmp_path / "part"
    assert right(open_version(stores.patient, NAME, whole))
    s3.fail(fault, name=file)
    with pytest.raises(Unavailable, match=f"models/{NAME}/{file}"):
        open_version(stores.hasty, NAME, part)
    for path in (part / NAME).iterdir():  # what there is of it is right
        assert path.read_bytes() == (whole / NAME / path.name).read_bytes()
    assert not (part / NAME / file).exists()
    s3.mend()
    assert right(open_version(stores.patient, NAME, part))


@pytest.mark.parametrize("fault", FAULTS)
def test_a_tail_is_renewed_whole_or_stays_as_it_was(
    stores: Stores, s3: FaultyS3, tmp_path: Path, fault: Fault
) -> None:
    write(stores.patient)
    opened = open_version(stores.patient, NAME, tmp_path)
    vectors = random_vectors(1, 8)
    append(stores.patient, NAME, segment(ids("new"), vectors, vectors))
    s3.fail(fault)
    with pytest.raises(Unavailable):
        renewed(stores.hasty, opened, tmp_path)
    assert list((tmp_path / NAME / "tail").iterdir()) == []
    s3.mend()
    again = renewed(stores.patient, opened, tmp_path)
    assert again is not None
    assert again.items.take(ids("new"))[0].tolist() == vectors.tolist()


@pytest.mark.parametrize("size", [4_000, LARGE])
@pytest.mark.parametrize("fault", ["slow", "error"])
def test_a_file_is_put_whole_or_not_at_all(
    stores: Stores, s3: FaultyS3, tmp_path: Path, size: int, fault: Fault
) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_bytes(b"old")
    new.write_bytes(np.random.default_rng(1).bytes(size))
    stores.patient.put("key", old)
    s3.fail(fault, method="PUT")
    for key in ("key", "other"):
        with pytest.raises(Unavailable, match=f"of {key}"):
            stores.hasty.put(key, new)
    s3.mend()
    assert stores.patient.keys("") == ["key"]
    stores.patient.fetch("key", tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == b"old"
    assert "Uploads" not in boto3.client("s3").list_multipart_uploads(Bucket=BUCKET)
    s3.fail("error", method="PUT", times=1)
    stores.patient.put("key", new)
    stores.patient.fetch("key", tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == new.read_bytes()


def test_a_part_that_breaks_off_is_fetched_again(
    store: ArtifactStore, s3: FaultyS3, tmp_path: Path
) -> None:
    large = tmp_path / "large"
    large.write_bytes(np.random.default_rng(1).bytes(LARGE))
    store.put("key", large)
    s3.fail("partial", times=2)
    store.fetch("key", tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == large.read_bytes()


def test_a_store_that_hangs_is_given_up_before_a_start_is(
    s3: FaultyS3, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = artifact_store(point_at(s3, monkeypatch))
    store.put("key", file)
    s3.fail("slow", method="HEAD")
    asked, began = len(s3.asked), time.monotonic()
    with pytest.raises(Unavailable):
        store.fetch("key", tmp_path / "got")
    tries = len(s3.asked) - asked
    each = artifacts_s3.READING.read_timeout  # type: ignore[attr-defined]  # set by its name
    assert 0 < tries * each < 10
    assert time.monotonic() - began < 20
