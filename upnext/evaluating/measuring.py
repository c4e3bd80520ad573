"""What an evaluation took, and how far its figures go apart from seed to seed."""

import resource
import sys
from collections.abc import Mapping, Sequence

import numpy as np

from upnext.evaluating.results import OverSeeds

LEVEL = 0.95


def peak_memory_mb() -> float:
    """The most memory that this process has had, in 10^6 bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def over_seeds(seeds: Sequence[int], metrics: Sequence[Mapping[str, float]]) -> OverSeeds | None:
    """Each metric by each seed, and the interval of its mean, by Student's t; None for one seed."""
    if len(seeds) == 1:
        return None
    # scipy comes with the libraries that train.
    from scipy.special import stdtrit  # noqa: PLC0415

    each = {name: [one[name] for one in metrics] for name in metrics[0]}
    reach = float(stdtrit(len(seeds) - 1, (1 + LEVEL) / 2)) / len(seeds) ** 0.5
    return OverSeeds(
        seeds=tuple(seeds),
        each=each,
        intervals={name: _around(values, reach) for name, values in each.items()},
    )


def _around(values: Sequence[float], reach: float) -> tuple[float, float]:
    mean, half = float(np.mean(values)), float(np.std(values, ddof=1)) * reach
    return mean - half, mean + half
