"""How many of the best videos the index finds that serving searches, exact search being 1."""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import msgspec
import numpy as np
from numpy.typing import NDArray

from core.errors import SetupError, Unavailable
from core.settings import Settings
from embeddings.items import ItemVectors
from retrieval.exact import nearest
from storage.embedded.milvus import MilvusLiteServer
from storage.milvus_writer import MilvusWriter

DEPTHS = 10, 100
QUERIES = 200
"""Users that are enough to ask for: by 100 hits each, recall is known to a percent or so."""
EMBEDDED = "milvus_lite"


class Ann(msgspec.Struct, frozen=True, kw_only=True):
    """Of the best 10 and 100 videos for each of `users`, by exact search, the share that was found.

    `index` is what was searched, `milliseconds` how long a user's search for 100 takes, one at a
    time.
    """

    index: str
    users: int
    recall: dict[str, float]
    milliseconds: float


def measure(settings: Settings, items: ItemVectors, users: NDArray[np.float32]) -> Ann | str:
    """Put the item vectors into an index as a version's are, and search it for some users.

    The index is the Milvus of `UPNEXT_MILVUS_URI`, into a collection that is dropped again, or
    one that is started for the purpose.

    Args:
        settings: where Milvus is, if it is anywhere.
        items: what is searched.
        users: vectors of users, float32 (m, d); `QUERIES` of them are enough.

    Returns:
        What was found, or why nothing was asked, in a sentence.
    """
    if settings.milvus_uri is None and find_spec(EMBEDDED) is None:
        return (
            "not measured: there is no Milvus here. Install the local one "
            "(`pip install 'upnext[embedded]'`), or set UPNEXT_MILVUS_URI."
        )
    if len(users) == 0:
        return "not measured: no user has a vector."
    try:
        return _measured(settings, items, users)
    except (SetupError, Unavailable) as error:  # what was judged before it is worth hours
        return f"not measured: {error}"


def _measured(settings: Settings, items: ItemVectors, users: NDArray[np.float32]) -> Ann:
    name = f"videos_evaluated_{uuid4().hex[:12]}"
    with _milvus(settings) as (index, writer):
        try:
            writer.create(name, items.dim)
            for _ in writer.insert(
                name, [id_.decode() for id_ in items.ids.tolist()], items.vectors
            ):
                pass
            writer.seal(name)
            return _searched(writer, name, items, users, index)
        finally:
            writer.drop(name)


@contextmanager
def _milvus(settings: Settings) -> Iterator[tuple[str, MilvusWriter]]:
    """What is searched, in words, and who writes and searches there."""
    if settings.milvus_uri is not None:
        with closing(MilvusWriter.of(settings)) as writer:
            yield "the Milvus of UPNEXT_MILVUS_URI", writer
        return
    with TemporaryDirectory(prefix="upnext-evaluation-") as folder:
        server = MilvusLiteServer(Path(folder))
        server.launch()
        try:
            server.wait_ready()
            with closing(MilvusWriter(server.url)) as writer:
                yield "Milvus Lite", writer
        finally:
            server.stop()


def _searched(
    writer: MilvusWriter, name: str, items: ItemVectors, users: NDArray[np.float32], index: str
) -> Ann:
    deepest = min(max(DEPTHS), len(items))
    best = nearest(items, users, deepest)
    began = time.perf_counter()
    found = [writer.search(name, user[np.newaxis], deepest)[0] for user in users]
    seconds = time.perf_counter() - began
    return Ann(
        index=index,
        users=len(users),
        recall={
            f"recall@{depth}": float(
                np.mean(
                    [
                        len({*one.ids[:depth]} & {*other.ids[:depth]}) / len(other.ids[:depth])
                        for one, other in zip(found, best, strict=True)
                    ]
                )
            )
            for depth in DEPTHS
        },
        milliseconds=round(1000 * seconds / len(users), 2),
    )
