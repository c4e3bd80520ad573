"""Walking a list page by page: nothing twice, though the list be made anew in between.

A cursor holds what was given so far, so that any process can go on, and whose and which list it is
of. It is not signed: whoever changes one gets other pages of what they may have anyway.
"""

from base64 import b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from core.errors import InvalidInput
from core.hashing import hash64
from core.types import Filters, ListType, Ranked, UserId, VideoId

LONGEST_WALK = 100
LONGEST_CURSOR = 640  # characters: 26 bytes and four for each of 99 videos, in base64, take 564

_FORM = 1  # raised when the form changes; others are refused
_OWNER, _NAME, _HASH = 8, 16, 4  # bytes
_HEAD = 1 + _OWNER + _NAME + 1


@dataclass(frozen=True, slots=True)
class Walk:
    """How far somebody has come in a list: `given` are the short hashes of what they got.

    Two of a list of 100 have the same one with a chance of about 1 in a million.
    """

    given: frozenset[int] = frozenset()

    @property
    def left(self) -> int:
        """How many more there may be."""
        return LONGEST_WALK - len(self.given)

    def ahead(self, items: Sequence[Ranked]) -> Sequence[Ranked]:
        """Those that have not been given yet."""
        if not self.given:
            return items
        return [item for item in items if short_hash(item.video_id) not in self.given]


START = Walk()


def owner(user_id: UserId, list_type: ListType, filters: Filters) -> bytes:
    """Whose and which list it is, 8 bytes; filters that let the same through are the same."""
    region = None if filters.region is None else filters.region.casefold()
    genres = sorted({genre.casefold() for genre in filters.genres})
    named = (user_id, list_type, genres, region, filters.max_maturity, sorted(filters.exclude))
    return hash64(msgspec.json.encode(named).decode()).to_bytes(_OWNER, "big")


def read(cursor: str, list_owner: bytes) -> Walk:
    """Where a walk goes on.

    Raises:
        InvalidInput: it is none of ours, or one of another list.
    """
    raw = _bytes(cursor)
    if raw[1 : 1 + _OWNER] != list_owner:
        raise InvalidInput(
            "The cursor is of another list: ask with the user, type, genre, region, max_maturity "
            "and exclude that it was given for.",
            field="cursor",
        )
    return Walk(frozenset(np.frombuffer(raw[_HEAD:], dtype=">u4").tolist()))


def after(walk: Walk, page: Sequence[Ranked], generation: str, list_owner: bytes) -> str | None:
    """The cursor behind a page of the list that `generation` names; None at a walk's end."""
    given = walk.given | {short_hash(item.video_id) for item in page}
    if len(given) >= LONGEST_WALK:
        return None
    head = bytes([_FORM]) + list_owner + bytes.fromhex(generation) + bytes([len(given)])
    hashes = np.array(sorted(given), dtype=">u4").tobytes()
    return urlsafe_b64encode(head + hashes).rstrip(b"=").decode()


def short_hash(video_id: VideoId) -> int:
    """The lower 32 bits of a video's hash."""
    return hash64(video_id) & 0xFFFFFFFF


def _bytes(cursor: str) -> bytes:
    """The bytes of a cursor in our form, whole."""
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        raw = b64decode(padded, b"-_", validate=True) if len(cursor) <= LONGEST_CURSOR else b""
    except (NotBase64, UnicodeEncodeError):
        raw = b""
    places = (len(raw) - _HEAD) / _HASH
    if not 0 < places < LONGEST_WALK or raw[0] != _FORM or raw[_HEAD - 1] != places:
        raise InvalidInput(
            "The cursor cannot be read: send it as `metadata.next_cursor` has it, or none.",
            field="cursor",
        )
    return raw
