"""What the routes use, put together by `api.app`."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from api.health import HealthCheck
from api.ports import ModelRegistry
from api.recommender import Recommender
from api.watching import Watching
from retrieval.live import LiveModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The use cases and what health reports.

    `ready` is true once lists can be answered; `settled` is set when the live version is open too.
    """

    recommender: Recommender
    watching: Watching
    models: ModelRegistry
    health: HealthCheck
    live: LiveModel
    ready: Callable[[], bool]
    settled: asyncio.Event
