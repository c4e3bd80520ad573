"""Every route of the contract and who may call it, as one table: a new route is a new row here."""

import re
from dataclasses import dataclass
from typing import Any, Literal

from litestar import Litestar
from litestar.routes import HTTPRoute

from tests.serving import NAMES

Who = Literal["own", "everyone", "services", "readers", "trainers", "admins"]

# `user` stands for a user who asks for what is their own; of others they get only `everyone`'s.
ROLES: dict[Who, frozenset[str]] = {
    "own": frozenset({"user", "service", "admin"}),
    "everyone": frozenset({"user", "service", "trainer", "admin"}),
    "services": frozenset({"service", "admin"}),
    "readers": frozenset({"service", "trainer", "admin"}),
    "trainers": frozenset({"trainer", "admin"}),
    "admins": frozenset({"admin"}),
}
# What stands for a path's parameters when the route is asked.
EXAMPLES = {"user_id": "ann", "video_id": NAMES[0], "model_id": "m1", "job_id": "j1"}


@dataclass(frozen=True)
class Route:
    """A route, and a body or query for those that tell whose it is only there."""

    method: str
    template: str
    who: Who
    json: Any = None
    query: str = ""

    @property
    def url(self) -> str:
        """The route as ann, video `NAMES[0]`, model `m1`, job `j1` ask for it."""
        return self.template.format_map(EXAMPLES) + self.query

    @property
    def shape(self) -> tuple[str, str]:
        """Method and path, whatever the path calls its parameters."""
        return self.method, shape_of(self.template)

    def __str__(self) -> str:
        return f"{self.method} {self.template}{self.query}"


ROUTES = (
    Route("GET", "/recs/{user_id}", "own"),
    Route("GET", "/users/{user_id}/recommendations", "own"),
    Route("POST", "/recs/rank", "own", json={"user_id": "ann", "content_ids": [NAMES[0]]}),
    Route("POST", "/users/{user_id}/watch-history", "own", json={"content_id": NAMES[0]}),
    Route("POST", "/users/{user_id}/ratings", "own", json={"content_id": NAMES[0], "rating": 4}),
    Route("GET", "/videos/{video_id}/similar", "everyone"),
    Route("GET", "/videos/{video_id}/similar", "own", query="?for_user=ann"),
    Route("GET", "/videos/{video_id}", "everyone"),
    Route("PUT", "/videos/{video_id}", "services"),
    Route("DELETE", "/videos/{video_id}", "services"),
    Route("POST", "/videos/import", "services"),
    Route("POST", "/events/import", "services"),
    Route("GET", "/recommendations/batch", "services"),
    Route("POST", "/recommendations/batch/jobs", "services"),
    Route("GET", "/jobs/{job_id}", "readers"),
    Route("GET", "/jobs/{job_id}/result", "readers"),
    Route("GET", "/recs/models", "readers"),
    Route("GET", "/recs/models/{model_id}", "readers"),
    Route("POST", "/recs/train", "trainers"),
    Route("POST", "/recs/models/{model_id}/promote", "trainers"),
    Route("POST", "/recs/models/rollback", "trainers"),
    Route("POST", "/recs/models/{model_id}/cancel", "trainers"),
    Route("GET", "/recs/config", "readers"),
    Route("PUT", "/recs/config", "admins"),
    Route("GET", "/recs/config/versions", "readers"),
    Route("GET", "/recs/stats", "readers"),
    Route("DELETE", "/users/{user_id}", "admins"),
)
OPEN = frozenset({"/health", "/health/live", "/health/ready", "/metrics", "/openapi.json"})


def shape_of(template: str) -> str:
    """A path's template without the names of its parameters."""
    return re.sub(r"\{[^}]*\}", "{}", template)


def served(app: Litestar) -> set[tuple[str, str]]:
    """Method and shape of every route of the application that asks for a token."""
    return {
        (method, shape_of(route.path))
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        if handler.guards
        for method in handler.http_methods
    }
