"""What is held out to judge a model by: one watch of each user that the fit has not seen."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from embeddings.dataset import Histories

MAX_USERS = 8_000
ENOUGH_USERS = 100
"""With fewer after a cut, users' last watches are held out instead, whenever they were."""
NEWEST = (0.1, 0.2, 0.3)
"""Shares of the history that come after a cut, tried in this order."""
FURTHER = (*NEWEST, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True, slots=True)
class Split:
    """Histories less what is held out, and what was held out.

    `train` has all users · `users` int64 (m,), which of them are judged · `targets` int32 (m,),
    the item rows held out · `cut`, days since the epoch: all of `train` was before, what is held
    out was not; None where each user has a moment of their own.
    """

    train: Histories
    users: NDArray[np.int64]
    targets: NDArray[np.int32]
    cut: float | None = None


def hold_out(histories: Histories, *, seed: int, enough: int = ENOUGH_USERS) -> Split:
    """Hold out the newest tenth, two or three tenths: the least that judges `enough` users.

    A history with fewer returning users gives the last watch of each instead.
    """
    for cut in _cuts(histories, NEWEST):
        if len(_judged(histories, cut)) >= enough:
            return split_at(histories, cut, seed=seed)
    return leave_last_out(histories, seed=seed)


def hold_out_after(histories: Histories, since: float, *, seed: int, enough: int) -> Split | None:
    """Hold out what came after `since`, in days: the newest part of it that judges `enough` users.

    None when all of it judges fewer.
    """
    after = float(np.nextafter(since, np.inf))
    for cut in (*(cut for cut in _cuts(histories, FURTHER) if cut > after), after):
        if len(_judged(histories, cut)) >= enough:
            return split_at(histories, cut, seed=seed)
    return None


def split_at(histories: Histories, cut: float, *, seed: int, most: int = MAX_USERS) -> Split:
    """Train on what was before `cut`, in days; hold out what users watched first from then on.

    Judged are users with a history before and after, at most `most` of them, by `seed`. A video
    stands where it was watched last: watched before and after, it is not in `train`.
    """
    judged = _drawn(_judged(histories, cut), seed, most)
    before = histories.times < cut
    first = histories.offsets[judged] + _counted(before, histories.offsets)[judged]
    return Split(_only(histories, before), judged, histories.rows[first], cut)


def leave_last_out(histories: Histories, *, seed: int, most: int = MAX_USERS) -> Split:
    """Hold out the last watch of users with two videos or more; of at most `most`, by `seed`."""
    judged = _drawn(np.flatnonzero(np.diff(histories.offsets) > 1), seed, most)
    held_out = histories.offsets[judged + 1] - 1
    kept = np.ones(len(histories.rows), dtype=np.bool_)
    kept[held_out] = False
    return Split(_only(histories, kept), judged, histories.rows[held_out])


def of_videos(split: Split, known: NDArray[np.bool_]) -> Split:
    """The split without the videos that are not `known`, bool (n,): those of another catalogue.

    Users whose held-out watch is of one of them are not judged.
    """
    stay = known[split.targets]
    train = _only(split.train, known[split.train.rows])
    return Split(train, split.users[stay], split.targets[stay], split.cut)


def _cuts(histories: Histories, shares: tuple[float, ...]) -> list[float]:
    """Moments, in days, with these shares of the history at or after them."""
    count = len(histories.times)
    if not count:
        return []
    places = [min(int(count * (1 - share)), count - 1) for share in shares]
    ordered = np.partition(histories.times, sorted(set(places)))
    return [float(ordered[place]) for place in places]


def _judged(histories: Histories, cut: float) -> NDArray[np.int64]:
    """Users with watches from `cut` on, and some before it that say anything; int64 (m,)."""
    before = histories.times < cut
    says = _counted(before & (histories.weights > 0), histories.offsets)
    return np.flatnonzero((says > 0) & (_counted(~before, histories.offsets) > 0))


def _counted(which: NDArray[np.bool_], offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many of each user's are so, int64 (users,)."""
    return np.diff(_before(which)[offsets])


def _before(which: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How many are so before each place, int64 (n + 1,)."""
    counts = np.zeros(len(which) + 1, dtype=np.int64)
    np.cumsum(which, out=counts[1:])
    return counts


def _drawn(users: NDArray[np.int64], seed: int, most: int) -> NDArray[np.int64]:
    if len(users) <= most:
        return users
    return np.sort(np.random.default_rng(seed).choice(users, most, replace=False))


def _only(histories: Histories, kept: NDArray[np.bool_]) -> Histories:
    """The histories of all users less what is not `kept`, bool (n,)."""
    return replace(
        histories,
        offsets=_before(kept)[histories.offsets],
        rows=histories.rows[kept],
        weights=histories.weights[kept],
        times=histories.times[kept],
        count=histories.count - int(np.count_nonzero(~kept)),
    )
