"""One suite over a directory and S3."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from moto.server import ThreadedMotoServer

from core.errors import NotFound, SetupError, Unavailable
from embeddings.ports import ArtifactStore
from storage.artifacts import Artifacts, DirectoryArtifacts, artifact_store
from tests.outside import BUCKET, outside, point_boto3_at

pytestmark = pytest.mark.contract


@pytest.fixture(scope="module")
def s3_endpoint(pytestconfig: pytest.Config) -> Iterator[str]:
    if (given := outside(pytestconfig, "--s3-endpoint")) is not None:
        yield given
        return
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    point_boto3_at(s3_endpoint, monkeypatch)
    client = boto3.client("s3")
    with suppress(client.exceptions.BucketAlreadyOwnedByYou):  # outside it stays from test to test
        client.create_bucket(Bucket=BUCKET)
    return f"s3://{BUCKET}/of/upnext"


@pytest.fixture(params=["directory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    if request.param == "directory":
        return artifact_store((tmp_path / "a folder").as_uri())
    store = artifact_store(request.getfixturevalue("s3"))
    store.delete("")
    return store


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"\x00one" * 1000)
    return path


def test_what_was_put_is_handed_out(store: Artifacts, file: Path) -> None:
    store.put("batches/a.ndjson", file)
    handed = store.hand_out("batches/a.ndjson", 60)
    if isinstance(handed, str):
        assert httpx.get(handed).content == file.read_bytes()
    else:
        with handed:
            assert handed.read() == file.read_bytes()
    with pytest.raises(NotFound):
        store.hand_out("batches/b.ndjson", 60)


def test_what_was_put_is_fetched(store: ArtifactStore, file: Path, tmp_path: Path) -> None:
    store.put("models/a/items.npy", file)
    target = tmp_path / "new folder" / "items.npy"
    store.fetch("models/a/items.npy", target)
    assert target.read_bytes() == file.read_bytes()
    assert [path.name for path in target.parent.iterdir()] == ["items.npy"]


def test_the_last_put_wins(store: ArtifactStore, file: Path, tmp_path: Path) -> None:
    store.put("key", file)
    file.write_bytes(b"two")
    store.put("key", file)
    store.fetch("key", tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == b"two"


def test_a_key_that_is_not_there_is_not_found_and_leaves_no_file(
    store: ArtifactStore, tmp_path: Path
) -> None:
    with pytest.raises(NotFound, match="models/none"):
        store.fetch("models/none", tmp_path / "got")
    assert not (tmp_path / "got").exists()


def test_keys_are_sorted_and_begin_with_the_prefix(store: ArtifactStore, file: Path) -> None:
    assert store.keys("") == []
    for key in ("models/b/x", "models/a/y", "models/a/x", "content/1"):
        store.put(key, file)
    assert store.keys("models/") == ["models/a/x", "models/a/y", "models/b/x"]
    assert store.keys("models/a") == ["models/a/x", "models/a/y"]
    assert len(store.keys("")) == 4
    assert store.keys("none/") == []


def test_delete_takes_the_prefix_and_nothing_else(store: ArtifactStore, file: Path) -> None:
    for key in ("models/a/x", "models/a/y", "models/ab/x"):
        store.put(key, file)
    store.delete("models/a/")
    store.delete("models/a/")
    assert store.keys("") == ["models/ab/x"]


def test_a_store_that_answers_passes_its_probe(store: ArtifactStore, file: Path) -> None:
    store.put("key", file)
    store.probe()


def test_a_directory_names_itself(tmp_path: Path) -> None:
    assert artifact_store("file:///tmp/some%20where").url == "file:///tmp/some%20where"
    assert DirectoryArtifacts(tmp_path).url == tmp_path.as_uri()


def test_a_bucket_names_itself_without_credentials(s3: str) -> None:
    assert artifact_store(s3).url == "s3://artifacts/of/upnext"


@pytest.mark.parametrize("url", ["", "/folder", "http://host/x", "s3://", "file://"])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(SetupError, match="UPNEXT_ARTIFACTS_URL"):
        artifact_store(url)


def test_a_file_in_the_folders_place_is_unavailable(file: Path) -> None:
    store = DirectoryArtifacts(file)
    with pytest.raises(Unavailable):
        store.put("a/b", file)
    with pytest.raises(Unavailable):
        store.keys("")
    with pytest.raises(Unavailable):
        store.probe()


def test_a_folder_that_is_not_there_is_unavailable_and_without_keys(tmp_path: Path) -> None:
    store = DirectoryArtifacts(tmp_path / "none")
    with pytest.raises(Unavailable, match="none"):
        store.probe()
    assert store.keys("") == store.keys("models/") == []


def test_only_the_folder_of_the_prefix_is_walked(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = DirectoryArtifacts(tmp_path)
    for key in ("models/a/x", "models/b/x", "content/1"):
        store.put(key, file)
    walked: list[Path] = []

    def walk(folder: Path, **options: Any) -> Iterator[tuple[str, list[str], list[str]]]:
        for step in os_walk(folder, **options):
            walked.append(Path(step[0]))
            yield step

    os_walk = os.walk
    monkeypatch.setattr("storage.artifacts.os.walk", walk)
    assert store.keys("models/a/") == ["models/a/x"]
    assert walked == [tmp_path / "models" / "a"]


def test_a_bucket_that_is_not_there_is_unavailable(s3: str, file: Path) -> None:
    store = artifact_store(s3.replace("artifacts", "none"))
    with pytest.raises(Unavailable):
        store.put("a/b", file)
    with pytest.raises(Unavailable):
        store.keys("")
    with pytest.raises(Unavailable):
        store.probe()
