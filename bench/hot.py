"""Lists from the memory of the workers, against the least that an answer can cost."""

import asyncio
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import click
import httpx
import msgspec
from rich.table import Table

from bench.bare import BODY
from bench.made_up import Service, made_up_service
from bench.made_up_data import Shape
from bench.service import forget
from core.errors import SetupError, UpnextError
from core.settings import Settings, child_environment
from storage.embedded.server import free_port
from upnext.cli.console import emit

SCRIPT = Path(__file__).with_name("hot.lua")
CONNECTIONS, THREADS = 32, 2
SHAPE = Shape(videos=2_000, users=5_000)
START_SECONDS, WARM_SECONDS = 20.0, 5
MOST_ROUNDS, WARM = 30, 0.999
_LISTS = re.compile(r'^upnext_lists_total\{outcome="(\w+)"\} (\S+)$', re.MULTILINE)


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """Requests a second; `ratio` is `kept` over `bare`; times of `kept` in milliseconds.

    `local` is the share of the lists that came from the workers' memory, 0..1: below 1 something
    else than that was measured.
    """

    kept: float
    bare: float
    ratio: float
    p50: float
    p99: float
    failed: int
    local: float
    body_bytes: int


class Load(msgspec.Struct, frozen=True):
    """What wrk says of a run; times in milliseconds."""

    requests: int
    seconds: float
    failed: int
    p50: float
    p99: float

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds


@click.command()
@click.option("--seconds", type=click.IntRange(1), default=15, show_default=True, help="Of a run.")
@click.option("--home", type=click.Path(path_type=Path), help="Keep the made-up service here.")
def main(seconds: int, home: Path | None) -> None:
    """Kept lists of 5,000 users with tokens, limits and metrics, and a bare ASGI application.

    wrk runs on the same machine and takes its share of it.
    """
    if shutil.which("wrk") is None:
        click.echo("hot: skipped, wrk is not installed.", err=True)
        return
    try:
        with made_up_service(SHAPE, home, milvus=False, access_log_sample="0.01") as service:
            figures = measure(service, seconds)
    except UpnextError as error:
        raise click.ClickException(str(error)) from error
    emit([figures], as_json=False, table=lambda: _table(figures))


def measure(service: Service, seconds: int) -> Figures:
    """The service and the bare application under the same load. Raises `SetupError`."""
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as users:
        users.writelines(f"{one['id']}\t{one['token']}\n" for one in service.tokens())
        users.flush()
        # Lists of an earlier run are past their soft age, and would be renewed while measured.
        asyncio.run(forget(service.settings, service.users))
        body = _body(service)
        warm(service.address, users.name)
        before = _lists(service.address)
        kept = wrk(service.address, users.name, seconds)
        given = _lists(service.address) - before
        with _bare(service.settings, body) as address:
            wrk(address, users.name, 2)
            bare = wrk(address, users.name, seconds)
    return Figures(
        kept=round(kept.rate),
        bare=round(bare.rate),
        ratio=round(kept.rate / bare.rate, 3),
        p50=round(kept.p50, 2),
        p99=round(kept.p99, 2),
        failed=kept.failed,
        local=round(given["local"] / given.total(), 4),
        body_bytes=len(body),
    )


def warm(address: str, users: str) -> None:
    """Ask until every worker keeps every list. Raises `SetupError`."""
    for _ in range(MOST_ROUNDS):
        before = _lists(address)
        wrk(address, users, WARM_SECONDS)
        after = _lists(address)
        if after["local"] - before["local"] >= WARM * (sum(after.values()) - sum(before.values())):
            return
    raise SetupError("Lists do not stay in the workers' memory: is another load on this machine?")


def _lists(address: str) -> Counter[str]:
    """How many lists came from where, since the service started."""
    found = _LISTS.findall(httpx.get(f"{address}/metrics").text)
    return Counter({outcome: int(float(count)) for outcome, count in found})


def wrk(address: str, users: str, seconds: int) -> Load:
    """Ask for the lists of these users, one after the other. Raises `SetupError`."""
    command = [
        *("wrk", "-t", str(THREADS), "-c", str(CONNECTIONS), "-d", f"{seconds}s"),
        *("-s", str(SCRIPT), address, "--", users, str(SHAPE.users // THREADS)),
    ]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    figures = [line for line in ended.stdout.splitlines() if line.startswith("JSON ")]
    if ended.returncode or not figures:
        raise SetupError(f"wrk did not end well: {ended.stderr or ended.stdout}")
    return msgspec.convert(json.loads(figures[0].removeprefix("JSON ")), Load)


def _body(service: Service) -> bytes:
    """A kept list as the service sends it."""
    one = service.tokens()[0]
    headers = {"Authorization": f"Bearer {one['token']}"}
    answer = httpx.Response(500)
    for _ in range(3):
        answer = httpx.get(
            f"{service.address}/recs/{one['id']}", headers=headers
        ).raise_for_status()
    return answer.content


@contextmanager
def _bare(settings: Settings, body: bytes) -> Iterator[str]:
    (settings.home / BODY).write_bytes(body)
    own = settings.model_copy(update={"port": free_port()})
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.bare"], stdout=sys.stderr, env=child_environment(own)
    )
    address = f"http://127.0.0.1:{own.port}"
    try:
        _wait(address)
        yield address
    finally:
        process.terminate()
        process.wait(START_SECONDS)


def _wait(address: str) -> None:
    pause = Event()
    for _ in range(int(START_SECONDS / 0.1)):
        try:
            httpx.get(address)
        except httpx.TransportError:
            pause.wait(0.1)
        else:
            return
    raise SetupError("The bare application did not start.")


def _table(figures: Figures) -> Table:
    table = Table(title="Kept lists from the workers' memory, and a bare ASGI application")
    for column in figures.__struct_fields__:
        table.add_column(column, justify="right")
    table.add_row(*(str(getattr(figures, column)) for column in figures.__struct_fields__))
    return table


if __name__ == "__main__":
    main()
