"""Kept lists and events while a model is trained beside them: `python -m bench.beside_training`.

A worker does both: it takes the events and runs the training in its child.
"""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import click
import msgspec
import numpy as np
from rich.table import Table
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from bench.events_sender import sending
from bench.made_up import STOP_SECONDS, Service, made_up_service
from bench.made_up_data import Data, Shape
from bench.made_up_events import Traffic
from bench.made_up_history import catalogue, fill
from bench.memory_of_training import keep_content
from bench.run import Figures as Load
from bench.run import K6Run, warm
from core.clock import utc_now
from core.cron import OFF
from core.errors import SetupError, UpnextError
from core.jobs import UPKEEP
from core.settings import Settings, child_environment
from core.types import Model
from storage.model_status import STEPS
from storage.postgres.engine import pool, reading
from storage.postgres.models import PostgresModels
from upnext.cli.console import emit

SHAPE = Shape(videos=2_000, users=5_000)
VIDEOS, CONNECTIONS, PAUSE = 20_000, 32, 0.1
LOOK_SECONDS, START_SECONDS = 0.05, 60
MOST_SECONDS = 300  # of a training, which gives way to whatever else runs
ALONE = "none"
# A third of the events were recommended; of those the index knows the newest at once.
_NEWEST = text("SELECT max(occurred_at) FROM interactions WHERE recommendation_id IS NOT NULL")


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """A few seconds of load; times in milliseconds.

    `age` is the p95 of how long ago the newest committed event had happened, looked at 20 times a
    second.
    """

    training: str
    requests_per_second: float
    p50: float
    p95: float
    p99: float
    failed: int
    kept: float
    age: float


@click.command()
@click.option("--interactions", type=click.IntRange(10_000), default=1_000_000, show_default=True)
@click.option("--per-second", type=click.IntRange(1), default=500, help="Events; 500.")
@click.option("--seconds", type=click.IntRange(2), default=10, help="Of a round; 10.")
@click.option("--alone", type=click.IntRange(1), default=3, help="Rounds before; 3.")
def main(interactions: int, per_second: int, seconds: int, alone: int) -> None:
    """Lists of 5,000 users and steady events, alone and beside a training of type als.

    Its texts are made up, so that none are encoded; and there is no index, so that it ends before
    it publishes. k6 runs on the same machine.
    """
    schedules = {f"schedule_{kind}": OFF for kind in UPKEEP}
    own = [video for page in Data(SHAPE).videos(utc_now()) for video in page]
    try:
        with made_up_service(SHAPE, None, milvus=False, **schedules) as service:
            asyncio.run(_fill(service.settings, interactions))
            keep_content(service.settings, [*catalogue(VIDEOS), *own])
            with _working(service.settings), K6Run(service) as load:
                beside = _Beside(service, load, seconds)
                rounds = asyncio.run(beside.measure(alone, per_second))
    except UpnextError as error:
        raise click.ClickException(str(error)) from error
    emit(rounds, as_json=False, table=lambda: _table(rounds, interactions, per_second))


async def _fill(settings: Settings, interactions: int) -> None:
    async with pool(settings, patient=True) as engine:
        await fill(engine, interactions=interactions, videos=VIDEOS)


@contextmanager
def _working(settings: Settings) -> Iterator[None]:
    worker = subprocess.Popen(
        [sys.executable, "-m", "upnext", "worker"],
        stdout=sys.stderr,
        env=child_environment(settings),
    )
    try:
        yield
    finally:
        worker.terminate()
        worker.wait(STOP_SECONDS)


class _Beside:
    """Rounds of load before a training and during it."""

    def __init__(self, service: Service, load: K6Run, seconds: int) -> None:
        self._service = service
        self._load = load
        self._seconds = seconds
        self._ages: list[float] = []

    async def measure(self, alone: int, per_second: int) -> list[Round]:
        """All rounds, to the training's end or `MOST_SECONDS`. Raises `SetupError`."""
        settings = self._service.settings
        async with pool(settings) as engine, sending(settings, Traffic(), per_second):
            looking = asyncio.create_task(self._look(engine))
            try:
                await self._begin()
                await asyncio.to_thread(warm, self._load)
                rounds = [await self._round(ALONE) for _ in range(alone)]
                registry = PostgresModels(engine, utc_now)
                model = await registry.queue("als", {})
                deadline = time.monotonic() + MOST_SECONDS
                while (model := await registry.get(model.id)).status in STEPS:
                    if time.monotonic() > deadline:
                        model = await registry.cancel(model.id)
                        break
                    rounds.append(await self._round(_stage(model)))
            finally:
                looking.cancel()
                with suppress(asyncio.CancelledError):
                    await looking
        print(f"The run ended {model.status}: {model.error}", file=sys.stderr)
        return rounds

    async def _round(self, training: str) -> Round:
        self._ages.clear()
        load = await asyncio.to_thread(
            self._load,
            "cache_effectiveness",
            f"training: {training}",
            PAUSE,
            self._seconds,
            connections=CONNECTIONS,
        )
        return _round(training, load, float(np.percentile(self._ages, 95)))

    async def _begin(self) -> None:
        """Wait for the worker's first commit. Raises `SetupError`."""
        deadline = time.monotonic() + START_SECONDS
        while not self._ages:
            if time.monotonic() > deadline:
                raise SetupError("No event was committed: see what the worker printed above.")
            await asyncio.sleep(LOOK_SECONDS)

    async def _look(self, engine: AsyncEngine) -> None:
        """How old the newest committed event is, again and again."""
        while True:
            async with reading(engine) as connection:
                newest = await connection.scalar(_NEWEST)
            if newest is not None:
                self._ages.append((utc_now() - newest).total_seconds() * 1000)
            await asyncio.sleep(LOOK_SECONDS)


def _stage(model: Model) -> str:
    return model.progress.stage if model.progress else model.status


def _round(training: str, load: Load, age: float) -> Round:
    return Round(
        training=training,
        requests_per_second=load.requests_per_second,
        p50=load.p50,
        p95=load.p95,
        p99=load.p99,
        failed=load.failed,
        kept=load.kept,
        age=round(age, 1),
    )


def _table(rounds: Sequence[Round], interactions: int, per_second: int) -> Table:
    table = Table(
        title=f"Beside a training on {interactions:,} interactions, {per_second} events a second"
    )
    columns = ("training", "rounds", "lists/s", "p50 ms", "p95 ms", "worst p95", "p99 ms", "failed")
    for name in (*columns, "kept", "event ms"):
        table.add_column(name, justify="left" if name == "training" else "right")
    stages = dict.fromkeys(one.training for one in rounds)
    for name, part in [
        *((stage, [one for one in rounds if one.training == stage]) for stage in stages),
        ("all of it", [one for one in rounds if one.training != ALONE]),
    ]:
        table.add_row(name, str(len(part)), *_summary(part))
    return table


def _summary(rounds: Sequence[Round]) -> list[str]:
    """Medians of the rounds, but for the worst p95 and the failures of all."""
    if not rounds:
        return []
    medians = {
        name: f"{_median(rounds, name):,}"
        for name in ("requests_per_second", "p50", "p95", "p99", "age")
    }
    return [
        *(medians[name] for name in ("requests_per_second", "p50", "p95")),
        f"{max(one.p95 for one in rounds):,}",
        medians["p99"],
        str(sum(one.failed for one in rounds)),
        f"{float(np.median([one.kept for one in rounds])):.3f}",
        medians["age"],
    ]


def _median(rounds: Sequence[Round], name: str) -> float:
    return round(float(np.median([getattr(one, name) for one in rounds])), 1)


if __name__ == "__main__":
    main()
