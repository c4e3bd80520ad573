"""`upnext models`."""

import asyncio
from collections.abc import Mapping, Sequence

import click
import msgspec
from rich.table import Table

from core.clock import utc_now
from core.settings import Settings
from core.types import Model
from storage.postgres.engine import pool
from storage.postgres.models import PostgresModels
from upnext.cli.console import JSON, details, emit
from upnext.cli.context import stores
from upnext.jobs.promote import promote as make_live
from upnext.jobs.promote import rollback as go_back

JUDGED = ("recall@10", "ndcg@10", "coverage@10")


@click.group()
def models() -> None:
    """List, show, promote, roll back and cancel models."""


@models.command("list")
@JSON
def list_(*, as_json: bool) -> None:
    """All models, newest first.

    \b
    Example: upnext models list
    """  # noqa: D301 - \b is click's mark for "keep these lines"
    with stores(["postgres"]) as settings:
        found = asyncio.run(_find(settings))
    emit({"models": found}, as_json=as_json, table=lambda: table_of(found))


@models.command()
@click.argument("model_id", metavar="ID")
@JSON
def show(model_id: str, *, as_json: bool) -> None:
    """One model: its data, parameters, metrics, and why it failed.

    \b
    Example: upnext models show 4a1c...
    """  # noqa: D301
    with stores(["postgres"]) as settings:
        model = asyncio.run(_get(settings, model_id))
    emit(model, as_json=as_json, table=lambda: _details(model))


@models.command()
@click.argument("model_id", metavar="ID")
@JSON
def promote(model_id: str, *, as_json: bool) -> None:
    """Make a ready or retired model live; running services follow by themselves.

    \b
    Example: upnext models promote 4a1c...
    """  # noqa: D301
    with stores(["postgres", "milvus"]) as settings:
        model = asyncio.run(make_live(settings, model_id))
    emit(model, as_json=as_json, table=lambda: table_of([model]))


@models.command()
@JSON
def rollback(*, as_json: bool) -> None:
    """Make the model live that was live before.

    \b
    Example: upnext models rollback
    """  # noqa: D301
    with stores(["postgres", "milvus"]) as settings:
        model = asyncio.run(go_back(settings))
    emit(model, as_json=as_json, table=lambda: table_of([model]))


@models.command()
@click.argument("model_id", metavar="ID")
@JSON
def cancel(model_id: str, *, as_json: bool) -> None:
    """Stop a training run, whoever runs it; its process ends within seconds.

    \b
    Example: upnext models cancel 4a1c...
    """  # noqa: D301
    with stores(["postgres"]) as settings:
        model = asyncio.run(_cancel(settings, model_id))
    emit(model, as_json=as_json, table=lambda: table_of([model]))


def table_of(found: Sequence[Model]) -> Table:
    """Models, a row each; behind a metric that of what the model was judged against."""
    table = Table()
    table.add_column("id", no_wrap=True)  # to be pasted into the next command
    for name in ("version", "status", "interactions", *JUDGED):
        table.add_column(name)
    for model in found:
        watches = f"{model.data.interactions:,}"
        judged = (_side_by_side(model, name) for name in JUDGED)
        table.add_row(model.id, model.version, model.status, watches, *judged)
    return table


def _side_by_side(model: Model, metric: str) -> str:
    """`0.0812 (0.0795)`: the model's, and that of what it was judged against."""
    own, other = (_number(metrics, metric) for metrics in (model.metrics, _baseline(model)))
    return own if other == "-" else f"{own} ({other})"


def _baseline(model: Model) -> Mapping[str, float]:
    return {} if model.baseline is None else model.baseline.metrics


def _number(metrics: Mapping[str, float], name: str) -> str:
    return f"{metrics[name]:.4f}" if name in metrics else "-"


def _metrics(model: Model) -> str:
    """A line for each metric; with a baseline its numbers are beside, and whose they are."""
    lines = [f"{name}: {_side_by_side(model, name)}" for name in model.metrics]
    if model.baseline is not None:
        against = model.baseline.model_id or "the most watched"
        lines.append(f"in brackets: {against}, by the same watches")
    return "\n".join(lines) or "-"


def _details(model: Model) -> Table:
    fields = msgspec.to_builtins(model)
    del fields["baseline"]  # it stands beside the metrics
    return details(fields | {"metrics": _metrics(model)})


async def _find(settings: Settings) -> list[Model]:
    async with pool(settings) as engine:
        return await PostgresModels(engine, utc_now).find()


async def _get(settings: Settings, model_id: str) -> Model:
    async with pool(settings) as engine:
        return await PostgresModels(engine, utc_now).get(model_id)


async def _cancel(settings: Settings, model_id: str) -> Model:
    async with pool(settings) as engine:
        return await PostgresModels(engine, utc_now).cancel(model_id)
