"""Videos as the HTTP contract shows and takes them."""

from datetime import datetime
from typing import Annotated

import msgspec

from api.schemas import Seconds, TextId
from core.types import StoredVideo, Video, VideoId
from ingest.checks import (
    HIGHEST_MATURITY,
    LONGEST_DESCRIPTION,
    LONGEST_TAG,
    LONGEST_TITLE,
    MOST_REGIONS,
    MOST_TAGS,
    check_video,
)

Tag = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_TAG)]
Time = Annotated[datetime, msgspec.Meta(tz=True)]


class VideoBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole video but for its id: what is left out goes back to its default.

    Empty `regions` means everywhere, `maturity` is a minimum age in years.
    """

    title: Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_TITLE)]
    description: Annotated[str, msgspec.Meta(max_length=LONGEST_DESCRIPTION)] = ""
    genres: Annotated[tuple[Tag, ...], msgspec.Meta(max_length=MOST_TAGS)] = ()
    duration_seconds: Seconds | None = None
    language: Tag | None = None
    creator_id: TextId | int | None = None
    published_at: Time | None = None
    available: bool = True
    available_from: Time | None = None
    available_until: Time | None = None
    regions: Annotated[tuple[Tag, ...], msgspec.Meta(max_length=MOST_REGIONS)] = ()
    maturity: Annotated[int, msgspec.Meta(ge=0, le=HIGHEST_MATURITY)] = 0


class VideoDetails(msgspec.Struct, frozen=True, kw_only=True):
    """A video of the catalogue; `popularity_score` is its place among all, 0..1."""

    id: str
    title: str
    description: str
    genres: tuple[str, ...]
    duration_seconds: float | None
    language: str | None
    creator_id: str | None
    published_at: datetime | None
    available: bool
    available_from: datetime | None
    available_until: datetime | None
    regions: tuple[str, ...]
    maturity: int
    popularity_score: float
    updated_at: datetime


def video_of(video_id: VideoId, body: VideoBody) -> Video:
    """The video that a body describes. Raises `InvalidInput` for the first rule it breaks."""
    fields = msgspec.structs.asdict(body)
    if body.creator_id is not None:
        fields["creator_id"] = str(body.creator_id)
    return check_video(Video(id=video_id, **fields))


def details(stored: StoredVideo, popularity_score: float) -> VideoDetails:
    """A stored video as the contract shows it."""
    return VideoDetails(
        **msgspec.structs.asdict(stored.video),
        popularity_score=popularity_score,
        updated_at=stored.updated_at,
    )
