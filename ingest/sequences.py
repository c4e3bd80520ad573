"""Histories without times: each user's videos in the order watched (the layout of MicroLens).

Times are made up, the same way in every run: a user's last watch is at `LAST_WATCH`, each earlier
one an hour before the next. Order is kept; clock times and gaps mean nothing.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from core.errors import InvalidInput
from core.hashing import event_key
from core.types import Interaction, UserId, Video
from ingest.checks import LONGEST_TITLE, check_user_id, check_video, check_video_id
from ingest.feed import Feed
from ingest.readers.csv_rows import CsvRows
from ingest.readers.lines import Lines, require
from ingest.readers.tables import feed
from ingest.report import Reject
from ingest.weights import PLAIN

SOURCE = "sequences"
ELLIPSIS = "\u2026"
LAST_WATCH = datetime(2024, 1, 1, tzinfo=UTC)
STEP = timedelta(hours=1)


def read_titles(path: Path) -> Feed[Video]:
    """Videos of a CSV file with `item` and `title`; hashtags stay in the title.

    A caption too long for a title is cut at a word, and kept whole as the description.

    Raises:
        SetupError: there is no such file.
        InvalidInput: a column is missing.
    """
    require(path, "a CSV file of titles with the columns item, title")
    return feed(CsvRows(path, required=("item", "title")), _video_of)


def _video_of(row: dict[str, Any]) -> Video:
    caption = row.get("title", "").strip()
    if len(caption) <= LONGEST_TITLE:
        return check_video(Video(id=row.get("item", ""), title=caption))
    title = caption[: LONGEST_TITLE - 1].rsplit(" ", 1)[0] + ELLIPSIS
    return check_video(Video(id=row.get("item", ""), title=title, description=caption))


def read_pairs(path: Path) -> Feed[Interaction]:
    """Watches of a file with a user, a tab, and that user's videos separated by spaces, a line.

    Raises:
        SetupError: there is no such file.
    """
    require(path, "a text file of lines `user TAB video video ...`, oldest first")
    lines = Lines(path)
    return Feed(path.name, _watches(lines), lines.meter.fraction)


def _watches(lines: Lines) -> Iterator[Interaction | Reject]:
    for line in lines:
        if isinstance(line, Reject):
            yield line
        elif line[1].strip():
            yield from _history(lines.path.name, *line)


def _history(file: str, number: int, text: str) -> Iterator[Interaction | Reject]:
    try:
        user_id, videos = _parts(text)
    except InvalidInput as error:
        yield Reject(file, number, str(error))
        return
    for position, video in enumerate(videos):
        try:
            yield _watch(user_id, video, position, last=len(videos) - 1)
        except InvalidInput as error:
            yield Reject(file, number, f"entry {position + 1}: {error}")


def _parts(text: str) -> tuple[UserId, list[str]]:
    user, tab, rest = text.partition("\t")
    videos = rest.split()
    if not tab or not videos:
        raise InvalidInput("expected `user TAB video video ...`")
    return check_user_id(user), videos


def _watch(user_id: UserId, video: str, position: int, last: int) -> Interaction:
    return Interaction(
        key=event_key(SOURCE, f"{user_id} {position} {video}"),
        user_id=user_id,
        video_id=check_video_id(video),
        kind="watch",
        occurred_at=LAST_WATCH - STEP * (last - position),
        weight=PLAIN.watch(None, None),
    )
