"""What the als model finds, and how fast it is trained: `python -m bench.als --help`."""

import asyncio
import os
import tempfile
import time
from functools import partial
from pathlib import Path

import click
import msgspec
import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from bench.against_implicit import Race, race
from bench.held_out_ranks import Gains, encoded, gains, interval
from bench.histories import Data, read
from bench.next_watch import SimilarLists, co_watches, texts
from embeddings.als.config import AlsConfig
from embeddings.als.model import AlsModel, fit
from embeddings.als.rules import defaults_for
from embeddings.content_model import ContentConfig, fit_map
from embeddings.split import Split, leave_last_out
from embeddings.user_encoder import DecayedMean

SEEDS = (1, 2, 3)


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """Of one data set. `seconds` of training with all iterations, the mean of the seeds."""

    data: str
    users: int
    config: AlsConfig
    als: list[Gains]
    seconds: float
    popularity: Gains
    content: Gains
    next_watch: dict[str, Gains]
    neighbours: list[str]
    race: Race | None


@click.command()
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="A folder with MovieLens' ratings.csv, or with pairs.tsv and titles.csv.",
)
@click.option(
    "--kept",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep the text vectors here for the next run.",
)
@click.option("--validation", is_flag=True, help="Hold out the watch before the last instead.")
@click.option("--most", type=click.IntRange(1), default=8_000, show_default=True, help="Users.")
@click.option("--title", help="Show what is similar to the video of this title.")
@click.option("--no-library", is_flag=True, help="Leave the `implicit` library out.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write the figures here too.")
def main(
    *,
    data: Path,
    kept: Path | None,
    validation: bool,
    most: int,
    title: str | None,
    no_library: bool,
    file: Path | None,
) -> None:
    """Train on all but each user's last watch, and look for it among all unwatched videos.

    Next watches of similar videos and the `implicit` library are judged on --most users drawn at
    random, everything else on all of them.
    """
    threads = os.cpu_count() or 1
    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as made:
        url = (kept or Path(made)).absolute().as_uri()
        read_in = asyncio.run(read(data, url, threads))
    split = _held_out(read_in, validation=validation)
    figures = _measure(data.name, read_in, split, most, title, library=not no_library)
    _print(figures)
    if file is not None:
        file.write_bytes(msgspec.json.format(msgspec.json.encode(figures), indent=2))


def _held_out(data: Data, *, validation: bool) -> Split:
    everyone = len(data.histories.users)
    split = leave_last_out(data.histories, seed=0, most=everyone)
    return leave_last_out(split.train, seed=0, most=everyone) if validation else split


def _measure(
    name: str, data: Data, split: Split, most: int, title: str | None, *, library: bool
) -> Figures:
    videos = len(data.videos)
    config = defaults_for(split.train, videos)
    began = time.perf_counter()
    models = [_fit(data, split, seed, config) for seed in SEEDS]
    seconds = (time.perf_counter() - began) / len(SEEDS)
    few, lists = _some(split, most), SimilarLists(data, split, models[0])
    watched = split.train.watches(videos).astype(np.float32)[:, np.newaxis]
    return Figures(
        data=name,
        users=len(split.users),
        config=config,
        als=[gains(split, encoded(split, model.items, model.encoder)) for model in models],
        seconds=seconds,
        popularity=gains(split, encoded(split, watched, DecayedMean(1e9))),
        content=_content(data, split),
        next_watch={
            "similar": asyncio.run(lists.judge(few)),
            "content alone": texts(few, data.content),
            "co-watch counts": co_watches(few, videos),
        },
        neighbours=asyncio.run(lists.titles(title)) if title else [],
        race=race(few, videos, config, partial(_fit, data, split, SEEDS[0])) if library else None,
    )


def _fit(data: Data, split: Split, seed: int, config: AlsConfig) -> AlsModel:
    return fit(
        split.train,
        data.content,
        len(data.videos),
        config,
        seed=seed,
        device="cpu",
        on_progress=lambda *_: None,
    )


def _content(data: Data, split: Split) -> Gains:
    config = ContentConfig()
    items = fit_map(data.content, config.dimensions)(data.content)
    return gains(split, encoded(split, items, DecayedMean(config.half_life, config.lasting)))


def _some(split: Split, most: int) -> Split:
    drawn = np.random.default_rng(0).permutation(len(split.users))[:most]
    return Split(split.train, split.users[drawn], split.targets[drawn])


def _print(figures: Figures) -> None:
    table = Table(title=f"{figures.data}: {figures.users:,} users")
    for column in ("", "HR@10", "nDCG@10"):
        table.add_column(column, justify="right" if column else "left")
    hr, ndcg = (interval(getattr(one, name) for one in figures.als) for name in ("hr", "ndcg"))
    table.add_row("als", f"{hr[0]:.4f} ± {hr[1]:.4f}", f"{ndcg[0]:.4f} ± {ndcg[1]:.4f}")
    rows = {"content": figures.content, "popularity": figures.popularity}
    rows |= {f"next watch: {name}": value for name, value in figures.next_watch.items()}
    for name, value in rows.items():
        table.add_row(name, f"{value.hr:.4f}", f"{value.ndcg:.4f}")
    console = Console()
    console.print(table)
    console.print(f"training {figures.seconds:.1f} s, {figures.config}")
    if (run := figures.race) is not None:
        console.print(
            f"implicit: nDCG@10 {run.library_ndcg:.4f} in {run.library_seconds:.1f} s; "
            f"ours {run.ndcg:.4f} in {run.seconds:.1f} s ({run.iterations} iterations)"
        )
    for neighbour in figures.neighbours:
        console.print(f"  {neighbour}")


if __name__ == "__main__":
    main()
