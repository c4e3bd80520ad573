"""How far behind a steady stream of events the lists are: `python -m bench.events_lag --help`.

Events go through an embedded NATS to `upnext worker`, which commits them and drops their users'
lists; the news of the drops are followed as the workers of an API follow them.
"""

import asyncio
import time
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import click
import msgspec
import numpy as np
from rich.table import Table
from sqlalchemy import text

from bench.events_sender import sending
from bench.events_stores import History, filled_stores, working
from bench.made_up_events import Traffic
from core.clock import utc_now
from core.errors import UpnextError
from core.settings import Settings
from core.types import UserId
from storage import bus
from storage.postgres.engine import pool, reading
from storage.redis.client import connect as connect_redis
from storage.redis.notices import RedisNotices
from upnext.cli.console import emit

SETTLING_SECONDS = 30.0
# A third of the events were recommended; of those the index knows the newest at once.
_NEWEST = text("SELECT max(occurred_at) FROM interactions WHERE recommendation_id IS NOT NULL")


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """At one moment: what was sent, what waits, how old the newest committed event is (ms).

    `dropped`: users whose lists were dropped, by the news; `lost`: how often those broke off.
    """

    seconds: float
    sent: int
    waiting: int
    age: float
    dropped: int
    lost: int


@click.command()
@click.option("--rows", type=click.IntRange(1000), default=3_000_000, show_default=True)
@click.option("--per-second", type=click.IntRange(1), default=5000, show_default=True)
@click.option("--seconds", type=click.IntRange(10), default=60, show_default=True)
@click.option("--every", type=click.FloatRange(0.5), default=5.0, show_default=True)
@click.option("--workers", type=click.IntRange(1), default=2, show_default=True)
@click.option("--home", type=click.Path(path_type=Path), help="Keep the data here for the next.")
def main(
    *, rows: int, per_second: int, seconds: int, every: float, workers: int, home: Path | None
) -> None:
    """Send events at a steady rate and look every few seconds at what waits."""
    history = History(rows=rows, users=100_000, videos=20_000)
    try:
        with filled_stores(history, home) as settings, working(settings, workers):
            samples = asyncio.run(measure(settings, per_second, seconds, every))
    except UpnextError as error:
        raise click.ClickException(str(error)) from error
    emit(samples, as_json=False, table=lambda: _table(samples, per_second, workers))


class _Heard:
    """Counts what the news say."""

    def __init__(self) -> None:
        self.dropped = 0
        self.lost = 0

    def drop(self, user_ids: Iterable[UserId]) -> None:
        self.dropped += len(list(user_ids))

    def lose(self, _: str) -> None:
        self.lost += 1

    def follow(self) -> None:
        pass


async def measure(
    settings: Settings, per_second: int, seconds: float, every: float
) -> list[Sample]:
    """A sample every so many seconds. Raises `Unavailable`."""
    heard = _Heard()
    async with AsyncExitStack() as open_:
        engine = await open_.enter_async_context(pool(settings))
        source = bus.events_of(settings)
        open_.push_async_callback(source.close)
        redis = connect_redis(settings.redis_url or "", settings.redis_timeout_seconds)
        open_.push_async_callback(redis.aclose)
        following = asyncio.create_task(RedisNotices(redis).run(heard))
        open_.callback(following.cancel)
        async with sending(settings, Traffic(), per_second) as sent_by_now:
            await _caught_up(source, per_second)
            began, samples = time.monotonic(), []
            for number in range(round(seconds / every) + 1):
                await asyncio.sleep(began + number * every - time.monotonic())
                async with reading(engine) as connection:
                    newest = await connection.scalar(_NEWEST)
                samples.append(
                    Sample(
                        seconds=round(time.monotonic() - began, 1),
                        sent=sent_by_now(),
                        waiting=await source.waiting(),
                        age=round((utc_now() - newest).total_seconds() * 1000, 1),
                        dropped=heard.dropped,
                        lost=heard.lost,
                    )
                )
    return samples


async def _caught_up(source: bus.Events, per_second: int) -> None:
    """Wait for the workers: they start while events come already. Half a minute is enough."""
    for _ in range(round(SETTLING_SECONDS)):
        await asyncio.sleep(1.0)
        if await source.waiting() < per_second / 4:
            return


def slope(samples: Sequence[Sample], name: str) -> float:
    """How much a column grows a second: the line of least squares."""
    times = [sample.seconds for sample in samples]
    values = [getattr(sample, name) for sample in samples]
    return float(np.polyfit(times, values, 1)[0])


def _table(samples: Sequence[Sample], per_second: int, workers: int) -> Table:
    title = f"{per_second:,} events a second, {workers} workers"
    caption = (
        f"A second: {slope(samples, 'waiting'):+.1f} events that wait, "
        f"{slope(samples, 'age'):+.2f} ms of age, "
        f"{slope(samples, 'sent'):,.0f} sent, {slope(samples, 'dropped'):,.0f} users' lists dropped"
    )
    table = Table(title=title, caption=caption)
    for name in ("s", "sent", "waiting", "newest committed, ms ago", "lists dropped", "news lost"):
        table.add_column(name, justify="right")
    for one in samples:
        table.add_row(
            f"{one.seconds:.0f}",
            f"{one.sent:,}",
            f"{one.waiting:,}",
            f"{one.age:,.0f}",
            f"{one.dropped:,}",
            str(one.lost),
        )
    return table


if __name__ == "__main__":
    main()
