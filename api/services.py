"""What the routes use, put together by `api.app`."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from api.health import HealthCheck
from api.ports import ModelRegistry
from api.recommender import Recommender
from api.watching import Watching
from retrieval.live import LiveModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The use cases and what health reports.

    `ready` is true once lists can be answered; `settle` returns when the catalogue has been read
    and the live version, if there is one, is open.
    """

    recommender: Recommender
    watching: Watching
    models: ModelRegistry
    health: HealthCheck
    live: LiveModel
    ready: Callable[[], bool]
    settle: Callable[[], Awaitable[None]]
