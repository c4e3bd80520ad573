"""What making a list costs, beside the searches it takes: `python -m bench.uncached --help`.

100,000 made-up videos in the server of the `milvus` wheel; tokens, limits and metrics are on.
"""

import asyncio
import gc
import time
from collections.abc import Awaitable, Sequence
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import click
import httpx
import msgspec

from bench.made_up import TOKEN_LIFE, Service, made_up_service
from bench.made_up_data import Shape
from bench.searches import Asked, batched, searches_of, together
from bench.service import forget
from bench.two_columns import two_columns
from core.errors import SetupError, UpnextError
from core.types import UserId
from storage.milvus import MilvusSearch
from upnext.cli.console import emit
from upnext.tokens import make_token

SIZE = 100  # users of a batch page
COMPARED, PAGES = 300, 5
TIMES, ADDED_MS = 1.5, 20  # what a batch page may take of one search of its users' vectors
RATIO, P95_MS = 2.5, 50


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds. `searches` are the two of a request, issued alone and at the same time.

    `loaded_degraded` is the share, 0..1, of answers at a steady rate that were not whole.

    A page's `page_search` is one search of its users' vectors; `page_searches` has the one of what
    they watched, too. A page is made with nothing kept from before, `page_warm` once more.
    """

    videos: int
    searches_p50: float
    request_p50: float
    ratio: float
    per_second: int
    loaded_p50: float
    loaded_p95: float
    loaded_degraded: float
    page_search: float
    page_searches: float
    page: float
    page_warm: float
    page_allowed: float


@click.command()
@click.option("--videos", type=click.IntRange(1000), default=100_000, show_default=True)
@click.option("--workers", type=click.IntRange(1), default=2, show_default=True)
@click.option("--per-second", type=click.IntRange(1), default=50, show_default=True)
@click.option("--seconds", type=click.IntRange(1), default=20, show_default=True)
@click.option("--home", type=click.Path(path_type=Path), help="Keep the data here for the next.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write the figures here too.")
def main(
    *,
    videos: int,
    workers: int,
    per_second: int,
    seconds: int,
    home: Path | None,
    file: Path | None,
) -> None:
    """Make lists of users nobody made lists for: one by one, at a steady rate, by the page."""
    users = 2 * COMPARED + per_second * seconds + 2 * PAGES * SIZE
    shape = Shape(videos=videos, users=users, watches=50)
    try:
        with made_up_service(shape, home, workers=str(workers), limit_user_a_minute="500") as made:
            asyncio.run(forget(made.settings, made.users))  # what an earlier run in that home left
            figures = asyncio.run(measure(made, videos, per_second))
    except UpnextError as error:
        raise click.ClickException(str(error)) from error
    emit(figures, as_json=False, table=lambda: two_columns("Lists made anew, ms", figures))
    if file is not None:
        file.write_bytes(msgspec.json.format(msgspec.json.encode(figures), indent=2))


async def measure(service: Service, videos: int, per_second: int) -> Figures:
    """All figures, each from users of its own. Raises `Unavailable`, `SetupError`."""
    settings = service.settings
    # Pages come first: they are of the first users, whom nothing else may have met before.
    users = [UserId(user) for user in sorted(service.users)]
    paged, rest = users[: 2 * PAGES * SIZE], users[2 * PAGES * SIZE :]
    compared, loaded = rest[: 2 * COMPARED], rest[2 * COMPARED :]
    token = make_token(settings, "bench", ("service",), TOKEN_LIFE)
    search = MilvusSearch.of(settings)
    async with httpx.AsyncClient(
        base_url=service.address, headers={"Authorization": f"Bearer {token}"}, timeout=30
    ) as client:
        asked = await searches_of(settings, compared)
        gc.collect()
        gc.freeze()  # or the pauses of this process stand in the figures as the service's
        alone, requests = await _one_by_one(client, search, compared, asked)
        late, degraded = await _at_rate(client, loaded, per_second)
        pages = await _pages(client, search, await searches_of(settings, paged))
    await search.close()
    return Figures(
        videos=videos,
        searches_p50=round(median(alone), 2),
        request_p50=round(median(requests), 2),
        ratio=round(median(requests) / median(alone), 2),
        per_second=per_second,
        loaded_p50=round(median(late), 2),
        loaded_p95=round(quantiles(late, n=20)[-1], 2),
        loaded_degraded=round(degraded, 4),
        **pages,
    )


async def _one_by_one(
    client: httpx.AsyncClient,
    search: MilvusSearch,
    users: Sequence[UserId],
    asked: Sequence[Sequence[Asked]],
) -> tuple[list[float], list[float]]:
    """Searches alone and requests in turn, each of every other user."""
    alone, requests = [], []
    for at, user in enumerate(users):
        if at % 2:
            requests.append(await _timed(_ask(client, user)))
        else:
            alone.append(await _timed(together(search, asked[at])))
    return alone, requests


async def _at_rate(
    client: httpx.AsyncClient, users: Sequence[UserId], rate: int
) -> tuple[list[float], float]:
    """Milliseconds of each request from when it was due, and the share of degraded answers."""
    began = time.perf_counter() + 0.1

    async def one(place: int, user: UserId) -> tuple[float, bool]:
        due = began + place / rate
        await asyncio.sleep(due - time.perf_counter())
        metadata = await _metadata(client, user)
        return (time.perf_counter() - due) * 1000, bool(metadata["degraded"])

    answers = await asyncio.gather(*(one(place, user) for place, user in enumerate(users)))
    return [late for late, _ in answers], sum(bad for _, bad in answers) / len(answers)


async def _pages(
    client: httpx.AsyncClient, search: MilvusSearch, asked: Sequence[Sequence[Asked]]
) -> dict[str, float]:
    """A page each of users nobody met before, and their searches alone; then the pages again."""
    first, both, page = [], [], []
    numbers = range(1, PAGES + 1)
    for number in numbers:
        start = (PAGES + number - 1) * SIZE  # others than those of the pages
        users, similar = batched(asked[start : start + SIZE])
        first.append(await _timed(together(search, [users])))
        both.append(await _timed(together(search, (users, similar))))
        page.append(await _timed(_page(client, number)))
    warm = [await _timed(_page(client, number)) for number in numbers]
    return {
        "page_search": round(median(first), 1),
        "page_searches": round(median(both), 1),
        "page": round(median(page), 1),
        "page_warm": round(median(warm), 1),
        "page_allowed": round(TIMES * median(first) + ADDED_MS, 1),
    }


async def _timed(call: Awaitable[None]) -> float:
    began = time.perf_counter()
    await call
    return (time.perf_counter() - began) * 1000


async def _metadata(client: httpx.AsyncClient, user: UserId) -> dict[str, Any]:
    answer = await client.get(f"/recs/{user}", params={"limit": 10})
    metadata: dict[str, Any] = answer.raise_for_status().json()["metadata"]
    return metadata


async def _ask(client: httpx.AsyncClient, user: UserId) -> None:
    metadata = await _metadata(client, user)
    if metadata["cache_hit"] or metadata["degraded"]:
        raise SetupError(f"This is no list made anew and whole: {metadata}")


async def _page(client: httpx.AsyncClient, number: int) -> None:
    answer = await client.get(f"/recommendations/batch?page={number}&limit={SIZE}")
    summary = answer.raise_for_status().json()["summary"]
    if summary["success_count"] != SIZE:
        raise SetupError(f"Not all lists of page {number} could be made: {summary}")


if __name__ == "__main__":
    main()
