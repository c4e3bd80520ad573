"""The words every room speaks: who, what, when, and one candidate type from search to answer."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, NewType
from uuid import UUID

import msgspec

if TYPE_CHECKING:  # the words are also those of the HTTP client, which does without numpy
    import numpy as np
    from numpy.typing import NDArray

UserId = NewType("UserId", str)
VideoId = NewType("VideoId", str)

Source = Literal["nearest", "similar", "trending", "popular", "new"]
ListType = Literal["personalized", "trending", "popular", "new"]
InteractionKind = Literal["watch", "rating"]


class Video(msgspec.Struct, frozen=True, kw_only=True):
    """A video of the catalogue, as its owner describes it.

    `maturity` is a minimum age in years; empty `regions` means everywhere;
    `available_from` and `available_until` bound the availability window (UTC, half-open).
    """

    id: VideoId
    title: str
    description: str = ""
    genres: tuple[str, ...] = ()
    duration_seconds: float | None = None
    language: str | None = None
    creator_id: str | None = None
    published_at: datetime | None = None
    available: bool = True
    available_from: datetime | None = None
    available_until: datetime | None = None
    regions: tuple[str, ...] = ()
    maturity: int = 0


class StoredVideo(msgspec.Struct, frozen=True):
    """A video and when it was last changed."""

    video: Video
    updated_at: datetime


class Interaction(msgspec.Struct, frozen=True, kw_only=True):
    """One watch or rating. `key` names it once and for all: a second arrival changes nothing.

    `weight` is how much it says about the user's taste, 0 (nothing) to 1 (everything).
    """

    key: UUID
    user_id: UserId
    video_id: VideoId
    kind: InteractionKind
    occurred_at: datetime
    weight: float
    watched_seconds: float | None = None
    video_seconds: float | None = None
    rating: float | None = None
    recommendation_id: str | None = None


class Watch(msgspec.Struct, frozen=True):
    """One entry of a user's recent history (a watch or a rating)."""

    video_id: VideoId
    occurred_at: datetime
    weight: float


@dataclass(frozen=True, slots=True)
class UserState:
    """What is known of a user's taste, enough to make a list.

    `recent` is newest first, each video once, at most the configured length (200).
    `watched` holds `hash64` of every video ever watched or rated: uint64, sorted, (n,).
    `revision` rises with every committed change of the user's history, and with the clock: it is
    above those that an earlier database gave the same user.
    """

    user_id: UserId
    revision: int
    recent: tuple[Watch, ...]
    watched: "NDArray[np.uint64]"


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller narrows a list to; as made, nothing is narrowed.

    `genres`: any of them, empty for all · `region`: where it is to be shown, None: not asked ·
    `max_maturity`: the highest minimum age that will do, years, None: any · `exclude`: ids that
    must not come.
    """

    genres: frozenset[str] = frozenset()
    region: str | None = None
    max_maturity: int | None = None
    exclude: frozenset[VideoId] = frozenset()

    @property
    def narrows(self) -> bool:
        """Whether they keep any video out."""
        return self != NO_FILTERS

    @property
    def selects(self) -> bool:
        """Whether they keep whole kinds of videos out: more than those that are named."""
        return bool(self.genres) or self.region is not None or self.max_maturity is not None


NO_FILTERS = Filters()


@dataclass(frozen=True, slots=True)
class Hits:
    """Answer to one query vector: ids best first and their inner products, float32 (n,).

    `without` names the dependency that should have given it and did not answer: then it is that
    of a stand-in.
    """

    ids: tuple[VideoId, ...]
    scores: "NDArray[np.float32]"
    without: str | None = None


# Hundreds are made for each list: a Struct takes a sixth of a dataclass's time, and the garbage
# collector need not follow it.
class Candidate(msgspec.Struct, frozen=True, gc=False):
    """A video that a source proposes.

    `similarity` is the source's own measure of likeness, 0 where it has none; measures of different
    sources do not compare, and the re-ranker takes its own.
    """

    video_id: VideoId
    source: Source
    similarity: float = 0.0


class Ranked(msgspec.Struct, frozen=True, gc=False):
    """A candidate in its place. `score` is the blend's: diversity and rules reorder without it."""

    video_id: VideoId
    source: Source
    score: float


class Term(msgspec.Struct, frozen=True):
    """One feature of a score: `contribution` is its `value`, 0..1, times its `weight`."""

    value: float
    weight: float
    contribution: float


class Explanation(msgspec.Struct, frozen=True):
    """Why a video has its score: `terms` by feature, whose contributions add up to it.

    `because` is the watched video nearest to this one, None where none is near.
    """

    terms: dict[str, Term]
    because: VideoId | None


@dataclass(frozen=True, slots=True)
class VideoColumns:
    """Facts of n candidate videos as arrays, in the candidates' order.

    `popularity` float32 (n,) 0..1 · `genres` bool (n, G) · `published_day` float32 (n,) days since
    the epoch, nan when unknown · `creator` int32 (n,), -1 when unknown · `hashes` uint64 (n,).
    """

    popularity: "NDArray[np.float32]"
    genres: "NDArray[np.bool_]"
    published_day: "NDArray[np.float32]"
    creator: "NDArray[np.int32]"
    hashes: "NDArray[np.uint64]"


class Weights(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Weights of the blend, one for each feature of `ranking.features`.

    Those of a model may have popularity below 0: it makes more of what is popular than users do.
    """

    similarity: float = 0.0
    popularity: float = 0.40
    genre: float = 0.35
    recency: float = 0.15
    exploration: float = 0.10


class RankingConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A version of the operator's ranking configuration.

    `weights` overrides `preset`; preset `model` takes the live model's own weights, `seed` the
    popularity-first ones. `diversity` 0..1 is the share of MMR given to being different;
    `creator_cap` bounds videos of one creator in the first 10; `candidates` is how many each
    search asks for; `popularity_damping` 0..1 is how much less popular videos are liked for it.
    """

    version: int = 1
    preset: Literal["model", "seed"] = "model"
    weights: Weights | None = None
    popularity_damping: float = 0.0
    diversity: float = 0.375
    creator_cap: int = 3
    candidates: int = 300
    soft_age_seconds: int = 600
    hard_age_seconds: int = 3600


ModelType = Literal["als", "sequence", "content"]
ModelStatus = Literal[
    "queued", "training", "evaluating", "publishing", "ready", "live", "retired", "rejected",
    "failed", "cancelled",
]  # fmt: skip


class Progress(msgspec.Struct, frozen=True):
    """How far a run is: the stage's name, 0..1 of that stage, a sentence for a person."""

    stage: str
    fraction: float
    message: str = ""


class DataSpan(msgspec.Struct, frozen=True, kw_only=True):
    """What a model was trained on."""

    start: datetime | None = None
    end: datetime | None = None
    interactions: int = 0
    users: int = 0
    videos: int = 0


class Baseline(msgspec.Struct, frozen=True, kw_only=True):
    """What a model was judged against: the live model, or popularity (`model_id` None)."""

    model_id: str | None
    metrics: dict[str, float]


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the model registry. `version` names collections, list fields and answers."""

    id: str
    model_type: ModelType
    version: str
    status: ModelStatus
    created_at: datetime
    progress: Progress | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    promoted_at: datetime | None = None
    data: DataSpan = DataSpan()
    params: dict[str, Any] = msgspec.field(default_factory=dict)
    metrics: dict[str, float] = msgspec.field(default_factory=dict)
    baseline: Baseline | None = None
    artifact_uri: str | None = None
    error: str | None = None


class Change(msgspec.Struct, frozen=True):
    """News to the replicas: `kind` and the ids it is about (empty: all of that kind)."""

    kind: Literal["video", "model", "config"]
    keys: tuple[str, ...] = ()


class PopularityRow(msgspec.Struct, frozen=True):
    """Counters of one video: raw watches, and log2 of its forward-decayed sums.

    `log2_slow` and `log2_fast` are `log2(sum_i weight_i * 2^(t_i / half_life))`, t in days since
    the epoch, half-lives of 14 days and 24 hours: kept as logarithms they never overflow, and
    their order does not depend on when they are read.
    """

    video_id: VideoId
    watches: int
    log2_slow: float
    log2_fast: float


class UpsertCounts(msgspec.Struct, frozen=True):
    """What writing videos did."""

    inserted: int
    changed: int


class AddCounts(msgspec.Struct, frozen=True):
    """What writing interactions did, and the new revision of each user that was touched.

    Users whose interactions were all repeats are in `revisions` too, with the revision they have.
    `erased` interactions were of users who were erased: nothing of them was written.
    """

    accepted: int
    duplicates: int
    revisions: dict[UserId, int]
    erased: int = 0


class ChangeCursor(msgspec.Struct, frozen=True):
    """How far a reader of changes has come; `ahead` are ids after that which it had already."""

    transaction: int = 0
    id: int = 0
    ahead: frozenset[int] = frozenset()
