"""A process of a batch: has the catalogue and the version in memory, and makes page after page."""

import asyncio
import gc
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from api.batch import Batch, Line, UserPage
from api.moment import Moment
from api.page_search import for_pages
from core import logging as logs
from core.errors import Unavailable
from core.settings import Settings
from core.types import RankingConfig, UserId
from retrieval.ports import VectorSearch
from retrieval.snapshot import Snapshot
from storage.embedded.privilege import die_with_parent
from storage.postgres.read_replica import reads_for
from storage.postgres.users import PostgresUsers
from upnext.jobs.local_copies import open_copy

PATIENCE_SECONDS = 30.0  # for a database that is away
PAUSE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Ground:
    """What all lists of a batch are made from: one catalogue, version and moment for everybody."""

    settings: Settings
    version: str
    config: RankingConfig
    snapshot: Snapshot
    now: datetime
    limit: int
    parent: int


@dataclass(frozen=True, slots=True)
class Done:
    """A page: `lines` are whole lines of NDJSON, `videos` those that they show."""

    lines: bytes
    lists: int
    videos: set[str]
    failed: dict[UserId, str]


class Worker:
    """Makes pages; one a process."""

    def __init__(self, ground: Ground) -> None:
        settings = ground.settings
        version = open_copy(settings, ground.version)
        self._limit = ground.limit
        self._batch = Batch(
            PostgresUsers(reads_for(settings)),
            for_pages(version, lambda: _index(settings), most_bytes=settings.exact_bytes),
            recent=settings.state_recent,
        )
        self._moment = Moment(
            live=version,
            config=ground.config,
            snapshot=ground.snapshot,
            now=ground.now,
            loaded=True,
        )
        self._runner = asyncio.Runner()  # one loop for all pages: connections belong to it

    def page(self, user_ids: Sequence[UserId]) -> Done:
        """The lists of these users. Raises `Unavailable` when the database stays away."""
        page = self._runner.run(self._patiently(user_ids))
        version = self._moment.version
        lines = [
            Line(
                user_id=state.user_id,
                model_version=version,
                recommendations=self._moment.shown(made.items),
            )
            for state, made in page.lists
        ]
        return Done(
            lines=b"".join(msgspec.json.encode(line) + b"\n" for line in lines),
            lists=len(lines),
            videos={item.content_id for line in lines for item in line.recommendations},
            failed=page.failed,
        )

    async def _patiently(self, user_ids: Sequence[UserId]) -> UserPage:
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return await self._batch.page(user_ids, self._moment, self._limit)
            except Unavailable:
                if time.monotonic() > give_up_at:
                    raise
            await asyncio.sleep(PAUSE_SECONDS)


def _index(settings: Settings) -> VectorSearch:
    # 100 MB a process, and a second: only where it is asked.
    from storage.milvus import MilvusSearch  # noqa: PLC0415

    return MilvusSearch.of(settings)


_worker: list[Worker] = []  # of this process, once it has started


def start(ground: Ground) -> None:
    """Make this process a worker; it ends with its parent."""
    die_with_parent(signal.SIGKILL, ground.parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to hear
    logs.configure(ground.settings, sys.stderr, "warning")
    _worker.append(Worker(ground))
    gc.collect()
    gc.freeze()  # what stays for good need not be looked through again and again


def page(user_ids: Sequence[UserId]) -> Done:
    """See `Worker.page`, by the worker of this process."""
    return _worker[0].page(user_ids)
