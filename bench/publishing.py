"""How long a version takes into a Milvus server, and what it then finds.

`python -m bench.publishing --help`
"""

import asyncio
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import mean

import click
import msgspec
import numpy as np
from numpy.typing import NDArray

from bench.milvus_server import MilvusServer
from bench.two_columns import two_columns
from core.errors import UpnextError
from retrieval.ports import VectorSearch
from storage.milvus import MilvusSearch
from storage.milvus_writer import MilvusWriter
from upnext.cli.console import emit
from upnext.jobs.ports import VectorWriter
from upnext.jobs.publish import Publication, Rows, publish

USERS, CONTENT_DIM, QUERIES, DEPTH = 1_000, 384, 500, 300


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """One publish. `recall` of the best 10 and 300 for users' vectors, exact search being 1."""

    videos: int
    dimensions: int
    texts_seconds: float
    insert_seconds: float
    whole_seconds: float
    search_ms: float
    recall_10: float
    recall_300: float


@click.command()
@click.option("--videos", type=click.IntRange(100), default=100_000, show_default=True)
@click.option("--dimensions", type=click.IntRange(2), default=64, show_default=True)
@click.option("--texts", is_flag=True, help="Publish a text vector of 384 numbers for each, too.")
def main(videos: int, dimensions: int, *, texts: bool) -> None:
    """Publish a made-up version into the server of the `milvus` wheel, started for the purpose.

    Item vectors are in groups, their lengths spread as those of a model of behaviour; users'
    vectors are near a group.
    """
    try:
        with server() as uri, closing(MilvusWriter(uri)) as writer:
            search = MilvusSearch(uri, timeout_seconds=20.0)
            figures = measure(writer, search, videos, dimensions, texts=texts)
    except UpnextError as error:
        raise click.ClickException(str(error)) from error
    emit(
        figures, as_json=False, table=lambda: two_columns("A version into a Milvus server", figures)
    )


@contextmanager
def server() -> Iterator[str]:
    """The address of a Milvus server in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="upnext-milvus-") as folder:
        milvus = MilvusServer(Path(folder))
        milvus.launch()
        try:
            milvus.wait_ready()
            yield milvus.url
        finally:
            milvus.stop()


def measure(
    writer: VectorWriter, search: VectorSearch, videos: int, dimensions: int, *, texts: bool
) -> Figures:
    """Publish, then search for users. Raises `Unavailable`."""
    items, users = vectors(videos, dimensions)
    ids = [f"video-{n}" for n in range(videos)]
    content = np.random.default_rng(1).normal(size=(videos if texts else 100, CONTENT_DIM))
    what = Publication(
        version="bench",
        content_revision="bench",
        videos=Rows(ids, items),
        users=Rows([f"user-{n}" for n in range(USERS)], users),
        content=Rows(ids[: len(content)], content.astype(np.float32)),
    )
    marks: list[tuple[float, float]] = []
    began = time.monotonic()
    publish(writer, what, [], lambda share, _: marks.append((share, time.monotonic() - began)))
    whole = time.monotonic() - began
    texts_done, videos_done = (
        next(at for share, at in marks if share >= stage) for stage in (0.3, 0.6)
    )
    search_ms, recalls = asyncio.run(searched(search, ids, items, users[:QUERIES]))
    return Figures(
        videos=videos,
        dimensions=dimensions,
        texts_seconds=round(texts_done, 1),
        insert_seconds=round(videos_done - texts_done, 1),
        whole_seconds=round(whole, 1),
        search_ms=search_ms,
        recall_10=recalls[10],
        recall_300=recalls[DEPTH],
    )


async def searched(
    search: VectorSearch,
    ids: list[str],
    items: NDArray[np.float32],
    users: NDArray[np.float32],
) -> tuple[float, dict[int, float]]:
    """Milliseconds a search, one at a time, and recall of the best 10 and 300."""
    began = time.monotonic()
    found = [(await search.search("videos_bench", user[np.newaxis], DEPTH))[0] for user in users]
    milliseconds = (time.monotonic() - began) / len(users) * 1000
    best = np.argsort(-(users @ items.T), axis=1)[:, :DEPTH]
    names = [[ids[row] for row in rows] for rows in best.tolist()]
    recalls = {
        k: mean(
            len({*hits.ids[:k]} & {*true[:k]}) / k for hits, true in zip(found, names, strict=True)
        )
        for k in (10, DEPTH)
    }
    return round(milliseconds, 2), {k: round(value, 4) for k, value in recalls.items()}


def vectors(videos: int, dimensions: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Item vectors float32 (videos, d) and user vectors (1000, d), the same every time."""
    rng = np.random.default_rng(0)
    groups = rng.normal(size=(200, dimensions))
    items = groups[rng.integers(len(groups), size=videos)] + rng.normal(size=(videos, dimensions))
    lengths = rng.lognormal(sigma=0.5, size=(videos, 1))
    items *= lengths / np.linalg.norm(items, axis=1, keepdims=True)
    users = groups[rng.integers(len(groups), size=USERS)] + rng.normal(size=(USERS, dimensions))
    return items.astype(np.float32), users.astype(np.float32)


if __name__ == "__main__":
    main()
