"""Hyper-parameters of implicit ALS; `rules.defaults` chooses them from the data's size."""

from typing import Annotated

import msgspec

Above0 = Annotated[float, msgspec.Meta(gt=0)]


class AlsConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What is minimised, and how long.

    Over user vectors u, item vectors v and the content map M, with w(u, i) the weight of a watch:

        sum over watches of w(u, i) * (1 - u.v)^2  +  unobserved * sum over all pairs of (u.v)^2
        + sum of penalty(u) * |u|^2  +  sum of penalty(v) * |v - M(text of v)|^2
        + ridge * mean penalty(v) * |M|^2

        penalty(x) = regularisation * (watches of x + unobserved * size of the other side)^exponent

    Without content M is zero. Loss and penalty: Rendle, Krichene, Zhang, Koren, *Revisiting the
    Performance of iALS on Item Recommendation Benchmarks* (RecSys 2022), equations 3 to 6.
    """

    factors: Annotated[int, msgspec.Meta(ge=1, le=4_096)] = 128
    """d, the length of a vector; 1 to 4,096. The paper's models still gained beyond 1,000."""
    unobserved: Above0
    """Weight of "not watched" beside 1 for a watch at full weight, above 0; the paper's alpha0."""
    regularisation: Above0
    """How strongly vectors are held back, above 0; the paper's lambda."""
    exponent: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0
    """How the penalty grows with the watches, 0 (not at all) to 1 (as they do); the paper's nu."""
    iterations: Annotated[int, msgspec.Meta(ge=1)] = 8
    """Times that all users and then all videos are solved; 1 and up. Many fit noise."""
    ridge: Above0 = 10.0
    """How strongly the content map is held back, above 0, for text vectors of length 1."""
    fade: Above0 | None = None
    """Share of a history after which, counted from its newest, a watch says half as much in
    training: what people watch now says more about what comes next. Above 0; None: all the same."""
    half_life: Above0 | None = None
    """Watches after which one counts half in the fold-in, above 0; None: all the same."""
