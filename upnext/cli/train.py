"""`upnext train` and `upnext embeddings`."""

import asyncio
from datetime import UTC, datetime, timedelta

import click

from core.errors import UpnextError
from core.settings import Settings
from core.types import Model
from upnext.cli.console import emit
from upnext.cli.context import stores
from upnext.cli.models import table_of
from upnext.cli.stages import Stages
from upnext.jobs.promote import promote, promote_first
from upnext.jobs.train import train as run_training

DAY = click.DateTime(formats=["%Y-%m-%d"])
STAGES = {
    "reading": "Reading",
    "encoding": "Encoding texts",
    "fitting": "Fitting",
    "evaluating": "Evaluating",
    "storing": "Storing",
    "publishing": "Publishing",
}


@click.group()
def train() -> None:
    """Fit a model and publish it."""


@train.command()
@click.option("--start-date", type=DAY, help="First day of interactions (UTC).")
@click.option("--end-date", type=DAY, help="Last day of interactions (UTC).")
@click.option("--promote", "live", is_flag=True, help="Make it live, whatever is live now.")
@click.option("--json", "as_json", is_flag=True, help="Print the model as JSON.")
def content(
    start_date: datetime | None, end_date: datetime | None, *, live: bool, as_json: bool
) -> None:
    """Fit a model of what videos say and users watch: new texts are encoded first.

    It becomes live at once when no other is, or with --promote; otherwise it is ready, and
    `upnext models promote` makes it live.

    \b
    Example: upnext train content --start-date 2026-01-01 --promote
    """  # noqa: D301 - \b is click's mark for "keep these lines"
    start = start_date and start_date.replace(tzinfo=UTC)
    end = end_date and end_date.replace(tzinfo=UTC) + timedelta(days=1)
    if start and end and end <= start:
        raise click.UsageError("--end-date is before --start-date.")
    _run(start, end, live=live, as_json=as_json)


@click.group()
def embeddings() -> None:
    """Rebuild text vectors."""


@embeddings.command()
@click.option("--json", "as_json", is_flag=True, help="Print the model as JSON.")
def rebuild(*, as_json: bool) -> None:
    """Encode what is new or changed, fit a model on everything, publish it and make it live.

    \b
    Example: upnext embeddings rebuild
    """  # noqa: D301
    _run(None, None, live=True, as_json=as_json)


def _run(start: datetime | None, end: datetime | None, *, live: bool, as_json: bool) -> None:
    with stores(["postgres", "milvus"]) as settings:
        model = asyncio.run(_train(settings, start, end, live=live))
    emit(model, as_json=as_json, table=lambda: table_of([model]))


async def _train(
    settings: Settings, start: datetime | None, end: datetime | None, *, live: bool
) -> Model:
    with Stages(STAGES) as stages:
        model = await run_training(settings, "content", start, end, stages.show)
    if model.status != "ready":
        raise UpnextError(f"Model {model.id} {model.status}: {model.error}")
    return await (promote(settings, model.id) if live else promote_first(settings, model))
