"""What a watch is worth: its rank among those of videos of about its length."""

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Unavailable
from core.watch_shares import FEWEST, LENGTHS, STEPS, WatchShares, bucket_of
from ingest.kept_weights import KeptWeights
from ingest.weights import LEAST, PLAIN, WatchWeights, rating_weight

pytestmark = pytest.mark.unit

CLIP, HOUR, FILM = 32.0, 3_599.0, 8_192.0  # two whose products with shares are exact
SECONDS = st.floats(0, 8_640_000)


def counted(bucket: int, shares: Sequence[float]) -> WatchShares:
    """What is counted of watches that reached these shares, evenly many."""
    places = np.ceil(np.linspace(0, 1, STEPS + 1) * len(shares)).astype(int)
    ranked = np.sort(shares)[np.maximum(places, 1) - 1].tolist()
    return WatchShares(bucket=bucket, shares=tuple(ranked), watches=FEWEST)


@st.composite
def weights(draw: st.DrawFn) -> WatchWeights:
    """Counts of some of the buckets."""
    shares = st.lists(st.floats(0, 1), min_size=1, max_size=12)
    found = draw(st.dictionaries(st.integers(0, len(LENGTHS)), shares))
    return WatchWeights.of(counted(bucket, reached) for bucket, reached in found.items())


@given(weights(), SECONDS, SECONDS)
def test_a_weight_is_between_the_least_and_one(by: WatchWeights, watched: float, of: float) -> None:
    assert LEAST <= by.watch(watched, of) <= 1


@given(weights(), SECONDS, SECONDS, SECONDS)
def test_who_watched_more_of_a_video_counts_no_less(
    by: WatchWeights, one: float, other: float, of: float
) -> None:
    assert by.watch(min(one, other), of) <= by.watch(max(one, other), of)


@given(weights(), st.floats(0.1, 1), st.floats(0.1, 1), st.floats(1, 1e6), st.floats(1, 1e6))
def test_the_larger_share_of_two_lengths_of_a_bucket_counts_no_less(
    by: WatchWeights, one: float, other: float, length: float, another: float
) -> None:
    if bucket_of(length) == bucket_of(another):
        (less, of), (more, than) = sorted([(one, length), (other, another)])
        margin = 1 - 1e-12  # of multiplying and dividing again
        assert by.watch(less * of * margin, of) <= by.watch(min(more * than / margin, than), than)


@given(weights(), st.floats(0.001, 8_640_000), st.floats(1, 3))
def test_a_watch_to_the_end_and_one_of_unknown_share_count_fully(
    by: WatchWeights, length: float, times: float
) -> None:
    assert by.watch(length * times, length) == 1
    assert by.watch(None, length) == by.watch(length, None) == by.watch(length, 0.0) == 1


@given(weights(), st.floats(0, 9.999), st.floats(0.001, 8_640_000))
def test_who_left_within_seconds_counts_least(
    by: WatchWeights, watched: float, length: float
) -> None:
    if watched / length < 0.0999:
        assert by.watch(watched, length) == LEAST


@given(weights(), st.lists(st.tuples(st.none() | SECONDS, st.none() | SECONDS)))
def test_many_are_weighed_as_one_by_one(
    by: WatchWeights, watches: list[tuple[float | None, float | None]]
) -> None:
    columns = np.array(watches, dtype=np.float64).reshape(-1, 2).T
    assert by.watches(*columns).tolist() == [by.watch(*watch) for watch in watches]


@given(st.lists(st.floats(0.1, 0.99), min_size=1, max_size=40), st.sampled_from([2, 4]))
def test_equal_ranks_count_equally_however_long_the_videos_are(
    clips: list[float], shorter: int
) -> None:
    """Films are seen to a half or a quarter of what clips are, and nobody stays to the end."""
    films = [share / shorter for share in clips]
    by = WatchWeights.of([counted(bucket_of(CLIP), clips), counted(bucket_of(FILM), films)])
    for clip, film in zip(clips, films, strict=True):
        assert by.watch(film * FILM, FILM) == by.watch(clip * CLIP, CLIP)


def test_a_weight_is_the_part_of_watches_that_reached_at_most_as_far() -> None:
    """Of the clips nine in ten are seen beyond 60 %, of hours a quarter beyond 40 %."""
    clips = [0.3, *[0.9] * 4, *[1.0] * 5] * 20
    hours = [0.001, 0.05, 0.2, 0.9] * 50
    by = WatchWeights.of([counted(0, clips), counted(bucket_of(HOUR), hours)])
    assert by.watch(0.6 * CLIP, CLIP) == 0.1
    assert by.watch(0.9 * CLIP, CLIP) == 0.5  # ties count as reached
    assert by.watch(0.4 * HOUR, HOUR) == 0.75
    assert by.watch(0.001 * HOUR, HOUR) == LEAST  # a quarter left like that: it was left


def test_without_counts_it_is_the_share() -> None:
    others = WatchWeights.of([counted(bucket_of(FILM), [0.0])])
    for by in (PLAIN, others):
        assert by.watch(16.0, CLIP) == 0.5
        assert by.watch(1.0, 100.0) == LEAST
        assert by.watch(200.0, 100.0) == 1.0


def test_ratings() -> None:
    assert [rating_weight(stars) for stars in (0.5, 1, 2, 3, 5)] == [0.05, 0.05, 0.25, 0.5, 1.0]


class Away:
    """Counts that cannot be read at every second time."""

    def __init__(self) -> None:
        self.asked = 0
        self.enough = asyncio.Event()

    async def read(self) -> list[WatchShares]:
        self.asked += 1
        if self.asked > 4:
            self.enough.set()
        if self.asked % 2 == 0:
            raise Unavailable("postgres")
        return [counted(0, [self.asked / 10])]


async def test_kept_weights_are_renewed_and_outlive_an_outage() -> None:
    kept, store = KeptWeights(), Away()
    assert kept.current() is PLAIN
    await kept.renew(store)
    read = kept.current()
    assert read.watch(0.1 * CLIP, CLIP) == 1
    with pytest.raises(Unavailable):
        await kept.renew(store)
    assert kept.current() is read
    renewing = asyncio.create_task(kept.run(store, seconds=0))
    await store.enough.wait()
    renewing.cancel()
    assert kept.current().watch(0.1 * CLIP, CLIP) == LEAST
    assert kept.current().watch(0.5 * CLIP, CLIP) == 1
