"""The plots of an evaluation's page, as images that are part of it. Imports matplotlib."""

from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from io import BytesIO

from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from embeddings.evaluation.segments import Segment
from upnext.evaluating.results import Result

SIZE = 7.0, 3.2  # inches
WORDS = {
    "history_length": "videos in a user's history",
    "item_popularity": "users who had watched the video",
    "item_age": "days from when a video appeared to its watch",
}
BEYOND = {
    "coverage@10": "share of all videos that some list of 10 shows",
    "gini@10": "how unequally videos are shown: 0 all the same, 1 one alone",
    "popularity@10": "mean percentile of what is shown, by watches: 0.5 is random",
    "diversity@10": "mean distance of the videos of a list",
}
_Sure = tuple[Mapping[str, float], Mapping[str, tuple[float, float]]]
"""Metrics and their intervals, by name."""


@dataclass(frozen=True, slots=True)
class Plot:
    """An image of the page; `source` is it whole, as a data URL."""

    title: str
    note: str
    source: str


def plots_of(results: Sequence[Result]) -> Iterator[Plot]:
    """The plots of some models on one case, those of which there is something to show."""
    sure = "95 % bootstrap intervals over users."
    yield _plot("Metrics", sure, partial(_bars, results=results))
    curves = [one for one in results if one.curve]
    if curves:
        yield _plot(
            "Quality against time of training",
            "nDCG@10 on watches that the training holds out for itself.",
            partial(_curves, results=curves),
        )
    for kind, words in WORDS.items():
        if all(one.segments.get(kind) for one in results):
            yield _plot(f"By {words}", "", partial(_segments, results=results, kind=kind))
    yield _plot("Lists beside being right", "", partial(_beyond, results=results))


def _plot(title: str, note: str, draw: Callable[[Axes], None]) -> Plot:
    figure = Figure(figsize=SIZE, layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    draw(axes)
    image = BytesIO()
    figure.savefig(image, format="svg", metadata={"Date": None})
    return Plot(title, note, f"data:image/svg+xml;base64,{b64encode(image.getvalue()).decode()}")


def _bars(axes: Axes, results: Sequence[Result]) -> None:
    names = ("hr@10", "ndcg@10", "recall@20", "ndcg@20")
    shown: dict[str, _Sure] = {one.model: (one.metrics, one.intervals) for one in results}
    beside = results[0].popular
    if beside is not None and "popular" not in shown:
        shown["most watched"] = beside.metrics, beside.intervals
    width = 0.8 / len(shown)
    for at, (label, (metrics, intervals)) in enumerate(shown.items()):
        places = [place + at * width for place in range(len(names))]
        reach = [
            [metrics[name] - intervals[name][0] for name in names],
            [intervals[name][1] - metrics[name] for name in names],
        ]
        heights = [metrics[name] for name in names]
        axes.bar(places, heights, width, yerr=reach, label=label, capsize=2)
    axes.set_xticks([place + 0.4 - width / 2 for place in range(len(names))], names)
    axes.legend()


def _curves(axes: Axes, results: Sequence[Result]) -> None:
    for one in results:
        points = [(at.seconds / 60, at.ndcg) for at in one.curve if at.ndcg is not None]
        axes.plot(
            [minutes for minutes, _ in points],
            [ndcg for _, ndcg in points],
            marker=".",
            label=one.model,
        )
    axes.set_xlabel("minutes")
    axes.set_ylabel("nDCG@10")
    axes.legend()


def _segments(axes: Axes, results: Sequence[Result], kind: str) -> None:
    width = 0.8 / len(results)
    for at, one in enumerate(results):
        segments = one.segments[kind]
        found = [segment.metrics["recall@20"] for segment in segments]
        ends = [segment.intervals["recall@20"] for segment in segments]
        reach = [
            [value - low for value, (low, _) in zip(found, ends, strict=True)],
            [high - value for value, (_, high) in zip(found, ends, strict=True)],
        ]
        places = [place + at * width for place in range(len(segments))]
        axes.bar(places, found, width, yerr=reach, label=one.model, capsize=2)
    first = results[0].segments[kind]
    labels = [f"{_span(one)}\n({one.count:,})" for one in first]
    axes.set_xticks([place + 0.4 - width / 2 for place in range(len(first))], labels)
    axes.set_ylabel("recall@20")
    axes.legend()


def _beyond(axes: Axes, results: Sequence[Result]) -> None:
    shown: dict[str, dict[str, float]] = {one.model: one.beyond for one in results}
    if results[0].popular is not None and "popular" not in shown:
        shown["most watched"] = results[0].popular.beyond
    names = [name for name in BEYOND if all(name in beyond for beyond in shown.values())]
    width = 0.8 / len(shown)
    for at, (label, beyond) in enumerate(shown.items()):
        places = [place + at * width for place in range(len(names))]
        axes.barh(places, [beyond[name] for name in names], width, label=label)
    axes.set_yticks([place + 0.4 - width / 2 for place in range(len(names))], names)
    axes.invert_yaxis()
    axes.legend()


def _span(segment: Segment) -> str:
    low, high = f"{segment.low:,.0f}", f"{segment.high:,.0f}"
    return low if low == high else f"{low} to {high}"
