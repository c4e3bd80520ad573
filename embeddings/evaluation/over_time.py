"""The evaluation of a temporal case: new users and new videos apart."""

from dataclasses import replace

import msgspec
import numpy as np
from numpy.typing import NDArray

from embeddings.evaluation.beyond import CUTS
from embeddings.evaluation.case import Case
from embeddings.evaluation.metrics import gains_of
from embeddings.evaluation.ports import Scorer
from embeddings.evaluation.protocols import Temporal
from embeddings.evaluation.ranking import NOBODY, Ranked, rank
from embeddings.evaluation.report import Cold, Judged, Options, evaluate, part_of
from embeddings.evaluation.scorers import NewestScorer, RandomScorer


def evaluate_over_time(scorer: Scorer, temporal: Temporal, options: Options) -> Judged:
    """Judge all users together, then returning and new ones apart, then what new videos get."""
    judged = evaluate(scorer, temporal.case, options)
    returning = temporal.returning
    report = msgspec.structs.replace(
        judged.report,
        parts={
            "returning": part_of(temporal.case, judged.gains, options, returning),
            "new": part_of(temporal.case, judged.gains, options, ~returning),
        },
        cold=cold(scorer, temporal, judged.ranked, options),
    )
    return replace(judged, report=report)


def cold(scorer: Scorer, temporal: Temporal, ranked: Ranked, options: Options) -> Cold | None:
    """What a model makes of new videos; None where nobody judged watched one.

    `ranked` is what `scorer` makes of the whole case. The newest is what appeared last before the
    test part ends, so a baseline by age knows more here than it would have on the first day.
    """
    case, new = temporal.case, temporal.new
    of_new = new[case.relevant]
    if not of_new.any():
        return None
    asking = case.asking(of_new)
    alone = replace(asking, among=new)
    gains = _gains(scorer, alone, options)
    appeared = temporal.appeared if options.appeared is None else options.appeared
    return Cold(
        videos=int(new.sum()),
        among_new=part_of(alone, gains, options),
        returning=part_of(alone, gains, options, alone.lengths() > 0),
        random=part_of(alone, _gains(RandomScorer(case.videos), alone, options), options),
        newest=part_of(alone, _gains(NewestScorer(appeared), alone, options), options),
        among_all=part_of(asking, gains_of(asking, _of(case, ranked, of_new)), options),
        shown={f"shown@{cut}": _share(ranked.shown[:, :cut], new) for cut in CUTS},
    )


def _gains(scorer: Scorer, case: Case, options: Options) -> NDArray[np.float64]:
    return gains_of(case, rank(scorer, case, seed=options.seed))


def _of(case: Case, ranked: Ranked, asked: NDArray[np.bool_]) -> Ranked:
    """What is left of a ranking when only these relevant videos are asked for, bool (k,)."""
    users = np.unique(case.owners()[asked])
    return Ranked(ranked.above[asked], ranked.ties[asked], ranked.shown[users])


def _share(lists: NDArray[np.int32], new: NDArray[np.bool_]) -> float:
    shown = lists[lists != NOBODY]
    return float(new[shown].mean()) if len(shown) else 0.0
