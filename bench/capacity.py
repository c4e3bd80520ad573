"""What a user, a video, an interaction and a request cost: `python -m bench.capacity --help`.

Bytes are what each store says it has, in all and divided by how many there are. Processor time is
what the kernel says that each server's processes took for a number of requests, also divided.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import count
from pathlib import Path

import click
import httpx
import msgspec
import psutil
from rich.table import Table
from sqlalchemy import text

from bench.made_up import TOKEN_LIFE, Service, made_up_service
from bench.made_up_data import Shape
from bench.memory import of_users
from bench.server_cpu import server_cpu, spent
from bench.service import forget
from core.errors import UpnextError
from core.settings import Settings
from storage.artifacts import artifact_store
from storage.postgres.engine import pool
from upnext.cli.console import emit
from upnext.tokens import make_token

AT_ONCE = 8
TABLES = ("interactions", "users", "videos", "popularity")
SIZES = """
    SELECT pg_total_relation_size(CAST(:name AS regclass)),
           (SELECT count(*) FROM {name})
"""

Ask = Callable[[httpx.AsyncClient, str], Awaitable[httpx.Response]]


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes of one of each, and milliseconds of processor time of a request, by server."""

    stored: dict[str, float]
    requests: dict[str, dict[str, float]]


@click.command()
@click.option("--videos", type=click.IntRange(1000), default=20_000, show_default=True)
@click.option("--requests", type=click.IntRange(100), default=1_500, show_default=True)
@click.option("--home", type=click.Path(path_type=Path), help="Keep the made-up service here.")
def main(videos: int, requests: int, home: Path | None) -> None:
    """Measure a made-up service of 20,000 videos and of users with 50 watches."""
    shape = Shape(videos=videos, users=requests, watches=50)
    try:
        with made_up_service(shape, home) as service:
            figures = asyncio.run(measure(service, videos))
    except UpnextError as error:
        raise click.ClickException(str(error)) from error
    emit(figures, as_json=False, table=lambda: _table(figures))


async def measure(service: Service, videos: int) -> Figures:
    """All figures. Raises `Unavailable`."""
    settings, users = service.settings, service.users
    token = make_token(settings, "bench", ("service",), TOKEN_LIFE)
    async with httpx.AsyncClient(
        base_url=service.address, headers={"Authorization": f"Bearer {token}"}, timeout=60
    ) as client:
        await forget(settings, users)
        requests = {"list made anew": await _costs(service, client, users, _list)}
        requests["list out of Redis"] = await _costs(service, client, users, _list)
        requests["similar videos"] = await _costs(service, client, users, _similar(videos))
        stored = await _stored(settings, users, videos)
        requests["watch by HTTP"] = await _costs(service, client, users, _watch(videos))
    return Figures(stored=stored, requests=requests)


async def _costs(
    service: Service, client: httpx.AsyncClient, users: Sequence[str], ask: Ask
) -> dict[str, float]:
    """Milliseconds of each server for one request of each of the users."""
    room = asyncio.Semaphore(AT_ONCE)

    async def one(user: str) -> None:
        async with room:
            (await ask(client, user)).raise_for_status()

    before = _cpu(service)
    await asyncio.gather(*map(one, users))
    took = spent(before, _cpu(service))
    return {server: round(1000 * seconds / len(users), 3) for server, seconds in took.items()}


def _cpu(service: Service) -> Mapping[str, float]:
    """Seconds that the service and its servers have taken so far."""
    main = psutil.Process(service.process.pid)
    milvus = [one for one in psutil.Process().children() if "milvus" in " ".join(one.cmdline())]
    return {"API": _of(main), "Milvus": sum(map(_of, milvus)), **server_cpu()}


def _of(process: psutil.Process) -> float:
    family = [process, *process.children(recursive=True)]
    return sum(sum(each.cpu_times()[:2]) for each in family)


async def _list(client: httpx.AsyncClient, user: str) -> httpx.Response:
    return await client.get(f"/recs/{user}")


def _similar(videos: int) -> Ask:
    number = count()

    async def ask(client: httpx.AsyncClient, _user: str) -> httpx.Response:
        return await client.get(f"/videos/v{next(number) % videos:06}/similar")

    return ask


def _watch(videos: int) -> Ask:
    number = count()

    async def ask(client: httpx.AsyncClient, user: str) -> httpx.Response:
        body = {"content_id": f"v{next(number) % videos:06}", "watched_seconds": 60}
        return await client.post(f"/users/{user}/watch-history", json=body)

    return ask


async def _stored(settings: Settings, users: Sequence[str], videos: int) -> dict[str, float]:
    """Bytes of one of each."""
    stored: dict[str, float] = {}
    async with pool(settings) as engine, engine.connect() as connection:
        for name in TABLES:
            query = text(SIZES.format(name=name))
            size, rows = (await connection.execute(query, {"name": name})).one()
            stored[f"PostgreSQL, a row of {name}"] = round(size / rows)
    kept = await of_users(settings, users[:200])
    stored["Redis, a user with a state and a list"] = round(sum(kept) / len(kept))
    store = Path(settings.artifacts_url.removeprefix("file://") if settings.artifacts_url else "")
    model = sum(
        (store / key).stat().st_size for key in artifact_store(store.as_uri()).keys("models/")
    )
    stored["artifacts and a replica's disk, a video of a version"] = round(model / videos)
    return stored


def _table(figures: Figures) -> Table:
    table = Table(title="What each costs")
    for name in ("what", *next(iter(figures.requests.values()))):
        table.add_column(name, justify="left" if name == "what" else "right")
    for name, servers in figures.requests.items():
        table.add_row(f"{name}, ms", *(f"{value:.2f}" for value in servers.values()))
    for name, value in figures.stored.items():
        table.add_row(f"{name}, bytes", f"{value:,.0f}")
    return table


if __name__ == "__main__":
    main()
