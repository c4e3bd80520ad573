import os
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from core.clock import days
from core.hashing import hash64_many
from core.types import Candidate, Ranked, RankingConfig, UserId, VideoColumns, VideoId, Weights
from ranking.features import Asker, exploration
from ranking.rank import rank
from tests.catalogues import DIM, NOW, random_vectors

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
USER = UserId("7")
NO_GENRES = np.zeros((0, 4), dtype=np.bool_)


def columns_of(names: list[str], *, seed: int = 3) -> VideoColumns:
    """Random facts that belong to the names, whatever their order."""
    facts = [np.random.default_rng([seed, *name.encode()]) for name in names]
    return VideoColumns(
        popularity=np.array([one.random() for one in facts], dtype=np.float32),
        genres=np.array([one.random(4) < 0.4 for one in facts]).reshape(len(names), 4),
        published_day=np.array(
            [days(NOW) - one.integers(0, 900) for one in facts], dtype=np.float32
        ),
        creator=np.array([one.integers(-1, 6) for one in facts], dtype=np.int32),
        hashes=hash64_many(names),
    )


def asker(
    vector: NDArray[np.float32] | None = None,
    watched_genres: NDArray[np.bool_] = NO_GENRES,
    *,
    version: str | None = "v1",
    now: datetime = NOW,
) -> Asker:
    return Asker(USER, vector, watched_genres, version, now)


def raw_vectors(names: list[str]) -> NDArray[np.float32]:
    """Vectors of all lengths that belong to the names, whatever their order."""
    vectors = [random_vectors(1, seed=sum(name.encode()))[0] for name in names]
    return np.array(vectors, dtype=np.float32).reshape(len(names), DIM)


def ranked(names: list[str], *, limit: int = 100) -> list[Ranked]:
    rows = raw_vectors(names)
    return rank(
        [Candidate(VideoId(name), "nearest") for name in names],
        columns_of(names),
        vectors=rows,
        asker=asker(rows[0] if len(names) else None, np.eye(4, dtype=np.bool_)),
        config=RankingConfig(),
        model_weights=Weights(similarity=0.5),
        limit=limit,
    )


def test_the_seed_preset_reproduces_its_formula() -> None:
    # The user's four recent watches: drama three times, crime once.
    drama, crime, comedy = [True, False, False], [False, True, False], [False, False, True]
    names = ["well known", "of today", "nothing known"]
    columns = VideoColumns(
        popularity=np.array([1.0, 0.25, 0.0], dtype=np.float32),
        genres=np.array([[True, True, False], comedy, [False, False, False]]),
        published_day=np.array([days(NOW) - 365, days(NOW), np.nan], dtype=np.float32),
        creator=np.full(3, -1, dtype=np.int32),
        hashes=hash64_many(names),
    )
    found = rank(
        [Candidate(VideoId(name), "popular") for name in names],
        columns,
        vectors=np.eye(3, dtype=np.float32),
        asker=asker(np.array([0, 0, 1], dtype=np.float32), np.array([drama, drama, drama, crime])),
        config=RankingConfig(preset="seed", diversity=0),
        model_weights=Weights(similarity=9),
    )
    explored = exploration(columns.hashes, USER, "v1", NOW)
    by_hand = [
        # popularity 1, genre (0.75 + 0.25) / 2, a year old: recency 1/2
        ("well known", 0.400 + 0.175 + 0.075 + 0.10 * explored[0]),
        # popularity 0.25, a genre never watched, of today
        ("of today", 0.100 + 0.035 + 0.150 + 0.10 * explored[1]),
        # no watches, no genres, no date
        ("nothing known", 0.035 + 0.10 * explored[2]),
    ]
    assert [entry.video_id for entry in found] == [name for name, _ in by_hand]
    assert [entry.score for entry in found] == pytest.approx(
        [score for _, score in by_hand], abs=1e-6
    )


def test_a_user_without_a_vector_and_no_version_is_ranked() -> None:
    names = ["a", "b", "c"]
    found = rank(
        [Candidate(VideoId(name), "popular") for name in names],
        columns_of(names),
        vectors=np.zeros((3, 0), dtype=np.float32),
        asker=asker(version=None),
        config=RankingConfig(),
        model_weights=None,
    )
    assert {entry.video_id for entry in found} == set(names)


def test_no_candidates_give_no_list() -> None:
    assert ranked([]) == []


def test_equal_scores_are_settled_by_hash() -> None:
    names = ["a", "b", "c", "d"]
    only_popularity = Weights(popularity=1, genre=0, recency=0, exploration=0)
    columns = columns_of(names)
    equal = VideoColumns(
        popularity=np.full(4, 0.5, dtype=np.float32),
        genres=columns.genres,
        published_day=columns.published_day,
        creator=np.full(4, -1, dtype=np.int32),
        hashes=columns.hashes,
    )
    found = rank(
        [Candidate(VideoId(name), "popular") for name in names],
        equal,
        vectors=np.zeros((4, 2), dtype=np.float32),
        asker=asker(version=None),
        config=RankingConfig(weights=only_popularity),
        model_weights=None,
    )
    by_hash = [names[at] for at in np.argsort(columns.hashes)]
    assert [entry.video_id for entry in found] == by_hash


_names = st.lists(st.text("abcdef", min_size=1, max_size=4), max_size=40, unique=True)


@settings(max_examples=60, deadline=None)
@given(names=_names, limit=st.integers(0, 50), data=st.data())
def test_a_list_holds_each_candidate_once_whatever_their_order(
    names: list[str], limit: int, data: st.DataObject
) -> None:
    found = ranked(names, limit=limit)
    chosen = [entry.video_id for entry in found]
    assert len(chosen) == min(limit, len(names))
    assert len(set(chosen)) == len(chosen)
    assert set(chosen) <= set(names)
    if names:  # the first one gives the user's vector
        shuffled = [names[0], *data.draw(st.permutations(names[1:]))]
        assert ranked(shuffled, limit=limit) == found


@settings(max_examples=30, deadline=None)
@given(names=_names, shorter=st.integers(0, 20))
def test_a_shorter_list_is_the_beginning_of_a_longer_one(names: list[str], shorter: int) -> None:
    assert ranked(names, limit=shorter) == ranked(names, limit=40)[:shorter]


def test_the_length_of_a_users_vector_does_not_matter() -> None:
    names = [f"video {number}" for number in range(50)]

    def order(size: float) -> list[str]:
        rows = raw_vectors(names)
        found = rank(
            [Candidate(VideoId(name), "nearest") for name in names],
            columns_of(names),
            vectors=rows,
            asker=asker(rows[0] * np.float32(size)),
            config=RankingConfig(),
            model_weights=Weights(similarity=0.5),
        )
        return [entry.video_id for entry in found]

    assert order(1.0) == order(0.0625) == order(16.0)


def test_every_process_makes_the_same_list() -> None:
    here = _scores(ranked([f"video {number}" for number in range(300)]))
    for hash_seed in ("1", "2"):
        there = subprocess.run(  # noqa: S603  (our own script)
            [sys.executable, "-c", _SCRIPT],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},  # noqa: TID251  (passed on, not read)
            capture_output=True,
            text=True,
            check=True,
        )
        assert there.stdout.strip() == here


_SCRIPT = """
from tests.unit.test_rank import _scores, ranked
print(_scores(ranked([f"video {number}" for number in range(300)])))
"""


def _scores(found: list[Ranked]) -> str:
    return " ".join(f"{entry.video_id}={entry.score!r}" for entry in found)


def test_an_hour_later_the_list_may_differ_within_the_hour_not() -> None:
    names = [f"video {number}" for number in range(50)]
    columns = columns_of(names)

    def at(minutes: int) -> list[str]:
        found = rank(
            [Candidate(VideoId(name), "new") for name in names],
            columns,
            vectors=np.zeros((50, 0), dtype=np.float32),
            asker=asker(now=NOW + timedelta(minutes=minutes)),
            config=RankingConfig(weights=Weights(popularity=0, genre=0, recency=0, exploration=1)),
            model_weights=None,
        )
        return [entry.video_id for entry in found]

    assert at(0) == at(29)
    assert at(0) != at(60)
