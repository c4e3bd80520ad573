"""Counters of popularity: sums of decayed weights as logarithms, in any order and grouping."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.clock import days
from core.types import Interaction
from storage.counters import tally
from tests.histories import START, watch

pytestmark = pytest.mark.unit

EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "é", "Z"]),
        st.floats(-500_000, 500_000),
        st.sampled_from([0.0, 0.05, 0.3, 1.0]),
    ),
    max_size=30,
)


def _rows(events: list[tuple[str, float, float]]) -> list[Interaction]:
    return [
        watch(str(number), "u", video, hours=hours, weight=weight)
        for number, (video, hours, weight) in enumerate(events)
    ]


def test_a_sum_by_hand() -> None:
    added = tally(_rows([("a", 0, 0.5), ("a", 24, 0.25), ("b", 0, 1.0)]))
    day = days(START)
    assert added.video_ids == ("a", "b")
    assert added.watches.tolist() == [2, 1]
    np.testing.assert_allclose(added.fast, [day + np.log2(0.5 + 0.25 * 2), day], rtol=1e-14)
    slow = [day / 14 + np.log2(0.5 + 0.25 * 2 ** (1 / 14)), day / 14]
    np.testing.assert_allclose(added.slow, slow, rtol=1e-14)


def test_nothing_adds_nothing() -> None:
    assert tally([]).video_ids == ()


@given(EVENTS, st.integers(0, 30))
def test_two_halves_merge_to_the_whole(events: list[tuple[str, float, float]], cut: int) -> None:
    rows = _rows(events)
    whole = tally(rows)
    halves = [tally(rows[:cut][::-1]), tally(rows[cut:])]
    for place, video in enumerate(whole.video_ids):
        at = [(half, half.video_ids.index(video)) for half in halves if video in half.video_ids]
        assert sum(half.watches[i] for half, i in at) == whole.watches[place]
        for name in ("slow", "fast"):
            merged = np.logaddexp2.reduce([getattr(half, name)[i] for half, i in at])
            np.testing.assert_allclose(merged, getattr(whole, name)[place], rtol=1e-12)


@given(EVENTS)
def test_ids_are_in_byte_order(events: list[tuple[str, float, float]]) -> None:
    ids = tally(_rows(events)).video_ids
    assert list(ids) == sorted(set(ids), key=str.encode)
