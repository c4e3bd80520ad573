"""Videos from NDJSON, CSV or Parquet: the fields of the catalogue's PUT, and `id`."""

from pathlib import Path
from typing import Any

import msgspec

from core.errors import InvalidInput
from core.types import Video
from ingest.checks import check_video
from ingest.feed import Feed
from ingest.readers.tables import Layout, feed, open_rows

FIELDS = frozenset(Video.__struct_fields__)
LAYOUT = Layout(
    required=("id", "title"),
    fields=FIELDS,
    ids=frozenset({"id", "creator_id"}),
    times=frozenset({"published_at", "available_from", "available_until"}),
    lists=frozenset({"genres", "regions"}),
)


def read_videos(path: Path) -> Feed[Video]:
    """The videos of a file.

    Raises:
        SetupError: there is no such file.
        InvalidInput: the file as a whole cannot be used; see `open_rows`.
    """
    rows = open_rows(path, LAYOUT, "videos as NDJSON, CSV or Parquet")
    return feed(rows, video_of)


def video_of(row: dict[str, Any]) -> Video:
    """A video from one row's fields.

    Raises:
        InvalidInput: a field that is not known, or a rule that is broken.
        msgspec.ValidationError: a field of another type.
    """
    unknown = row.keys() - FIELDS
    if unknown:
        raise InvalidInput(f"unknown field {min(unknown)!r}", field=min(unknown))
    return check_video(msgspec.convert(LAYOUT.tidy(row), Video, strict=False))
