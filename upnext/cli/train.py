"""`upnext train` and `upnext embeddings`."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Any

import click

from core.errors import Conflict, UpnextError
from core.settings import Settings
from core.types import Model, ModelType
from upnext.cli.console import emit
from upnext.cli.context import stores
from upnext.cli.models import table_of
from upnext.cli.stages import Stages
from upnext.home import Home
from upnext.jobs.by_worker import train_by_worker
from upnext.jobs.encode_new import Updated, encode_new_videos
from upnext.jobs.promote import live_model, promote, promote_first
from upnext.jobs.train import train as run_training

DAY = click.DateTime(formats=["%Y-%m-%d"])
STAGES = {
    "queued": "Waiting for the worker",
    "reading": "Reading",
    "encoding": "Encoding texts",
    "adding": "Adding",
    "fitting": "Fitting",
    "judging": "Judging",
    "evaluating": "Weighing",
    "refitting": "Fitting on everything",
    "storing": "Storing",
    "publishing": "Publishing",
}


@click.group()
def train() -> None:
    """Fit a model and publish it.

    Where `upnext up` runs, its worker does the work; else this command does. Ctrl-C cancels it.
    """


@dataclass(frozen=True, slots=True)
class Asked:
    """The options of a training command."""

    start_date: datetime | None
    end_date: datetime | None
    live: bool
    as_json: bool

    def span(self) -> tuple[datetime | None, datetime | None]:
        """Of the interactions: from the first day to the end of the last, UTC."""
        start = self.start_date and self.start_date.replace(tzinfo=UTC)
        end = self.end_date and self.end_date.replace(tzinfo=UTC) + timedelta(days=1)
        if start and end and end <= start:
            raise click.UsageError("--end-date is before --start-date.")
        return start, end


def options(command: Callable[[Asked], None]) -> Callable[..., None]:
    """The options that every type of model takes."""

    @wraps(command)
    def asked(**given: Any) -> None:  # noqa: ANN401 - click's own
        command(Asked(**given))

    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print the model as JSON."),
        click.option("--promote", "live", is_flag=True, help="Make it live, whatever is live now."),
        click.option("--end-date", type=DAY, help="Last day of interactions (UTC)."),
        click.option("--start-date", type=DAY, help="First day of interactions (UTC)."),
    ):
        asked = option(asked)
    return asked


@train.command()
@options
def als(asked: Asked) -> None:
    """Fit a model of what users watch together, and of what videos say where few watched them.

    It becomes live at once when no other is, or with --promote; otherwise it is ready, and
    `upnext models promote` makes it live.

    \b
    Example: upnext train als --promote
    """  # noqa: D301 - \b is click's mark for "keep these lines"
    _run("als", *asked.span(), live=asked.live, as_json=asked.as_json)


@train.command()
@options
def sequence(asked: Asked) -> None:
    """Fit a network that reads what a user watched in its order, and tells what comes next.

    It takes far longer than als: minutes to an hour. One whose worker is stopped or killed goes on
    from its last epoch. It becomes live at once when no other is, or with --promote; otherwise it
    is ready, and `upnext models promote` makes it live.

    \b
    Example: upnext train sequence --promote
    """  # noqa: D301
    _run("sequence", *asked.span(), live=asked.live, as_json=asked.as_json)


@train.command()
@options
def content(asked: Asked) -> None:
    """Fit a model of what videos say and users watch: new texts are encoded first.

    It becomes live at once when no other is, or with --promote; otherwise it is ready, and
    `upnext models promote` makes it live.

    \b
    Example: upnext train content --start-date 2026-01-01 --promote
    """  # noqa: D301
    _run("content", *asked.span(), live=asked.live, as_json=asked.as_json)


@click.group()
def embeddings() -> None:
    """Bring text vectors up to date."""


@embeddings.command()
@click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")
def update(*, as_json: bool) -> None:
    """Encode what is new or changed, and add it to the models that serve, without training.

    Running services find the videos within a second. May be run at any time, again and again.

    \b
    Example: upnext embeddings update
    """  # noqa: D301
    with stores(["postgres", "milvus"]) as settings, Stages(STAGES) as stages:
        done = encode_new_videos(settings, stages.show)
    emit(done, as_json=as_json, table=lambda: _told(done))


@embeddings.command()
@click.option("--json", "as_json", is_flag=True, help="Print the model as JSON.")
def rebuild(*, as_json: bool) -> None:
    """Encode what is new or changed, fit a model of the live one's type on everything, publish it
    and make it live. Where none is live yet, the type is `content`.

    \b
    Example: upnext embeddings rebuild
    """  # noqa: D205, D301
    _run(None, None, None, live=True, as_json=as_json)


def _told(done: Updated) -> str:
    if not done.added:
        return "No model serves: make one with `upnext train als`, or `train content`."
    lines = [f"{done.encoded:,} texts encoded"]
    lines += [f"{count:,} videos added to {version}" for version, count in done.added.items()]
    return "\n".join(lines)


def _run(
    model_type: ModelType | None,
    start: datetime | None,
    end: datetime | None,
    *,
    live: bool,
    as_json: bool,
) -> None:
    with stores(["postgres", "milvus"]) as settings:
        model = asyncio.run(_train(settings, model_type, start, end, live=live))
    emit(model, as_json=as_json, table=lambda: table_of([model]))


async def _train(
    settings: Settings,
    model_type: ModelType | None,
    start: datetime | None,
    end: datetime | None,
    *,
    live: bool,
) -> Model:
    kind = model_type or await _live_type(settings)
    queued = has_worker(settings)
    with Stages(STAGES) as stages:
        training = train_by_worker if queued else run_training
        model = await training(settings, kind, start, end, stages.show)
    if model.status not in {"ready", "live"}:
        raise UpnextError(f"Model {model.id} {model.status}: {model.error}")
    if live and model.status == "ready":
        return await _made_live(settings, model)
    return model if queued else await promote_first(settings, model)


def has_worker(settings: Settings) -> bool:
    """Whether the stack of this home, on the same database, does what is queued.

    Before it has an address, `upnext up` makes the first model itself, without a worker.
    """
    stack = Home(settings.home).live()
    if stack is None or stack.address is None or stack.endpoints is None:
        return False
    return stack.endpoints.postgres_url == settings.postgres_url


async def _made_live(settings: Settings, model: Model) -> Model:
    try:
        return await promote(settings, model.id)
    except Conflict:
        now = await live_model(settings)
        if now is not None and now.id == model.id:  # the worker was first
            return now
        raise


async def _live_type(settings: Settings) -> ModelType:
    live = await live_model(settings)
    return live.model_type if live is not None else "content"
