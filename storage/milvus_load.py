"""Makes the collections of a version searchable again after the index was restarted."""

from contextlib import closing

from core.access import access
from core.settings import Settings
from storage.milvus_writer import MilvusWriter


def load_collections(settings: Settings, collections: list[str]) -> None:
    """Load those of `collections` that there are; loaded ones stay as they are. Blocking.

    Milvus Lite forgets on a restart which were loaded, and answers no search until they are.

    Raises:
        Unavailable: Milvus did not answer.
    """
    writer = MilvusWriter(
        settings.milvus_uri or "",
        access(settings, "milvus"),
        timeout_seconds=settings.milvus_timeout_seconds,
    )
    with closing(writer):
        for collection in sorted({*writer.collections()} & {*collections}):
            writer.load(collection)
