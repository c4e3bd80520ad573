"""A user's state in as few bytes as it takes: about 18 a recent watch with an id of 8 letters."""

from datetime import UTC, datetime

import msgspec
import numpy as np

from core.hashing import hash64_many
from core.types import UserId, UserState, VideoId, Watch

_SEPARATOR = "\n"  # in no id


class _Body(msgspec.Struct, frozen=True, array_like=True):
    """Columns of the recent watches, little-endian, and what else was watched.

    `seconds` uint32 since the epoch, enough until 2106 · `weights` float32, which is what vectors
    are made with · `older` uint64, the hashes of what is watched and not recent · `ids` newest
    first.
    """

    revision: int
    seconds: bytes
    weights: bytes
    older: bytes
    ids: str


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Body)


def packed(state: UserState) -> bytes:
    """The state as `unpacked` reads it; times lose what is below a second."""
    ids = [watch.video_id for watch in state.recent]
    seconds = [int(watch.occurred_at.timestamp()) for watch in state.recent]
    older = np.setdiff1d(state.watched, hash64_many(ids), assume_unique=True)
    return _encoder.encode(
        _Body(
            revision=state.revision,
            seconds=np.array(seconds, dtype="<u4").tobytes(),
            weights=np.array([watch.weight for watch in state.recent], dtype="<f4").tobytes(),
            older=older.astype("<u8").tobytes(),
            ids=_SEPARATOR.join(ids),
        )
    )


def unpacked(user_id: UserId, kept: bytes) -> UserState | None:
    """The state; None for one that another release wrote in another form."""
    try:
        body = _decoder.decode(kept)
        return _state(user_id, body)
    except (msgspec.MsgspecError, ValueError):
        return None


def _state(user_id: UserId, body: _Body) -> UserState:
    ids = body.ids.split(_SEPARATOR) if body.ids else []
    seconds = np.frombuffer(body.seconds, dtype="<u4").tolist()
    weights = np.frombuffer(body.weights, dtype="<f4").tolist()
    older = np.frombuffer(body.older, dtype="<u8").astype(np.uint64, copy=False)
    recent = tuple(
        Watch(VideoId(video_id), datetime.fromtimestamp(at, UTC), weight)
        for video_id, at, weight in zip(ids, seconds, weights, strict=True)
    )
    watched = np.sort(np.concatenate([older, hash64_many(ids)]))
    return UserState(user_id=user_id, revision=body.revision, recent=recent, watched=watched)
