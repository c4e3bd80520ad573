"""The MovieLens layout: what each file adds to a film, and which lines are refused."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from core.errors import InvalidInput, SetupError
from core.types import Interaction, Video
from ingest.movielens import read_movies, read_ratings
from ingest.movielens.extras import slug
from ingest.report import Reject

pytestmark = pytest.mark.unit

NOW = datetime(2025, 6, 1, tzinfo=UTC)
REAL = Path(__file__).parents[3] / "shared" / "data" / "movielens-small"


def folder_with(folder: Path, **files: str) -> Path:
    for name, content in files.items():
        (folder / f"{name}.csv").write_text(content, encoding="utf-8")
    return folder


def movies(folder: Path) -> tuple[list[Video], list[Reject]]:
    items = list(read_movies(folder).items)
    good = [item for item in items if isinstance(item, Video)]
    return good, [item for item in items if isinstance(item, Reject)]


def ratings(folder: Path, lines: str) -> tuple[list[Interaction], list[tuple[int, str]]]:
    folder_with(folder, ratings="userId,movieId,rating,timestamp\n" + lines)
    items = list(read_ratings(folder, lambda: NOW).items)
    good = [item for item in items if isinstance(item, Interaction)]
    return good, [(item.line, item.reason) for item in items if isinstance(item, Reject)]


def test_a_film_has_year_genres_and_nothing_made_up(tmp_path: Path) -> None:
    folder_with(
        tmp_path,
        movies="movieId,title,genres\n"
        "1,Toy Story (1995),Adventure|Sci-Fi\n"
        '2,"Series, A (2007-)",(no genres listed)\n'
        "3,Hyena Road,War\n"
        "4,Year Zero (0000),War\n",
    )
    good, bad = movies(tmp_path)
    assert bad == []
    assert [film.title for film in good] == [
        "Toy Story (1995)", "Series, A (2007-)", "Hyena Road", "Year Zero (0000)",
    ]  # fmt: skip
    assert [film.genres for film in good] == [("adventure", "sci-fi"), (), ("war",), ("war",)]
    assert [film.published_at for film in good] == [
        datetime(1995, 1, 1, tzinfo=UTC), datetime(2007, 1, 1, tzinfo=UTC), None, None,
    ]  # fmt: skip
    assert good[0].description == ""
    assert good[0].creator_id is None


def test_plots_and_tags_make_the_text(tmp_path: Path) -> None:
    folder_with(
        tmp_path,
        movies="movieId,title,genres\n1,Amelie (2001),Comedy\n",
        plots="movieId,release_date,mpaa,director,cast,plot\n"
        '1,2001-04-25,R,"Jean-Pierre Jeunet, Someone Else","Audrey Tautou, Mathieu Kassovitz",'
        '"A ""shy"" waitress."\n',
        tags="userId,movieId,tag,timestamp\n1,1,whimsical,5\n2,1,Paris,5\n3,1,paris,5\n4,9,x,5\n",
    )
    (film,), _ = movies(tmp_path)
    assert film == Video(
        id=film.id,
        title="Amelie (2001)",
        description='A "shy" waitress. With Audrey Tautou, Mathieu Kassovitz. '
        "Tags: paris, whimsical.",
        genres=("comedy",),
        creator_id="jean-pierre-jeunet",
        published_at=datetime(2001, 4, 25, tzinfo=UTC),
        maturity=17,
    )


@pytest.mark.parametrize(
    ("mpaa", "maturity"),
    [("G", 0), ("PG", 8), ("PG-13", 13), ("R", 17), ("NC-17", 18), ("UNRATED", 0), ("", 0)],
)
def test_a_known_rating_is_a_minimum_age(tmp_path: Path, mpaa: str, maturity: int) -> None:
    folder_with(
        tmp_path,
        movies="movieId,title,genres\n1,One (2001),Comedy\n",
        plots=f"movieId,release_date,mpaa,director,cast,plot\n1,soon,{mpaa},,,\n",
    )
    (film,), bad = movies(tmp_path)
    assert film.maturity == maturity
    assert film.published_at == datetime(2001, 1, 1, tzinfo=UTC)
    assert bad == []


def test_bad_lines_of_every_file_are_named_and_cost_no_film(tmp_path: Path) -> None:
    folder_with(
        tmp_path,
        movies="movieId,title,genres\n1,One,Drama\n,Two,Drama\n3,,Drama\n4,Four,Drama\n",
        plots=f"movieId,release_date,mpaa,director,cast,plot\n1,,,,,{'x' * 16_001}\n",
        tags='userId,movieId,tag,timestamp\n1,1,"open,5\n',
    )
    good, bad = movies(tmp_path)
    assert [film.id for film in good] == ["1", "4"]
    assert bad == [
        Reject("plots.csv", 2, "plot has 16001 characters, at most 16000"),
        Reject("tags.csv", 2, "broken CSV quoting"),
        Reject("movies.csv", 3, "video_id is empty"),
        Reject("movies.csv", 4, "title is empty"),
    ]


def test_a_rating_is_an_interaction_with_its_weight(tmp_path: Path) -> None:
    (first, second), bad = ratings(tmp_path, "1,31,2.5,1260759144\n1,32,0.5,1260759145\n")
    assert bad == []
    assert (first.user_id, first.video_id, first.kind, first.rating) == ("1", "31", "rating", 2.5)
    assert first.weight == 0.375
    assert second.weight == 0.05
    assert first.occurred_at == datetime(2009, 12, 14, 2, 52, 24, tzinfo=UTC)


def test_broken_ratings_are_refused_with_reasons(tmp_path: Path) -> None:
    good, bad = ratings(
        tmp_path,
        "1,31,nan,1260759144\n"
        "1,31,5.5,1260759144\n"
        "1,31,many,1260759144\n"
        "1,31,3,0\n"
        "1,31,3,99999999999999\n"
        "1,31,3,1780000000\n"
        "1,31,3,\n"
        ",31,3,1260759144\n"
        "1,a b,3,1260759144\n"
        f"{'u' * 129},31,3,1260759144\n"
        "1,31,3.0,1260759144\n",
    )
    assert [row.video_id for row in good] == ["31"]
    rule = "must be 1 to 128 of A-Z a-z 0-9 _ . : - | @ + = ~"
    assert bad == [
        (2, "rating nan must be 0.5 to 5"),
        (3, "rating 5.5 must be 0.5 to 5"),
        (4, "rating 'many' is not a number"),
        (5, "occurred_at '1970-01-01 00:00:00+00:00' is before 1990"),
        (6, "timestamp '99999999999999' is not a time in seconds"),
        (7, "occurred_at '2026-05-28 20:26:40+00:00' is more than 5 minutes ahead"),
        (8, "timestamp '' is not a number"),
        (9, "user_id is empty"),
        (10, f"video_id 'a b' {rule}"),
        (11, f"user_id '{'u' * 63}... {rule}"),
    ]


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"movies\.csv is not a file. Expected a MovieLens file"):
        read_movies(tmp_path)
    folder_with(tmp_path, ratings="userId,movieId,rating\n")
    with pytest.raises(InvalidInput, match=r"ratings\.csv: no column timestamp"):
        read_ratings(tmp_path, lambda: NOW)


def test_names_become_ids() -> None:
    assert slug("Alejandro González Iñárritu") == "alejandro-gonzalez-inarritu"
    assert slug("宮崎") is None
    assert slug("") is None
    assert len(slug("a" * 300) or "") == 128


@pytest.mark.skipif(not REAL.is_dir(), reason="../shared/data/movielens-small is not there")
def test_the_real_files_have_no_bad_line() -> None:
    good, bad = movies(REAL)
    assert (len(good), bad) == (9125, [])
    assert good[0].genres == ("adventure", "animation", "children", "comedy", "fantasy")
    items = list(read_ratings(REAL, lambda: NOW).items)
    assert len(items) == 100_004
    assert len({item.key for item in items if isinstance(item, Interaction)}) == 100_004
