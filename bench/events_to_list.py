"""From an event on the bus to a new list over HTTP: `python -m bench.events_to_list --help`.

The real `upnext serve`, `upnext worker` and NATS. While other events flow, a user's list is asked
for, one of its videos is said to be watched, and the list is asked for until it is another one.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import click
import httpx
import msgspec
from nats.aio.client import Client

from bench.events_sender import link_of, sending
from bench.events_stores import working
from bench.made_up import TOKEN_LIFE, Service, made_up_service
from bench.made_up_data import Shape
from bench.made_up_events import SUBJECT, Traffic, watch
from bench.two_columns import two_columns
from core.clock import utc_now
from core.errors import SetupError, UpnextError
from upnext.cli.console import emit
from upnext.tokens import make_token

DIGITS = 6  # of the ids that `bench.made_up_data` makes
AGAIN_SECONDS, LONGEST_SECONDS, SETTLING_SECONDS = 0.02, 10.0, 8.0


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds from an event's publication to the first answer with a list made after it."""

    videos: int
    events_per_second: int
    asked: int
    p50: float
    p95: float
    p99: float
    slowest: float


@click.command()
@click.option("--videos", type=click.IntRange(1000), default=20_000, show_default=True)
@click.option("--users", type=click.IntRange(1000), default=5000, show_default=True)
@click.option("--per-second", type=click.IntRange(1), default=500, show_default=True)
@click.option("--seconds", type=click.IntRange(1), default=30, show_default=True)
@click.option("--lists-per-second", type=click.IntRange(1), default=5, show_default=True)
@click.option("--workers", type=click.IntRange(1), default=2, show_default=True, help="Of the API.")
@click.option("--home", type=click.Path(path_type=Path), help="Keep the data here for the next.")
def main(
    *,
    videos: int,
    users: int,
    per_second: int,
    seconds: int,
    lists_per_second: int,
    workers: int,
    home: Path | None,
) -> None:
    """Search is exact, over the mapped vectors: a list waits for the event, not for the index."""
    shape = Shape(videos=videos, users=users)
    try:
        with (
            made_up_service(shape, home, milvus=False, workers=str(workers)) as made,
            working(made.settings, 1),
        ):
            times = asyncio.run(measure(made, per_second, seconds, lists_per_second))
    except UpnextError as error:
        raise click.ClickException(str(error)) from error
    figures = _figures(times, videos, per_second)
    emit(figures, as_json=False, table=lambda: two_columns("From event to list, ms", figures))


async def measure(
    service: Service, per_second: int, seconds: int, lists_per_second: int
) -> list[float]:
    """Seconds of each list. Raises `SetupError` when one does not come at all."""
    settings, count = service.settings, seconds * lists_per_second
    token = make_token(settings, "bench", ("service",), TOKEN_LIFE)
    traffic = Traffic(users=len(service.users), videos=20_000, digits=DIGITS)
    link = link_of(settings)
    async with AsyncExitStack() as open_:
        open_.push_async_callback(link.close)
        client = await open_.enter_async_context(link.connected())
        http = await open_.enter_async_context(
            httpx.AsyncClient(
                base_url=service.address, headers={"Authorization": f"Bearer {token}"}, timeout=30
            )
        )
        await open_.enter_async_context(sending(settings, traffic, per_second))
        await asyncio.sleep(SETTLING_SECONDS)
        began = time.monotonic()

        async def one(place: int) -> float:
            await asyncio.sleep(began + place / lists_per_second - time.monotonic())
            return await _until_another(http, client, service.users[place % len(service.users)])

        return list(await asyncio.gather(*(one(place) for place in range(count))))


async def _until_another(http: httpx.AsyncClient, client: Client, user: str) -> float:
    """Seconds from the watch of a listed video to a list that was made after it and lacks it."""
    before = await _list(http, user)
    video = before["recommendations"][0]["content_id"]
    published, began = utc_now(), time.monotonic()
    name = f"asked-{time.time_ns()}"
    await client.publish(SUBJECT, watch(user, video, published, name=name))
    while time.monotonic() - began < LONGEST_SECONDS:
        page = await _list(http, user)
        made = datetime.fromisoformat(page["metadata"]["generated_at"])
        listed = {entry["content_id"] for entry in page["recommendations"]}
        if made > published and video not in listed:
            return time.monotonic() - began
        await asyncio.sleep(AGAIN_SECONDS)
    raise SetupError(f"{user} watched {video} {LONGEST_SECONDS} s ago, and it is still listed.")


async def _list(http: httpx.AsyncClient, user: str) -> dict[str, Any]:
    answer = await http.get(f"/recs/{user}")
    answer.raise_for_status()
    page: dict[str, Any] = answer.json()
    return page


def _figures(times: Sequence[float], videos: int, per_second: int) -> Figures:
    ms = [1000 * seconds for seconds in times]
    hundredths = quantiles(ms, n=100, method="inclusive")
    return Figures(
        videos=videos,
        events_per_second=per_second,
        asked=len(ms),
        p50=round(median(ms), 1),
        p95=round(hundredths[94], 1),
        p99=round(hundredths[98], 1),
        slowest=round(max(ms), 1),
    )


if __name__ == "__main__":
    main()
