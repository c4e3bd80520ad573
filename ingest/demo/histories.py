"""The demo's users: each likes one to three themes, and it shows in what and how they watch."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import accumulate
from random import Random
from typing import NamedTuple

from core.hashing import event_key
from core.types import Interaction, UserId
from ingest.demo.catalogue import Clip
from ingest.weights import PLAIN, rating_weight

SOURCE = "demo"
USERS = 500
COLD_USERS = 15  # the last ones have one to three watches
WATCHES = (10, 80)
TASTE_SHARES = (0.60, 0.25, 0.15)  # of a user's first, second and third theme
FAITHFUL = 0.88  # share of watches inside the user's themes; the rest is whatever draws
FAVOURITE_TOPICS = 2  # of a theme's four; three of four watches of the theme go there
IN_FAVOURITES = 0.75
RATED = 0.08
TRIES = 12  # to find something not watched yet and already published
SPAN_DAYS = (30, 240)
REST = timedelta(hours=1)  # between the last event and the end

Pool = tuple[Sequence[Clip], Sequence[float]]


class Shelf:
    """The videos by theme and topic, ready to be drawn from by how much each draws."""

    def __init__(self, clips: Sequence[Clip]) -> None:
        self.everything = _pool(clips)
        corners: defaultdict[tuple[int, int], list[Clip]] = defaultdict(list)
        for clip in clips:
            corners[clip.theme, clip.topic].append(clip)
        self.corners = {corner: _pool(found) for corner, found in corners.items()}
        self.themes = sorted({theme for theme, _ in corners})

    def topics(self, theme: int) -> list[int]:
        """The topics of a theme."""
        return sorted(topic for number, topic in self.corners if number == theme)


def _pool(clips: Sequence[Clip]) -> Pool:
    return clips, list(accumulate(clip.draw for clip in clips))


class Liking(NamedTuple):
    """A theme a user likes, and the topics of it they like most."""

    theme: int
    favourites: list[int]


def make_history(number: int, shelf: Shelf, seed: int, end: datetime) -> Iterator[Interaction]:
    """Watches and some ratings of user `number` (from 1), oldest first, all before `end`."""
    rng = Random(f"{seed} user {number}")  # noqa: S311 - not for secrets
    user_id = UserId(f"user-{number:03d}")
    likings = [
        Liking(theme, rng.sample(shelf.topics(theme), FAVOURITE_TOPICS))
        for theme in rng.sample(shelf.themes, rng.randint(1, len(TASTE_SHARES)))
    ]
    seen: set[str] = set()
    for moment in _times(number, rng, end):
        clip = _choose(likings, shelf, seen, moment, rng)
        if clip is not None:
            seen.add(clip.video.id)
            liked = any(clip.theme == liking.theme for liking in likings)
            yield from _events(user_id, clip, moment, seed, liked=liked, rng=rng)


def _times(number: int, rng: Random, end: datetime) -> list[datetime]:
    count = rng.randint(1, 3) if number > USERS - COLD_USERS else rng.randint(*WATCHES)
    span = rng.randint(*SPAN_DAYS) * 86_400
    latest = end - REST
    return sorted(latest - timedelta(seconds=int(span * rng.random() ** 1.5)) for _ in range(count))


def _choose(
    likings: list[Liking], shelf: Shelf, seen: set[str], moment: datetime, rng: Random
) -> Clip | None:
    """A video that was out by then and is new to the user; None if none turns up."""
    for _ in range(TRIES):
        clips, draws = _corner(likings, shelf, rng)
        clip = rng.choices(clips, cum_weights=draws)[0]
        published = clip.video.published_at
        if clip.video.id not in seen and published is not None and published <= moment:
            return clip
    return None


def _corner(likings: list[Liking], shelf: Shelf, rng: Random) -> Pool:
    if rng.random() > FAITHFUL:
        return shelf.everything
    liking = rng.choices(likings, weights=TASTE_SHARES[: len(likings)])[0]
    topics = liking.favourites if rng.random() < IN_FAVOURITES else shelf.topics(liking.theme)
    return shelf.corners[liking.theme, rng.choice(topics)]


def _events(
    user_id: UserId, clip: Clip, moment: datetime, seed: int, *, liked: bool, rng: Random
) -> Iterator[Interaction]:
    video = clip.video
    length = video.duration_seconds or 0.0
    watched = float(round(length * (rng.uniform(0.6, 1.0) if liked else rng.uniform(0.05, 0.5))))
    yield Interaction(
        key=event_key(SOURCE, f"{seed} {user_id} watch {video.id}"),
        user_id=user_id,
        video_id=video.id,
        kind="watch",
        occurred_at=moment,
        weight=PLAIN.watch(watched, length),
        watched_seconds=watched,
        video_seconds=length,
    )
    if rng.random() < RATED:
        rating = rng.choice((4.0, 4.5, 5.0) if liked else (1.0, 1.5, 2.0, 2.5))
        yield Interaction(
            key=event_key(SOURCE, f"{seed} {user_id} rating {video.id}"),
            user_id=user_id,
            video_id=video.id,
            kind="rating",
            occurred_at=moment + timedelta(minutes=5),
            weight=rating_weight(rating),
            rating=rating,
        )
