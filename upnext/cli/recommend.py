"""`upnext recommend` and `upnext similar`: lists in the terminal."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

import click
from rich.table import Table

from api.answers import Asked
from api.app import services
from api.recommender import Recommender
from api.routes.narrowing import filters_of
from api.schemas import Recommended, SimilarList, UserList
from core import logging
from core.errors import Unavailable
from core.settings import Settings, load
from core.types import Explanation
from ingest.checks import check_user_id, check_video_id
from storage.embedded.stack import Endpoints
from upnext.cli.console import emit
from upnext.cli.context import stores
from upnext.home import Home, complete
from upnext.service import fetch

LIMIT = click.option(
    "--limit", type=click.IntRange(1, 100), default=10, show_default=True, help="How many."
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print the service's answer as JSON.")

T = TypeVar("T", UserList, SimilarList)


@click.command()
@click.argument("user", metavar="USER")
@LIMIT
@click.option("--genre", "genres", multiple=True, help="Only videos that have it; any of several.")
@click.option("--explain", is_flag=True, help="Show what each score is made of.")
@JSON
def recommend(
    user: str, limit: int, genres: tuple[str, ...], *, explain: bool, as_json: bool
) -> None:
    """Show a user's list: from the running service of this home, else made here.

    \b
    Examples:
      upnext recommend 7 --limit 5
      upnext recommend 7 --genre drama --genre crime --explain
    """  # noqa: D301 - \b is click's mark for "keep these lines"
    filters = filters_of(list(genres), None, None, None)
    asked = Asked(check_user_id(user), limit, filters=filters, explain=explain)
    query = {"limit": limit, "genre": genres, "explain": str(explain).lower()}
    body = _answer(
        ("recs", user), query, UserList, lambda recommender: recommender.recommend(asked)
    )
    emit(body, as_json=as_json, table=lambda: _user_table(body))


@click.command()
@click.argument("video", metavar="VIDEO")
@LIMIT
@JSON
def similar(video: str, limit: int, *, as_json: bool) -> None:
    """Show the videos most like one.

    \b
    Example:
      upnext similar 1 --limit 5
    """  # noqa: D301
    video_id = check_video_id(video)
    body = _answer(
        ("videos", video, "similar"),
        {"limit": limit},
        SimilarList,
        lambda recommender: recommender.similar(video_id, limit),
    )
    emit(body, as_json=as_json, table=lambda: _similar_table(body))


def _answer(
    path: tuple[str, ...],
    query: Mapping[str, object],
    form: type[T],
    ask: Callable[[Recommender], Awaitable[T]],
) -> T:
    """The service's answer; where none runs, the same recommender's in this process."""
    settings = load()
    home = Home(settings.home)
    stack = home.live()
    if stack is not None and stack.address is not None:
        signed = complete(settings, home, Endpoints())
        return fetch(signed, stack.address, path, query, form)
    logging.configure(settings, sys.stderr, "warning")
    with stores() as filled:
        return asyncio.run(_in_process(filled, ask))


async def _in_process(settings: Settings, ask: Callable[[Recommender], Awaitable[T]]) -> T:
    async with services(settings) as here:
        if not here.ready():
            raise Unavailable("postgres", "The catalogue cannot be read: see `upnext doctor`.")
        return await ask(here.recommender)


def _user_table(body: UserList) -> Table:
    meta = body.metadata
    kind = "a cold-start list" if meta.cold_start else f"by {meta.model_version or 'no model yet'}"
    return _table(f"For {body.user_id}, {kind}", body.recommendations, meta.degraded)


def _similar_table(body: SimilarList) -> Table:
    title = f"Like {body.content_id}, by {body.metadata.model_version or 'no model yet'}"
    return _table(title, body.recommendations, body.metadata.degraded)


def _table(title: str, entries: Sequence[Recommended], degraded: Sequence[str]) -> Table:
    without = f"made without: {', '.join(degraded)}" if degraded else None
    table = Table(title=title, caption=without)
    table.add_column("", justify="right")
    table.add_column("id")
    table.add_column("title")
    table.add_column("genres")
    table.add_column("score", justify="right")
    table.add_column("source")
    if any(entry.explanation for entry in entries):
        table.add_column("made of")
    for place, entry in enumerate(entries, start=1):
        genres = ", ".join(entry.genres)
        score = f"{entry.score:.3f}"
        why = _why(entry.explanation) if entry.explanation else []
        table.add_row(str(place), entry.content_id, entry.title, genres, score, entry.source, *why)
    return table


def _why(explanation: Explanation) -> list[str]:
    """The terms that make the score, the largest first, and the watch that is nearest."""
    parts = sorted(explanation.terms.items(), key=lambda named: -named[1].contribution)
    told = [f"{name} {term.contribution:.3f}" for name, term in parts if term.contribution]
    near = [f"near {explanation.because}"] if explanation.because else []
    return [", ".join([*told, *near])]
