"""The contract over HTTP, in memory: bodies, errors, headers, the document."""

import re

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.asking import ADMIN, CHANGE, OWN, READ, VIDEO, problem
from tests.catalogues import video
from tests.routes import OPEN, served, shape_of
from tests.serving import NAMES, World

pytestmark = pytest.mark.unit


def test_a_list_has_the_contracts_fields(client: TestClient[Litestar]) -> None:
    body = client.get("/recs/ann?limit=2", headers=ADMIN).json()
    assert body.keys() == {"user_id", "recommendations", "metadata"}
    assert len(body["recommendations"]) == 2
    assert body["recommendations"][0].keys() == {
        "content_id",
        "title",
        "genre",
        "genres",
        "popularity_score",
        "score",
        "source",
    }
    assert body["metadata"].keys() == {
        "recommendation_id",
        "type",
        "model_version",
        "config_version",
        "cache_hit",
        "cold_start",
        "degraded",
        "generated_at",
        "total_count",
        "next_cursor",
    }
    assert body["metadata"]["generated_at"].endswith("Z")
    assert body["recommendations"][0]["genre"] == body["recommendations"][0]["genres"][0]


def test_similar_videos_have_the_fields_of_a_list(client: TestClient[Litestar]) -> None:
    listed = client.get("/recs/ann?limit=2", headers=ADMIN).json()
    similar = client.get(f"/videos/{NAMES[0]}/similar?limit=2", headers=ADMIN).json()
    assert similar.keys() == {"content_id", "recommendations", "metadata"}
    assert similar["recommendations"][0].keys() == listed["recommendations"][0].keys()
    metadata = similar["metadata"]
    assert metadata.keys() == listed["metadata"].keys()
    assert (metadata["type"], metadata["cache_hit"], metadata["cold_start"]) == (
        "similar",
        False,
        False,
    )
    assert metadata["next_cursor"] is None


@pytest.mark.parametrize("user_id", ["a.b:c-d|e@f+g=h~i_J0", "x" * 128, "7"])
def test_ids_of_the_alphabet_are_read(client: TestClient[Litestar], user_id: str) -> None:
    answer = client.get(f"/recs/{user_id}", headers=ADMIN)
    assert answer.json()["user_id"] == user_id


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/recs/ann?limit=0", "limit"),
        ("/recs/ann?limit=101", "limit"),
        ("/recs/ann?limit=ten", "limit"),
        ("/recs/ann?limit=1.5", "limit"),
        ("/recs/ann?limit=", "limit"),
        ("/recs/ann?limit=1&limit=2", "limit"),
        ("/recs/ann?type=best", "type"),
        ("/recs/ann?genre=", "genre"),
        ("/recs/ann?genre=drama&genre=%20", "genre"),
        ("/recs/ann?genre=" + "x" * 65, "genre"),
        ("/recs/ann?" + "&".join(f"genre=g{n}" for n in range(33)), "genre"),
        ("/recs/ann?genre=a%00b", "genre"),
        ("/recs/ann?region=", "region"),
        ("/recs/ann?region=%20", "region"),
        ("/recs/ann?region=de&region=fr", "region"),
        ("/recs/ann?max_maturity=-1", "max_maturity"),
        ("/recs/ann?max_maturity=121", "max_maturity"),
        ("/recs/ann?max_maturity=old", "max_maturity"),
        ("/recs/ann?exclude=", "exclude"),
        ("/recs/ann?exclude=a,,b", "exclude"),
        ("/recs/ann?exclude=a,b%20c", "exclude"),
        ("/recs/ann?exclude=" + ",".join(f"v{n}" for n in range(501)), "exclude"),
        ("/recs/ann?explain=perhaps", "explain"),
        ("/recs/ann?cursor=", "cursor"),
        ("/recs/ann?cursor=nonsense", "cursor"),
        ("/recs/ann?cursor=%C3%A4", "cursor"),
        ("/recs/ann?cursor=" + "A" * 10_000, "cursor"),
        ("/users/ann/recommendations?genre=drama", "genre"),
        ("/videos/v000/similar?cursor=AAAA", "cursor"),
        ("/videos/v000/similar?for_user=a%20b", "for_user"),
        ("/videos/v000/similar?exclude=a%20b", "exclude"),
        ("/recs/" + "x" * 129, "user_id"),
        ("/recs/a%20b", "user_id"),
        ("/recs/ann%0A", "user_id"),
        ("/recs/%C3%A4", "user_id"),
        ("/users/ann/recommendations?type=popular", "type"),
        ("/videos/v000/similar?limit=0", "limit"),
        ("/videos/a%20b/similar", "video_id"),
        ("/recs/models?status=good", "status"),
        ("/recs/models?model_type=als2", "model_type"),
        ("/recs/models/a%20b", "model_id"),
        ("/health?verbose=1", "verbose"),
    ],
)
def test_invalid_parameters_are_named(client: TestClient[Litestar], path: str, field: str) -> None:
    body = problem(client.get(path, headers=ADMIN), 400, "invalid_parameter")
    assert [error["field"] for error in body["errors"]] == [field]
    assert all(error["message"] for error in body["errors"])


def test_the_frameworks_own_refusals_are_problems_too(client: TestClient[Litestar]) -> None:
    problem(client.get("/no/such/path"), 404, "not_found")
    answer = client.delete("/recs/ann", headers=ADMIN)
    problem(answer, 405, "method_not_allowed")
    assert "GET" in answer.headers["allow"]


def test_what_is_not_there(client: TestClient[Litestar]) -> None:
    problem(client.get("/users/nobody/recommendations", headers=ADMIN), 404, "user_not_found")
    problem(client.get("/videos/none/similar", headers=ADMIN), 404, "content_not_found")
    problem(client.get("/recs/models/none", headers=ADMIN), 404, "model_not_found")
    problem(client.post("/recs/models/none/promote", headers=ADMIN), 404, "model_not_found")
    answer = client.post("/users/ann/watch-history", headers=ADMIN, json={"content_id": "none"})
    problem(answer, 404, "content_not_found")


def test_a_watch_is_201_and_its_repeat_200(client: TestClient[Litestar]) -> None:
    headers = {**ADMIN, "Idempotency-Key": "k"}
    body = {"content_id": NAMES[0], "watched_seconds": 600, "video_seconds": 900}
    first = client.post("/users/ann/watch-history", headers=headers, json=body)
    second = client.post("/users/ann/watch-history", headers=headers, json=body)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json().keys() == {"user_id", "content_id", "occurred_at", "duplicate"}
    assert second.json() == {**first.json(), "duplicate": True}
    other = {"content_id": NAMES[1]}
    answer = client.post("/users/ann/watch-history", headers=headers, json=other)
    problem(answer, 409, "conflict")


async def test_an_integer_id_is_its_text(world: World, client: TestClient[Litestar]) -> None:
    await world.video_store.upsert_many([video("42")])
    answer = client.post("/users/ann/watch-history", headers=ADMIN, json={"content_id": 42})
    assert answer.json()["content_id"] == "42"


def test_an_integer_that_names_a_recommendation_is_its_text(
    client: TestClient[Litestar],
) -> None:
    body = {"content_id": NAMES[0], "recommendation_id": 5}
    answer = client.post("/users/ann/watch-history", headers=ADMIN, json=body)
    assert answer.status_code == 201
    body["recommendation_id"] = 10**200
    answer = client.post("/users/ann/watch-history", headers=ADMIN, json=body)
    assert "recommendation_id" in problem(answer, 400, "invalid_parameter")["detail"]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"", "Send a JSON object"),
        (b"{", "truncated"),
        (b'{"content_id":"\xff"}', "UTF-8"),
        (b'{"content_id":"v000","\xff":1}', "UTF-8"),
        (b"[]", "Expected `object`"),
        (b"{}", "content_id"),
        (b'{"content_id":"v000","extra":1}', "extra"),
        (b'{"content_id":null}', "content_id"),
        (b'{"content_id":1.5}', "content_id"),
        (b'{"content_id":true}', "content_id"),
        (b'{"content_id":"a b"}', "content_id"),
        (b'{"content_id":' + b"1" * 129 + b"}", "content_id"),
        (b'{"content_id":"v000","watched_seconds":-1}', "watched_seconds"),
        (b'{"content_id":"v000","watched_seconds":1e20}', "watched_seconds"),
        (b'{"content_id":"v000","watched_seconds":NaN}', "malformed"),
        (b'{"content_id":"v000","occurred_at":"yesterday"}', "occurred_at"),
        (b'{"content_id":"v000","occurred_at":"2026-01-01T00:00:00"}', "occurred_at"),
        (b'{"content_id":"v000","occurred_at":"9999-01-01T00:00:00Z"}', "occurred_at"),
        (b'{"content_id":"v000","occurred_at":1}', "occurred_at"),
    ],
)
def test_invalid_bodies(client: TestClient[Litestar], body: bytes, named: str) -> None:
    headers = {**ADMIN, "Content-Type": "application/json"}
    answer = client.post("/users/ann/watch-history", headers=headers, content=body)
    found = problem(answer, 400, "invalid_parameter")
    assert named in found["detail"]


def test_a_body_that_is_not_json_is_415(client: TestClient[Litestar]) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        headers = {**ADMIN, "Content-Type": kind}
        answer = client.post("/users/ann/watch-history", headers=headers, content=b"content_id=1")
        problem(answer, 415, "unsupported_media_type")


def test_a_body_that_is_too_large_is_413(client: TestClient[Litestar]) -> None:
    body = b'{"content_id":"' + b"x" * 100_000 + b'"}'
    headers = {**ADMIN, "Content-Type": "application/json"}
    answer = client.post("/users/ann/watch-history", headers=headers, content=body)
    problem(answer, 413, "payload_too_large")


def test_models(client: TestClient[Litestar]) -> None:
    models = client.get("/recs/models", headers=ADMIN).json()["models"]
    assert [(model["id"], model["live"]) for model in models] == [("m2", False), ("m1", True)]
    assert models[0].keys() == {
        "id",
        "model_type",
        "version",
        "status",
        "live",
        "progress",
        "created_at",
        "started_at",
        "finished_at",
        "promoted_at",
        "data",
        "params",
        "metrics",
        "baseline",
        "artifact_uri",
        "error",
    }
    ready = client.get("/recs/models?status=ready&model_type=content", headers=ADMIN).json()
    assert [model["id"] for model in ready["models"]] == ["m2"]
    for other in ("als", "sequence"):
        answer = client.get(f"/recs/models?model_type={other}", headers=ADMIN)
        assert (answer.status_code, answer.json()) == (200, {"models": []})
    assert client.get("/recs/models/m1", headers=ADMIN).json()["status"] == "live"
    assert client.post("/recs/models/m2/promote", headers=ADMIN).status_code == 200
    problem(client.post("/recs/models/m1/promote", headers=ADMIN), 409, "conflict")
    problem(client.post("/recs/models/rollback", headers=ADMIN), 409, "conflict")


def test_with_postgres_away_writes_and_models_are_503_and_lists_are_not(
    world: World, client: TestClient[Litestar]
) -> None:
    for store in (world.history, world.models, world.video_store):
        store.away = True
    for method, path in (*READ, *CHANGE):
        answer = client.request(method, path, headers=ADMIN)
        problem(answer, 503, "unavailable")
        assert int(answer.headers["retry-after"]) >= 1
    answer = client.post("/users/ann/watch-history", headers=ADMIN, json={"content_id": NAMES[0]})
    problem(answer, 503, "unavailable")
    for _, path in (*OWN, VIDEO):
        assert client.get(path, headers=ADMIN).status_code == 200


def test_promotion_needs_the_index(world: World, client: TestClient[Litestar]) -> None:
    world.index.away = True
    problem(client.post("/recs/models/m2/promote", headers=ADMIN), 503, "unavailable")
    world.index.away = False
    world.published.clear()
    answer = problem(client.post("/recs/models/m2/promote", headers=ADMIN), 409, "conflict")
    assert "no vectors" in answer["detail"]


def test_a_fault_of_ours_tells_nothing(
    world: World, client: TestClient[Litestar], capsys: pytest.CaptureFixture[str]
) -> None:
    del world.registry.models
    body = problem(client.get("/recs/models", headers=ADMIN), 500, "internal")
    assert "models" not in body["detail"]
    assert body["request_id"] in capsys.readouterr().out


def test_request_ids(client: TestClient[Litestar]) -> None:
    for path in ("/health/live", "/no/such/path", "/recs/ann"):
        made = client.get(path).headers["x-request-id"]
        assert made != client.get(path).headers["x-request-id"]
        sent = {"X-Request-ID": "abc-1.2:3_4"}
        assert client.get(path, headers=sent).headers["x-request-id"] == "abc-1.2:3_4"
        for unsound in ("a b", "x" * 129, "<script>"):
            sent = {"X-Request-ID": unsound}
            assert client.get(path, headers=sent).headers["x-request-id"] != unsound


def test_health(world: World, client: TestClient[Litestar]) -> None:
    body = client.get("/health").json()
    assert body["status"] == "ok"
    assert body["dependencies"]["redis"]["latency_ms"] >= 0
    assert body["model_version"] == "content_1"
    world.cache.away = True
    body = client.get("/health").json()
    assert body["status"] == "degraded"
    assert body["dependencies"]["redis"] == {"status": "unavailable"}


def test_ready_once_the_catalogue_is_read(world: World, client: TestClient[Litestar]) -> None:
    assert client.get("/health/ready").json() == {"status": "ok"}
    world.ready = False
    problem(client.get("/health/ready"), 503, "unavailable")
    assert client.get("/health/live").status_code == 200


def test_the_document_is_openapi_31_and_complete(
    app: Litestar, client: TestClient[Litestar]
) -> None:
    document = client.get("/openapi.json").json()
    OpenAPIV31SpecValidator(document).validate()
    operations = [
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    shapes = {(method.upper(), shape_of(path)) for path, method, _ in operations}
    assert {shape for shape in shapes if shape[1] not in OPEN} == served(app)
    for path, _, operation in operations:
        for status, answer in operation["responses"].items():
            if "content" not in answer:
                assert status in {"204", "307"}
                continue
            [(kind, content)] = answer["content"].items()
            assert content["examples"], (path, status)
            good = kind in {"application/json", "application/x-ndjson", "text/plain"}
            assert good if status < "300" else kind == "application/problem+json"
        if path not in OPEN:
            assert operation["security"] == [{"bearer": []}]
            assert {"401", "403"} <= operation["responses"].keys()
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"


def test_the_document_is_made_once(
    client: TestClient[Litestar], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = client.get("/openapi.json")
    monkeypatch.delattr(Litestar, "openapi_schema")
    assert client.get("/openapi.json").content == first.content


def test_the_page_needs_nothing_from_elsewhere(client: TestClient[Litestar]) -> None:
    page = client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert not re.findall(r"(?:src|href)=[\"']?https?:", page.text)
    files = re.findall(r"(?:src|href)=[\"'](/[^\"']+)", page.text)
    assert len(files) >= 3
    for file in files:
        answer = client.get(file)
        assert answer.status_code == 200
        assert len(answer.content) > 10_000
