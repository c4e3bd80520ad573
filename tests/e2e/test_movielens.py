"""Real ratings through the command line and HTTP, on a part of the data."""

import csv
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.conftest import MOVIELENS
from tests.e2e.lists import check_lists, check_moves, ids, list_of, mean_overlap, moves
from tests.e2e.service import Service

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(400),  # the first test includes the first start
    pytest.mark.skipif(not MOVIELENS.is_dir(), reason="needs ../shared/data/movielens-small"),
]
USERS = 120
MOVIES = 800


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
    for name in ("plots.csv", "tags.csv"):
        (folder / name).symlink_to(MOVIELENS / name)
    return dict(watched)


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


def test_videos_like_toy_story_are_animation_and_family_films(client: httpx.Client) -> None:
    answer = client.get("/videos/1/similar").json()
    assert answer["content_id"] == "1"
    family = [
        entry
        for entry in answer["recommendations"]
        if {"animation", "children"} & set(entry["genres"])
    ]
    assert len(answer["recommendations"]) == 10
    assert len(family) >= 8, answer


def test_a_watch_takes_the_movie_off_and_moves_the_list_toward_it(
    client: httpx.Client, watched: dict[str, set[str]]
) -> None:
    fewest = sorted(watched, key=lambda user: (len(watched[user]), user))
    check_moves(moves(client, fewest[:100]))


def test_importing_again_changes_nothing(service: Service, folder: Path) -> None:
    again = service.json("import", "movielens", str(folder))
    assert again["interactions"]["accepted"] == 0
    assert again["videos"]["accepted"] == 0
