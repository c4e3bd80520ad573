"""A finished list as it is kept: the top 100 whatever was asked for, without the last filter.

What is kept is the choice and its order alone: titles, genres and popularity are the catalogue's,
read from memory as an answer is written.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from sys import getsizeof
from typing import get_args

import msgspec
import numpy as np

from api.maker import Made
from api.moment import Moment
from core.types import Ranked, Source, VideoId

_SEPARATOR = "\n"  # in no id
# The place of a source here is its name in kept lists: add at the end.
_SOURCES: tuple[Source, ...] = get_args(Source)
_CODES = {source: code for code, source in enumerate(_SOURCES)}
_JITTER = 0.2


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

    @property
    def recommendation_id(self) -> str:
        """The name the list was given when it was made."""
        return self.name.hex()

    def made_until(self, seconds: float) -> datetime:
        """When it is `seconds` old, up to a fifth of that earlier.

        How much is the list's own and the same everywhere, so that lists which were made together
        do not grow old together.
        """
        early = _JITTER * int.from_bytes(self.name[:2], "big") / 65_536
        return self.generated_at + timedelta(seconds=seconds * (1 - early))

    def size(self) -> int:
        """Bytes in memory, about."""
        parts = (self, self.name, self.generated_at, self.ids, self.sources, self.scores)
        return sum(map(getsizeof, parts))

    def items(self) -> list[Ranked]:
        """The list, best first. Raises `ValueError` where the columns do not fit together."""
        ids = self.ids.split(_SEPARATOR) if self.ids else []
        scores = np.frombuffer(self.scores, dtype="<f4").tolist()
        return [
            Ranked(VideoId(video_id), _SOURCES[code], score)
            for video_id, code, score in zip(ids, self.sources, scores, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class KeptList:
    """A kept list, and what did not answer as it was made."""

    entry: Entry
    without: frozenset[str] = frozenset()


def first(entry: Entry, moment: Moment, limit: int) -> tuple[Ranked, ...] | None:
    """All that may still be shown of a list; None if a new one could have more of the `limit`."""
    kept = entry.items()
    if not moment.loaded:
        return tuple(kept)
    passed = moment.eligible([item.video_id for item in kept])
    items = tuple(item for item, may in zip(kept, passed, strict=True) if may)
    if len(items) >= limit:
        return items
    unchanged = len(items) == len(kept) and moment.eligible_count() == entry.eligible
    return items if unchanged else None
