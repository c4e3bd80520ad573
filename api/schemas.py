"""The bodies of the HTTP contract, field for field."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from core.types import (
    Baseline,
    DataSpan,
    Explanation,
    ListType,
    Model,
    ModelStatus,
    ModelType,
    Progress,
    Source,
)
from ingest.checks import HIGHEST_RATING, LONGEST_SECONDS, LOWEST_RATING

# The last group is for Python, whose `$` also matches before a newline at the end.
ID_PATTERN = r"^[A-Za-z0-9_.:|@+=~-]{1,128}(?!\n)$"
Seconds = Annotated[float, msgspec.Meta(ge=0, le=LONGEST_SECONDS)]
TextId = Annotated[str, msgspec.Meta(pattern=ID_PATTERN, description="An id, as text.")]


class Recommended(msgspec.Struct, frozen=True, kw_only=True):
    """One video of a list. `genre` is the first of `genres`; `explanation` comes when asked for."""

    content_id: str
    title: str
    genre: str | None
    genres: tuple[str, ...]
    popularity_score: float
    score: float
    source: Source
    explanation: Explanation | msgspec.UnsetType = msgspec.UNSET


class ListMetadata(msgspec.Struct, frozen=True, kw_only=True):
    """How a list came about; `degraded` names what did not answer and was done without."""

    recommendation_id: str
    type: ListType
    model_version: str | None
    config_version: int
    cache_hit: bool
    cold_start: bool
    degraded: tuple[str, ...]
    generated_at: datetime
    total_count: int
    next_cursor: str | None = None


class UserList(msgspec.Struct, frozen=True, kw_only=True):
    """A user's list: its order is the recommendation."""

    user_id: str
    recommendations: tuple[Recommended, ...]
    metadata: ListMetadata


class SimilarMetadata(msgspec.Struct, frozen=True, kw_only=True):
    """How a list of similar videos came about: the fields of a user's list.

    It is made anew for each request and is nobody's own, so some never change.
    """

    recommendation_id: str
    type: Literal["similar"] = "similar"
    model_version: str | None
    config_version: int
    cache_hit: bool = False
    cold_start: bool = False
    degraded: tuple[str, ...]
    generated_at: datetime
    total_count: int
    next_cursor: str | None = None


class SimilarList(msgspec.Struct, frozen=True, kw_only=True):
    """Videos like `content_id`, the most similar first."""

    content_id: str
    recommendations: tuple[Recommended, ...]
    metadata: SimilarMetadata


class WatchBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A watch. `occurred_at` is now when it is left out, and at most 5 minutes ahead."""

    content_id: TextId | int
    watched_seconds: Seconds | None = None
    video_seconds: Seconds | None = None
    occurred_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    recommendation_id: TextId | int | None = None


class RatingBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rating, given now."""

    content_id: TextId | int
    rating: Annotated[float, msgspec.Meta(ge=LOWEST_RATING, le=HIGHEST_RATING)]


class WatchReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """A watch or rating that is committed; `duplicate` when this only repeats an earlier one."""

    user_id: str
    content_id: str
    occurred_at: datetime
    duplicate: bool


class ModelBody(msgspec.Struct, frozen=True, kw_only=True):
    """A model of the registry.

    `baseline` is what it was judged against, by the same watches: the model that was live then,
    or what was watched most (`model_id` null); null when there was nothing to judge by.
    """

    id: str
    model_type: ModelType
    version: str
    status: ModelStatus
    live: bool
    progress: Progress | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    promoted_at: datetime | None
    data: DataSpan
    params: dict[str, Any]
    metrics: dict[str, float]
    baseline: Baseline | None
    artifact_uri: str | None
    error: str | None


class ModelList(msgspec.Struct, frozen=True):
    """Models, newest first."""

    models: list[ModelBody]


class DependencyHealth(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whether a dependency answered just now, and how fast."""

    status: str
    latency_ms: float | None = None


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """`ok` when every dependency answers, else `degraded`."""

    status: str
    dependencies: dict[str, DependencyHealth]
    model_version: str | None
    version: str


class Sign(msgspec.Struct, frozen=True):
    """A sign of life."""

    status: str


def model_body(model: Model) -> ModelBody:
    """A model as the contract shows it."""
    return ModelBody(
        id=model.id,
        model_type=model.model_type,
        version=model.version,
        status=model.status,
        live=model.status == "live",
        progress=model.progress,
        created_at=model.created_at,
        started_at=model.started_at,
        finished_at=model.finished_at,
        promoted_at=model.promoted_at,
        data=model.data,
        params={name: value for name, value in model.params.items() if name != "owner"},
        metrics=model.metrics,
        baseline=model.baseline,
        artifact_uri=model.artifact_uri,
        error=model.error,
    )
