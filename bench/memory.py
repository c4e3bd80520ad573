"""Memory of the API's workers and of what Redis keeps of a user, after minutes of load.

`python -m bench.memory --help`. Linux only: it reads what the kernel says of each process.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from statistics import mean

import click
import msgspec
import psutil

from bench.made_up import Service, made_up_service
from bench.made_up_data import Shape
from bench.run import K6Run
from bench.two_columns import two_columns
from core.errors import UpnextError
from core.settings import Settings
from storage.redis.client import connect as connect_redis
from upnext.cli.console import emit

WATCHES, SAMPLE = 100, 200
BASE, A_VIDEO, A_USER = 300_000_000, 400, 4_096  # bytes that are allowed


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes. `worker` is the largest one's share of memory without the files it has mapped.

    Both are proportional set sizes: what several processes share is divided among them.
    """

    videos: int
    answers: int
    worker: int
    worker_allowed: int
    mapped: int
    user: int
    user_largest: int
    user_allowed: int = A_USER


@click.command()
@click.option("--videos", type=click.IntRange(200), default=100_000, show_default=True)
@click.option("--users", type=click.IntRange(SAMPLE), default=5_000, show_default=True)
@click.option("--minutes", type=click.FloatRange(0.1), default=10.0, show_default=True)
@click.option("--home", type=click.Path(path_type=Path), help="Keep the made-up service here.")
def main(videos: int, users: int, minutes: float, home: Path | None) -> None:
    """Load a made-up service with k6, then look at its workers and at users with 100 watches."""
    try:
        with made_up_service(Shape(videos=videos, users=users, watches=WATCHES), home) as service:
            figures = measure(service, videos, minutes)
    except UpnextError as error:
        raise click.ClickException(str(error)) from error
    emit(figures, as_json=False, table=lambda: two_columns("Memory, bytes", figures))


def measure(service: Service, videos: int, minutes: float) -> Figures:
    """Load, then look. Raises `SetupError` without k6."""
    with K6Run(service) as run:
        made = run("cache_effectiveness", "cold", 0.0, None)
        load = run("cache_effectiveness", "warm", 0.0, round(minutes * 60))
    workers = [_memory(worker) for worker in _workers(service.process.pid)]
    users = asyncio.run(of_users(service.settings, service.users[:SAMPLE]))
    local = service.settings.local_lists_bytes
    return Figures(
        videos=videos,
        answers=made.requests + load.requests,
        worker=max(own for own, _ in workers),
        worker_allowed=BASE + A_VIDEO * videos + local,
        mapped=max(mapped for _, mapped in workers),
        user=round(mean(users)),
        user_largest=max(users),
    )


def _workers(main_process: int) -> list[psutil.Process]:
    """The processes that answer: those that have the vectors mapped."""
    children = psutil.Process(main_process).children(recursive=True)
    return [child for child in children if _memory(child)[1]]


def _memory(process: psutil.Process) -> tuple[int, int]:
    """Its own share of memory, and that of the mapped files of versions, in bytes."""
    regions = process.memory_maps(grouped=True)
    mapped = sum(region.pss for region in regions if region.path.endswith(".npy"))
    return sum(region.pss for region in regions) - mapped, mapped


async def of_users(settings: Settings, users: Sequence[str]) -> list[int]:
    """What Redis keeps of each user, all keys together, in bytes."""
    client = connect_redis(settings.redis_url or "", timeout_seconds=10.0)
    try:
        sizes = dict.fromkeys(users, 0)
        async for key in client.scan_iter(count=1000):
            for user in users:
                if user.encode() in key:
                    sizes[user] += await client.memory_usage(key, samples=0) or 0
        return list(sizes.values())
    finally:
        await client.aclose()


if __name__ == "__main__":
    main()
