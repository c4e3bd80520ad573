"""Who may call what over HTTP, route by route and role by role."""

import pytest
from litestar import Litestar
from litestar.routes import HTTPRoute
from litestar.testing import TestClient

from tests.asking import ADMIN, CHANGE, EVERY, OWN, READ, VIDEO, WATCH, bearer, problem
from tests.serving import NAMES

pytestmark = pytest.mark.unit


CALLERS = {
    "ann": bearer("ann", "user"),
    "bob": bearer("bob", "user"),
    "service": bearer("shop", "service"),
    "a service named as the user": bearer("ann", "service"),
    "trainer": bearer("ci", "trainer"),
    "a trainer named as the user": bearer("ann", "trainer"),
    "admin": ADMIN,
    "nobody in particular": bearer("ann"),
}
MAY: dict[str, list[tuple[str, str]]] = {
    "ann": [*OWN, WATCH, VIDEO],
    "bob": [VIDEO],
    "service": [*OWN, WATCH, VIDEO, *READ],
    "a service named as the user": [*OWN, WATCH, VIDEO, *READ],
    "trainer": [VIDEO, *READ, *CHANGE],
    "a trainer named as the user": [VIDEO, *READ, *CHANGE],
    "admin": EVERY,
    "nobody in particular": [],
}


@pytest.mark.parametrize(("method", "path"), EVERY)
@pytest.mark.parametrize("caller", CALLERS)
def test_who_may_call(client: TestClient[Litestar], caller: str, method: str, path: str) -> None:
    body = {"content_id": NAMES[0]} if (method, path) == WATCH else None
    answer = client.request(method, path, headers=CALLERS[caller], json=body)
    if (method, path) in MAY[caller]:
        assert answer.status_code not in {401, 403}, answer.text
    else:
        problem(answer, 403, "forbidden")


@pytest.mark.parametrize(("method", "path"), EVERY)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic YTpi"},
        {"Authorization": "Bearer nonsense"},
    ],
)
def test_without_a_valid_token_nobody_may(
    client: TestClient[Litestar], method: str, path: str, headers: dict[str, str]
) -> None:
    answer = client.request(method, path, headers=headers)
    problem(answer, 401, "unauthenticated")
    assert answer.headers["www-authenticate"] == "Bearer"


def test_only_health_and_the_document_are_open(app: Litestar) -> None:
    routes = [route for route in app.routes if isinstance(route, HTTPRoute)]
    guarded = {route.path for route in routes for entry in route.route_handlers if entry.guards}
    everything = {route.path for route in routes}
    open_to_all = {path for path in everything - guarded if not path.startswith("/docs")}
    assert open_to_all == {"/health", "/health/live", "/health/ready", "/openapi.json"}


def test_forbidden_wins_over_not_found_and_invalid(client: TestClient[Litestar]) -> None:
    headers = bearer("bob", "user")
    problem(client.get("/users/nobody/recommendations", headers=headers), 403, "forbidden")
    problem(client.get("/recs/ann?limit=0", headers=headers), 403, "forbidden")
    problem(client.get("/recs/models/none", headers=headers), 403, "forbidden")


def test_the_scheme_is_not_case_sensitive(client: TestClient[Litestar]) -> None:
    headers = {"Authorization": ADMIN["Authorization"].replace("Bearer", "bearer")}
    assert client.get("/recs/ann", headers=headers).status_code == 200
