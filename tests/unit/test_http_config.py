"""GET and PUT /recs/config, and its versions, over HTTP."""

from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from core.types import RankingConfig, Weights
from tests.asking import ADMIN, problem
from tests.serving import World

pytestmark = pytest.mark.unit
WEIGHTS = {"similarity": 0.5, "popularity": 0.2, "genre": 0.2, "recency": 0.1, "exploration": 0}
REST = {
    "diversity": 0.2,
    "creator_cap": 2,
    "candidates": 400,
    "soft_age_seconds": 60,
    "hard_age_seconds": 120,
}


def get(client: TestClient[Litestar], path: str = "/recs/config") -> Any:
    return client.get(path, headers=ADMIN)


def put(client: TestClient[Litestar], body: Any, if_match: str | None = "1") -> Any:
    headers = ADMIN if if_match is None else {**ADMIN, "If-Match": if_match}
    return client.put("/recs/config", headers=headers, json=body)


async def test_a_version_with_weights_shows_no_preset(
    world: World, client: TestClient[Litestar]
) -> None:
    first = get(client)
    assert first.headers["etag"] == '"1"'
    assert first.json() == {
        "version": 1,
        "preset": "model",
        "diversity": 0.375,
        "creator_cap": 3,
        "candidates": 300,
        "soft_age_seconds": 600,
        "hard_age_seconds": 3600,
    }
    made = put(client, {"weights": WEIGHTS, **REST})
    assert (made.status_code, made.headers["etag"]) == (200, '"2"')
    assert made.json() == {"version": 2, "weights": WEIGHTS, **REST} == get(client).json()
    config: RankingConfig = await world.config_store.current()
    assert config.weights == Weights(0.5, 0.2, 0.2, 0.1, 0)
    assert get(client, "/recs/config/versions").json() == {"versions": [made.json(), first.json()]}


async def test_popularity_is_damped_when_a_version_says_so(
    world: World, client: TestClient[Litestar]
) -> None:
    made = put(client, {"preset": "model", "popularity_damping": 0.5})
    assert made.json()["popularity_damping"] == get(client).json()["popularity_damping"] == 0.5
    config: RankingConfig = await world.config_store.current()
    assert config.popularity_damping == 0.5
    back = put(client, {**made.json(), "popularity_damping": 0}, made.headers["etag"])
    assert "popularity_damping" not in back.json()  # as if nobody had ever set it


def test_what_was_read_can_be_put_back(client: TestClient[Litestar]) -> None:
    read = get(client)
    made = put(client, {**read.json(), "preset": "seed"}, read.headers["etag"])
    assert made.json() == {**read.json(), "version": 2, "preset": "seed"}


def test_what_is_left_out_has_its_default(client: TestClient[Litestar]) -> None:
    first = get(client).json()
    put(client, {"weights": WEIGHTS, **REST})
    made = put(client, {"preset": "seed"}, "2").json()
    assert made == {**first, "version": 3, "preset": "seed"}


@pytest.mark.parametrize("if_match", [None, "", "*", "one", "-1", "1.0", '"1', "9" * 30])
def test_without_a_version_to_replace_nothing_is_written(
    client: TestClient[Litestar], if_match: str | None
) -> None:
    body = problem(put(client, {"preset": "seed"}, if_match), 400, "invalid_parameter")
    assert body["errors"][0]["field"] == "If-Match"
    assert get(client).json()["version"] == 1


def test_a_stale_version_is_a_conflict(client: TestClient[Litestar]) -> None:
    assert put(client, {"preset": "seed"}).status_code == 200
    for stale in ("1", "3"):
        problem(put(client, {"preset": "model"}, stale), 409, "conflict")


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "weights"),
        ({"preset": "seed", "weights": WEIGHTS}, "weights"),
        ({"preset": "best"}, "preset"),
        ({"preset": None}, "preset"),
        ({"weights": dict.fromkeys(WEIGHTS, 0)}, "weights"),
        ({"weights": {**WEIGHTS, "genre": 1.1}}, "genre"),
        ({"weights": {**WEIGHTS, "genre": -0.1}}, "genre"),
        ({"weights": {"genre": 1}}, "similarity"),
        ({"weights": {**WEIGHTS, "luck": 1}}, "luck"),
        ({"preset": "seed", "version": 2}, "version"),
        ({"preset": "seed", "diversity": 1.1}, "diversity"),
        ({"preset": "seed", "popularity_damping": -0.1}, "popularity_damping"),
        ({"preset": "seed", "creator_cap": 0}, "creator_cap"),
        ({"preset": "seed", "creator_cap": 11}, "creator_cap"),
        ({"preset": "seed", "candidates": 99}, "candidates"),
        ({"preset": "seed", "candidates": 1001}, "candidates"),
        ({"preset": "seed", "soft_age_seconds": 0}, "soft_age_seconds"),
        ({"preset": "seed", "soft_age_seconds": 61, "hard_age_seconds": 60}, "soft_age_seconds"),
        ({"preset": "seed", "hard_age_seconds": 86_401}, "hard_age_seconds"),
        ({"preset": "seed", "extra": 1}, "extra"),
    ],
)
def test_what_breaks_a_rule_is_named(
    client: TestClient[Litestar], body: dict[str, Any], named: str
) -> None:
    assert named in problem(put(client, body), 400, "invalid_parameter")["detail"]
    assert get(client).json()["version"] == 1


async def test_without_postgres_there_is_no_configuration(
    world: World, client: TestClient[Litestar]
) -> None:
    world.config_store.away = True
    answers = (get(client), get(client, "/recs/config/versions"), put(client, {"preset": "seed"}))
    for answer in answers:
        problem(answer, 503, "unavailable")
