"""A data set as training sees it, read through the importers but without a database."""

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import TypeVar

import click
import numpy as np
from numpy.typing import NDArray

from core.clock import utc_now
from core.types import Interaction, Video
from embeddings.content_store import ContentStore
from embeddings.dataset import Catalogue, Histories, read_catalogue
from embeddings.encode import encode_new
from embeddings.history_reader import HistoryReader, table_of
from embeddings.text import REVISION
from embeddings.text_encoder import MiniLM
from ingest.movielens.movies import read_movies
from ingest.movielens.ratings import read_ratings
from ingest.report import Reject
from ingest.sequences import read_pairs, read_titles
from storage.artifacts import artifact_store

T = TypeVar("T", Video, Interaction)


@dataclass(frozen=True, slots=True)
class Data:
    """`content` float32 (n, 384) and the rows of `histories` are in the order of `catalogue`."""

    videos: list[Video]
    catalogue: Catalogue
    histories: Histories
    content: NDArray[np.float32]


async def read(folder: Path, kept: str, threads: int) -> Data:
    """Read a folder; text vectors are kept in the artifact store `kept`, made once.

    Raises:
        click.UsageError: it has neither ratings.csv nor pairs.tsv.
    """
    videos, interactions = _files(folder)
    catalogue = await read_catalogue(_pages(videos))
    row_of = {id_: row for row, id_ in enumerate(catalogue.ids)}
    reader = HistoryReader(row_of)
    reader.take(table_of(interactions))
    store = ContentStore(artifact_store(kept), REVISION)
    encoded = encode_new(catalogue, store, lambda: MiniLM(threads=threads), lambda *_: None)
    return Data(videos, catalogue, reader.histories(), encoded.vectors)


def _files(folder: Path) -> tuple[list[Video], list[Interaction]]:
    if (folder / "ratings.csv").exists():
        films = _good(read_movies(folder).items)
        return films, _sorted(_good(read_ratings(folder, utc_now).items))
    if (folder / "pairs.tsv").exists():
        videos = _good(read_titles(folder / "titles.csv").items)
        return videos, _sorted(_good(read_pairs(folder / "pairs.tsv").items))
    raise click.UsageError(f"{folder} has neither ratings.csv nor pairs.tsv.")


def _good(items: Iterable[T | Reject]) -> list[T]:
    return [item for item in items if not isinstance(item, Reject)]


def _sorted(interactions: list[Interaction]) -> list[Interaction]:
    return sorted(interactions, key=attrgetter("user_id", "occurred_at"))


async def _pages(items: Sequence[T]) -> AsyncIterator[Sequence[T]]:
    yield items
