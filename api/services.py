"""What the routes use, put together by `api.app`."""

from collections.abc import Callable
from dataclasses import dataclass

from api.batch_pages import BatchPages
from api.catalogue import VideoCatalogue
from api.configs import Configs
from api.erasure import Erasure
from api.health import HealthCheck
from api.importing import Imports
from api.impressions import Impressions
from api.jobs import Jobs
from api.limits import Limiter
from api.local_lists import LocalLists
from api.moment import Moment
from api.ports import ModelRegistry
from api.promotion import Promotion
from api.recommender import Recommender
from api.stats import Statistics
from api.training import Training
from api.watching import Watching
from retrieval.live import LiveModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The use cases and what health reports.

    `local` is what the thin path answers from, `moment` what is in force now; `ready` is true once
    the catalogue has been read.
    """

    recommender: Recommender
    batch_pages: BatchPages
    watching: Watching
    catalogue: VideoCatalogue
    configs: Configs
    imports: Imports
    impressions: Impressions
    statistics: Statistics
    models: ModelRegistry
    training: Training
    promotion: Promotion
    jobs: Jobs
    erasure: Erasure
    health: HealthCheck
    limiter: Limiter
    local: LocalLists
    moment: Callable[[], Moment]
    live: LiveModel
    ready: Callable[[], bool]
