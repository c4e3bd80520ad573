"""movies.csv, with what plots.csv and tags.csv add to a film's text."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from itertools import chain
from pathlib import Path
from typing import Any

from core.types import Video
from ingest.checks import check_video, check_video_id, start_of
from ingest.feed import Feed
from ingest.movielens.extras import Plot, read_plots, read_tags
from ingest.readers.csv_rows import CsvRows
from ingest.readers.lines import require
from ingest.readers.tables import made

COLUMNS = ("movieId", "title", "genres")
NO_GENRES = "(no genres listed)"
YEAR = re.compile(r"\((\d{4})(?:[-\u2013]\d{0,4})?\)\s*$")


def read_movies(folder: Path) -> Feed[Video]:
    """The films of a MovieLens folder; rejects of plots.csv and tags.csv come first.

    Memory grows with the number of films (their plots and tags), not with the ratings.

    Raises:
        SetupError: there is no movies.csv.
        InvalidInput: a file lacks a column.
    """
    path = require(folder / "movies.csv", f"a MovieLens file with {', '.join(COLUMNS)}")
    rows = CsvRows(path, COLUMNS)
    plots, bad_plots = read_plots(folder / "plots.csv")
    tags, bad_tags = read_tags(folder / "tags.csv")
    films = made(rows, _reader(plots, tags))
    return Feed(path.name, chain(bad_plots, bad_tags, films), rows.fraction)


def _reader(
    plots: dict[str, Plot], tags: dict[str, list[str]]
) -> Callable[[dict[str, Any]], Video]:
    def read(row: dict[str, Any]) -> Video:
        video_id = check_video_id(row.get("movieId", ""))
        title = row.get("title", "").strip()
        plot = plots.get(video_id, Plot())
        return check_video(
            Video(
                id=video_id,
                title=title,
                description=_description(plot, tags.get(video_id, [])),
                genres=_genres(row.get("genres", "")),
                creator_id=plot.creator_id,
                published_at=_published_at(plot.released, title),
                maturity=plot.maturity,
            )
        )

    return read


def _genres(text: str) -> tuple[str, ...]:
    if text == NO_GENRES:
        return ()
    return tuple(genre.lower() for genre in text.split("|") if genre)


def _published_at(released: date | None, title: str) -> datetime | None:
    if released is not None:
        return start_of(released)
    year = YEAR.search(title)
    return datetime(int(year[1]), 1, 1, tzinfo=UTC) if year and int(year[1]) else None


def _description(plot: Plot, tags: list[str]) -> str:
    parts = [
        plot.text,
        f"With {plot.cast}." if plot.cast else "",
        f"Tags: {', '.join(tags)}." if tags else "",
    ]
    return " ".join(part for part in parts if part)
