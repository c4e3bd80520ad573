"""What lists are worth: do they find the next watch, and are they different lists."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from random import Random
from statistics import mean

import msgspec
import numpy as np

TOP = 10
PAIRS = 20_000

Lists = Mapping[str, Sequence[str]]


class ListMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """Of the first 10 of every list.

    `hr` is the share of users whose next watch is in their list, `ndcg` its mean gain
    1 / log2(rank + 1) (one relevant video, so the ideal gain is 1). `overlap` is the mean share
    that two random users' lists have in common, `videos` how many different ones are shown in all,
    `most_shown` the share of the lists that have the most frequent video.
    """

    users: int
    hr: float
    ndcg: float
    overlap: float
    videos: int
    most_shown: float
    short: int
    watched_shown: int


def judge(lists: Lists, targets: Mapping[str, str], watched: Lists) -> ListMetrics:
    """Metrics of lists of ids, best first; users without a target count in all but hr and ndcg.

    `short` counts lists with fewer than 10 different videos, `watched_shown` those that show one
    which the user has watched.
    """
    first = {user: list(ids[:TOP]) for user, ids in lists.items()}
    gains = [gain(first.get(user, []), target) for user, target in targets.items()]
    shown = Counter(chain.from_iterable(first.values()))
    return ListMetrics(
        users=len(first),
        hr=mean(value > 0 for value in gains),
        ndcg=mean(gains),
        overlap=overlap(list(first.values())),
        videos=len(shown),
        most_shown=max(shown.values()) / len(first),
        short=sum(len(set(ids)) < TOP for ids in first.values()),
        watched_shown=sum(bool(set(ids) & set(watched[user])) for user, ids in first.items()),
    )


def gain(ids: Sequence[str], target: str) -> float:
    """NDCG of one list with one relevant video: 1 / log2(rank + 1), 0 where it is missing."""
    return float(1 / np.log2(ids.index(target) + 2)) if target in ids else 0.0


def overlap(lists: Sequence[Sequence[str]], pairs: int = PAIRS) -> float:
    """Mean share of videos that two lists, drawn at random, have in common."""
    draw = Random(7)  # noqa: S311 - a fixed sample
    drawn = (draw.sample(lists, 2) for _ in range(pairs))
    return mean(len(set(a) & set(b)) / TOP for a, b in drawn)
