"""Watches as the analytics bus brings them, drawn at random but the same for a seed."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
import numpy as np

from core.clock import utc_now
from core.types import Interaction
from ingest.checks import latest_time
from ingest.events import Event, interaction_of
from ingest.weights import PLAIN

SUBJECT = "analytics.video-watched"
TIMES = 1000
HEAVY_SHARE = 0.1  # of all events, when there are heavy users
_EVENT = (
    '{"specversion":"1.0","id":"%s-%d","source":"player","type":"VideoWatched","time":"%s",'
    '"datacontenttype":"application/json","data":{"user_id":"%s","video_id":"%s",'
    '"watched_seconds":%.1f,"video_seconds":%d%s}}'
)


class Traffic(msgspec.Struct, frozen=True, kw_only=True):
    """Who watches what. Users are equally busy; a video's share falls with its rank (Zipf).

    Their ids are `u` and `v` with numbers of at least `digits` digits.

    `repeats` is the share of events that come a second time, `hot` the share that is of one video;
    with `heavy`, a tenth of all events are of the first so many users.
    """

    users: int = 100_000
    videos: int = 20_000
    repeats: float = 0.0
    hot: float = 0.0
    heavy: int = 0
    digits: int = 1


def watches(
    traffic: Traffic,
    count: int,
    now: datetime,
    *,
    name: str,
    seed: int = 0,
    spread: timedelta = timedelta(hours=1),
) -> Sequence[bytes]:
    """`count` CloudEvents of the time `spread` before `now`; `name` sets their ids apart."""
    rng = np.random.default_rng(seed)
    users = rng.integers(traffic.users, size=count)
    if traffic.heavy:
        busy = rng.random(count) < HEAVY_SHARE
        users = np.where(busy, rng.integers(traffic.heavy, size=count), users)
    shares = 1.0 / np.arange(1, traffic.videos + 1)
    videos = rng.choice(traffic.videos, size=count, p=shares / shares.sum())
    videos = np.where(rng.random(count) < traffic.hot, 0, videos)
    lengths = rng.integers(60, 7200, size=count)
    watched = lengths * rng.random(count)
    numbers = np.arange(count)
    again = np.flatnonzero(rng.random(count) < traffic.repeats)
    numbers[again] = (again * rng.random(len(again))).astype(int)  # any that came before
    times = [(now - spread * (ago / TIMES)).isoformat() for ago in range(TIMES)]
    columns = (users, videos, watched, lengths)
    rows = zip(numbers.tolist(), *(column[numbers].tolist() for column in columns), strict=True)
    return [
        (
            _EVENT
            % (
                *(name, number, times[place % TIMES]),
                *(f"u{user:0{traffic.digits}}", f"v{video:0{traffic.digits}}"),
                *(seconds, length, _from(number)),
            )
        ).encode()
        for place, (number, user, video, seconds, length) in enumerate(rows)
    ]


def watch(user: str, video: str, now: datetime, *, name: str) -> bytes:
    """One CloudEvent: all of a video was watched."""
    return (_EVENT % (name, 0, now.isoformat(), user, video, 600.0, 600, "")).encode()


def interactions(payloads: Sequence[bytes]) -> list[Interaction]:
    """What the events tell of."""
    decoder = msgspec.json.Decoder(Event)
    latest, now = latest_time(utc_now), utc_now()
    return [interaction_of(decoder.decode(one), latest, now, PLAIN) for one in payloads]


def _from(number: int) -> str:
    """Every third was recommended."""
    return "" if number % 3 else f',"recommendation_id":"{number:032x}"'
