"""Every request of the HTTP contract, as a function that describes it.

Ids are texts; times need a time zone. What a call is decoded to is what its route answers.
"""

from collections.abc import Callable, Iterable
from datetime import date, datetime
from typing import Literal, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from api.configs import ConfigBody, ConfigVersion, ConfigVersions
from api.schemas import (
    Health,
    ModelBody,
    ModelList,
    RatingBody,
    Recommended,
    SimilarList,
    UserList,
    WatchBody,
    WatchReceipt,
)
from api.schemas_batch import BatchPage
from api.schemas_catalogue import VideoBody, VideoDetails
from api.schemas_imports import ImportReport
from api.schemas_jobs import BatchJobBody, JobBody
from api.schemas_rank import RankBody, RankedList
from api.schemas_training import TrainBody
from api.stats import Stats
from core.types import ListType, ModelStatus, ModelType
from upnext.client.call import Call, Lines, Params

T = TypeVar("T")


class JobLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of what a batch job made: a user's list."""

    user_id: str
    model_version: str | None
    recommendations: tuple[Recommended, ...]


def recommendations(
    user_id: str,
    *,
    limit: int = 10,
    type: ListType = "personalized",  # noqa: A002 - the contract's name
    genres: Iterable[str] = (),
    region: str | None = None,
    max_maturity: int | None = None,
    exclude: Iterable[str] = (),
    explain: bool = False,
) -> Call[UserList]:
    """A user's list; somebody nobody has seen before gets a cold-start list."""
    narrowed = _narrowed(genres, region, max_maturity, exclude)
    params = {"limit": limit, "type": type, "explain": explain or None, **narrowed}
    return Call("GET", _path("recs", user_id), _to(UserList), params)


def user_recommendations(user_id: str, *, limit: int = 10) -> Call[UserList]:
    """The list of a known user; `UserNotFound` of another."""
    path = _path("users", user_id, "recommendations")
    pages = _path("recs", user_id)
    return Call("GET", path, _to(UserList), {"limit": limit}, next_path=pages)


def similar(
    video_id: str,
    *,
    limit: int = 10,
    genres: Iterable[str] = (),
    region: str | None = None,
    max_maturity: int | None = None,
    exclude: Iterable[str] = (),
    for_user: str | None = None,
) -> Call[SimilarList]:
    """Videos like one, without those that `for_user` has watched."""
    narrowed = _narrowed(genres, region, max_maturity, exclude)
    params = {"limit": limit, "for_user": for_user, **narrowed}
    return Call("GET", _path("videos", video_id, "similar"), _to(SimilarList), params)


def rank(
    user_id: str, content_ids: Iterable[str], *, limit: int = 10, explain: bool = False
) -> Call[RankedList]:
    """The caller's own candidates in the order for this user."""
    body = RankBody(user_id=user_id, content_ids=list(content_ids), limit=limit, explain=explain)
    return Call("POST", "/recs/rank", _to(RankedList), body=body)


def batch(*, page: int = 1, limit: int = 20) -> Call[BatchPage]:
    """A page of users and their lists."""
    params = {"page": page, "limit": limit}
    return Call("GET", "/recommendations/batch", _to(BatchPage), params)


def batch_job(
    user_ids: Iterable[str] | None = None,
    *,
    active_within_days: int | None = None,
    limit: int = 10,
) -> Call[JobBody]:
    """Have the lists of these users made, or everybody's who was here within so many days."""
    body = BatchJobBody(
        user_ids=None if user_ids is None else list(user_ids),
        all=True if user_ids is None else None,
        active_within_days=active_within_days,
        limit=limit,
    )
    path = "/recommendations/batch/jobs"
    return Call("POST", path, _to(JobBody), body=body, repeatable=False)


def job(job_id: str) -> Call[JobBody]:
    """How far a job is."""
    return Call("GET", _path("jobs", job_id), _to(JobBody))


def ended(job: JobBody) -> bool:
    """Whether nothing more will come of a job."""
    return job.status in {"done", "failed", "cancelled"}


def result_path(job_id: str) -> str:
    """Where the lines that a job made are."""
    return _path("jobs", job_id, "result")


def watch(
    user_id: str,
    content_id: str,
    *,
    watched_seconds: float | None = None,
    video_seconds: float | None = None,
    occurred_at: datetime | None = None,
    recommendation_id: str | None = None,
    idempotency_key: str | None = None,
) -> Call[WatchReceipt]:
    """Record a watch. With a key of your own making it may be sent again without harm."""
    body = WatchBody(
        content_id=content_id,
        watched_seconds=watched_seconds,
        video_seconds=video_seconds,
        occurred_at=occurred_at,
        recommendation_id=recommendation_id,
    )
    return _recorded(user_id, "watch-history", body, idempotency_key)


def rating(
    user_id: str, content_id: str, rating: float, *, idempotency_key: str | None = None
) -> Call[WatchReceipt]:
    """Record a rating, 0.5 to 5."""
    body = RatingBody(content_id=content_id, rating=rating)
    return _recorded(user_id, "ratings", body, idempotency_key)


def put_video(video_id: str, video: VideoBody) -> Call[VideoDetails]:
    """Make or change a video: all of it, what is left out goes back to its default."""
    return Call("PUT", _path("videos", video_id), _to(VideoDetails), body=video)


def video(video_id: str) -> Call[VideoDetails]:
    """A video of the catalogue."""
    return Call("GET", _path("videos", video_id), _to(VideoDetails))


def take_down(video_id: str) -> Call[None]:
    """Take a video off every list."""
    return Call("DELETE", _path("videos", video_id), _nothing)


def import_videos(lines: Lines) -> Call[ImportReport]:
    """Import videos: each line a mapping, a struct, or JSON as text or bytes. May be repeated."""
    return Call("POST", "/videos/import", _to(ImportReport), lines=lines, repeatable=False)


def import_events(lines: Lines) -> Call[ImportReport]:
    """Import watches and ratings, as `import_videos`."""
    return Call("POST", "/events/import", _to(ImportReport), lines=lines, repeatable=False)


def erase(user_id: str) -> Call[JobBody]:
    """Erase a user; the job's `counts` are the receipt."""
    return Call("DELETE", _path("users", user_id), _to(JobBody))


def train(
    model_type: ModelType, *, start_date: date | None = None, end_date: date | None = None
) -> Call[ModelBody]:
    """Train a model of this type, on these days, inclusive, or on all."""
    body = TrainBody(model_type=model_type, start_date=start_date, end_date=end_date)
    return Call("POST", "/recs/train", _to(ModelBody), body=body, repeatable=False)


def models(
    *, model_type: ModelType | None = None, status: ModelStatus | None = None
) -> Call[ModelList]:
    """Models, newest first."""
    params: Params = {"model_type": model_type, "status": status}
    return Call("GET", "/recs/models", _to(ModelList), params)


def model(model_id: str) -> Call[ModelBody]:
    """A model."""
    return Call("GET", _path("recs", "models", model_id), _to(ModelBody))


def change_model(model_id: str, change: Literal["promote", "cancel"]) -> Call[ModelBody]:
    """Make a model live, or stop its run."""
    path = _path("recs", "models", model_id, change)
    return Call("POST", path, _to(ModelBody), repeatable=False)


def roll_back() -> Call[ModelBody]:
    """Go back to the model that was live before."""
    return Call("POST", "/recs/models/rollback", _to(ModelBody), repeatable=False)


def config() -> Call[ConfigVersion]:
    """The ranking configuration that is in force."""
    return Call("GET", "/recs/config", _to(ConfigVersion))


def put_config(config: ConfigBody, *, replaces: int) -> Call[ConfigVersion]:
    """Make the next version, if the one that it replaces is in force: else `Conflict`."""
    headers = {"If-Match": str(replaces)}
    return Call(
        "PUT",
        "/recs/config",
        _to(ConfigVersion),
        body=config,
        headers=headers,
        repeatable=False,  # the second would find its own version in force
    )


def configs() -> Call[ConfigVersions]:
    """All versions of the ranking configuration, newest first."""
    return Call("GET", "/recs/config/versions", _to(ConfigVersions))


def stats() -> Call[Stats]:
    """What was served within the last hour and day, and the watches that followed."""
    return Call("GET", "/recs/stats", _to(Stats))


def health() -> Call[Health]:
    """How the service and its dependencies are."""
    return Call("GET", "/health", _to(Health))


def _recorded(
    user_id: str, what: str, body: WatchBody | RatingBody, key: str | None
) -> Call[WatchReceipt]:
    headers = {} if key is None else {"Idempotency-Key": key}
    path = _path("users", user_id, what)
    return Call(
        "POST", path, _to(WatchReceipt), body=body, headers=headers, repeatable=key is not None
    )


def _narrowed(
    genres: Iterable[str], region: str | None, max_maturity: int | None, exclude: Iterable[str]
) -> dict[str, str | int | bool | list[str] | None]:
    return {
        "genre": list(genres) or None,
        "region": region,
        "max_maturity": max_maturity,
        "exclude": ",".join(exclude) or None,
    }


def _path(*parts: str) -> str:
    """A path of these parts, whatever is in them."""
    return "".join(f"/{quote(part, safe='')}" for part in parts)


def _to(kind: type[T]) -> Callable[[httpx.Response], T]:
    decoder = msgspec.json.Decoder(kind)
    return lambda answer: decoder.decode(answer.content)


def _nothing(_: httpx.Response) -> None:
    """A good answer without a body."""
