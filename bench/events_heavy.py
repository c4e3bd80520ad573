"""Heavy users and a hot video among the events of others: `python -m bench.events_heavy --help`.

Two consumers take the same events four times: as they are, with users who have watched 10,000
videos each, with half of all events on one video, and with both.
"""

import asyncio
import time
from pathlib import Path
from statistics import median

import click
import msgspec
from rich.table import Table
from sqlalchemy import text

from bench.events_stores import History, filled_stores
from bench.events_taker import take
from bench.made_up_events import HEAVY_SHARE, Traffic, watches
from core.clock import utc_now
from core.errors import UpnextError
from core.settings import Settings
from core.types import UserId
from storage.postgres.engine import pool, transaction
from storage.postgres.users import PostgresUsers
from upnext.cli.console import emit

WATCHES, HOT_SHARE, READS = 10_000, 0.5, 20
_HEAVY = text(
    """
    INSERT INTO interactions (event_key, user_id, video_id, kind, occurred_at, weight)
    SELECT CAST(md5('h' || person || ' ' || video) AS uuid), 'u' || person, 'v' || video, 'watch',
        timestamptz '2025-01-01' + video * interval '1 second', 1
    FROM generate_series(0, CAST(:users AS int) - 1) AS person,
        generate_series(0, CAST(:watches AS int) - 1) AS video
    ON CONFLICT DO NOTHING
    """
)
_DEADLOCKS = text("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """One run of two consumers: events a second, of all and of users who are not heavy."""

    what: str
    per_second: int
    of_others: int
    deadlocks: int


class States(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds to read the state of a user, the median of some."""

    heavy: float
    others: float


@click.command()
@click.option("--rows", type=click.IntRange(1000), default=3_000_000, show_default=True)
@click.option("--events", type=click.IntRange(1000), default=100_000, show_default=True)
@click.option("--batch", type=click.IntRange(1), default=2000, show_default=True)
@click.option("--heavy", type=click.IntRange(1), default=20, show_default=True, help="Users.")
@click.option("--home", type=click.Path(path_type=Path), help="Keep the data here for the next.")
def main(*, rows: int, events: int, batch: int, heavy: int, home: Path | None) -> None:
    """Take events of heavy users and of a hot video beside those of others."""
    plain = Traffic(users=100_000, videos=20_000)
    runs = {
        "others alone": plain,
        "heavy users": msgspec.structs.replace(plain, heavy=heavy),
        "a hot video": msgspec.structs.replace(plain, hot=HOT_SHARE),
        "both": msgspec.structs.replace(plain, heavy=heavy, hot=HOT_SHARE),
    }
    history = History(rows=rows, users=plain.users, videos=plain.videos)
    try:
        with filled_stores(history, home) as settings:
            asyncio.run(_make_heavy(settings, heavy))
            figures = [
                _measure(settings, what, traffic, events, batch) for what, traffic in runs.items()
            ]
            states = asyncio.run(_states(settings, heavy))
    except UpnextError as error:
        raise click.ClickException(str(error)) from error
    emit(figures, as_json=False, table=lambda: _table(figures, states))


async def _make_heavy(settings: Settings, users: int) -> None:
    """Give the first users their watches, once."""
    async with pool(settings, patient=True) as engine, transaction(engine) as connection:
        await connection.execute(_HEAVY, {"users": users, "watches": WATCHES})


def _measure(settings: Settings, what: str, traffic: Traffic, events: int, batch: int) -> Figures:
    parts = [
        watches(traffic, events // 2, utc_now(), name=f"{time.time_ns()}", seed=seed)
        for seed in range(2)
    ]
    before = asyncio.run(_deadlocks(settings))
    taken = take(settings, batch, 2, parts)
    rate = taken.events / taken.seconds
    return Figures(
        what=what,
        per_second=round(rate),
        of_others=round(rate * (1 - HEAVY_SHARE if traffic.heavy else 1)),
        deadlocks=asyncio.run(_deadlocks(settings)) - before,
    )


async def _deadlocks(settings: Settings) -> int:
    async with pool(settings) as engine, transaction(engine) as connection:
        return int(await connection.scalar(_DEADLOCKS) or 0)


async def _states(settings: Settings, heavy: int) -> States:
    async with pool(settings) as engine:
        store = PostgresUsers(engine)

        async def read(first: int) -> float:
            times = []
            for number in range(READS):
                began = time.perf_counter()
                await store.state(UserId(f"u{first + number % heavy}"), settings.state_recent)
                times.append(time.perf_counter() - began)
            return round(1000 * median(times), 1)

        return States(heavy=await read(0), others=await read(heavy))


def _table(figures: list[Figures], states: States) -> Table:
    caption = f"A state is read in {states.heavy} ms of a heavy user, {states.others} of another."
    table = Table(title="Two consumers, events a second", caption=caption)
    for name in ("what", "all", "of those who are not heavy", "deadlocks"):
        table.add_column(name, justify="left" if name == "what" else "right")
    for one in figures:
        table.add_row(one.what, f"{one.per_second:,}", f"{one.of_others:,}", str(one.deadlocks))
    return table


if __name__ == "__main__":
    main()
