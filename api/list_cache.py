"""Finished lists as they are kept: the top 100 whatever was asked for, without the last filter.

What is kept is the choice and its order alone: titles, genres and popularity are the catalogue's,
read from memory as an answer is written.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import get_args

import msgspec
import numpy as np
import structlog

from api.maker import Made
from api.moment import Moment
from api.ports import UserCache
from core.errors import Unavailable
from core.types import Ranked, Source, UserId, VideoId

_SEPARATOR = "\n"  # in no id
# The place of a source here is its name in kept lists: add at the end.
_SOURCES: tuple[Source, ...] = get_args(Source)
_CODES = {source: code for code, source in enumerate(_SOURCES)}

log = structlog.get_logger(__name__)


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """A kept list in columns, best first: about 14 bytes a video with an id of 8 letters.

    `name` is the list's `recommendation_id`, 16 bytes · `eligible` how many videos the catalogue
    had to offer when it was made · `sources` a byte each · `scores` float32, little-endian.
    """

    name: bytes
    generated_at: datetime
    eligible: int
    ids: str
    sources: bytes
    scores: bytes

    @classmethod
    def of(cls, made: Made, moment: Moment) -> "Entry":
        """A list that was made at this moment."""
        return cls(
            name=bytes.fromhex(made.recommendation_id),
            generated_at=moment.now,
            eligible=moment.eligible_count(),
            ids=_SEPARATOR.join(item.video_id for item in made.items),
            sources=bytes(_CODES[item.source] for item in made.items),
            scores=np.array([item.score for item in made.items], dtype="<f4").tobytes(),
        )

    def items(self) -> list[Ranked]:
        """The list, best first. Raises `ValueError` where the columns do not fit together."""
        ids = self.ids.split(_SEPARATOR) if self.ids else []
        scores = np.frombuffer(self.scores, dtype="<f4").tolist()
        return [
            Ranked(VideoId(video_id), _SOURCES[code], score)
            for video_id, code, score in zip(ids, self.sources, scores, strict=True)
        ]


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
        return Hit(entry.name.hex(), tuple(items), entry.generated_at, stale)

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
            _field(moment),
            revision,
            _encoder.encode(Entry.of(made, moment)),
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


def _first(entry: Entry, moment: Moment, limit: int) -> Sequence[Ranked] | None:
    """The first `limit` that may be shown; None if a new list could have more of them."""
    kept = entry.items()
    if not moment.loaded:
        return kept[:limit]
    passed = moment.eligible([item.video_id for item in kept])
    items = [item for item, may in zip(kept, passed, strict=True) if may][:limit]
    if len(items) >= limit:
        return items
    unchanged = len(items) == len(kept) and moment.eligible_count() == entry.eligible
    return items if unchanged else None
