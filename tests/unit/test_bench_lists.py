from math import log2
from pathlib import Path

import pytest

from bench.held_out import hold_out
from bench.list_metrics import gain, judge, overlap

pytestmark = pytest.mark.unit


def write_ratings(folder: Path, *rows: str) -> Path:
    folder.mkdir()
    (folder / "ratings.csv").write_text(
        "userId,movieId,rating,timestamp\n" + "".join(f"{row}\n" for row in rows)
    )
    (folder / "movies.csv").write_text("movieId,title,genres\n")
    return folder


def test_the_latest_rating_of_each_user_is_held_out(tmp_path: Path) -> None:
    data = write_ratings(tmp_path / "data", "1,10,4,300", "1,11,4,100", "2,10,5,7", "1,12,1,200")
    (rest := tmp_path / "rest").mkdir()
    held_out = hold_out(data, rest)
    assert held_out.targets == {"1": "10"}
    assert held_out.watched == {"1": ["11", "12"], "2": ["10"]}
    assert held_out.imports == ["import", "movielens", str(rest)]
    kept = (rest / "ratings.csv").read_text().splitlines()[1:]
    assert sorted(kept) == ["1,11,4,100", "1,12,1,200", "2,10,5,7"]
    assert (rest / "movies.csv").read_text() == "movieId,title,genres\n"


def test_all_watches_of_a_video_can_be_left_out(tmp_path: Path) -> None:
    data = write_ratings(tmp_path / "data", "1,10,4,1", "1,11,4,2", "1,12,4,3", "2,11,4,1")
    (rest := tmp_path / "rest").mkdir()
    held_out = hold_out(data, rest, without="11")
    assert held_out.targets == {"1": "12"}
    assert ",11," not in (rest / "ratings.csv").read_text()


def test_the_last_of_a_sequence_is_held_out_unless_it_was_watched_before(tmp_path: Path) -> None:
    (data := tmp_path / "data").mkdir()
    (data / "pairs.tsv").write_text("1\t5 6 7\n2\t5\n3\t8 9 8\n")
    (rest := tmp_path / "rest").mkdir()
    held_out = hold_out(data, rest)
    assert held_out.targets == {"1": "7"}
    assert (rest / "pairs.tsv").read_text() == "1\t5 6\n2\t5\n3\t8 9\n"


def test_the_gain_falls_with_the_rank() -> None:
    assert gain(["a", "b", "c"], "a") == 1
    assert gain(["a", "b", "c"], "c") == pytest.approx(1 / log2(4))
    assert gain(["a", "b", "c"], "d") == 0


def test_lists_are_judged_by_hits_and_by_how_they_differ() -> None:
    first, second = [str(n) for n in range(10)], [str(n) for n in range(5, 15)]
    metrics = judge(
        {"u": first, "v": second, "w": second[:3]},
        {"u": "1", "v": "14", "w": "99"},
        {"u": ["7"], "v": [], "w": []},
    )
    assert metrics.hr == pytest.approx(2 / 3)
    assert metrics.ndcg == pytest.approx((1 / log2(3) + 1 / log2(11)) / 3)
    assert (metrics.users, metrics.videos, metrics.most_shown) == (3, 15, 1.0)
    assert (metrics.short, metrics.watched_shown) == (1, 1)


def test_the_overlap_of_two_lists_is_what_they_have_in_common() -> None:
    lists = [[str(n) for n in range(10)], [str(n) for n in range(5, 15)]]
    assert overlap(lists, pairs=20) == pytest.approx(0.5)
