"""Memory and time of a training process by stage, on made-up histories.

`python -m bench.memory_of_training --interactions 1000000 --interactions 5000000`. Linux only.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec
import numpy as np
from rich.table import Table

from bench.made_up_history import catalogue, content_vectors, fill
from bench.training_child import StageFigures
from core.clock import utc_now
from core.errors import SetupError, UpnextError
from core.settings import Settings, child_environment, load
from core.types import ModelType, Video
from embeddings.content_store import ContentStore, Segment
from embeddings.text import REVISION, genres_of, text_hash, text_of
from storage.artifacts import artifact_store
from storage.embedded.stack import EmbeddedStack
from storage.postgres import migrate
from storage.postgres.engine import pool
from storage.postgres.models import PostgresModels
from upnext.cli.console import emit
from upnext.jobs.children import OFFLINE
from upnext.jobs.messages import Request
from upnext.jobs.params import params

MEGABYTE, MILLION = 1e6, 1_000_000
FAR = 25 * MILLION
MODEL_TYPES: tuple[ModelType, ...] = ("als", "content")


class Figures(msgspec.Struct, frozen=True):
    """A run on so many interactions."""

    interactions: int
    stages: list[StageFigures]

    def peak(self, stage: str) -> int:
        """Bytes; 0 when the run had no such stage."""
        return max((each.peak for each in self.stages if each.stage == stage), default=0)

    def seconds(self, stage: str) -> float:
        """Of all times that it came to that stage."""
        return sum(each.seconds for each in self.stages if each.stage == stage)


@click.command()
@click.option(
    "--interactions",
    type=click.IntRange(10_000),
    multiple=True,
    default=(MILLION, 5 * MILLION),
    show_default=True,
)
@click.option("--videos", type=click.IntRange(1000), default=20_000, show_default=True)
@click.option("--type", "model_type", type=click.Choice(MODEL_TYPES), default="als")
def main(interactions: tuple[int, ...], videos: int, model_type: ModelType) -> None:
    """Train on histories of each length, 20 watches a user, and print the memory of each stage.

    Texts are not encoded: their vectors are made up too. Nothing is published: that is the index's
    memory. With two lengths or more, what a million more costs is said, and what 25 would.
    """
    try:
        figures = [measure(length, videos, model_type) for length in sorted(interactions)]
    except UpnextError as error:
        raise click.ClickException(str(error)) from error
    emit(figures, as_json=False, table=lambda: _table(figures))


def measure(interactions: int, videos: int, model_type: ModelType) -> Figures:
    """One run, on servers of its own. Raises `SetupError`: it did not end well."""
    with (
        tempfile.TemporaryDirectory(prefix="upnext-") as home,
        EmbeddedStack(Path(home), ["postgres"]) as stack,
    ):
        settings = load(
            {
                "home": home,
                "postgres_url": stack.endpoints.postgres_url or "",
                "artifacts_url": (Path(home) / "artifacts").as_uri(),
                "milvus_uri": "http://127.0.0.1:1",
            }
        )
        migrate.upgrade(settings)
        request = asyncio.run(_filled(settings, interactions, videos, model_type))
        keep_content(settings, catalogue(videos))
        return Figures(interactions, _run(settings, request))


async def _filled(
    settings: Settings, interactions: int, videos: int, model_type: ModelType
) -> Request:
    began = time.monotonic()
    async with pool(settings, patient=True) as engine:
        await fill(engine, interactions=interactions, videos=videos)
        model, token = await PostgresModels(engine, utc_now).create(model_type, params(None, None))
    print(f"{interactions:,} made in {time.monotonic() - began:.0f} s", file=sys.stderr)
    return Request(
        model_id=model.id,
        attempt=token,
        model_type=model_type,
        version=model.version,
        parent=os.getpid(),
    )


def keep_content(settings: Settings, videos: Sequence[Video]) -> None:
    """Store made-up text vectors of `bench.made_up_history.catalogue` where an encoder's are."""
    hashes = [text_hash(text_of(video), genres_of(video)) for video in videos]
    ContentStore(artifact_store(settings.artifacts_url or ""), REVISION).append(
        Segment(
            [video.id for video in videos],
            np.array(hashes, np.uint64),
            content_vectors(len(videos)),
        )
    )


def _run(settings: Settings, request: Request) -> list[StageFigures]:
    ended = subprocess.run(  # noqa: S603 - our own
        [sys.executable, "-m", "bench.training_child", msgspec.json.encode(request).decode()],
        stdout=subprocess.PIPE,
        env={**child_environment(settings), **OFFLINE},
        check=False,
    )
    if ended.returncode:
        raise SetupError("The training did not end well: see what it printed above.")
    return msgspec.json.decode(ended.stdout, type=list[StageFigures])


def _table(figures: Sequence[Figures]) -> Table:
    stages = list(dict.fromkeys(each.stage for one in figures for each in one.stages))
    table = Table(title="Memory of a training process by stage (peak resident)")
    table.add_column("stage")
    for one in figures:
        table.add_column(f"{one.interactions / MILLION:g} M, MB", justify="right")
        table.add_column("s", justify="right")
    if len(figures) > 1:
        table.add_column("MB a million more", justify="right")
        table.add_column("MB at 25 M", justify="right")
    for stage in stages:
        cells = [
            cell
            for one in figures
            for cell in (f"{one.peak(stage) / MEGABYTE:,.0f}", f"{one.seconds(stage):.1f}")
        ]
        table.add_row(stage, *cells, *(_slope(figures, stage) if len(figures) > 1 else ()))
    return table


def _slope(figures: Sequence[Figures], stage: str) -> tuple[str, str]:
    """What a million interactions more costs, from the shortest and the longest, and at 25 M."""
    low, high = figures[0], figures[-1]
    each = (high.peak(stage) - low.peak(stage)) / (high.interactions - low.interactions)
    far = high.peak(stage) + each * (FAR - high.interactions)
    return f"{each * MILLION / MEGABYTE:,.0f}", f"{far / MEGABYTE:,.0f}"


if __name__ == "__main__":
    main()
