"""A model beside others, over the same users."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from embeddings.evaluation.case import Case
from embeddings.evaluation.report import Judged, Options, difference_of, evaluate, part_of
from upnext.evaluating.against import Lists
from upnext.evaluating.results import Against, Beside


def beside(gains: NDArray[np.float64], other: Judged, options: Options) -> Beside:
    """Other lists beside a model with these gains, float64 (m, len(NAMES)), of the same users."""
    return Beside(
        metrics=other.report.metrics,
        intervals=other.report.intervals,
        beyond=other.report.beyond,
        difference=difference_of(gains, other.gains, options),
    )


def against(
    lists: Lists,
    row_of: Mapping[str, int],
    case: Case,
    gains: NDArray[np.float64],
    options: Options,
) -> Against:
    """A platform's lists beside a model with these gains, over the users who have a list.

    Raises:
        InvalidInput: nobody who is judged has one.
    """
    scorer, listed, seen = lists.of(case, row_of)
    theirs = evaluate(scorer, case.of_users(listed), options)
    return Against(
        seen=seen,
        ours=part_of(case, gains, options, listed),
        theirs=beside(gains[listed], theirs, options),
    )
