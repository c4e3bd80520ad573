"""What users get, beside retrieval alone: whole lists, made and judged."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

import msgspec
import numpy as np
from numpy.typing import NDArray

from core.settings import Settings
from core.types import RankingConfig, Video, VideoId, Weights
from embeddings.dataset import Histories
from embeddings.encode_users import user_vectors
from embeddings.evaluation.beyond import diversity
from embeddings.evaluation.case import Case
from embeddings.evaluation.report import (
    Difference,
    Intervals,
    Judged,
    Options,
    difference_of,
    evaluate,
)
from embeddings.evaluation.scorers import VectorScorer
from embeddings.items import normalised
from embeddings.split import Split, hold_out, leave_last_out
from embeddings.version import Fitted
from retrieval.build import Build
from retrieval.snapshot import Snapshot
from upnext.evaluating.ann import QUERIES, Ann, measure
from upnext.evaluating.lists import NOTHING, ListScorer, make_lists
from upnext.jobs.fit_weights import fit_weights
from upnext.jobs.past import Past

MOST_USERS = 10_000
APART = "distance@10"


class Worth(msgspec.Struct, frozen=True, kw_only=True):
    """Some lists: metrics and what they are like beside, as in an evaluation's report.

    `beyond` has `distance@10` too: the mean distance, 1 - cosine, of the pairs of a list's first
    10 by the model's own vectors, which diversity spreads lists by.
    """

    metrics: dict[str, float]
    intervals: Intervals
    beyond: dict[str, float]


class EndToEnd(msgspec.Struct, frozen=True, kw_only=True):
    """What users get.

    `lists` as `upnext up` makes them by default: all sources, merged, re-ranked by `weights`,
    diversity and rules · `ranked` the same without diversity · `retrieval` the model's own order
    of all videos · `difference`, of `lists` to `retrieval` · `fitting`, what the lists by the
    weights are worth where they were fitted, see `upnext.jobs.fit_weights` · `ann`, what the index
    finds: a sentence where it could not be asked, None where nobody wanted to know.
    """

    users: int
    lists: Worth
    ranked: Worth
    retrieval: Worth
    difference: Difference
    weights: Weights
    diversity: float
    popularity_damping: float
    fitting: dict[str, float]
    ann: Ann | str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Making:
    """How lists are made.

    `recent`, how many recent watches of a user count, as `UPNEXT_STATE_RECENT` · `config`, the
    ranking configuration · `most_users` are judged, drawn by the evaluation's seed.
    """

    recent: int
    config: RankingConfig = field(default_factory=RankingConfig)
    most_users: int = MOST_USERS


def end_to_end(
    facts: Snapshot,
    case: Case,
    fitted: Fitted,
    again: Callable[[Histories], Fitted],
    *,
    options: Options,
    making: Making,
) -> EndToEnd:
    """Make and judge the lists of a case's users. Blocking.

    Each user is met as the service would meet them just before what they are asked for: what they
    had watched, the popularity counters as they were. The weights are fitted to a part of the
    training histories that a second fit has not seen: nothing of them comes from what is judged.

    Args:
        facts: the catalogue without popularity counters, see `facts_of`.
        case: who is asked for what, of the whole catalogue; its rows are rows of `fitted.items`.
        fitted: a model of `case.train`; its weights are those where too little is known.
        again: makes the same model of fewer histories.
        options: how to judge.
        making: how lists are made.
    """
    split = _validation(case, options.seed)
    weights, fitting = fit_weights(
        facts,
        split,
        again(split.train),
        fitted.weights,
        recent=making.recent,
        seed=options.seed,
    )
    fitted = replace(fitted, weights=weights)
    case = _some(case, options.seed, making.most_users)
    plain = msgspec.structs.replace(making.config, diversity=0.0)
    past = Past(facts, case.train, fitted.items, recent=making.recent, cut=case.cut)
    made = make_lists(past, case.users, fitted, (making.config, plain))
    lists, ranked = (evaluate(_scorer(rows, case), case, options) for rows in made)
    alone = evaluate(_alone(fitted, making), case, options)
    return EndToEnd(
        users=len(case.users),
        lists=_worth(lists, fitted),
        ranked=_worth(ranked, fitted),
        retrieval=_worth(alone, fitted),
        difference=difference_of(lists.gains, alone.gains, options),
        weights=weights,
        diversity=making.config.diversity,
        popularity_damping=making.config.popularity_damping,
        fitting=fitting,
    )


def ann_recall(
    settings: Settings, case: Case, fitted: Fitted, *, recent: int, seed: int
) -> Ann | str:
    """What the index finds of what is nearest to a case's users, see `upnext.evaluating.ann`."""
    users = np.random.default_rng(seed).permutation(case.users)[:QUERIES]
    vectors, _ = user_vectors(case.train, fitted.items.vectors, fitted.encoder, recent, users)
    return measure(settings, fitted.items, vectors)


def facts_of(ids: Iterable[VideoId], known: Mapping[str, Video]) -> Snapshot:
    """The catalogue as serving has it; of a video that is not `known` there is the id alone."""
    build = Build()
    build.add([known.get(id_) or Video(id=id_, title=id_) for id_ in ids])
    return build.snapshot()


def _validation(case: Case, seed: int) -> Split:
    """What weights are fitted to: what all users watched last in the training part, or after a cut.

    As what is judged was held out: with fewer users the model would know what others watch next.
    """
    if case.cut is None:
        return leave_last_out(case.train, seed=seed, most=len(case.train.users))
    return hold_out(case.train, seed=seed)


def _some(case: Case, seed: int, most: int) -> Case:
    if len(case.users) <= most:
        return case
    kept = np.zeros(len(case.users), dtype=np.bool_)
    kept[np.random.default_rng(seed).permutation(len(kept))[:most]] = True
    return case.of_users(kept)


def _scorer(rows: NDArray[np.int32], case: Case) -> ListScorer:
    """The lists `rows` (m, length) of the case's users, by their number in its histories."""
    table = np.full((len(case.train.users), rows.shape[1]), NOTHING, dtype=np.int32)
    table[case.users] = rows
    return ListScorer(table, case.videos)


def _alone(fitted: Fitted, making: Making) -> VectorScorer:
    return VectorScorer(fitted.items.vectors, fitted.encoder, making.recent, fitted.watches)


def _worth(judged: Judged, fitted: Fitted) -> Worth:
    vectors = normalised(fitted.items.vectors)
    apart = diversity(judged.ranked.shown[:, :10], vectors=vectors)
    return Worth(
        metrics=judged.report.metrics,
        intervals=judged.report.intervals,
        beyond=judged.report.beyond | {APART: apart},
    )
