"""Collections that the index has unloaded are searchable again."""

from uuid import uuid4

import numpy as np
import pytest
from pymilvus import MilvusClient

from core.errors import Unavailable
from core.settings import load
from storage.milvus import MilvusSearch
from storage.milvus_load import load_collections
from storage.milvus_writer import MilvusWriter

pytestmark = pytest.mark.integration


async def test_a_released_collection_is_loaded_again(milvus_uri: str) -> None:
    settings = load({"milvus_uri": milvus_uri, "milvus_timeout_seconds": "10"})
    name = f"videos_{uuid4().hex}"
    vectors = np.eye(4, dtype=np.float32)
    writer = MilvusWriter.of(settings)
    writer.create(name, 4)
    list(writer.upsert(name, ["a", "b", "c", "d"], vectors))
    writer.seal(name)
    writer.close()
    client = MilvusClient(uri=milvus_uri)
    client.release_collection(name)
    client.close()
    search = MilvusSearch.of(settings)
    with pytest.raises(Unavailable):
        await search.search(name, vectors[:1], 1)

    load_collections(settings, [name, "no_such_collection"])
    [hits] = await search.search(name, vectors[:1], 1)
    assert hits.ids == ("a",)
    await search.close()


def test_an_index_that_is_away_is_unavailable() -> None:
    settings = load({"milvus_uri": "http://127.0.0.1:9", "milvus_timeout_seconds": "0.5"})
    with pytest.raises(Unavailable):
        load_collections(settings, ["videos_1"])
