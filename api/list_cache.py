"""Finished lists in the cache that all processes share."""

from dataclasses import dataclass
from datetime import datetime

import msgspec
import structlog

from api.kept_list import Entry, first
from api.maker import Made
from api.moment import Moment
from api.ports import UserCache
from core.errors import Unavailable
from core.types import Ranked, UserId

log = structlog.get_logger(__name__)

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Entry)


@dataclass(frozen=True, slots=True)
class Hit:
    """Items of a kept list that passed the last filter; `stale` is true past the soft age."""

    recommendation_id: str
    items: tuple[Ranked, ...]
    generated_at: datetime
    stale: bool


class ListCache:
    """Personalized lists of known users.

    A kept list needs no comparison with what was watched since: an event drops the user's lists
    and older ones are refused from then on (`UserCache`).
    """

    def __init__(self, cache: UserCache) -> None:
        self._cache = cache

    async def read(
        self, user_id: UserId, moment: Moment, version: str | None = None
    ) -> Entry | None:
        """The kept list of the live version, or of another; none past its hard age.

        Raises:
            Unavailable: the cache did not answer.
        """
        field = _field(version or moment.version, moment)
        entry = _decoded(await self._cache.get_list(user_id, field))
        if entry is None or moment.now >= entry.made_until(moment.config.hard_age_seconds):
            return None
        return entry

    async def get(self, user_id: UserId, moment: Moment, limit: int) -> Hit | None:
        """The first `limit` of the kept list that may still be shown. Raises `Unavailable`."""
        entry = await self.read(user_id, moment)
        items = first(entry, moment, limit) if entry else None
        if entry is None or items is None:
            return None
        return Hit(
            entry.recommendation_id, items[:limit], entry.generated_at, is_stale(entry, moment)
        )

    async def put(self, user_id: UserId, moment: Moment, revision: int, made: Made) -> None:
        """Keep a list made from the state of `revision`; a cache that is away is only logged."""
        try:
            await self.keep(user_id, moment, revision, made)
        except Unavailable as error:
            log.warning("list_not_kept", reason=str(error))

    async def keep(self, user_id: UserId, moment: Moment, revision: int, made: Made) -> None:
        """As `put`. Raises `Unavailable`."""
        await self._cache.put_list(
            user_id,
            _field(moment.version, moment),
            revision,
            _encoder.encode(Entry.of(made, moment)),
            moment.config.hard_age_seconds,
        )


def is_stale(entry: Entry, moment: Moment) -> bool:
    """Whether the list is past its soft age."""
    return moment.now >= entry.made_until(moment.config.soft_age_seconds)


def _field(version: str | None, moment: Moment) -> str:
    return f"{version or 'none'}/{moment.config.version}/personalized"


def _decoded(kept: bytes | None) -> Entry | None:
    if kept is None:
        return None
    try:
        return _decoder.decode(kept)
    except msgspec.MsgspecError:
        return None  # another release's form: a miss, and the next put writes over it
