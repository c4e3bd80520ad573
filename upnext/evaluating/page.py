"""The page of an evaluation: one HTML file, whole in itself, readable without a server."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
from jinja2 import Environment, StrictUndefined

from core.errors import SetupError
from embeddings.evaluation.metrics import CUTS
from embeddings.evaluation.report import Intervals, Part
from upnext.evaluating.plots import BEYOND, plots_of
from upnext.evaluating.results import Beside, Result
from upnext.evaluating.task import Task

TEMPLATE = "page.html"
SHOWN = ("hr@10", "ndcg@10", "recall@20", "ndcg@20", "recall@50")
Rows = Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the page; without `columns` it has no head."""

    title: str
    rows: Rows
    columns: Sequence[str] = ()
    note: str = ""


def write_page(task: Task, results: Sequence[Result], folder: Path) -> Path:
    """Write the page into a folder, whole or not at all, over one of the same name.

    Returns:
        The file.

    Raises:
        SetupError: it cannot be written there.
    """
    target = folder / f"evaluation-{task.protocol}-{'-'.join(task.models)}.html"
    made = folder / f".{uuid4().hex}.html"
    page = page_of(task, results)
    try:
        try:
            made.write_text(page, encoding="utf-8")
            made.replace(target)
        finally:
            made.unlink(missing_ok=True)
    except OSError as error:
        raise SetupError(f"{target} cannot be written: {error.strerror}.") from error
    return target


def page_of(task: Task, results: Sequence[Result]) -> str:
    """The page's HTML; all that comes from files is escaped."""
    source = files(__package__).joinpath(TEMPLATE).read_text(encoding="utf-8")
    template = Environment(autoescape=True, undefined=StrictUndefined).from_string(source)
    return template.render(
        title=f"{', '.join(task.models)} on {task.interactions.name}: {task.protocol}",
        verdict=[line for one in results for line in one.verdict],
        tables=list(_tables(task, results)),
        plots=list(plots_of(results)),
    )


def _tables(task: Task, results: Sequence[Result]) -> Iterator[Table]:
    first = results[0]
    for measure in ("ndcg", "recall", "hr", "mrr"):
        yield _metrics(measure, results)
    yield _beyond(results)
    for one in results:
        yield from _apart(one)
        yield from _lists(one)
    yield Table("Data", _fields(msgspec.to_builtins(first.data)))
    yield Table("Left out", _fields(first.left_out))
    settings = {
        "interactions": task.interactions,
        "test": task.test,
        "cut-off": task.cut_off,
        "videos": task.videos,
        "against": task.against,
        "seeds": ", ".join(map(str, task.seeds)),
    }
    yield Table("Settings", _fields(settings))
    for one in results:
        yield Table(f"Hyper-parameters of {one.model}", _fields(one.params))
    yield _costs(results)


def _metrics(measure: str, results: Sequence[Result]) -> Table:
    names = [f"{measure}@{cut}" for cut in CUTS]
    rows = [[one.model, *_cells(names, one.metrics, one.intervals)] for one in results]
    popular = _popular(results)
    if popular is not None:
        rows.append(["most watched", *_cells(names, popular.metrics, popular.intervals)])
    note = f"Means over {results[0].users:,} users, with 95 % bootstrap intervals."
    return Table(measure, rows, ["", *names], note)


def _beyond(results: Sequence[Result]) -> Table:
    names = [name for name in results[0].beyond if all(name in one.beyond for one in results)]
    rows = [[one.model, *(f"{one.beyond[name]:.3f}" for name in names)] for one in results]
    popular = _popular(results)
    if popular is not None:
        rows.append(["most watched", *(_third(popular.beyond.get(name)) for name in names)])
    told = "; ".join(f"{name}: {words}" for name, words in BEYOND.items() if name in names)
    return Table("Lists beside being right", rows, ["", *names], f"{told}.")


def _apart(result: Result) -> Iterator[Table]:
    """Returning and new users, and new videos."""
    parts = {f"{name} users": part for name, part in result.parts.items()}
    if parts:
        yield _of_parts(f"{result.model}: users who return, and new ones", parts)
    if result.cold is not None:
        cold = result.cold
        parts = {
            f"{result.model}, among new videos": cold.among_new,
            f"{result.model}, among new videos, users who return": cold.returning,
            "random, among new videos": cold.random,
            "newest first, among new videos": cold.newest,
            f"{result.model}, among all videos": cold.among_all,
        }
        shares = ", ".join(f"{name} {share:.3f}" for name, share in cold.shown.items())
        note = f"{cold.videos:,} videos first watched after the cut-off; in lists: {shares}."
        yield _of_parts(f"{result.model}: new videos", parts, note)


def _lists(result: Result) -> Iterator[Table]:
    """Whole lists, and a platform's own."""
    if result.end_to_end is not None:
        made = result.end_to_end
        rows = [
            [name, *_cells(SHOWN, worth.metrics, worth.intervals)]
            for name, worth in (
                ("whole lists", made.lists),
                ("without diversity", made.ranked),
                ("retrieval alone", made.retrieval),
            )
        ]
        note = f"{made.users:,} users. Weights: {msgspec.json.encode(made.weights).decode()}. "
        note += f"Index: {msgspec.json.encode(made.ann).decode()}."
        yield Table(f"{result.model}: what users get", rows, ["", *SHOWN], note)
    if result.against is not None:
        own, theirs = result.against.ours, result.against.theirs
        rows = [
            [result.model, *_cells(SHOWN, own.metrics, own.intervals)],
            ["lists of --against", *_cells(SHOWN, theirs.metrics, theirs.intervals)],
            ["difference", *_cells(SHOWN, theirs.difference.metrics, theirs.difference.intervals)],
        ]
        seen = ", ".join(
            f"{name.replace('_', ' ')} {count:,}"
            for name, count in msgspec.structs.asdict(result.against.seen).items()
        )
        yield Table(f"{result.model} against your lists", rows, ["", *SHOWN], f"In them: {seen}.")


def _costs(results: Sequence[Result]) -> Table:
    columns = ["", "fitting s", "ranking s", "epochs", "interactions per second", "peak MB"]
    rows = [
        [
            one.model,
            f"{one.seconds.fit:,.1f}",
            f"{one.seconds.rank:,.1f}",
            _number(one.epochs),
            _number(one.interactions_per_second),
            f"{one.peak_memory_mb:,.0f}",
        ]
        for one in results
    ]
    return Table("What it took", rows, columns, "Memory is that of the process up to then.")


def _of_parts(title: str, parts: Mapping[str, Part], note: str = "") -> Table:
    rows = [
        [name, f"{part.users:,}", *_cells(SHOWN, part.metrics, part.intervals)]
        for name, part in parts.items()
        if part.users
    ]
    return Table(title, rows, ["", "users", *SHOWN], note)


def _cells(names: Iterable[str], metrics: Mapping[str, float], intervals: Intervals) -> list[str]:
    return [
        f"{metrics[name]:.4f} ({intervals[name][0]:.4f} to {intervals[name][1]:.4f})"
        for name in names
    ]


def _fields(fields: Mapping[str, Any]) -> Rows:
    return [
        [str(name).replace("_", " "), "-" if value is None else str(value)]
        for name, value in fields.items()
    ]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def _third(value: float | None) -> str:
    """To the third place; the most watched are measured by texts, or not at all."""
    return "-" if value is None else f"{value:.3f}"


def _popular(results: Sequence[Result]) -> Beside | None:
    """The most watched, unless they have a row of their own."""
    return None if any(one.model == "popular" for one in results) else results[0].popular
