"""Real ratings through the command line and HTTP, on a part of the data."""

import csv
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import MOVIELENS
from tests.e2e.lists import check_lists, check_moves, ids, list_of, mean_overlap
from tests.e2e.service import Service

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(900),  # the first test includes the first start
    pytest.mark.skipif(not MOVIELENS.is_dir(), reason="needs ../shared/data/movielens-small"),
]
USERS = 300
MOVIES = 800
PLOT_LENGTH = 200
ANIMATED = ("364", "588", "595", "594", "596", "1")  # The Lion King, Aladdin and the like


def write_part(folder: Path) -> dict[str, set[str]]:
    """The first movies and users of the data; returns who rated what."""
    with (MOVIELENS / "movies.csv").open(encoding="utf-8") as source:
        head = source.readlines()[: MOVIES + 1]
    (folder / "movies.csv").write_text("".join(head), encoding="utf-8")
    known = {row["movieId"] for row in csv.DictReader(head)}
    watched = defaultdict(set)
    with (
        (MOVIELENS / "ratings.csv").open(encoding="utf-8") as source,
        (folder / "ratings.csv").open("w", encoding="utf-8") as target,
    ):
        target.write(source.readline())
        for line in source:
            user, movie, *_ = line.split(",")
            if int(user) <= USERS and movie in known:
                watched[user].add(movie)
                target.write(line)
    _write_short_plots(folder)
    (folder / "tags.csv").symlink_to(MOVIELENS / "tags.csv")
    return dict(watched)


def _write_short_plots(folder: Path) -> None:
    """How plots begin: to encode the whole of them takes several times as long."""
    with (
        (MOVIELENS / "plots.csv").open(encoding="utf-8", newline="") as source,
        (folder / "plots.csv").open("w", encoding="utf-8", newline="") as target,
    ):
        rows = csv.DictReader(source)
        written = csv.DictWriter(target, rows.fieldnames or ())
        written.writeheader()
        written.writerows({**row, "plot": row["plot"][:PLOT_LENGTH]} for row in rows)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("movielens")


@pytest.fixture(scope="module")
def watched(folder: Path) -> dict[str, set[str]]:
    return write_part(folder)


@pytest.fixture(scope="module")
def service(
    tmp_path_factory: pytest.TempPathFactory, folder: Path, watched: dict[str, set[str]]
) -> Iterator[Service]:
    """Imported without a running service, then started: its first model is of these movies."""
    service = Service(tmp_path_factory.mktemp("service") / "home")
    report = service.json("import", "movielens", str(folder))
    assert report["interactions"]["accepted"] == sum(map(len, watched.values()))
    with service:
        yield service


@pytest.fixture(scope="module")
def client(service: Service) -> Iterator[httpx.Client]:
    with service.client() as client:
        yield client


def family(body: dict[str, Any]) -> int:
    """How many videos of a list are for children, or drawn."""
    return sum(
        bool({"animation", "children"} & set(entry["genres"])) for entry in body["recommendations"]
    )


def test_every_user_gets_a_list_of_their_own(
    client: httpx.Client, watched: dict[str, set[str]]
) -> None:
    lists = check_lists(client, watched)
    assert mean_overlap(lists) < 0.25


def test_a_second_request_is_a_cache_hit_whatever_the_limit(client: httpx.Client) -> None:
    first = list_of(client, "7", limit=10)
    second = list_of(client, "7", limit=25)
    assert second["metadata"]["cache_hit"]
    assert ids(second)[:10] == ids(first)


def test_what_serves_is_of_what_people_watch_since_texts_do_not_beat_what_is_popular(
    service: Service, client: httpx.Client
) -> None:
    assert "does not beat the most watched" in service.output
    assert "No content model goes live" in service.output
    als, content = client.get("/recs/models").json()["models"]
    assert [(one["model_type"], one["status"]) for one in (als, content)] == [
        ("als", "live"),
        ("content", "rejected"),
    ]
    for model, better in ((als, True), (content, False)):
        beats = model["metrics"]["ndcg@10"] > model["baseline"]["metrics"]["ndcg@10"]
        assert (beats, model["baseline"]["model_id"]) == (better, None)


def test_videos_like_one_that_few_have_watched_are_of_its_kind(client: httpx.Client) -> None:
    answer = client.get("/videos/13/similar").json()  # Balto: its texts decide
    assert answer["content_id"] == "13"
    assert len(answer["recommendations"]) == 10
    assert family(answer) >= 8, answer


def test_watches_take_movies_off_and_move_the_list_toward_them(
    client: httpx.Client, watched: dict[str, set[str]]
) -> None:
    moved = []
    for user in sorted(watched, key=lambda user: (len(watched[user]), user))[:60]:
        before = list_of(client, user)
        chosen = [movie for movie in ANIMATED if movie not in watched[user]][:3]
        for movie in chosen:
            answer = client.post(f"/users/{user}/watch-history", json={"content_id": movie})
            assert answer.status_code == 201, answer.text
        after = list_of(client, user)
        assert not set(chosen) & set(ids(after))
        moved.append((family(after) - family(before)) / 10)
    check_moves(moved)


def test_importing_again_changes_nothing(service: Service, folder: Path) -> None:
    again = service.json("import", "movielens", str(folder))
    assert again["interactions"]["accepted"] == 0
    assert again["videos"]["accepted"] == 0
