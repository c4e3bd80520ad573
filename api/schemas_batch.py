"""The bodies of batch pages."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec

from api.schemas import Recommended

Count = Annotated[int, msgspec.Meta(ge=0)]


class UserResult(msgspec.Struct, frozen=True, kw_only=True):
    """One user of a page: `recommendations` of a success, else `error`, a code, and `message`."""

    user_id: str
    status: Literal["success", "failed"]
    recommendations: tuple[Recommended, ...] | msgspec.UnsetType = msgspec.UNSET
    error: str | msgspec.UnsetType = msgspec.UNSET
    message: str | msgspec.UnsetType = msgspec.UNSET


class PageSummary(msgspec.Struct, frozen=True, kw_only=True):
    """How a page went."""

    success_count: Count
    failed_count: Count
    processing_time_ms: Count


class PageMetadata(msgspec.Struct, frozen=True, kw_only=True):
    """What all lists of a page were made by, and when."""

    model_version: str | None
    generated_at: datetime


class BatchPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of users in byte order of their ids; `total_users` is a minute old at most."""

    page: int
    limit: int
    total_users: Count
    results: tuple[UserResult, ...]
    summary: PageSummary
    metadata: PageMetadata
