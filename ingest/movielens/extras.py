"""plots.csv and tags.csv: looked up by film while movies.csv is read."""

import re
import unicodedata
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from ingest.checks import check_text, check_video_id
from ingest.readers.csv_rows import CsvRows
from ingest.readers.tables import made
from ingest.report import Reject

PLOT_COLUMNS = ("movieId", "release_date", "mpaa", "director", "cast", "plot")
TAG_COLUMNS = ("userId", "movieId", "tag", "timestamp")
# The youngest age each rating of the Motion Picture Association is meant for. PG names none: 8 is
# our reading of "some material may not be suitable for children". UNRATED says nothing, so 0.
MATURITY = {"G": 0, "PG": 8, "PG-13": 13, "R": 17, "NC-17": 18}
LONGEST_PLOT, LONGEST_CAST, LONGEST_TAG = 16_000, 2_000, 100
TAGS_KEPT = 10
LONGEST_CREATOR = 128


@dataclass(frozen=True, slots=True)
class Plot:
    """What plots.csv knows of a film."""

    released: date | None = None
    maturity: int = 0
    creator_id: str | None = None
    cast: str = ""
    text: str = ""


def read_plots(path: Path) -> tuple[dict[str, Plot], list[Reject]]:
    """Plots by film and the bad lines; none when there is no such file.

    Raises:
        InvalidInput: the file lacks a column.
    """
    plots: dict[str, Plot] = {}
    rejects: list[Reject] = []
    if path.is_file():
        for item in made(CsvRows(path, PLOT_COLUMNS), _plot_of):
            if isinstance(item, Reject):
                rejects.append(item)
            else:
                plots[item[0]] = item[1]
    return plots, rejects


def _plot_of(row: dict[str, Any]) -> tuple[str, Plot]:
    plot = Plot(
        released=_date(row.get("release_date", "")),
        maturity=MATURITY.get(row.get("mpaa", "").strip().upper(), 0),
        creator_id=slug(row.get("director", "").split(",")[0]),
        cast=check_text(row.get("cast", "").strip(), "cast", LONGEST_CAST),
        text=check_text(row.get("plot", "").strip(), "plot", LONGEST_PLOT),
    )
    return check_video_id(row.get("movieId", "")), plot


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None  # the year in the title stands in


def slug(name: str) -> str | None:
    """A name as an id: ASCII, lower case, dashes; None if nothing is left of it.

    >>> slug("Jean-Pierre Jeunet")
    'jean-pierre-jeunet'
    """
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", ascii_name.lower()).strip("-")[:LONGEST_CREATOR] or None


def read_tags(path: Path) -> tuple[dict[str, list[str]], list[Reject]]:
    """The tags most given to each film, at most 10, and the bad lines.

    Raises:
        InvalidInput: the file lacks a column.
    """
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    rejects: list[Reject] = []
    if path.is_file():
        for item in made(CsvRows(path, TAG_COLUMNS), _tag_of):
            if isinstance(item, Reject):
                rejects.append(item)
            else:
                counts[item[0]][item[1]] += 1
    return {film: _most_used(tags) for film, tags in counts.items()}, rejects


def _tag_of(row: dict[str, Any]) -> tuple[str, str]:
    tag = check_text(row.get("tag", "").strip().lower(), "tag", LONGEST_TAG)
    return check_video_id(row.get("movieId", "")), tag


def _most_used(tags: Counter[str]) -> list[str]:
    # Ties by name, so that the text, and with it the text's vector, is the same in every run.
    ranked = sorted(tags, key=lambda tag: (-tags[tag], tag))
    return [tag for tag in ranked if tag][:TAGS_KEPT]
