"""What is trained on and what is asked for: the protocols of an evaluation.

None of them hands the model anything that it is asked for. A video that its user had watched
before cannot be asked for where watched videos are left out of the ranking: it is counted in
`Case.left_out` instead, and so is whoever is left with nothing to be judged by.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.errors import InvalidInput
from embeddings.evaluation.case import Candidates, Case
from embeddings.evaluation.entries import entries_of, offsets_of
from embeddings.evaluation.log import Log, pairs_of

WATCHED_BEFORE = "watched_before"
ONE_EVENT = "users_with_one_event"
REPEATED = "repeated"
NOTHING_NEW = "users_without_anything_new"


@dataclass(frozen=True, slots=True)
class Temporal:
    """A case at one moment, and who and what is new in it.

    `returning` bool (m,), judged users with a history before the cut-off · `new` bool (n,), videos
    first watched at or after it · `appeared` float64 (n,), when each was first watched, in days;
    nan: never.
    """

    case: Case
    returning: NDArray[np.bool_]
    new: NDArray[np.bool_]
    appeared: NDArray[np.float64]


def leave_last_out(log: Log) -> Case:
    """Each user's last event is asked for, all before it is trained on.

    Users with one event are trained on and not judged. Those whose last event is of a video that
    they had watched before are not judged either; the event is held out all the same. Whoever
    fits a model makes its own validation part of `Case.train`: the event before the last of each
    user, as `embeddings.split.leave_last_out` does.

    Raises:
        InvalidInput: nobody can be judged.
    """
    counts = np.diff(log.offsets)
    several = np.flatnonzero(counts > 1)
    last = log.offsets[several + 1] - 1
    pairs = log.pairs()
    kept = np.ones(len(log.rows), dtype=np.bool_)
    kept[last] = False
    again = np.isin(pairs[last], pairs[kept])
    asked = last[~again]
    case = Case(
        train=log.only(kept).histories(),
        videos=log.videos,
        users=several[~again],
        offsets=np.arange(len(asked) + 1),
        relevant=log.rows[asked],
        times=log.times[asked] if log.timed else None,
        left_out={
            WATCHED_BEFORE: int(again.sum()),
            ONE_EVENT: int((counts == 1).sum()),
        },
    )
    return _somebody(case, "no user has two events, the last of a video that is new to them")


def given(log: Log, users: NDArray[np.int64], rows: NDArray[np.int32]) -> Case:
    """All of `log` is trained on, and these pairs are asked for.

    Args:
        log: the training part; a user who is only asked for has no events there.
        users: which of its users, int64 (k,), in any order.
        rows: the video that each is to be shown, int32 (k,). Pairs that came before and pairs
            of the log are left out.

    Raises:
        InvalidInput: no pair is left.
    """
    pairs = pairs_of(users, rows, log.videos)
    asked = np.unique(pairs)
    new = asked[~np.isin(asked, log.pairs())]
    owners, relevant = np.divmod(new, log.videos)
    judged, owners = np.unique(owners, return_inverse=True)
    case = Case(
        train=log.histories(),
        videos=log.videos,
        users=judged,
        offsets=offsets_of(owners, len(judged)),
        relevant=relevant.astype(np.int32),
        left_out={
            WATCHED_BEFORE: len(asked) - len(new),
            REPEATED: len(pairs) - len(asked),
        },
    )
    return _somebody(case, "no pair of a user and a video that the user had not watched")


def candidates(
    log: Log,
    users: NDArray[np.int64],
    targets: NDArray[np.int32],
    negatives: Candidates,
) -> Case:
    """All of `log` is trained on; each target is ranked among its negatives and nothing else.

    The negatives are taken as they are, watched or not: who made them said what is ranked. A
    negative that comes twice, or is the target, is ranked once. A user may be asked for more than
    one target, and is then judged as often.

    Args:
        log: the training part.
        users: which of its users, int64 (m,).
        targets: the video held out for each, int32 (m,).
        negatives: of each of the m.

    Raises:
        InvalidInput: there are no targets.
    """
    everyone = np.arange(len(users))
    owners, places = entries_of(negatives.offsets, everyone)
    of_each = pairs_of(
        np.concatenate([everyone, owners]),
        np.concatenate([targets, negatives.rows[places]]),
        log.videos,
    )
    owners, rows = np.divmod(np.unique(of_each), log.videos)
    case = Case(
        train=log.histories(),
        videos=log.videos,
        users=users,
        offsets=np.arange(len(users) + 1),
        relevant=targets,
        candidates=Candidates(offsets_of(owners, len(users)), rows.astype(np.int32)),
    )
    return _somebody(case, "the test part is empty")


def cut_at(log: Log, share: float) -> float:
    """The moment, in days, that has this share of the events at or after it, 0..1.

    Events of one time stay together: more may come after it than asked for.
    """
    place = min(int(len(log.times) * (1 - share)), len(log.times) - 1)
    return float(np.partition(log.times, place)[place])


def temporal(log: Log, cut: float) -> Temporal:
    """What was before `cut`, in days, is trained on; what users watched first after is asked for.

    A user's relevant videos are all that they watched from the cut-off on and not before it. Users
    are folded in from what they did before; new ones have no history then.

    Raises:
        InvalidInput: nothing was before the cut-off, or nothing new was watched after it.
    """
    before = log.times < cut
    if not before.any():
        raise InvalidInput("No event is before the cut-off: choose a later one.", field="cut_off")
    pairs = log.pairs()
    later = np.flatnonzero(~before)
    _, first = np.unique(pairs[later], return_index=True)
    asked = later[np.sort(first)]
    again = np.isin(pairs[asked], pairs[before])
    owners = log.owners()
    after = len(np.unique(owners[later]))
    asked = asked[~again]
    judged, of_judged = np.unique(owners[asked], return_inverse=True)
    case = Case(
        train=log.only(before).histories(),
        videos=log.videos,
        users=judged,
        offsets=offsets_of(of_judged, len(judged)),
        relevant=log.rows[asked],
        times=log.times[asked],
        cut=cut,
        left_out={WATCHED_BEFORE: int(again.sum()), NOTHING_NEW: after - len(judged)},
    )
    _somebody(case, "nobody watched anything new from the cut-off on")
    appeared = log.appeared()
    return Temporal(case, case.lengths() > 0, appeared >= cut, appeared)


def _somebody(case: Case, reason: str) -> Case:
    if len(case.users) == 0:
        raise InvalidInput(f"There is nobody to judge: {reason}.")
    return case
