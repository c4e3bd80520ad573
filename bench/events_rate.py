"""Events a second into a table that holds millions of rows: `python -m bench.events_rate --help`.

As workers take them: read, committed, users' lists dropped; handed to them, and from the stream of
an embedded NATS. Beside it what COPY alone makes of the same rows.
"""

import asyncio
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import click
import msgspec
from rich.table import Table

from bench.copying import BARE, copied, make_bare
from bench.events_sender import publish
from bench.events_stores import History, filled_stores
from bench.events_taker import take
from bench.made_up_events import Traffic, interactions, watches
from core.clock import utc_now
from core.errors import UpnextError
from core.settings import Settings
from storage.postgres.engine import pool
from upnext.cli.console import emit

BATCHES, CONSUMERS = (500, 1000, 2000, 5000), (1, 2)


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """One run: committed events a second, and the CPU time that one took, microseconds, by whom."""

    what: str
    batch: int
    consumers: int
    per_second: int
    cpu: Mapping[str, float] = {}


@click.command()
@click.option("--rows", type=click.IntRange(1000), default=3_000_000, show_default=True)
@click.option("--users", type=click.IntRange(100), default=100_000, show_default=True)
@click.option("--videos", type=click.IntRange(100), default=20_000, show_default=True)
@click.option("--events", type=click.IntRange(1000), default=200_000, show_default=True)
@click.option("--repeats", type=click.FloatRange(0, 0.9), default=0.1, show_default=True)
@click.option("--batch", type=click.IntRange(1), multiple=True, default=BATCHES, show_default=True)
@click.option("--consumers", type=click.IntRange(1), multiple=True, default=CONSUMERS)
@click.option("--home", type=click.Path(path_type=Path), help="Keep the data here for the next.")
def main(
    *,
    rows: int,
    users: int,
    videos: int,
    events: int,
    repeats: float,
    batch: Sequence[int],
    consumers: Sequence[int],
    home: Path | None,
) -> None:
    """Take events by batches of several sizes, with one consumer and with two."""
    traffic = Traffic(users=users, videos=videos, repeats=repeats)
    history = History(rows=rows, users=users, videos=videos)
    runs = [(size, count) for size in batch for count in consumers]
    try:
        with filled_stores(history, home) as settings:
            figures = list(measure(settings, traffic, events, runs))
    except UpnextError as error:
        raise click.ClickException(str(error)) from error
    emit(figures, as_json=False, table=lambda: _table(rows, figures))


def measure(
    settings: Settings, traffic: Traffic, events: int, runs: Sequence[tuple[int, int]]
) -> Iterator[Figures]:
    """Each batch size and number of consumers, without a bus and with it; COPY at the end."""
    for batch, consumers in runs:
        parts = [_new(traffic, events // consumers, seed) for seed in range(consumers)]
        yield _figures("handed over", settings, batch, consumers, parts)
    for batch, consumers in runs:
        asyncio.run(publish(settings, _new(traffic, events, seed=0)))
        yield _figures("from the bus", settings, batch, consumers)
    yield from asyncio.run(_copies(settings, traffic, events, max(batch for batch, _ in runs)))


def _new(traffic: Traffic, count: int, seed: int) -> Sequence[bytes]:
    """Events that were in no run before."""
    return watches(traffic, count, utc_now(), name=f"{time.time_ns()}", seed=seed)


def _figures(
    what: str,
    settings: Settings,
    batch: int,
    consumers: int,
    given: Sequence[Sequence[bytes]] = (),
) -> Figures:
    print(f"{what}, {batch} a batch, {consumers} consumers ...", file=sys.stderr)
    taken = take(settings, batch, consumers, given)
    return Figures(
        what=what,
        batch=batch,
        consumers=consumers,
        per_second=round(taken.events / taken.seconds),
        cpu={who: round(1e6 * cpu / taken.events, 1) for who, cpu in taken.cpu.items()},
    )


async def _copies(
    settings: Settings, traffic: Traffic, events: int, batch: int
) -> Sequence[Figures]:
    """The same rows by COPY alone: beside those that are there, and where there is no index."""
    rows = interactions(_new(msgspec.structs.replace(traffic, repeats=0.0), events, seed=0))
    async with pool(settings, patient=True) as engine:
        await make_bare(engine)
        rates = {
            "COPY, with the indexes": await copied(engine, "interactions", rows, batch),
            "COPY, no index": await copied(engine, BARE, rows, batch),
        }
    return [
        Figures(what=what, batch=batch, consumers=1, per_second=round(rate))
        for what, rate in rates.items()
    ]


def _table(rows: int, figures: Sequence[Figures]) -> Table:
    title = f"Committed beside {rows:,} rows; CPU microseconds an event by whom"
    table = Table(title=title)
    spenders = list(figures[0].cpu)
    for name in ("what", "batch", "consumers at work", "a second", *spenders, "all"):
        table.add_column(name, justify="left" if name == "what" else "right")
    for one in figures:
        shares = [f"{one.cpu[who]}" for who in spenders] if one.cpu else [""] * len(spenders)
        whole = f"{sum(one.cpu.values()):.1f}" if one.cpu else ""
        row = (f"{one.batch:,}", str(one.consumers), f"{one.per_second:,}", *shares, whole)
        table.add_row(one.what, *row)
    return table


if __name__ == "__main__":
    main()
