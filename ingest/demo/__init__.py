"""A catalogue and histories of our own for the first start: about 2,000 videos and 500 users.

Everything follows from `seed`: the same seed gives the same rows in every process and on every
machine. Times count back from `end`, a fixed date, and event keys do not depend on it, so importing
again, another day or with another `end`, adds nothing.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

from core.types import Interaction, Video
from ingest.demo.catalogue import make_clips
from ingest.demo.histories import USERS, Shelf, make_history
from ingest.feed import Feed, Meter

__all__ = ["END", "SEED", "read_demo"]

SEED = 7
END = datetime(2026, 1, 1, tzinfo=UTC)
"""The demo's "now": the last watch is shortly before it, and so is the newest video."""


def read_demo(seed: int = SEED, end: datetime = END) -> tuple[Feed[Video], Feed[Interaction]]:
    """The demo's videos, and its watches and ratings by user and time."""
    clips = make_clips(seed, end)
    meter = Meter(USERS)
    videos: Feed[Video] = Feed("demo videos", [clip.video for clip in clips], lambda: 1.0)
    return videos, Feed("demo events", _events(Shelf(clips), seed, end, meter), meter.fraction)


def _events(shelf: Shelf, seed: int, end: datetime, meter: Meter) -> Iterator[Interaction]:
    for number in range(1, USERS + 1):
        yield from make_history(number, shelf, seed, end)
        meter.done = number
