from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.hashing import hash64, hash64_many
from core.types import PopularityRow, Video, VideoId
from retrieval.build import Build
from retrieval.catalogue import Catalogue
from retrieval.snapshot import Snapshot
from tests.catalogues import NOW, catalogue_of, counted, ids, video

pytestmark = pytest.mark.unit


def test_rows_are_found_by_id_and_by_hash() -> None:
    snapshot = catalogue_of([video("a"), video("b")]).snapshot
    assert snapshot.rows(ids("b", "nobody", "a")).tolist() == [1, -1, 0]
    hashes = hash64_many(["b", "nobody", "a"])
    assert snapshot.rows_of_hashes(hashes).tolist() == [1, -1, 0]


def test_an_empty_catalogue_answers() -> None:
    snapshot = Catalogue().snapshot
    assert len(snapshot) == 0
    assert snapshot.rows(ids("a")).tolist() == [-1]
    assert snapshot.rows_of_hashes(hash64_many(["a"])).tolist() == [-1]
    assert snapshot.eligible(NOW).shape == (0,)
    assert snapshot.popular_rows.tolist() == []


def test_columns_hold_the_facts_of_the_rows_asked() -> None:
    snapshot = catalogue_of(
        [
            video("a", "crime", "drama", creator_id="x"),
            video("b", "drama", age_days=3, creator_id="y"),
            video("c", published_at=None),
        ],
        [counted("b", 4)],
    ).snapshot
    columns = snapshot.columns(np.array([2, 1, 0]))
    assert columns.genres.tolist() == [[False, False], [False, True], [True, True]]
    assert columns.popularity.tolist() == [0, 1, 0]
    assert columns.creator.tolist() == [-1, 1, 0]
    assert columns.hashes.tolist() == [hash64("c"), hash64("b"), hash64("a")]
    assert np.isnan(columns.published_day[0])
    assert columns.published_day[2] + 7 == pytest.approx(columns.published_day[1])


def test_genres_keep_their_order_and_titles_their_letters() -> None:
    snapshot = catalogue_of([video("a", "drama", "crime", title="Ночь — 夜 🌙 " * 9)]).snapshot
    assert snapshot.genres(0) == ("drama", "crime")
    assert snapshot.title(0) == "Ночь — 夜 🌙 " * 9


def test_popularity_is_the_share_of_watched_videos_watched_no_more() -> None:
    snapshot = catalogue_of(
        [video(name) for name in "abcde"],
        [counted("a", 8), counted("b", 2), counted("c", 2), counted("d", 1)],
    ).snapshot
    shown = [snapshot.popularity_of(row) for row in range(5)]
    assert shown == [1.0, 0.75, 0.75, 0.25, 0.0]


def test_weightless_watches_are_no_popularity() -> None:
    nothing = PopularityRow(VideoId("a"), 9, -np.inf, -np.inf)
    snapshot = catalogue_of([video("a"), video("b")], [nothing, counted("b", 1)]).snapshot
    assert snapshot.popularity_of(0) == 0
    assert snapshot.popular_rows.tolist() == [1, 0]
    assert snapshot.trending_rows.tolist() == []


def test_trending_prefers_recent_watches_and_wants_five() -> None:
    snapshot = catalogue_of(
        [video(name) for name in ("old", "fresh", "few")],
        [
            counted("old", 500, hours_ago=200),
            counted("fresh", 5, hours_ago=1),
            counted("few", 4, hours_ago=0),
        ],
    ).snapshot
    assert [snapshot.ids[row] for row in snapshot.trending_rows] == ["fresh", "old"]
    assert snapshot.ids[snapshot.popular_rows[0]] == "old"


def test_new_rows_are_latest_first_without_the_undated() -> None:
    snapshot = catalogue_of(
        [video("a", age_days=9), video("b", published_at=None), video("c", age_days=1)]
    ).snapshot
    assert [snapshot.ids[row] for row in snapshot.new_rows] == ["c", "a"]


@pytest.mark.parametrize(
    ("facts", "eligible"),
    [
        ({}, True),
        ({"available": False}, False),
        ({"available_from": NOW}, True),
        ({"available_from": NOW + timedelta(seconds=1)}, False),
        ({"available_until": NOW}, False),
        ({"available_until": NOW + timedelta(seconds=1)}, True),
    ],
)
def test_eligible_is_available_and_inside_the_window(
    facts: dict[str, Any], *, eligible: bool
) -> None:
    snapshot = catalogue_of([video("a", **facts)]).snapshot
    assert snapshot.eligible(NOW).tolist() == [eligible]


def test_eligible_is_kept_to_the_next_edge_and_no_longer() -> None:
    second = timedelta(seconds=1)
    snapshot = catalogue_of(
        [
            video("opens", available_from=NOW + 10 * second),
            video("closes", available_until=NOW + 20 * second),
        ]
    ).snapshot
    at_first = snapshot.eligible(NOW)
    assert snapshot.eligible(NOW + 9 * second) is at_first
    assert at_first.tolist() == [False, True]
    assert snapshot.eligible(NOW + 10 * second).tolist() == [True, True]
    assert snapshot.eligible(NOW + 20 * second).tolist() == [True, False]
    assert snapshot.eligible(NOW).tolist() == [False, True]  # a clock may be set back


def test_an_older_snapshot_reads_as_before() -> None:
    catalogue = catalogue_of([video("a", "drama")], [counted("a", 3)])
    before = catalogue.snapshot
    catalogue.apply([video("b", "crime"), video("a", "crime", title="Changed", available=False)])
    after = catalogue.snapshot
    assert (len(before), before.title(0)) == (1, "Title of a")
    assert before.genres(0) == ("drama",)
    assert before.rows(ids("b")).tolist() == [-1]
    assert before.rows_of_hashes(hash64_many(["b"])).tolist() == [-1]
    assert before.eligible(NOW).tolist() == [True]
    assert (len(after), after.title(0)) == (2, "Changed")
    assert after.genres(0) == ("crime",)
    assert after.popularity_of(0) == 1
    assert after.eligible(NOW).tolist() == [False, True]


def test_counters_of_unknown_videos_are_left_out() -> None:
    snapshot = catalogue_of([video("a")], [counted("nobody", 9), counted("a", 1)]).snapshot
    assert snapshot.popularity_of(0) == 1


_names = st.sampled_from([f"v{number}" for number in range(12)])
_videos = st.builds(
    lambda name, genres, age, creator, available: video(
        name, *genres, age_days=age, creator_id=creator, available=available
    ),
    _names,
    st.lists(st.sampled_from(["drama", "crime", "comedy"]), max_size=3, unique=True),
    st.integers(-2, 5),
    st.none() | st.sampled_from(["x", "y"]),
    st.booleans(),
)
_rows = st.builds(counted, _names, st.integers(1, 9), hours_ago=st.integers(0, 3))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(_videos, max_size=5), max_size=4), st.lists(_rows, max_size=8))
def test_patching_equals_building_anew(
    batches: list[list[Video]], rows: list[PopularityRow]
) -> None:
    patched = Catalogue()
    for batch in batches:
        patched.apply(batch)
        patched.apply_popularity(rows)
    last = {row.video_id: row for row in rows}
    built = Catalogue()
    build = Build()
    build.add(list({entry.id: entry for batch in batches for entry in batch}.values()))
    built.replace(build, last.values() if batches else ())
    assert _told(patched.snapshot) == _told(built.snapshot)


def _told(snapshot: Snapshot) -> dict[str, object]:
    """All that a snapshot says, by id."""
    names = [snapshot.ids[row] for row in range(len(snapshot))]
    rows = np.arange(len(snapshot))
    genres = snapshot.words.genres.words
    columns = snapshot.columns(rows)
    creators = snapshot.words.creators.words
    return {
        "titles": {name: snapshot.title(row) for row, name in enumerate(names)},
        "genres": {name: snapshot.genres(row) for row, name in enumerate(names)},
        "genre columns": {
            name: {genre for genre, has in zip(genres, own, strict=True) if has}
            for name, own in zip(names, columns.genres.tolist(), strict=True)
        },
        "creators": {
            name: creators[code] if code >= 0 else None
            for name, code in zip(names, columns.creator.tolist(), strict=True)
        },
        "popularity": {name: snapshot.popularity_of(row) for row, name in enumerate(names)},
        "published": dict(zip(names, columns.published_day.tolist(), strict=True)),
        "found": snapshot.rows_of_hashes(hash64_many(names)).tolist() == rows.tolist(),
        "eligible": dict(zip(names, snapshot.eligible(NOW).tolist(), strict=True)),
        "popular": [names[row] for row in snapshot.popular_rows],
        "trending": [names[row] for row in snapshot.trending_rows],
        "new": [names[row] for row in snapshot.new_rows],
    }
