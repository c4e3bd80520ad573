"""Events as they come in: CloudEvents 1.0 in structured JSON, as the event contract names them."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from core.errors import InvalidInput
from core.hashing import event_key
from core.types import Interaction
from ingest.checks import (
    HIGHEST_RATING,
    ID,
    LONGEST_SECONDS,
    LOWEST_RATING,
    LatestTime,
    check_id,
    check_occurred_at,
    check_rating,
    check_seconds,
    check_text,
    check_user_id,
    check_video_id,
)
from ingest.weights import WatchWeights, rating_weight

LONGEST_NAME = 1_000  # of an event's id or source, which are not ids of ours


# What the checks below hold an event to, for the document that is made from these structs.
_ID_OF_OURS = Meta(extra_json_schema={"pattern": f"^{ID.pattern}$"})
_Id = Annotated[str | int, _ID_OF_OURS]
_Seconds = Annotated[float, Meta(extra_json_schema={"minimum": 0, "maximum": LONGEST_SECONDS})]
_Rating = Annotated[
    float, Meta(extra_json_schema={"minimum": LOWEST_RATING, "maximum": HIGHEST_RATING})
]
_Name = Annotated[str, Meta(extra_json_schema={"minLength": 1, "maxLength": LONGEST_NAME})]
_Time = Annotated[datetime, Meta(extra_json_schema={"format": "date-time"})]


class WatchedData(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was watched, by whom, and for how long."""

    user_id: _Id
    video_id: _Id
    watched_seconds: _Seconds | None = None
    video_seconds: _Seconds | None = None
    recommendation_id: Annotated[str, _ID_OF_OURS] | None = None


class RatedData(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rating, 0.5 to 5."""

    user_id: _Id
    video_id: _Id
    rating: _Rating


class _Envelope(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """The attributes of CloudEvents that matter here; others (extensions) are passed over."""

    specversion: Literal["1.0"]
    id: _Name
    source: _Name
    time: _Time | None = None
    datacontenttype: str | None = None


class VideoWatched(_Envelope, frozen=True, kw_only=True, tag="VideoWatched"):
    """A user watched a video, wholly or in part."""

    data: WatchedData


class VideoRated(_Envelope, frozen=True, kw_only=True, tag="VideoRated"):
    """A user rated a video."""

    data: RatedData


Event = VideoWatched | VideoRated


def interaction_of(
    event: Event, latest: LatestTime, received: datetime | None, weights: WatchWeights
) -> Interaction:
    """The interaction that an event tells of.

    `received` stands in for a missing `time` (the broker's time; None where there is none),
    `weights` says what a watch is worth.

    Raises:
        InvalidInput: the event breaks a rule of the contract.
    """
    moment = event.time or received
    if moment is None:
        raise InvalidInput("time is missing", field="time")
    for name, value in (("id", event.id), ("source", event.source)):
        if not value:
            raise InvalidInput(f"{name} is empty", field=name)
        check_text(value, name, LONGEST_NAME)
    occurred_at = check_occurred_at(moment, latest)
    key = event_key(event.source, event.id)
    user_id = check_user_id(str(event.data.user_id))
    video_id = check_video_id(str(event.data.video_id))
    if isinstance(event.data, RatedData):
        rating = check_rating(event.data.rating)
        return Interaction(
            key=key,
            user_id=user_id,
            video_id=video_id,
            kind="rating",
            occurred_at=occurred_at,
            weight=rating_weight(rating),
            rating=rating,
        )
    watched = check_seconds(event.data.watched_seconds, "watched_seconds")
    length = check_seconds(event.data.video_seconds, "video_seconds")
    recommendation = event.data.recommendation_id
    if recommendation is not None:
        check_id(recommendation, "recommendation_id")
    return Interaction(
        key=key,
        user_id=user_id,
        video_id=video_id,
        kind="watch",
        occurred_at=occurred_at,
        weight=weights.watch(watched, length),
        watched_seconds=watched,
        video_seconds=length,
        recommendation_id=recommendation,
    )
