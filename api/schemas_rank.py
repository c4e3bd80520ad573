"""The bodies of ranking a caller's own candidates."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec

from api.schemas import Recommended, TextId

MOST_CANDIDATES = 1_000


class RankBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Candidates to rank for a user; one that comes twice counts once."""

    user_id: TextId | int
    content_ids: Annotated[
        list[TextId | int], msgspec.Meta(min_length=1, max_length=MOST_CANDIDATES)
    ]
    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 10
    explain: bool = False


class RankMetadata(msgspec.Struct, frozen=True, kw_only=True):
    """How a ranking came about: the fields of a user's list, and the ids the catalogue lacks.

    It is made anew for each request, in one page.
    """

    recommendation_id: str
    type: Literal["ranked"] = "ranked"
    model_version: str | None
    config_version: int
    cache_hit: bool = False
    cold_start: bool
    degraded: tuple[str, ...]
    generated_at: datetime
    total_count: int
    next_cursor: str | None = None
    unknown: tuple[str, ...]


class RankedList(msgspec.Struct, frozen=True, kw_only=True):
    """The caller's candidates that may be shown: their order is the recommendation."""

    user_id: str
    recommendations: tuple[Recommended, ...]
    metadata: RankMetadata
