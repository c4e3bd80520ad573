"""Answers from lists: what stands in them and in their metadata, the same for all kinds of list."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property

from api import cursors
from api.cursors import Walk
from api.explaining import Explanations
from api.impressions import Shown
from api.kept_list import KeptList, first
from api.maker import Made
from api.moment import Moment
from api.schemas import ListMetadata, Recommended, SimilarList, SimilarMetadata, UserList
from api.schemas_rank import RankedList, RankMetadata
from api.states import Found
from core.types import NO_FILTERS, Filters, ListType, Ranked, Source, UserId, VideoId


@dataclass(frozen=True)
class Asked:
    """Which part of which list of a user is asked for: at most `limit` of what `walk` has ahead."""

    user_id: UserId
    limit: int = 10
    list_type: ListType = "personalized"
    filters: Filters = NO_FILTERS
    explain: bool = False
    walk: Walk = cursors.START

    @property
    def plain(self) -> bool:
        """Whether a kept list answers it; all others are made anew."""
        return self.list_type == "personalized" and not self.filters.narrows and not self.explain

    @cached_property
    def owner(self) -> bytes:
        """Whose and which list it is, for the cursor."""
        return cursors.owner(self.user_id, self.list_type, self.filters)

    def after(self, cursor: str | None) -> "Asked":
        """The part behind a cursor. Raises `InvalidInput` for one of another list, or none."""
        return self if cursor is None else replace(self, walk=cursors.read(cursor, self.owner))

    @property
    def places(self) -> int:
        """How many videos the answer may have."""
        return min(self.limit, self.walk.left)


@dataclass(frozen=True, slots=True)
class Listed:
    """A list to answer with: `ahead` are all entries that have not been given yet."""

    recommendation_id: str
    ahead: Sequence[Ranked]
    made_at: datetime
    hit: bool = False
    cold: bool = False
    degraded: frozenset[str] = frozenset()
    explanations: Explanations = field(default_factory=dict)

    def without(self, missing: str) -> "Listed":
        """The same list, saying that this was missing."""
        return replace(self, degraded=self.degraded | {missing})


def kept(one: KeptList, asked: Asked, moment: Moment) -> Listed | None:
    """A kept list; None when one made now could have more of what is asked for."""
    items = first(one.entry, moment, asked.places + len(asked.walk.given))
    if items is None:
        return None
    return Listed(
        one.entry.recommendation_id,
        asked.walk.ahead(items),
        one.entry.generated_at,
        hit=True,
        degraded=one.without,
    )


def made_now(made: Made, found: Found, moment: Moment, walk: Walk = cursors.START) -> Listed:
    """A list that was made now, of what was found of its user."""
    return Listed(
        made.recommendation_id,
        walk.ahead(made.items),
        moment.now,
        cold=_cold(found),
        degraded=found.missing | made.left_out,
        explanations=made.explanations,
    )


def user_list(asked: Asked, listed: Listed, moment: Moment) -> UserList:
    """The part of a list that was asked for."""
    page = listed.ahead[: asked.places]
    more = len(listed.ahead) > len(page)
    return UserList(
        user_id=asked.user_id,
        recommendations=moment.shown(page, listed.explanations),
        metadata=ListMetadata(
            recommendation_id=listed.recommendation_id,
            type=asked.list_type,
            model_version=moment.version,
            config_version=moment.config.version,
            cache_hit=listed.hit,
            cold_start=listed.cold,
            degraded=tuple(sorted(listed.degraded | moment.without)),
            generated_at=listed.made_at,
            total_count=len(page),
            next_cursor=(
                cursors.after(asked.walk, page, listed.recommendation_id, asked.owner)
                if more
                else None
            ),
        ),
    )


def similar_list(
    video_id: VideoId, made: Made, limit: int, moment: Moment, missing: frozenset[str]
) -> SimilarList:
    """The first `limit` videos like one."""
    items = moment.shown(made.items[:limit])
    return SimilarList(
        content_id=video_id,
        recommendations=items,
        metadata=SimilarMetadata(
            recommendation_id=made.recommendation_id,
            model_version=moment.version,
            config_version=moment.config.version,
            degraded=tuple(sorted(made.left_out | missing | moment.without)),
            generated_at=moment.now,
            total_count=len(items),
        ),
    )


def ranked_list(
    user_id: UserId, listed: Listed, limit: int, moment: Moment, unknown: Sequence[VideoId]
) -> RankedList:
    """The first `limit` of a caller's own candidates."""
    items = moment.shown(listed.ahead[:limit], listed.explanations)
    return RankedList(
        user_id=user_id,
        recommendations=items,
        metadata=RankMetadata(
            recommendation_id=listed.recommendation_id,
            model_version=moment.version,
            config_version=moment.config.version,
            cold_start=listed.cold,
            degraded=tuple(sorted(listed.degraded | moment.without)),
            generated_at=listed.made_at,
            total_count=len(items),
            unknown=tuple(unknown),
        ),
    )


def shown(body: UserList | SimilarList | RankedList) -> Shown:
    """What an answer shows, to be counted."""
    return Shown(
        recommendation_id=body.metadata.recommendation_id,
        model_version=body.metadata.model_version,
        config_version=body.metadata.config_version,
        entries=tuple(map(_entry, body.recommendations)),
    )


def _entry(one: Recommended) -> tuple[VideoId, Source]:
    return VideoId(one.content_id), one.source


def _cold(found: Found) -> bool:
    """Whether nothing is known of the user's taste, as far as anyone could say."""
    if found.state is None:
        return found.unheard_of
    return not found.state.recent
