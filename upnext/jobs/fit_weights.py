"""Weights of the blend for a model, fitted to watches that it has not seen."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from api.gathered import Gathered
from core.types import RankingConfig, Weights
from embeddings.evaluate import TOP, evaluate
from embeddings.items import ItemVectors
from embeddings.split import Split
from embeddings.version import Fitted
from ranking.blend import SIMILARITY, blend
from ranking.features import Features, features_of
from ranking.fit import MIN_EXAMPLES, Example, fit
from ranking.rank import arrange
from retrieval.snapshot import Snapshot
from upnext.jobs.past import Past
from upnext.jobs.replay import replay

MOST_USERS = 2_000
MISSING = -1
CLEARLY = 1.65  # standard errors: of equal lists one in twenty looks as much better by chance
PLAIN = RankingConfig(diversity=0.0)

Option = Literal["similarity", "default", "fitted"]
OPTIONS: tuple[Option, ...] = ("similarity", "default", "fitted")


def fit_weights(
    facts: Snapshot,
    split: Split,
    fitted: Fitted,
    default: Weights,
    *,
    recent: int,
    seed: int,
    most_users: int = MOST_USERS,
) -> tuple[Weights, dict[str, float]]:
    """Weights for `fitted`, and what the lists they make are worth.

    Each of at most `most_users` held-out watches is met as the service would meet it just before:
    candidates from the same sources, popularity as it was, nothing of what came later but what is
    in the model. The users are halved, weights fitted to each half and judged by the lists of the
    other. Similarity alone, which is the model's own order, stays unless these weights or `default`
    are clearly better: so lists are not worse than retrieval alone. Blocking.

    Args:
        facts: the catalogue without popularity counters.
        split: the held-out watches; its rows are rows of `fitted.items`.
        fitted: a model of `split.train` alone.
        default: weights to try beside, and what is given back when there is nobody to judge.
        recent: how many recent watches count, as `UPNEXT_STATE_RECENT`.
        seed: draws and halves the users.
        most_users: judged at most.

    Returns:
        The weights and, as means over the judged users that have a vector, `ndcg@10:similarity`,
        `ndcg@10:default` and `ndcg@10:fitted` of lists by each, without diversity and by weights
        that were not fitted to the same user, `ndcg@10:list` and `recall@10:list` of the lists as
        served by those that were chosen, `ndcg@10:retrieval` of the model's own order of all
        videos, `recall:candidates`, the share of watches that were among the candidates. No metrics
        when there is nobody to judge.
    """
    draw = np.random.default_rng(seed)
    judged = _drawn(split, draw, most_users)
    past = Past(facts, split.train, fitted.items, recent=recent, cut=split.cut)
    cases = asyncio.run(_meet(past, split, judged, fitted))
    if not cases:
        return default, {}
    halves = _Halves(cases, draw.permutation(len(cases)) % 2, default)
    plain = {name: halves.gains(name, PLAIN, fitted.items) for name in OPTIONS}
    chosen = choose({name: gains[:, 0] for name, gains in plain.items()})
    served = halves.gains(chosen, RankingConfig(), fitted.items)
    mine = replace(split, users=split.users[judged], targets=split.targets[judged])
    alone = evaluate(mine, fitted.items.vectors, fitted.encoder, recent)
    return halves.weights(chosen), {
        **{f"ndcg@10:{name}": float(gains[:, 0].mean()) for name, gains in plain.items()},
        "ndcg@10:list": float(served[:, 0].mean()),
        "recall@10:list": float(served[:, 1].mean()),
        "ndcg@10:retrieval": alone["ndcg@10"],
        "recall:candidates": float(np.mean([case.watched != MISSING for case in cases])),
    }


def choose(gains: Mapping[Option, NDArray[np.float64]]) -> Option:
    """Whose lists gain most of those that are clearly better than similarity alone, else that.

    Args:
        gains: of the same users, (n,), by each option.
    """
    alone = gains["similarity"]
    better: list[Option] = [name for name in OPTIONS if clearly_better(gains[name], alone)]
    return max(better, key=lambda name: gains[name].mean(), default="similarity")


def clearly_better(gains: NDArray[np.float64], others: NDArray[np.float64]) -> bool:
    """Whether gains of the same users, (n,), are higher by more than the error of the mean.

    Of a few users the error cannot be told, and nothing is clear.
    """
    if len(gains) < MIN_EXAMPLES:
        return False
    difference = gains - others
    error = difference.std() / np.sqrt(len(difference))
    return bool(difference.mean() > CLEARLY * error)


@dataclass(frozen=True, slots=True)
class _Case:
    """A list that is not ranked yet: `watched` is which of its n candidates came next, or -1."""

    features: Features
    hashes: NDArray[np.uint64]
    creators: NDArray[np.int32]
    watched: int


def _drawn(split: Split, draw: np.random.Generator, most: int) -> NDArray[np.int64]:
    """Which of the split's users are judged: those who still have a history."""
    known = np.flatnonzero(np.diff(split.train.offsets)[split.users] > 0)
    return draw.permutation(known)[:most]


async def _meet(past: Past, split: Split, judged: NDArray[np.int64], fitted: Fitted) -> list[_Case]:
    """The cases of these users as they were, of those that have a vector."""
    return [
        _case(met.found, fitted.items, int(split.targets[judged[met.ask.at]]))
        async for met in replay(past, split.users[judged], fitted, RankingConfig())
        if met.found.asker.vector is not None
    ]


def _case(found: Gathered, items: ItemVectors, target: int) -> _Case:
    at = np.flatnonzero(found.columns.hashes == items.hashes[target])
    return _Case(
        features=features_of(found.columns, found.vectors, found.asker),
        hashes=found.columns.hashes,
        creators=found.columns.creator,
        watched=int(at[0]) if len(at) else MISSING,
    )


def _examples(cases: Iterable[_Case]) -> list[Example]:
    return [Example(case.features, case.watched) for case in cases if case.watched != MISSING]


class _Halves:
    """Cases in two halves, and what each option makes of a case that it was not fitted to."""

    def __init__(self, cases: Sequence[_Case], halved: NDArray[np.int64], default: Weights) -> None:
        self._cases = cases
        self._halved = halved
        self._default = default
        self._of_half = [
            fit(
                _examples(case for case, at in zip(cases, halved, strict=True) if at != half),
                default,
            )
            for half in (0, 1)
        ]

    def weights(self, option: Option) -> Weights:
        """An option's weights; those that are fitted, to all cases."""
        if option == "fitted":
            return fit(_examples(self._cases), self._default)
        return self._default if option == "default" else SIMILARITY

    def gains(
        self, option: Option, config: RankingConfig, items: ItemVectors
    ) -> NDArray[np.float64]:
        """NDCG and recall of the first 10 of each case's list, float64 (n, 2)."""
        found = np.zeros((len(self._cases), 2))
        fixed = None if option == "fitted" else self.weights(option)
        for at, case in enumerate(self._cases):
            if case.watched != MISSING:
                weights = fixed or self._of_half[self._halved[at]]
                found[at] = _gains(case, weights, items.at(case.hashes)[0], config)
        return found


def _gains(
    case: _Case, weights: Weights, vectors: NDArray[np.float32], config: RankingConfig
) -> tuple[float, float]:
    """NDCG and recall of the first 10 of the case's list, the watched video the relevant one."""
    first = arrange(
        blend(case.features, weights),
        case.hashes,
        case.creators,
        vectors,
        config=config,
        limit=TOP,
    )
    at = np.flatnonzero(first == case.watched)
    return (float(1 / np.log2(at[0] + 2)), 1.0) if len(at) else (0.0, 0.0)
