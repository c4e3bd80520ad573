"""How fast models are trained, in how much memory: `python -m bench.training_speed --help`.

Linux only.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Literal

import click
import msgspec
from rich.table import Table

from core.errors import SetupError, UpnextError
from upnext.cli.console import emit

Model = Literal["als", "sequence", "encoding"]
MODELS: tuple[Model, ...] = ("als", "sequence", "encoding")
MEGABYTE = 1e6
SIZES = (100_000, 500_000, 1_000_000, 5_000_000)


class Asked(msgspec.Struct, frozen=True):
    """What to train, on how much."""

    model: Model
    interactions: int
    videos: int
    epochs: int
    threads: int


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """`count` of interactions (of `encoding`: texts), and the `seconds` that one epoch took.

    `peak` is the most bytes that were resident, `before` those with the data read and nothing
    trained yet.
    """

    model: Model
    count: int
    seconds: float
    before: int
    peak: int


@click.command()
@click.option("--model", "models", type=click.Choice(MODELS), multiple=True, help="Only these.")
@click.option(
    "--interactions",
    type=click.IntRange(10_000),
    multiple=True,
    default=SIZES[:1],
    show_default=True,
    help=f"May be given several times: {', '.join(map(str, SIZES))} take a while.",
)
@click.option("--videos", type=click.IntRange(1000), default=20_000, show_default=True)
@click.option("--epochs", type=click.IntRange(1), default=1, show_default=True)
@click.option("--threads", type=click.IntRange(1), default=os.cpu_count() or 1, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def main(
    *,
    models: tuple[Model, ...],
    interactions: tuple[int, ...],
    videos: int,
    epochs: int,
    threads: int,
    as_json: bool,
) -> None:
    """Train on made-up histories of 20 watches a user, each model in a process of its own.

    All with the defaults for the size, but for so many epochs (of als: iterations). Item vectors
    start from made-up text vectors; what it takes to make real ones is `encoding`, of 512 texts.
    """
    try:
        figures = [
            measure(Asked(model, length, videos, epochs, threads))
            for model in (models or MODELS)
            for length in (sorted(interactions) if model != "encoding" else (0,))
        ]
    except UpnextError as error:
        raise click.ClickException(str(error)) from error
    emit(figures, as_json=as_json, table=lambda: _table(figures, threads))


def measure(asked: Asked) -> Figures:
    """One model, one size. Raises `SetupError`: the training did not end well."""
    print(f"{asked.model}, {asked.interactions:,} ...", file=sys.stderr)
    ended = subprocess.run(  # noqa: S603 - our own
        [
            sys.executable,
            "-m",
            "bench.training_speed_child",
            msgspec.json.encode(asked).decode(),
        ],
        stdout=subprocess.PIPE,
        check=False,
    )
    if ended.returncode:
        raise SetupError(f"{asked.model} was not trained: see what it printed above.")
    return msgspec.json.decode(ended.stdout, type=Figures)


def _table(figures: Sequence[Figures], threads: int) -> Table:
    table = Table(title=f"Training, {threads} threads: an epoch, and peak memory of the process")
    table.add_column("model")
    for name in ("interactions", "epoch s", "interactions/s", "peak MB", "before training MB"):
        table.add_column(name, justify="right")
    for one in figures:
        table.add_row(
            one.model,
            f"{one.count:,}",
            f"{one.seconds:.1f}",
            f"{one.count / one.seconds:,.0f}",
            f"{one.peak / MEGABYTE:,.0f}",
            f"{one.before / MEGABYTE:,.0f}",
        )
    return table


if __name__ == "__main__":
    main()
