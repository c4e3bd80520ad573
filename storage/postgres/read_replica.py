"""Reads by a standby of PostgreSQL, none of which goes back in time.

A standby replays what the primary has written, a little later. So each read asks the primary first
how far it has written, and the standby, on the connection that reads, whether it has replayed as
much: it waits a moment for that, and else the primary reads. What one has seen of the primary,
one's own writes included, is in all that is read later, whichever server reads it, and however many
standbys a load balancer hides behind the address.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from core.errors import Unavailable
from core.metrics import DEPENDENCY_ERRORS, REPLICA_READS
from core.settings import Settings
from storage.breaker import Breaker
from storage.postgres.engine import SYSTEM, budget_of, connect, pool, reading, reads_by
from storage.postgres.errors import mapped
from storage.postgres.ping import ping

NAME = "postgres_read"
"""Its name in `/health`, metrics and errors."""
HURRIED_SECONDS = 1.0
PATIENT_SECONDS = 10.0
"""How long is waited for a standby that is behind; longer for those who have time."""
LAGGING_SECONDS = 0.1
"""For one that was behind at the read before: it may be so for hours."""
LOOK_SECONDS = 0.005
OPEN_SECONDS = 2.0
"""For a connection and its first answer, beside the waiting: then the primary reads."""

# A commit that anyone has seen ends before the place where the next record goes. A server that
# replays itself has no such place: nothing can be said of what reads from it.
_WRITTEN = text(
    "SELECT CASE WHEN NOT pg_is_in_recovery() THEN CAST(pg_current_wal_insert_lsn() AS text) END"
)
# What is no standby lags behind nobody: the address may lead to the primary itself for a while.
_REPLAYED = text(
    "SELECT CASE WHEN pg_is_in_recovery() THEN coalesce("
    "pg_last_wal_replay_lsn() >= CAST(CAST(:written AS text) AS pg_lsn), false) ELSE true END"
)
_BEHIND = text(
    "SELECT CASE WHEN pg_is_in_recovery() THEN greatest(0, "
    "pg_wal_lsn_diff(CAST(CAST(:written AS text) AS pg_lsn), pg_last_wal_replay_lsn())) END"
)
_log = structlog.get_logger(__name__)


class Standby:
    """Connections to it, and the breaker that they pass."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self.breaker = Breaker(NAME, self.ping)

    async def ping(self) -> None:
        """One round trip, whatever the breaker says. Raises `Unavailable`."""
        with named():
            await ping(self.engine)


@asynccontextmanager
async def standby(settings: Settings, *, patient: bool = False) -> AsyncIterator[Standby | None]:
    """Connections to the read replica of these settings for the block; None where there is none.

    Raises:
        SetupError: its URL cannot be read.
    """
    if settings.postgres_read_url is None:
        yield None
        return
    engine = connect(settings, patient=patient, replica=True)
    made = Standby(engine)
    try:
        yield made
    finally:
        await made.breaker.close()
        await engine.dispose()


@asynccontextmanager
async def reads_of(
    settings: Settings, engine: AsyncEngine, *, patient: bool = False
) -> AsyncIterator[AsyncEngine]:
    """The engine, its reads by the replica where there is one; transactions stay the primary's."""
    async with standby(settings, patient=patient) as it:
        yield engine if it is None else reads_by(engine, ReadReplica(engine, it))


def reads_for(settings: Settings) -> AsyncEngine:
    """As `reads_of` a patient pool of its own, for a process that ends with it."""
    engine = connect(settings, patient=True)
    if settings.postgres_read_url is None:
        return engine
    return reads_by(
        engine, ReadReplica(engine, Standby(connect(settings, patient=True, replica=True)))
    )


@asynccontextmanager
async def read_pool(settings: Settings, *, patient: bool = False) -> AsyncIterator[AsyncEngine]:
    """As `pool`, with `reads_of`."""
    async with (
        pool(settings, patient=patient) as engine,
        reads_of(settings, engine, patient=patient) as reads,
    ):
        yield reads


async def bytes_behind(settings: Settings) -> int | None:
    """How much of what the primary has written the read replica has yet to replay.

    Returns:
        None: it is no standby, and how old its rows are cannot be told.

    Raises:
        Unavailable: one of the two did not answer.
        SetupError: a URL is missing, or cannot be read.
    """
    async with pool(settings) as engine, reading(engine) as connection:
        written = await connection.scalar(_WRITTEN)
    engine = connect(settings, replica=True)
    try:
        with named():
            async with reading(engine) as connection:
                behind = await connection.scalar(_BEHIND, {"written": written})
    finally:
        await engine.dispose()
    return None if behind is None else int(behind)


class ReadReplica:
    """`storage.postgres.engine.Reader`: reads by a standby that is where the primary is now."""

    def __init__(self, primary: AsyncEngine, standby: Standby) -> None:
        self._primary = primary
        self._standby = standby
        self._patience = PATIENT_SECONDS if budget_of(primary) is None else HURRIED_SECONDS
        self._lagging = False

    @asynccontextmanager
    async def connection(self, *, autocommit: bool) -> AsyncIterator[AsyncConnection | None]:
        """A connection to the standby; None when the primary has to read.

        Raises:
            Unavailable: of `postgres`, the primary did not say how far it has written; of
                `postgres_read`, the standby went away in the block.
        """
        async with reading(self._primary) as connection:
            written = await connection.scalar(_WRITTEN)
        opened = None if written is None else await self._opened(written, autocommit=autocommit)
        if opened is None:
            yield None
            return
        REPLICA_READS.labels("replica").inc()
        try:
            with self._passing(quick=autocommit), named(), mapped():
                yield opened
        finally:
            await opened.close()

    def _passing(self, *, quick: bool) -> AbstractContextManager[None]:
        """A read by the standby, measured where the same by the primary is."""
        breaker = self._standby.breaker
        if quick and budget_of(self._primary) is not None:
            return breaker.calling("reading", **SYSTEM)
        return breaker.passing()

    async def _opened(self, written: str, *, autocommit: bool) -> AsyncConnection | None:
        """A connection to the standby once it has replayed so much; None if not in time."""
        try:
            connection = await self._caught_up(written, autocommit=autocommit)
        except Unavailable as error:
            REPLICA_READS.labels("away").inc()
            DEPENDENCY_ERRORS.labels(NAME).inc()
            _log.debug("The primary reads for a replica that is away.", reason=str(error))
            return None
        if connection is None:
            REPLICA_READS.labels("lagging").inc()
        if self._lagging != (connection is None):
            self._lagging = connection is None
            said = "has caught up" if connection else "is behind: the primary reads for it"
            _log.warning(f"The read replica {said}.", written=written)
        return connection

    async def _caught_up(self, written: str, *, autocommit: bool) -> AsyncConnection | None:
        level = "AUTOCOMMIT" if autocommit else "READ COMMITTED"
        ready = False
        with self._standby.breaker.passing(), named(), mapped():
            async with asyncio.timeout(self._patience + OPEN_SECONDS):
                connection = await self._standby.engine.connect()
                try:
                    connection = await connection.execution_options(isolation_level=level)
                    ready = await self._waited(connection, written)
                finally:
                    if not ready:
                        await connection.close()
        return connection if ready else None

    async def _waited(self, connection: AsyncConnection, written: str) -> bool:
        """Whether it has replayed so much, at the latest when patience ends."""
        loop = asyncio.get_running_loop()
        until = loop.time() + (LAGGING_SECONDS if self._lagging else self._patience)
        pause = LOOK_SECONDS
        while not await connection.scalar(_REPLAYED, {"written": written}):
            if loop.time() + pause > until:
                return False
            await asyncio.sleep(pause)
            pause = min(2 * pause, LAGGING_SECONDS)
        return True


@contextmanager
def named() -> Iterator[None]:
    """What PostgreSQL does not answer in the block, the replica does not."""
    try:
        yield
    except Unavailable as error:
        if error.dependency != "postgres":
            raise
        said = str(error).replace("UPNEXT_POSTGRES_URL", "UPNEXT_POSTGRES_READ_URL")
        raise Unavailable(NAME, said.replace("postgres did", f"{NAME} did")) from error
