"""Collections of vectors in Milvus, for jobs: made aside, filled, sealed, verified, dropped."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray
from pymilvus import DataType, MilvusClient, MilvusException

from core.access import PLAIN, Access, access
from core.errors import Unavailable
from core.settings import Settings
from core.tracing import OPERATION, span
from core.types import Hits
from storage.milvus import ID, VECTOR, blocking_client, hits_of, search_params

ID_LENGTH = 128
BATCH_BYTES = 8_000_000  # gRPC refuses messages of 64 MB; beyond 8 MB a batch gains nothing
PAGE = 2_000
INDEX: dict[str, Any] = {
    "index_type": "HNSW",
    "metric_type": "IP",
    "params": {"M": 16, "efConstruction": 200},
}


class MilvusWriter:
    """Writes collections; blocking. Writers to one collection must take turns.

    Every method raises `Unavailable` when Milvus does not answer or lacks the collection.
    """

    def __init__(self, uri: str, how: Access = PLAIN, *, timeout_seconds: float = 120.0) -> None:
        with _mapped("connect"):
            self._client = blocking_client(uri, how, timeout_seconds=timeout_seconds)
        self._timeout = timeout_seconds

    @classmethod
    def of(cls, settings: Settings) -> "MilvusWriter":
        """The writer of `settings.milvus_uri`."""
        return cls(settings.milvus_uri or "", access(settings, "milvus"))

    def collections(self) -> list[str]:
        """Names of all collections, sorted."""
        with _mapped("list_collections"):
            return sorted(self._client.list_collections(timeout=self._timeout))

    def create(self, collection: str, dim: int) -> None:
        """An empty collection of vectors (dim,), in place of one of that name."""
        self.drop(collection)
        schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field(ID, DataType.VARCHAR, is_primary=True, max_length=ID_LENGTH)
        schema.add_field(VECTOR, DataType.FLOAT_VECTOR, dim=dim)
        with _mapped("create_collection", collection):
            self._client.create_collection(collection, schema=schema, timeout=self._timeout)

    def insert(
        self, collection: str, ids: Sequence[str], vectors: NDArray[np.float32]
    ) -> Iterator[int]:
        """Write rows whose ids the collection lacks; yields the rows written so far."""
        return self._write(self._client.insert, collection, ids, vectors)

    def upsert(
        self, collection: str, ids: Sequence[str], vectors: NDArray[np.float32]
    ) -> Iterator[int]:
        """Write rows over those of the same ids; yields the rows written so far."""
        return self._write(self._client.upsert, collection, ids, vectors)

    def seal(self, collection: str) -> None:
        """Flush, index and load, so that searches are fast and see every row written before."""
        index = MilvusClient.prepare_index_params()
        index.add_index(VECTOR, **INDEX)
        with _mapped("index", collection):
            self._client.flush(collection, timeout=self._timeout)
            # Milvus indexes what is added later by itself; Lite refuses to make an index twice.
            if not self._client.list_indexes(collection, timeout=self._timeout):
                self._client.create_index(collection, index, timeout=self._timeout)
        self.load(collection)

    def load(self, collection: str) -> None:
        """Make a sealed collection searchable; one that is stays so."""
        with _mapped("load_collection", collection):
            self._client.load_collection(collection, timeout=self._timeout)

    def count(self, collection: str) -> int:
        """Rows of a sealed collection."""
        with _mapped("count", collection):
            answer = self._client.query(
                collection,
                output_fields=["count(*)"],
                consistency_level="Strong",
                timeout=self._timeout,
            )
        return int(answer[0]["count(*)"])

    def lacking(self, collection: str, ids: Sequence[str]) -> list[str]:
        """Those of `ids` that a sealed collection does not have, in their order."""
        self.load(collection)  # Milvus Lite forgets on a restart which were
        there: set[str] = set()
        for start in range(0, len(ids), PAGE):
            with _mapped("get", collection):
                page = self._client.get(
                    collection,
                    list(ids[start : start + PAGE]),
                    output_fields=[ID],
                    timeout=self._timeout,
                    consistency_level="Strong",
                )
            there.update(str(row[ID]) for row in page)
        return [id_ for id_ in ids if id_ not in there]

    def scan(self, collection: str) -> Iterator[tuple[list[str], NDArray[np.float32]]]:
        """All rows of a sealed collection in pages: ids and vectors, float32 (len(ids), d)."""
        with _mapped("scan", collection):
            pages = self._client.query_iterator(
                collection, batch_size=PAGE, output_fields=[ID, VECTOR], timeout=self._timeout
            )
        try:
            while True:
                with _mapped("scan", collection):
                    page = pages.next()
                if not page:
                    return
                vectors = np.array([row[VECTOR] for row in page], dtype=np.float32)
                yield [str(row[ID]) for row in page], vectors
        finally:
            pages.close()

    def search(self, collection: str, vectors: NDArray[np.float32], k: int) -> list[Hits]:
        """As `retrieval.ports.VectorSearch.search`, seeing all that was written before."""
        with _mapped("search", collection):
            found = self._client.search(
                collection,
                data=list(vectors),
                limit=k,
                output_fields=[ID],
                search_params=search_params(k),
                consistency_level="Strong",
                timeout=self._timeout,
            )
        return [hits_of(hits) for hits in found]

    def delete(self, collection: str, ids: Sequence[str]) -> None:
        """Delete rows; an id that is not there is no error."""
        for start in range(0, len(ids), PAGE):
            with _mapped("delete", collection):
                page = list(ids[start : start + PAGE])
                self._client.delete(collection, ids=page, timeout=self._timeout)

    def drop(self, collection: str) -> None:
        """Drop a collection; none is no error."""
        with _mapped("drop_collection", collection):
            self._client.drop_collection(collection, timeout=self._timeout)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _write(
        self,
        write: Callable[..., object],
        collection: str,
        ids: Sequence[str],
        vectors: NDArray[np.float32],
    ) -> Iterator[int]:
        step = max(1, BATCH_BYTES // (vectors.itemsize * vectors.shape[1]))
        for start in range(0, len(ids), step):
            batch = zip(ids[start : start + step], vectors[start : start + step], strict=True)
            rows = [{ID: id_, VECTOR: vector} for id_, vector in batch]
            with _mapped("write", collection):
                write(collection, rows, timeout=self._timeout)
            yield start + len(rows)


@contextmanager
def _mapped(operation: str, collection: str = "") -> Iterator[None]:
    """A call, which is a span of the job under way; it may take minutes, and is not measured."""
    said = {"db.system.name": "milvus", OPERATION: operation}
    if collection:
        said["db.collection.name"] = collection
    try:
        with span(f"{operation} {collection}".strip(), kind="client", **said):
            yield
    except (MilvusException, grpc.RpcError) as error:
        raise Unavailable("milvus", f"Milvus did not do it: {error}") from error
