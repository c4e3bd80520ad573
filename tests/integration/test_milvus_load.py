"""Collections that the index has unloaded are searchable again."""

from collections.abc import Iterator
from uuid import uuid4

import numpy as np
import pytest
from pymilvus import MilvusClient
from pymilvus.client.types import LoadState

from core.errors import Unavailable
from core.settings import Settings, load
from storage.milvus import MilvusSearch, blocking_client
from storage.milvus_load import load_collections
from storage.milvus_writer import MilvusWriter

pytestmark = pytest.mark.integration


VECTORS = np.eye(4, dtype=np.float32)


@pytest.fixture
def settings(milvus_uri: str) -> Settings:
    return load({"milvus_uri": milvus_uri})


@pytest.fixture
def client(milvus_uri: str) -> Iterator[MilvusClient]:
    client = blocking_client(milvus_uri, timeout_seconds=10)
    yield client
    client.close()


@pytest.fixture
def released(settings: Settings, client: MilvusClient) -> str:
    name = f"videos_{uuid4().hex}"
    writer = MilvusWriter.of(settings)
    writer.create(name, 4)
    list(writer.upsert(name, ["a", "b", "c", "d"], VECTORS))
    writer.seal(name)
    writer.close()
    client.release_collection(name)
    return name


def test_loading_passes_over_what_is_not_there(
    settings: Settings, client: MilvusClient, released: str
) -> None:
    load_collections(settings, [released, "no_such_collection"])
    assert client.get_load_state(released)["state"] == LoadState.Loaded


async def test_a_search_loads_what_a_restart_has_unloaded(
    settings: Settings, released: str
) -> None:
    search = MilvusSearch.of(settings)
    [hits] = await search.search(released, VECTORS[:1], 1)
    assert hits.ids == ("a",)
    await search.close()


def test_an_index_that_is_away_is_unavailable() -> None:
    settings = load({"milvus_uri": "http://127.0.0.1:9", "milvus_timeout_seconds": "0.5"})
    with pytest.raises(Unavailable):
        load_collections(settings, ["videos_1"])
