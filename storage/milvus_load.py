"""Makes the collections of a version searchable again after the index was restarted."""

import grpc
from pymilvus import MilvusClient, MilvusException

from core.errors import Unavailable
from core.settings import Settings


def load_collections(settings: Settings, collections: list[str]) -> None:
    """Load those of `collections` that there are; loaded ones stay as they are. Blocking.

    Milvus Lite forgets on a restart which were loaded, and answers no search until they are.

    Raises:
        Unavailable: Milvus did not answer.
    """
    token = settings.milvus_token.get_secret_value() if settings.milvus_token else ""
    seconds = settings.milvus_timeout_seconds
    try:
        client = MilvusClient(uri=settings.milvus_uri or "", token=token, timeout=seconds)
        try:
            for collection in sorted({*client.list_collections(timeout=seconds)} & {*collections}):
                client.load_collection(collection, timeout=seconds)
        finally:
            client.close()
    except (MilvusException, grpc.RpcError) as error:
        raise Unavailable("milvus") from error
