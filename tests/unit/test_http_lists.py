"""Lists over HTTP: narrowed, walked, explained, of like videos, of a caller's own candidates."""

from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from tests.asking import ADMIN, bearer, problem
from tests.catalogues import video
from tests.serving import NAMES, World

pytestmark = pytest.mark.unit
DRAMA, COMEDY, SPACE = NAMES[0::3], NAMES[1::3], NAMES[2::3]
ANN = bearer("ann", "user")


def ask(client: TestClient[Litestar], path: str) -> dict[str, Any]:
    answer = client.get(path, headers=ADMIN)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def ids(body: dict[str, Any]) -> list[str]:
    return [entry["content_id"] for entry in body["recommendations"]]


def rank(client: TestClient[Litestar], headers: dict[str, str] = ADMIN, **body: Any) -> Any:
    return client.post("/recs/rank", headers=headers, json=body)


@pytest.mark.parametrize("list_type", ["personalized", "trending", "popular", "new"])
async def test_every_list_is_narrowed_to_all_that_pass(
    world: World, client: TestClient[Litestar], list_type: str
) -> None:
    await world.watched("ann", *NAMES[:6])
    ask(client, "/recs/ann")  # keeps a list, which the filters must not act on
    regions = [video(name, "space", regions=["FR"]) for name in SPACE[2:]]
    world.catalogue.apply([*regions, video("old enough", "space", maturity=18)])
    narrowed = "&genre=Space&genre=opera&region=de&max_maturity=16&exclude=v147"
    for user_id, watched in (("ann", {*NAMES[:6]}), ("stranger", set[str]())):
        path = f"/recs/{user_id}?limit=100&type={list_type}"
        assert set(ids(ask(client, path + narrowed))) == {*SPACE[:2]} - watched
        body = ask(client, f"{path}&genre=comedy&genre=DRAMA")
        assert set(ids(body)) == {*COMEDY, *DRAMA} - watched
        assert len(ids(body)) == len(set(ids(body)))
        assert not body["metadata"]["cache_hit"]


async def test_excluded_videos_make_room_for_others(
    world: World, client: TestClient[Litestar]
) -> None:
    await world.watched("ann", *NAMES[:6])
    plain = ids(ask(client, "/recs/ann"))
    others = ids(ask(client, f"/recs/ann?exclude={','.join(plain)}"))
    assert len(others) == 10
    assert not set(others) & set(plain)


async def test_a_walk_over_http_ends_after_a_hundred(
    world: World, client: TestClient[Litestar]
) -> None:
    await world.watched("ann", *NAMES[:6])
    body = ask(client, "/users/ann/recommendations?limit=40")
    given = ids(body)
    while body["metadata"]["next_cursor"]:
        body = ask(client, f"/recs/ann?limit=40&cursor={body['metadata']['next_cursor']}")
        given += ids(body)
    assert len(given) == len(set(given)) == 100


def test_a_cursor_of_another_list_says_so(client: TestClient[Litestar]) -> None:
    cursor = ask(client, "/recs/ann?type=new")["metadata"]["next_cursor"]
    assert len(ids(ask(client, f"/recs/ann?type=new&limit=3&explain=true&cursor={cursor}"))) == 3
    for path in ("/recs/bob?type=new&", "/recs/ann?", "/recs/ann?type=new&genre=space&"):
        answer = client.get(f"{path}cursor={cursor}", headers=ADMIN)
        body = problem(answer, 400, "invalid_parameter")
        assert [error["field"] for error in body["errors"]] == ["cursor"]
        assert "another list" in body["detail"]


def test_explanations_come_when_asked_for(client: TestClient[Litestar]) -> None:
    [entry] = ask(client, "/recs/ann?limit=1&explain=true")["recommendations"]
    assert entry["explanation"].keys() == {"terms", "because"}
    assert entry["explanation"]["terms"].keys() == {
        "similarity",
        "popularity",
        "genre",
        "recency",
        "exploration",
    }
    for term in entry["explanation"]["terms"].values():
        assert term.keys() == {"value", "weight", "contribution"}
    [plain] = ask(client, "/recs/ann?limit=1")["recommendations"]
    assert "explanation" not in plain


async def test_similar_videos_are_narrowed_and_forget_what_was_watched(
    world: World, client: TestClient[Litestar]
) -> None:
    await world.watched("ann", *SPACE[1:20])
    near = ids(ask(client, "/videos/v002/similar?limit=100"))
    assert set(SPACE[1:20]) <= set(near)
    for_ann = ids(ask(client, "/videos/v002/similar?limit=100&for_user=ann"))
    assert not set(for_ann) & set(SPACE[1:20])
    narrowed = ids(ask(client, "/videos/v002/similar?limit=100&genre=Space&exclude=v149,v146"))
    assert set(narrowed) == {*SPACE[1:]} - {"v149", "v146"}
    assert ids(ask(client, "/videos/v002/similar?genre=opera")) == []


def test_for_user_is_for_oneself(client: TestClient[Litestar]) -> None:
    own = client.get("/videos/v002/similar?for_user=ann", headers=ANN)
    assert own.status_code == 200
    problem(client.get("/videos/v002/similar?for_user=bob", headers=ANN), 403, "forbidden")
    problem(client.get("/videos/none/similar?for_user=bob", headers=ANN), 403, "forbidden")
    trainer = bearer("ci", "trainer")
    problem(client.get("/videos/v002/similar?for_user=ci", headers=trainer), 403, "forbidden")


async def test_with_postgres_away_similar_cannot_tell_what_was_watched_and_says_so(
    world: World, client: TestClient[Litestar]
) -> None:
    await world.watched("ann", *SPACE[1:20])
    world.history.away = True
    body = ask(client, "/videos/v002/similar?for_user=ann")
    assert body["metadata"]["degraded"] == ["postgres"]
    assert len(ids(body)) == 10


async def test_own_candidates_are_ranked_as_the_users_list_is(
    world: World, client: TestClient[Litestar]
) -> None:
    await world.watched("ann", *SPACE[:8])
    world.take_down("v147")
    candidates = [*DRAMA[:5], *SPACE[6:20], "v147", "gone", DRAMA[0], "gone"]
    answer = rank(client, user_id="ann", content_ids=candidates, limit=100, explain=True)
    assert answer.status_code == 200
    body = answer.json()
    assert set(ids(body)) == {*DRAMA[:5], *SPACE[8:20]}
    assert len(ids(body)) == 17
    assert ids(body)[0] in SPACE
    assert body["metadata"]["unknown"] == ["gone"]
    assert body["metadata"]["total_count"] == 17
    assert {entry["source"] for entry in body["recommendations"]} == {"nearest"}
    assert body["recommendations"][0]["explanation"]["because"] in SPACE[:8]
    short = rank(client, user_id="ann", content_ids=candidates[::-1], limit=3).json()
    assert ids(short) == ids(body)[:3]
    plain = ask(client, "/recs/ann")
    assert body["metadata"].keys() == plain["metadata"].keys() | {"unknown"}
    assert short["recommendations"][0].keys() == plain["recommendations"][0].keys()


async def test_candidates_of_a_user_nobody_has_seen_are_ranked_by_what_is_popular(
    client: TestClient[Litestar],
) -> None:
    body = rank(client, user_id="nobody", content_ids=NAMES[::10]).json()
    assert body["metadata"]["cold_start"]
    assert {entry["source"] for entry in body["recommendations"]} == {"popular"}
    assert len(ids(body)) == 10


def test_ids_of_candidates_may_be_integers(world: World, client: TestClient[Litestar]) -> None:
    world.catalogue.apply([video("42"), video("-7")])
    body = rank(client, user_id=7, content_ids=[42, "42", -7, 43]).json()
    assert set(ids(body)) == {"42", "-7"}
    assert (body["user_id"], body["metadata"]["unknown"]) == ("7", ["43"])


def test_the_longest_body_of_candidates_is_read(client: TestClient[Litestar]) -> None:
    longest = [f"{number:0128}" for number in range(1000)]
    answer = rank(client, user_id="u" * 128, content_ids=longest)
    assert answer.status_code == 200, answer.text
    assert answer.json()["metadata"]["unknown"] == longest
    problem(rank(client, user_id="ann", content_ids=["x" * 300_000]), 413, "payload_too_large")


INVALID: list[tuple[dict[str, Any], str]] = [
    ({"content_ids": ["a"]}, "user_id"),
    ({"user_id": "ann"}, "content_ids"),
    ({"user_id": "ann", "content_ids": []}, "content_ids"),
    ({"user_id": "ann", "content_ids": ["a"] * 1001}, "content_ids"),
    ({"user_id": "ann", "content_ids": ["a b"]}, "content_ids"),
    ({"user_id": "ann", "content_ids": [None]}, "content_ids"),
    ({"user_id": "ann", "content_ids": [True]}, "content_ids"),
    ({"user_id": "ann", "content_ids": [1.5]}, "content_ids"),
    ({"user_id": "ann", "content_ids": [10**130]}, "content_ids"),
    ({"user_id": "ann", "content_ids": "a"}, "content_ids"),
    ({"user_id": "a b", "content_ids": ["a"]}, "user_id"),
    ({"user_id": "ann", "content_ids": ["a"], "limit": 0}, "limit"),
    ({"user_id": "ann", "content_ids": ["a"], "limit": 101}, "limit"),
    ({"user_id": "ann", "content_ids": ["a"], "explain": "yes"}, "explain"),
    ({"user_id": "ann", "content_ids": ["a"], "region": "de"}, "region"),
]


def test_invalid_candidates_are_named(client: TestClient[Litestar]) -> None:
    for body, named in INVALID:
        answer = client.post("/recs/rank", headers=ADMIN, json=body)
        found = problem(answer, 400, "invalid_parameter")
        assert named in str(found["errors"]), found


def test_a_user_ranks_for_oneself(client: TestClient[Litestar]) -> None:
    assert rank(client, ANN, user_id="ann", content_ids=NAMES[:3]).status_code == 200
    problem(rank(client, ANN, user_id="bob", content_ids=NAMES[:3]), 403, "forbidden")
    problem(
        rank(client, bearer("ci", "trainer"), user_id="ci", content_ids=["a"]), 403, "forbidden"
    )


async def test_no_read_fails_whatever_is_away(world: World, client: TestClient[Litestar]) -> None:
    await world.watched("ann", *SPACE[:8])
    world.history.away = world.cache.away = world.search.away = True
    for query in ("genre=space", "type=new&region=de", "explain=true", "exclude=v149"):
        body = ask(client, f"/recs/ann?limit=5&{query}")
        assert len(ids(body)) == 5
        assert {"postgres", "redis"} <= set(body["metadata"]["degraded"])
    body = ask(client, "/videos/v002/similar?genre=space&for_user=ann")
    assert len(ids(body)) == 10
    body = rank(client, user_id="ann", content_ids=NAMES[:20]).json()
    assert body["metadata"]["degraded"] == ["postgres", "redis"]
    assert len(ids(body)) == 10


def test_before_the_catalogue_is_read_nothing_is_called_unknown(
    world: World, client: TestClient[Litestar]
) -> None:
    world.catalogue = type(world.catalogue)()
    world.loaded = False
    metadata = rank(client, user_id="ann", content_ids=NAMES[:3]).json()["metadata"]
    assert (metadata["unknown"], metadata["degraded"]) == ([], ["catalogue"])
