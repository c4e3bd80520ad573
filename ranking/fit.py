"""Weights of the blend from watches that the model has not seen; numpy only.

A conditional logit (McFadden, *Conditional Logit Analysis of Qualitative Choice Behavior*, 1974):
of the candidates c of a list the user watches i with probability
`exp(b . x_i) / sum_c exp(b . x_c)`, x the features. The b of the greatest likelihood are the
weights but for their size, which is how sharp the choice is and changes no order. That of
popularity may be below 0, where a model makes more of what is popular than its users do; no other
may.

What is wanted is nDCG@10. Looking for its best weights directly was tried: with some hundreds of
watches it follows chance, and the likelihood, which hears each candidate, gives the better lists.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.types import Weights
from ranking.features import Features

MIN_EXAMPLES = 100  # with fewer, chance weighs more than what they teach
EXPLORATION = 0.01
"""Share of exploration: a past list that had shown something else cannot be watched. So small that
it only parts what is about equal."""
RIDGE = 1e-3  # of b: keeps it finite where a feature parts watched from not watched perfectly
LEAST = 1e-4  # a smaller share is what is left of none
STEPS, HALVINGS = 50, 30
CLOSE = 1e-6

LEARNED = ("similarity", "popularity", "genre", "recency")
LOWEST = np.array([0.0, -np.inf, 0.0, 0.0])


@dataclass(frozen=True, slots=True)
class Example:
    """The features of n candidates, and which of them was watched, 0 ... n-1."""

    features: Features
    watched: int


def fit(examples: Sequence[Example], default: Weights) -> Weights:
    """Weights whose sizes sum to 1, none but popularity's below 0, exploration 0.01 of it.

    Args:
        examples: lists whose candidates had what was watched next; the others teach nothing.
        default: what is given back for fewer than 100 of them, or when no feature tells.
    """
    if len(examples) < MIN_EXAMPLES:
        return default
    taste = _most_likely(_Choices(examples))
    size = float(np.abs(taste).sum())
    if size < CLOSE:
        return default
    taste[np.abs(taste) < LEAST * size] = 0.0
    shares = ((1.0 - EXPLORATION) * taste / np.abs(taste).sum()).tolist()
    return Weights(**dict(zip(LEARNED, shares, strict=True)), exploration=EXPLORATION)


@dataclass(frozen=True, slots=True)
class _Likelihood:
    """Minus the mean log-likelihood and its ridge, the gradient (f,) and the Hessian (f, f)."""

    loss: float
    gradient: NDArray[np.float64]
    hessian: NDArray[np.float64]


class _Choices:
    """All candidates of all examples, one under the other."""

    def __init__(self, examples: Sequence[Example]) -> None:
        self._x = np.concatenate([_columns(one.features) for one in examples])
        sizes = [len(one.features.similarity) for one in examples]
        self._starts = np.cumsum([0, *sizes[:-1]])
        self._of = np.repeat(np.arange(len(sizes)), sizes)
        self._watched = self._starts + [one.watched for one in examples]

    def at(self, taste: NDArray[np.float64]) -> _Likelihood:
        """How well `taste`, b, tells what was watched."""
        x, starts, count = self._x, self._starts, len(self._starts)
        scores = x @ taste
        scores -= np.maximum.reduceat(scores, starts)[self._of]
        chances = np.exp(scores)
        sums = np.add.reduceat(chances, starts)
        chances /= sums[self._of]
        weighed = x * chances[:, np.newaxis]
        means = np.add.reduceat(weighed, starts)
        log_likelihood = scores[self._watched] - np.log(sums)
        return _Likelihood(
            float(RIDGE * taste @ taste - log_likelihood.mean()),
            (means - x[self._watched]).mean(axis=0) + 2 * RIDGE * taste,
            (x.T @ weighed - means.T @ means) / count + 2 * RIDGE * np.eye(len(taste)),
        )


def _columns(features: Features) -> NDArray[np.float64]:
    return np.column_stack([getattr(features, name) for name in LEARNED])


def _most_likely(choices: _Choices) -> NDArray[np.float64]:
    """Newton's steps, cut off at `LOWEST`; the loss is convex, so they lead to its least."""
    taste = np.ones(len(LEARNED))
    now = choices.at(taste)
    for _ in range(STEPS):
        free = (taste > LOWEST) | (now.gradient < 0)
        step = np.zeros(len(taste))
        step[free] = -np.linalg.solve(now.hessian[np.ix_(free, free)], now.gradient[free])
        before, (taste, now) = taste, _downhill(choices, taste, step, now)
        if np.abs(taste - before).max() < CLOSE:
            break
    return taste


def _downhill(
    choices: _Choices, taste: NDArray[np.float64], step: NDArray[np.float64], now: _Likelihood
) -> tuple[NDArray[np.float64], _Likelihood]:
    """As much of the step as makes the loss smaller; none if nothing does."""
    for _ in range(HALVINGS):
        tried = np.maximum(taste + step, LOWEST)
        there = choices.at(tried)
        if there.loss < now.loss:
            return tried, there
        step = step / 2
    return taste, now
