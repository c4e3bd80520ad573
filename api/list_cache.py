"""Finished lists as they are kept: the top 100 whatever was asked for, without the last filter."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec
import structlog

from api.moment import Moment
from api.ports import UserCache
from api.schemas import Recommended
from core.errors import Unavailable
from core.types import UserId, VideoId

log = structlog.get_logger(__name__)


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """A kept list. `eligible` is how many videos the catalogue had to offer when it was made."""

    generated_at: datetime
    eligible: int
    items: tuple[Recommended, ...]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Entry)


@dataclass(frozen=True, slots=True)
class Hit:
    """Items of a kept list that passed the last filter; `stale` is true past the soft age."""

    items: tuple[Recommended, ...]
    generated_at: datetime
    stale: bool


class ListCache:
    """Personalized lists of known users.

    A kept list needs no comparison with what was watched since: an event drops the user's lists
    and older ones are refused from then on (`UserCache`).
    """

    def __init__(self, cache: UserCache) -> None:
        self._cache = cache

    async def get(self, user_id: UserId, moment: Moment, limit: int) -> Hit | None:
        """The first `limit` of the kept list that may still be shown. Raises `Unavailable`."""
        entry = _decoded(await self._cache.get_list(user_id, _field(moment)))
        if entry is None:
            return None
        age = moment.now - entry.generated_at
        items = _first(entry, moment, limit)
        if items is None or age >= timedelta(seconds=moment.config.hard_age_seconds):
            return None
        stale = age >= timedelta(seconds=moment.config.soft_age_seconds)
        return Hit(items, entry.generated_at, stale)

    async def put(
        self, user_id: UserId, moment: Moment, revision: int, items: tuple[Recommended, ...]
    ) -> None:
        """Keep a list made from the state of `revision`; a cache that is away is only logged."""
        try:
            await self.keep(user_id, moment, revision, items)
        except Unavailable as error:
            log.warning("list_not_kept", reason=str(error))

    async def keep(
        self, user_id: UserId, moment: Moment, revision: int, items: tuple[Recommended, ...]
    ) -> None:
        """As `put`. Raises `Unavailable`."""
        entry = Entry(moment.now, moment.eligible_count(), items)
        await self._cache.put_list(
            user_id,
            _field(moment),
            revision,
            _encoder.encode(entry),
            moment.config.hard_age_seconds,
        )


def _field(moment: Moment) -> str:
    return f"{moment.version or 'none'}/{moment.config.version}/personalized"


def _decoded(kept: bytes | None) -> Entry | None:
    if kept is None:
        return None
    try:
        return _decoder.decode(kept)
    except msgspec.MsgspecError:
        return None  # another release's form: a miss, and the next put writes over it


def _first(entry: Entry, moment: Moment, limit: int) -> tuple[Recommended, ...] | None:
    """The first `limit` that may be shown; None if a new list could have more of them."""
    if not moment.loaded:
        return entry.items[:limit]
    passed = moment.eligible([VideoId(item.content_id) for item in entry.items])
    items = tuple(item for item, may in zip(entry.items, passed, strict=True) if may)[:limit]
    if len(items) >= limit:
        return items
    unchanged = len(items) == len(entry.items) and moment.eligible_count() == entry.eligible
    return items if unchanged else None
