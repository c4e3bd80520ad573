"""What the consumer takes PostgreSQL can keep, and what it sets aside too, however odd it is."""

import asyncio
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from core.messages import Message
from core.settings import load
from ingest.dropping import Dropping
from ingest.handling import Handler, Outcome
from ingest.weights import PLAIN
from storage.memory.dead_letters import MemoryOwedDrops
from storage.memory.users import MemoryUserCache
from storage.postgres.dead_letters import PostgresDeadLetters
from storage.postgres.engine import connect, reading
from storage.postgres.interactions import PostgresInteractions
from tests.odd_events import FINE, RATED, messages, payloads

pytestmark = pytest.mark.integration

COUNTS = text("SELECT (SELECT count(*) FROM interactions), (SELECT count(*) FROM dead_letters)")


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    """One event loop for all examples, and so one pool of connections."""
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def pool(database_url: str, runner: asyncio.Runner) -> Iterator[AsyncEngine]:
    engine = connect(load({"postgres_url": database_url}))
    yield engine
    runner.run(engine.dispose())


async def handled(engine: AsyncEngine, sent: Sequence[Message]) -> tuple[Outcome, list[int]]:
    """What became of a batch, and how many rows there are of each kind."""
    drops = Dropping(MemoryUserCache(), MemoryOwedDrops())
    handler = Handler(
        PostgresInteractions(engine), PostgresDeadLetters(engine), drops, weights=lambda: PLAIN
    )
    outcome = await handler.handle(sent)
    async with reading(engine) as connection:
        row = (await connection.execute(COUNTS)).one()
    return outcome, list(row)


@settings(max_examples=25, suppress_health_check=list(HealthCheck), deadline=None)
@given(bodies=st.lists(payloads(), min_size=1, max_size=40))
@example(bodies=[FINE, RATED, b"", b"\x00", b'"\\ud800"', b"[" * 100_000])
def test_all_of_it_is_kept(pool: AsyncEngine, runner: asyncio.Runner, bodies: list[bytes]) -> None:
    sent = messages(bodies)
    before = runner.run(handled(pool, []))[1]
    outcome, after = runner.run(handled(pool, sent))
    assert outcome.accepted + outcome.duplicates + outcome.dead == len(sent)
    assert after == [before[0] + outcome.accepted, before[1] + outcome.dead]
