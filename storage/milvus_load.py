"""Makes the collections of a version searchable again after the index was restarted."""

import grpc
from pymilvus import MilvusException

from core.errors import Unavailable
from core.settings import Settings
from storage.milvus import blocking_client, token_of


def load_collections(settings: Settings, collections: list[str]) -> None:
    """Load those of `collections` that there are; loaded ones stay as they are. Blocking.

    Milvus Lite forgets on a restart which were loaded, and answers no search until they are.

    Raises:
        Unavailable: Milvus did not answer.
    """
    seconds = settings.milvus_timeout_seconds
    try:
        uri, token = settings.milvus_uri or "", token_of(settings)
        client = blocking_client(uri, token=token, timeout_seconds=seconds)
        try:
            for collection in sorted({*client.list_collections(timeout=seconds)} & {*collections}):
                client.load_collection(collection, timeout=seconds)
        finally:
            client.close()
    except (MilvusException, grpc.RpcError) as error:
        raise Unavailable("milvus") from error
