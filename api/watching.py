"""The use case of one watch or rating: check, commit, drop what the older history had led to."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID, uuid4

from api.forgetting import Forgetting
from api.ports import InteractionStore
from api.states import States
from core.clock import Clock, utc_now
from core.errors import Conflict, InvalidInput, VideoNotFound
from core.hashing import event_key
from core.types import Interaction, UserId, Video, VideoId
from ingest.checks import check_occurred_at, check_rating, latest_time
from ingest.weights import WatchWeights, rating_weight

LONGEST_KEY = 255


class VideoReader(Protocol):
    """The catalogue's truth."""

    async def get_many(self, ids: Sequence[VideoId]) -> list[Video]:
        """Those of `ids` that exist. Raises `Unavailable`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class NewWatch:
    """A watch as its reporter describes it; `occurred_at` None means now."""

    user_id: UserId
    video_id: VideoId
    watched_seconds: float | None = None
    video_seconds: float | None = None
    occurred_at: datetime | None = None
    recommendation_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRating:
    """A rating given now, 0.5 to 5."""

    user_id: UserId
    video_id: VideoId
    rating: float


@dataclass(frozen=True, slots=True)
class Recorded:
    """What is committed; `duplicate` when it had been before."""

    interaction: Interaction
    duplicate: bool


class Watching:
    """Records watches and ratings; either keeps its video off the user's lists from then on."""

    def __init__(
        self,
        *,
        interactions: InteractionStore,
        videos: VideoReader,
        forgetting: Forgetting,
        states: States,
        weights: Callable[[], WatchWeights],
        clock: Clock = utc_now,
    ) -> None:
        self._interactions = interactions
        self._videos = videos
        self._forgetting = forgetting
        self._states = states
        self._weights = weights
        self._clock = clock

    async def record(
        self, new: NewWatch | NewRating, idempotency_key: str | None = None
    ) -> Recorded:
        """Commit a watch or a rating; an unknown user is created by it.

        With an `idempotency_key`, the same again is answered as a duplicate.

        Raises:
            InvalidInput: a field or the key breaks a rule.
            VideoNotFound: the catalogue does not have the video.
            Conflict: the key was used for something else, or the user was erased.
            Unavailable: PostgreSQL did not answer; nothing was written.
        """
        interaction = self._interaction(new, _key(new.user_id, idempotency_key))
        if not await self._videos.get_many([new.video_id]):
            raise VideoNotFound(f"The catalogue has no video {new.video_id}.")
        counts = await self._interactions.add_many([interaction])
        if counts.erased:
            raise Conflict("This user was erased, for good: nothing is kept of them any more.")
        await self._forgetting.forget(counts.revisions)  # it is committed: nothing may fail now
        if counts.revisions and not self._forgetting.owes(new.user_id):
            await self._states.renew(new.user_id)
        if counts.accepted:
            return Recorded(interaction, duplicate=False)
        at = new.occurred_at if isinstance(new, NewWatch) else None
        return Recorded(await self._earlier(interaction, at=at), duplicate=True)

    def _interaction(self, new: NewWatch | NewRating, key: UUID) -> Interaction:
        return self._rating(new, key) if isinstance(new, NewRating) else self._watch(new, key)

    def _rating(self, new: NewRating, key: UUID) -> Interaction:
        rating = check_rating(new.rating)
        return Interaction(
            key=key,
            user_id=new.user_id,
            video_id=new.video_id,
            kind="rating",
            occurred_at=self._clock(),
            weight=rating_weight(rating),
            rating=rating,
        )

    def _watch(self, watch: NewWatch, key: UUID) -> Interaction:
        occurred_at = self._clock()
        if watch.occurred_at is not None:
            occurred_at = check_occurred_at(watch.occurred_at, latest_time(self._clock))
        return Interaction(
            key=key,
            user_id=watch.user_id,
            video_id=watch.video_id,
            kind="watch",
            occurred_at=occurred_at,
            weight=self._weights().watch(watch.watched_seconds, watch.video_seconds),
            watched_seconds=watch.watched_seconds,
            video_seconds=watch.video_seconds,
            recommendation_id=watch.recommendation_id,
        )

    async def _earlier(self, interaction: Interaction, *, at: datetime | None) -> Interaction:
        """What the key was used for. Raises `Conflict` if that is something else."""
        earlier = await self._interactions.find(interaction.key)
        if earlier is None or not _same(earlier, interaction, at=at):
            raise Conflict("This Idempotency-Key was used for something else: use a new one.")
        return earlier


def _key(user_id: UserId, idempotency_key: str | None) -> UUID:
    """The event key: of the user's own idempotency key, else a new one."""
    if idempotency_key is None:
        return uuid4()
    if not idempotency_key.isprintable() or not 1 <= len(idempotency_key) <= LONGEST_KEY:
        raise InvalidInput(
            f"Idempotency-Key is 1 to {LONGEST_KEY} printable characters.", field="Idempotency-Key"
        )
    return event_key(f"api:{user_id}", idempotency_key)


def _same(earlier: Interaction, now: Interaction, *, at: datetime | None) -> bool:
    """Whether a repeat says what was said before; a time left out matches any."""
    return (
        (earlier.kind, earlier.rating) == (now.kind, now.rating)
        and earlier.video_id == now.video_id
        and earlier.watched_seconds == now.watched_seconds
        and earlier.video_seconds == now.video_seconds
        and earlier.recommendation_id == now.recommendation_id
        and (at is None or earlier.occurred_at == now.occurred_at)
    )
