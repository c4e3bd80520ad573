"""What traces cost: the same lists by services without and with them, turn by turn.

`python -m bench.tracing --help`. Time of the processor is the figure to compare: it is the
service's own, whatever else the machine does.
"""

import asyncio
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from typing import Final

import click
import httpx
import msgspec
import psutil
from rich.table import Table

from bench.hot import SHAPE, warm, wrk
from bench.made_up import TOKEN_LIFE, Service, made_up_service, serving
from bench.service import forget
from core.errors import UpnextError
from storage.embedded.server import free_port
from upnext.cli.console import emit
from upnext.tokens import make_token

KEPT: Final = 1_000  # users whose lists are kept: the others' are made anew
MADE: Final = 300  # of them in a round, one after the other
NO_LIMIT: Final = "1000000"
SAMPLER: Final = "parentbased_traceidratio"
SHARES: Final[Mapping[str, str | None]] = {"off": None, "1 %": "0.01", "all": "1"}
ABSENT: Final = "absent"


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """Medians of the rounds, by what is sampled.

    `hits_per_second` are lists from the worker's memory, `hit_cpu_us` what one takes of a
    processor; `made_p50_ms` and `made_cpu_ms` are of lists made anew by exact search.
    """

    traces: str
    hits_per_second: float
    hit_cpu_us: float
    made_p50_ms: float
    made_cpu_ms: float


@dataclass
class Measured:
    """A service, and what was measured of it so far."""

    service: Service
    rates: list[float] = field(default_factory=list)
    hits: list[float] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    made: list[float] = field(default_factory=list)

    def cpu(self) -> float:
        """Seconds of a processor that the service has taken."""
        main = psutil.Process(self.service.process.pid)
        times = [each.cpu_times() for each in (main, *main.children(recursive=True))]
        return float(sum(each.user + each.system for each in times))


@click.command()
@click.option("--seconds", type=click.IntRange(1), default=5, show_default=True, help="Of a turn.")
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True)
@click.option(
    "--before",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Another checkout of the service: measured beside as `absent`.",
)
@click.option("--home", type=click.Path(path_type=Path), help="Keep the made-up service here.")
def main(*, seconds: int, rounds: int, before: Path | None, home: Path | None) -> None:
    """Lists without traces, with 1 % of them and with all, of one worker each; needs wrk."""
    if shutil.which("wrk") is None:
        click.echo("tracing: skipped, wrk is not installed.", err=True)
        return
    try:
        figures = measure(seconds, rounds, before, home)
    except UpnextError as error:
        raise click.ClickException(str(error)) from error
    emit(figures, as_json=False, table=lambda: _table(figures))


def measure(seconds: int, rounds: int, before: Path | None, home: Path | None) -> list[Figures]:
    """A row for each service. Raises `SetupError`."""
    with ExitStack() as stack:
        one_worker = {"workers": "1", "access_log_sample": "0.01", "limit_user_a_minute": NO_LIMIT}
        base = stack.enter_context(made_up_service(SHAPE, home, milvus=False, **one_worker))
        users = stack.enter_context(tempfile.NamedTemporaryFile("w", suffix=".tsv"))
        lines = [f"{one['id']}\t{one['token']}\n" for one in base.tokens()[:KEPT]]
        users.writelines(lines * (SHAPE.users // KEPT))
        users.flush()
        collector = stack.enter_context(_collector())
        services = {
            name: Measured(stack.enter_context(_variant(base, collector, share)))
            for name, share in SHARES.items()
        }
        if before is not None:
            absent = stack.enter_context(_variant(base, collector, None, before))
            services = {ABSENT: Measured(absent), **services}
        for one in services.values():
            warm(one.service.address, users.name)
        for turn in range(rounds):
            for one in services.values():
                _hits(one, users.name, seconds)
                asyncio.run(_made(one, turn))
        return [_figures(name, one) for name, one in services.items()]


@contextmanager
def _variant(
    base: Service, collector: str, share: str | None, checkout: Path | None = None
) -> Iterator[Service]:
    """Another process of the service, over the same stores, with this share of traces."""
    settings = base.settings.model_copy(update={"port": free_port()})
    more = {} if share is None else {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector,
        "OTEL_TRACES_SAMPLER": SAMPLER,
        "OTEL_TRACES_SAMPLER_ARG": share,
    }  # fmt: skip
    with serving(settings, more, checkout) as process:
        yield Service(f"http://127.0.0.1:{settings.port}", settings, process, base.users)


def _hits(one: Measured, users: str, seconds: int) -> None:
    before = one.cpu()
    load = wrk(one.service.address, users, seconds)
    one.rates.append(load.rate)
    one.hits.append((one.cpu() - before) / load.requests)


async def _made(one: Measured, turn: int) -> None:
    """Lists of users nothing is kept of any more, one after the other."""
    service = one.service
    others = service.users[KEPT:]
    users = others[turn * MADE % len(others) :][:MADE]
    await forget(service.settings, users)
    token = make_token(service.settings, "bench", ("service",), TOKEN_LIFE)
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=service.address, headers=headers) as client:
        before = one.cpu()
        for user in users:
            began = time.perf_counter()
            answer = await client.get(f"/recs/{user}")
            one.waits.append(time.perf_counter() - began)
            answer.raise_for_status()
        one.made.append((one.cpu() - before) / len(users))


@contextmanager
def _collector() -> Iterator[str]:
    """Takes spans and forgets them."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def _figures(name: str, one: Measured) -> Figures:
    return Figures(
        traces=name,
        hits_per_second=round(median(one.rates)),
        hit_cpu_us=round(median(one.hits) * 1e6, 1),
        made_p50_ms=round(median(one.waits) * 1e3, 2),
        made_cpu_ms=round(median(one.made) * 1e3, 2),
    )


def _table(figures: list[Figures]) -> Table:
    table = Table(title="What traces cost")
    for column in Figures.__struct_fields__:
        table.add_column(column.replace("_", " "), justify="right")
    for row in figures:
        table.add_row(*(str(each) for each in msgspec.structs.astuple(row)))
    return table


if __name__ == "__main__":
    main()
