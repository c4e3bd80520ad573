"""Who may call what over HTTP: every route of `tests.routes`, role by role."""

from collections.abc import Iterator

import pytest
from litestar import Litestar
from litestar.routes import HTTPRoute
from litestar.testing import TestClient

from api.auth import TokenVerifier
from api.http import application
from tests.asking import ADMIN, SECRET, bearer, problem
from tests.routes import OPEN, ROLES, ROUTES, Route, served
from tests.serving import World

pytestmark = pytest.mark.unit

APP = application(World().compose, TokenVerifier(SECRET))
ROWS = [pytest.param(route, id=str(route)) for route in ROUTES if route.shape in served(APP)]

# Whoever calls, and the column of the contract's table that holds for them on what is ann's.
CALLERS = {
    "ann": (bearer("ann", "user"), "user"),
    "bob": (bearer("bob", "user"), "another user"),
    "service": (bearer("shop", "service"), "service"),
    "a service named as the user": (bearer("ann", "service"), "service"),
    "trainer": (bearer("ci", "trainer"), "trainer"),
    "a trainer named as the user": (bearer("ann", "trainer"), "trainer"),
    "admin": (ADMIN, "admin"),
    "nobody in particular": (bearer("ann"), "nobody"),
    "a role of another service": (bearer("ann", "editor", "USER"), "nobody"),
}


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient[Litestar]]:
    """One service for all that is asked: here only who may ask is looked at."""
    with TestClient(APP, raise_server_exceptions=False) as client:
        yield client


def may(route: Route, column: str) -> bool:
    if column == "another user":
        return route.who == "everyone"
    return column in ROLES[route.who]


@pytest.mark.parametrize("route", ROWS)
@pytest.mark.parametrize("caller", CALLERS)
def test_who_may_call(client: TestClient[Litestar], caller: str, route: Route) -> None:
    headers, column = CALLERS[caller]
    answer = client.request(route.method, route.url, headers=headers, json=route.json)
    if may(route, column):
        assert answer.status_code not in {401, 403, 405}, answer.text
    else:
        problem(answer, 403, "forbidden")


@pytest.mark.parametrize("route", ROWS)
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
    client: TestClient[Litestar], route: Route, headers: dict[str, str]
) -> None:
    answer = client.request(route.method, route.url, headers=headers)
    problem(answer, 401, "unauthenticated")
    assert answer.headers["www-authenticate"] == "Bearer"


def test_of_two_tokens_neither_counts(client: TestClient[Litestar]) -> None:
    two = [*bearer("ann", "user").items(), *bearer("bob", "user").items()]
    problem(client.get("/recs/ann", headers=two), 401, "unauthenticated")


def test_every_route_of_the_application_is_in_the_table() -> None:
    assert served(APP) == {route.shape for route in ROUTES}


def test_only_health_metrics_and_the_document_are_open() -> None:
    routes = [route for route in APP.routes if isinstance(route, HTTPRoute)]
    unguarded = {
        route.path
        for route in routes
        for handler in route.route_handlers
        if not handler.guards and set(handler.http_methods) != {"OPTIONS"}
    }
    assert {path for path in unguarded if not path.startswith("/docs")} <= OPEN


def test_forbidden_wins_over_not_found_and_invalid(client: TestClient[Litestar]) -> None:
    headers = bearer("bob", "user")
    problem(client.get("/users/nobody/recommendations", headers=headers), 403, "forbidden")
    problem(client.get("/recs/ann?limit=0", headers=headers), 403, "forbidden")
    problem(client.get("/recs/models/none", headers=headers), 403, "forbidden")


def test_the_scheme_is_not_case_sensitive(client: TestClient[Litestar]) -> None:
    headers = {"Authorization": ADMIN["Authorization"].replace("Bearer", "bearer")}
    assert client.get("/recs/ann", headers=headers).status_code == 200
