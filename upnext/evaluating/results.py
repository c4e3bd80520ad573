"""What an evaluation tells: the JSON of `upnext evaluate`."""

from typing import Any

import msgspec

from embeddings.epoch import Epoch
from embeddings.evaluation.report import Cold, Difference, Intervals, Part
from embeddings.evaluation.segments import Segment
from upnext.evaluating.against import Seen
from upnext.evaluating.end_to_end import EndToEnd
from upnext.evaluating.fitting import ModelName
from upnext.evaluating.ground import Counts
from upnext.evaluating.task import Protocol


class Beside(msgspec.Struct, frozen=True, kw_only=True):
    """Other lists for the same users; `difference` is the model's less theirs."""

    metrics: dict[str, float]
    intervals: Intervals
    beyond: dict[str, float]
    difference: Difference


class Against(msgspec.Struct, frozen=True, kw_only=True):
    """A platform's own lists beside the model's, over the users who have one; `ours` is theirs."""

    seen: Seen
    ours: Part
    theirs: Beside


class Seconds(msgspec.Struct, frozen=True, kw_only=True):
    """Wall-clock time of reading the files, texts included, and by seed of fitting and ranking."""

    read: float
    fit: float
    rank: float


class OverSeeds(msgspec.Struct, frozen=True, kw_only=True):
    """Of each metric over the seeds: 95 % intervals of the mean, by Student's t."""

    seeds: tuple[int, ...]
    intervals: Intervals
    each: dict[str, list[float]]


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One model, judged.

    `metrics` to `cold` as in `embeddings.evaluation.report.Report`, each user's gains being means
    over the seeds; `beyond`, `segments`, `parts`, `cold` and `end_to_end` are the first seed's ·
    `diversity_of`, what distance within lists is measured by · `popular`, the most watched ·
    `params`, the hyper-parameters · `curve`, quality against time, where the model has one ·
    `interactions_per_second`, watches gone through in fitting · `peak_memory_mb`, of the process
    up to then · `verdict`, sentences for a person.
    """

    model: ModelName
    protocol: Protocol
    metrics: dict[str, float]
    intervals: Intervals
    users: int
    relevant: int
    left_out: dict[str, int]
    beyond: dict[str, float]
    diversity_of: str | None
    segments: dict[str, list[Segment]]
    parts: dict[str, Part]
    cold: Cold | None
    popular: Beside | None
    against: Against | None
    end_to_end: EndToEnd | None
    over_seeds: OverSeeds | None
    data: Counts
    params: dict[str, Any]
    seed: int
    curve: tuple[Epoch, ...]
    seconds: Seconds
    epochs: int | None
    interactions_per_second: float | None
    peak_memory_mb: float
    verdict: list[str]
