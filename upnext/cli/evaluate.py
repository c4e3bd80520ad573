"""`upnext evaluate`: what models are worth on a log, without a service."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, cast

import click
from rich.console import Group
from rich.table import Table
from rich.text import Text

from core.errors import SetupError
from core.settings import load
from embeddings.evaluation.report import Intervals
from upnext.cli.console import Meter, console, emit, progress
from upnext.evaluating.fitting import MODELS, ModelName
from upnext.evaluating.params import read_params
from upnext.evaluating.results import Result
from upnext.evaluating.run import run
from upnext.evaluating.task import PROTOCOLS, Protocol, Task

FILE = click.Path(path_type=Path)
CACHE = Path("~/.cache/upnext")
SHOWN = ("hr@10", "ndcg@10", "mrr@10", "recall@20", "ndcg@20", "recall@50")


@click.command()
@click.option(
    "--model",
    "models",
    type=click.Choice(MODELS),
    required=True,
    multiple=True,
    help="What is judged; may be given several times.",
)
@click.option(
    "--interactions",
    type=FILE,
    required=True,
    help="CSV or Parquet: user_id, video_id and, if known, occurred_at, weight.",
)
@click.option("--protocol", type=click.Choice(PROTOCOLS), required=True, help="What is held out.")
@click.option("--test", type=FILE, help="What is asked for: of split and candidates.")
@click.option("--cut-off", help="Time, or share of the events before it: of temporal.  [0.8]")
@click.option("--videos", type=FILE, help="Titles, genres ... as `upnext import videos` reads.")
@click.option("--params", type=FILE, help="Hyper-parameters, JSON or TOML, over the defaults.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of all draws.")
@click.option(
    "--seeds",
    type=click.IntRange(1, 20),
    default=1,
    show_default=True,
    help="How many seeds, from --seed on: means and intervals.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("--end-to-end", is_flag=True, help="Judge the service's whole lists too.")
@click.option("--against", type=FILE, help="Lists of your own: user_id, video_id in their order.")
@click.option("--report", type=FILE, help="Write a page with plots into this folder.")
@click.option(
    "--cache", type=FILE, default=CACHE, show_default=True, help="Where text vectors are kept."
)
def evaluate(
    *,
    models: tuple[str, ...],
    protocol: str,
    params: Path | None,
    seed: int,
    seeds: int,
    as_json: bool,
    report: Path | None,
    cache: Path,
    **files: Any,  # noqa: ANN401 - click's own
) -> None:
    """Judge models on a log of who watched what; no service is needed, nothing is stored.

    Protocols: leave-last-out (each user's last event), split (the pairs of --test), candidates
    (the same, each among its negatives), temporal (what comes after --cut-off). All of it is in
    docs/evaluation.md.

    \b
    Example: upnext evaluate --model als --interactions watches.csv --protocol leave-last-out
    """  # noqa: D301 - \b is click's mark for "keep these lines"
    task = Task(
        models=cast("tuple[ModelName, ...]", tuple(dict.fromkeys(models))),
        protocol=cast("Protocol", protocol),
        params={} if params is None else read_params(params),
        seeds=tuple(range(seed, seed + seeds)),
        page=report is not None,
        cache=cache.expanduser(),
        settings=load(),
        **files,
    )
    if report is not None:
        _make(report)
    with _Shown() as shown:
        results = list(run(task, shown.tell))
    only = results[0] if len(results) == 1 else {"models": results}
    emit(only, as_json=as_json, table=lambda: _table(results))
    if report is not None:
        # matplotlib and jinja2 come with the libraries that train.
        from upnext.evaluating.page import write_page  # noqa: PLC0415

        console.print(f"The report is in {write_page(task, results, report)}", markup=False)


def _make(folder: Path) -> None:
    """Make the folder and try it: after hours of training is no time to hear that it cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise SetupError(f"{folder} cannot be written to: {error.strerror}.") from error


class _Shown(ExitStack):
    """One bar after another: a new one whenever what is done changes."""

    def __init__(self) -> None:
        super().__init__()
        self._open: tuple[str, Meter] | None = None

    def tell(self, doing: str, share: float, message: str) -> None:
        """See `upnext.evaluating.task.Tell`."""
        if self._open is None or self._open[0] != doing:
            self.pop_all().close()
            self._open = doing, self.enter_context(progress(doing.capitalize()))
        self._open[1].update(share, message)


def _table(results: Sequence[Result]) -> Group:
    """The results for a person: a row a model, the most watched beside, and what to make of it."""
    first = results[0]
    title = f"{first.protocol}: {first.users:,} users, {first.data.videos:,} videos"
    table = Table("", *SHOWN, title=title)
    for result in results:
        for name, metrics, intervals in _rows(result):
            table.add_row(name, *_cells(metrics, intervals))
    if first.popular is not None and all(result.model != "popular" for result in results):
        table.add_row("most watched", *_cells(first.popular.metrics, first.popular.intervals))
    if first.against is not None:
        theirs = first.against.theirs
        table.add_row("your lists", *_cells(theirs.metrics, theirs.intervals))
    lines = [line for result in results for line in (*result.verdict, *_apart(result))]
    counts = {reason: count for reason, count in first.left_out.items() if count}
    if counts:
        told = (f"{reason.replace('_', ' ')} {count:,}" for reason, count in counts.items())
        lines.append(f"Left out: {', '.join(told)}.")
    return Group(table, *(Text(line) for line in lines))


def _rows(result: Result) -> Iterator[tuple[str, dict[str, float], Intervals]]:
    yield result.model, result.metrics, result.intervals
    if result.end_to_end is not None:
        lists = result.end_to_end.lists
        yield f"{result.model}, whole lists", lists.metrics, lists.intervals


def _apart(result: Result) -> Iterator[str]:
    """What a temporal evaluation tells of who and what is new."""
    parts = {name: part for name, part in result.parts.items() if part.users}
    if parts:
        told = (
            f"{part.users:,} {name} users {part.metrics['ndcg@10']:.4f}"
            for name, part in parts.items()
        )
        yield f"{result.model}, nDCG@10 of {', of '.join(told)}."
    if result.cold is not None:
        cold = result.cold
        own, chance, newest = (
            part.metrics["recall@50"] for part in (cold.among_new, cold.random, cold.newest)
        )
        yield (
            f"{result.model}, recall@50 among the {cold.videos:,} new videos alone {own:.4f}: "
            f"at random {chance:.4f}, newest first {newest:.4f}."
        )


def _cells(metrics: dict[str, float], intervals: Intervals) -> list[str]:
    return [
        f"{metrics[name]:.4f} ({intervals[name][0]:.4f}-{intervals[name][1]:.4f})" for name in SHOWN
    ]
