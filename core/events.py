"""The events we publish, CloudEvents 1.0 in structured JSON, and where all events go on the bus."""

from datetime import datetime
from typing import Final, Literal

import msgspec
from msgspec import UNSET, UnsetType

from core.types import DataSpan, ModelStatus, ModelType

SOURCE: Final = "/upnext"


class TrainedOn(msgspec.Struct, frozen=True):
    """The span of the history that a run reads, both ends optional."""

    start: datetime | None = None
    end: datetime | None = None

    @classmethod
    def of(cls, data: DataSpan) -> "TrainedOn":
        """The span of a model's data."""
        return cls(data.start, data.end)


class ModelTrainingStarted(msgspec.Struct, frozen=True, kw_only=True):
    """A run has begun to train."""

    model_id: str
    model_type: ModelType
    data: TrainedOn


class ModelTrainingCompleted(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A run has ended, well (`ready`) or not (`error` says why)."""

    model_id: str
    model_type: ModelType
    status: ModelStatus
    metrics: dict[str, float]
    duration_seconds: float
    error: str | None = None


RefreshReason = Literal["promoted", "rolled_back", "scheduled"]


class RecommendationsRefreshed(msgspec.Struct, frozen=True, kw_only=True):
    """The lists of the `users` seen lately are there, made by this model."""

    model_id: str
    model_version: str
    users: int
    reason: RefreshReason


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """An event that could not be taken, as it came, and why.

    `event` is its text, or base64 of its bytes where these are no text (`encoding` says which);
    `subject` is where it came from, `attempts` how often it had been delivered.
    """

    event: str
    encoding: Literal["utf-8", "base64"]
    subject: str
    reason: str
    attempts: int


Event = ModelTrainingStarted | ModelTrainingCompleted | RecommendationsRefreshed | DeadLetter

SUBJECTS: Final[dict[str, str]] = {
    "ModelTrainingStarted": "recs.model-training-started",
    "ModelTrainingCompleted": "recs.model-training-completed",
    "RecommendationsRefreshed": "recs.recommendations-refreshed",
    "DeadLetter": "recs.dead-letter",
}
"""Where on the bus each type goes."""

INCOMING: Final[dict[str, str]] = {
    "VideoWatched": "analytics.video-watched",
    "VideoRated": "analytics.video-rated",
}
"""Where on the bus each type comes in."""


class CloudEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An envelope: `(source, id)` names the event once and for all."""

    id: str
    type: str
    time: datetime
    data: msgspec.Raw
    source: str = SOURCE
    specversion: str = "1.0"
    datacontenttype: str = "application/json"


class TracedEvent(CloudEvent, frozen=True, kw_only=True):
    """An envelope that may say what caused it: CloudEvents' extension for distributed tracing."""

    traceparent: str | UnsetType = UNSET
    tracestate: str | UnsetType = UNSET
