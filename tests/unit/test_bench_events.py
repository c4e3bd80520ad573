"""The events that are measured with: they must be as the bus would bring them."""

from collections import Counter
from datetime import UTC, datetime

import pytest

from bench.events_lag import Sample, slope
from bench.made_up_events import Traffic, interactions, watch, watches

pytestmark = pytest.mark.unit

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
COUNT = 2000


def test_repeats_are_the_same_event_at_another_time() -> None:
    rows = interactions(watches(Traffic(repeats=0.3), COUNT, NOON, name="a"))
    events = {(row.key, row.user_id, row.video_id, row.watched_seconds) for row in rows}
    keys = {row.key for row in rows}
    assert len(events) == len(keys)
    assert 0.6 * COUNT < len(keys) < 0.8 * COUNT
    assert len({(row.key, row.occurred_at) for row in rows}) > len(keys)


def test_no_event_is_in_two_runs() -> None:
    first, second = (interactions(watches(Traffic(), 50, NOON, name=name)) for name in "ab")
    assert not {row.key for row in first} & {row.key for row in second}


def test_some_users_and_one_video_have_their_share() -> None:
    traffic = Traffic(users=100_000, heavy=5, hot=0.5, digits=6)
    rows = interactions(watches(traffic, COUNT, NOON, name="a"))
    heavy = {f"u{number:06}" for number in range(5)}
    assert 0.07 < sum(row.user_id in heavy for row in rows) / COUNT < 0.13
    videos = Counter(row.video_id for row in rows)
    assert videos.most_common(1)[0][1] / COUNT > 0.45
    assert videos.most_common(1)[0][0] == "v000000"


def test_one_watch_is_of_the_user_and_the_video_it_names() -> None:
    [row] = interactions([watch("u1", "v2", NOON, name="a")])
    assert (row.user_id, row.video_id, row.occurred_at) == ("u1", "v2", NOON)


def test_what_grows_has_a_slope() -> None:
    samples = [
        Sample(seconds=5.0 * at, sent=0, waiting=10 * at, age=7.0, dropped=0, lost=0)
        for at in range(4)
    ]
    assert slope(samples, "waiting") == pytest.approx(2.0)
    assert slope(samples, "age") == pytest.approx(0.0, abs=1e-9)
