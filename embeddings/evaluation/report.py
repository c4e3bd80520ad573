"""A model's evaluation: what it is worth, to whom, and how sure that is."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec
import numpy as np
from numpy.typing import NDArray

from embeddings.evaluation.beyond import beyond
from embeddings.evaluation.bootstrap import DRAWS, difference, intervals
from embeddings.evaluation.case import Case
from embeddings.evaluation.metrics import NAMES, gains_of
from embeddings.evaluation.ports import Scorer
from embeddings.evaluation.ranking import Ranked, rank
from embeddings.evaluation.segments import Segment, by_age, by_history, by_popularity

Intervals = dict[str, tuple[float, float]]


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """Means over some users, with 95 % bootstrap intervals; none where there is nobody.

    `relevant` is how many videos these users were asked for in all.
    """

    users: int
    relevant: int
    metrics: dict[str, float]
    intervals: Intervals


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """By how much metrics are higher than others of the same users, with 95 % intervals."""

    metrics: dict[str, float]
    intervals: Intervals


class Cold(msgspec.Struct, frozen=True, kw_only=True):
    """Videos first watched at or after the cut-off, which a model knows by their texts alone.

    Users are those who watched such a video. `among_new` ranks new videos alone: with the model,
    with all of them tied (`random`) and with the newest first (`newest`); `returning` is
    `among_new` of the users with a history before, whose taste a model can know. `among_all` ranks
    every video and asks for the new ones; `shown@k` is the share of new videos in all judged
    users' lists of k then.
    """

    videos: int
    among_new: Part
    returning: Part
    random: Part
    newest: Part
    among_all: Part
    shown: dict[str, float]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What an evaluation found.

    `metrics` and `intervals` by name, as `metrics.NAMES` · `users` judged, asked for `relevant`
    videos in all · `left_out`, what could not be asked for, by reason · `beyond`: see
    `beyond.beyond` · `segments` by `history_length`, `item_popularity` and `item_age` · `parts`
    and `cold` in a temporal evaluation: `returning` and `new` users, and new videos.
    """

    metrics: dict[str, float]
    intervals: Intervals
    users: int
    relevant: int
    left_out: dict[str, int]
    beyond: dict[str, float]
    segments: dict[str, list[Segment]]
    parts: dict[str, Part] = msgspec.field(default_factory=dict)
    cold: Cold | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to judge.

    `seed` of ties in lists and of draws · `vectors` float32 (n, d), what videos are like, for the
    distance within lists; None: it is not measured · `appeared` float64 (n,), when each video
    appeared, in days, nan: unknown; None: metrics by age are left out · `draws` of the bootstrap.
    """

    seed: int
    vectors: NDArray[np.float32] | None = None
    appeared: NDArray[np.float64] | None = None
    draws: int = DRAWS


@dataclass(frozen=True, slots=True)
class Judged:
    """A report, and what it was made of: `gains` float64 (m, len(NAMES)) of each user."""

    report: Report
    gains: NDArray[np.float64] = field(repr=False)
    ranked: Ranked = field(repr=False)


def evaluate(scorer: Scorer, case: Case, options: Options) -> Judged:
    """Rank with `scorer` and judge."""
    return judge(case, rank(scorer, case, seed=options.seed), options)


def judge(case: Case, ranked: Ranked, options: Options) -> Judged:
    """Judge what was ranked for the users of a case, by a scorer or as lists."""
    gains = gains_of(case, ranked)
    whole = part_of(case, gains, options)
    report = Report(
        metrics=whole.metrics,
        intervals=whole.intervals,
        users=whole.users,
        relevant=whole.relevant,
        left_out=dict(case.left_out),
        beyond=beyond(case, ranked.shown, options.vectors),
        segments=dict(_segments(case, ranked, gains, options)),
    )
    return Judged(report, gains, ranked)


def part_of(
    case: Case,
    gains: NDArray[np.float64],
    options: Options,
    which: NDArray[np.bool_] | None = None,
) -> Part:
    """Means of the gains of some of a case's users, bool (m,), or of all."""
    asked = np.diff(case.offsets)
    if which is not None:
        gains, asked = gains[which], asked[which]
    return Part(
        users=len(gains),
        relevant=int(asked.sum()),
        metrics=_named(gains.mean(axis=0)) if len(gains) else {},
        intervals=_intervals(gains, options) if len(gains) else {},
    )


def difference_of(
    gains: NDArray[np.float64], others: NDArray[np.float64], options: Options
) -> Difference:
    """What some lists gain more than others, both float64 (m, len(NAMES)) of the same users."""
    mean, low, high = difference(gains, others, seed=options.seed, draws=options.draws)
    return Difference(metrics=_named(mean), intervals=_ends(low, high))


def _intervals(gains: NDArray[np.float64], options: Options) -> Intervals:
    return _ends(*intervals(gains, seed=options.seed, draws=options.draws))


def _ends(low: NDArray[np.float64], high: NDArray[np.float64]) -> Intervals:
    pairs = zip(low.tolist(), high.tolist(), strict=True)
    return dict(zip(NAMES, pairs, strict=True))


def _named(values: NDArray[np.float64]) -> dict[str, float]:
    return dict(zip(NAMES, values.tolist(), strict=True))


def _segments(
    case: Case, ranked: Ranked, gains: NDArray[np.float64], options: Options
) -> Mapping[str, list[Segment]]:
    seed = options.seed
    made = {
        "history_length": by_history(case, gains, seed=seed),
        "item_popularity": by_popularity(case, ranked, seed=seed),
    }
    if case.times is not None and options.appeared is not None:
        made["item_age"] = by_age(case, ranked, options.appeared, seed=seed)
    return made
