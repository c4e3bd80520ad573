"""From a new video to its first place in a list: `python -m bench.new_videos`.

Uses the service of the home (UPNEXT_HOME), else starts one, with the schedule that it has.
"""

import time
from collections.abc import Callable
from datetime import timedelta
from threading import Event
from uuid import uuid4

import click
import httpx
import msgspec
from rich.table import Table

from bench.service import running
from core.errors import UpnextError
from core.settings import load
from upnext.cli.console import emit
from upnext.tokens import make_token

LOOK_SECONDS, MOST_SECONDS = 0.5, 300.0
TEXT = {
    "title": "A dragon in the harbour",
    "description": "A fisher boy finds a dragon under the pier and hides it from the town.",
    "genres": ["fantasy"],
}


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds from the answer to PUT /videos until the video was found."""

    put_at: str
    similar: float
    nearest: float


@click.command()
@click.option("--videos", default=3, show_default=True, help="How many, one after the other.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def main(videos: int, *, as_json: bool) -> None:
    """Time how soon new videos are similar to others, and near to users."""
    with running(load()) as (address, settings):
        token = make_token(settings, "bench", ("admin",), timedelta(hours=1))
        headers = {"Authorization": f"Bearer {token}"}
        with httpx.Client(base_url=address, headers=headers, timeout=30) as client:
            found = [_measured(client) for _ in range(videos)]
    emit({"found": found}, as_json=as_json, table=lambda: _table(found))


def _measured(client: httpx.Client) -> Found:
    name = f"bench-{uuid4().hex[:8]}"
    body = {**TEXT, "title": f"{TEXT['title']} {name}"}  # a text that nobody has encoded
    client.put(f"/videos/{name}", json=body).raise_for_status()
    began, put_at = time.monotonic(), time.strftime("%X")
    _until(lambda: bool(_alike(client, name)))
    similar = time.monotonic() - began
    _until(lambda: _is_near(client, name))
    return Found(put_at=put_at, similar=similar, nearest=time.monotonic() - began)


def _alike(client: httpx.Client, name: str) -> list[str]:
    """What a video is like, by its own vectors."""
    answer = client.get(f"/videos/{name}/similar")
    if answer.status_code == httpx.codes.NOT_FOUND:  # the worker has not heard of it yet
        return []
    alike = answer.raise_for_status().json()
    if alike["metadata"]["degraded"]:
        return []
    return [one["content_id"] for one in alike["recommendations"]]


def _is_near(client: httpx.Client, name: str) -> bool:
    """Whether a search finds it for somebody who was never here and watches what it is like."""
    user, watched = f"bench-{uuid4().hex[:8]}", {"content_id": _alike(client, name)[0]}
    client.post(f"/users/{user}/watch-history", json=watched).raise_for_status()
    answer = client.get(f"/recs/{user}", params={"limit": 100}).raise_for_status().json()
    found = {one["content_id"]: one["source"] for one in answer["recommendations"]}
    return found.get(name) == "nearest"


def _until(is_so: Callable[[], bool]) -> None:
    pause, deadline = Event(), time.monotonic() + MOST_SECONDS
    while not is_so():
        if time.monotonic() > deadline:
            raise UpnextError(
                f"It was not found in {MOST_SECONDS:.0f} s: `upnext jobs list --kind encoding`."
            )
        pause.wait(LOOK_SECONDS)


def _table(found: list[Found]) -> Table:
    table = Table("put at", "similar after", "nearest after")
    for one in found:
        table.add_row(one.put_at, f"{one.similar:.1f} s", f"{one.nearest:.1f} s")
    return table


if __name__ == "__main__":
    main()
