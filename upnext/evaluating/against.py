"""A platform's own lists, to be judged by what our model is judged by."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from core.errors import InvalidInput
from embeddings.evaluation.case import Case
from embeddings.evaluation.entries import entries_of, offsets_of
from embeddings.evaluation.log import pairs_of
from upnext.evaluating.columns import ids_of, read_columns
from upnext.evaluating.events import PAIR, with_ids
from upnext.evaluating.lists import LENGTH, NOTHING, ListScorer


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What is in the lists, and what of it is passed over.

    `users`, those of the case who have a list, and `without_list`, those who have none and are not
    compared · `other_users`, users with a list who are not of the case. Of the lists' entries:
    `watched` had been watched before, and are not in our lists either · `unknown` are videos that
    no other file names · `repeated` came twice in one list · `beyond` stand behind the longest list
    that is judged.
    """

    users: int
    without_list: int
    other_users: int
    watched: int
    unknown: int
    repeated: int
    beyond: int


@dataclass(frozen=True, slots=True)
class Lists:
    """Entries of lists: `owners` int32 (n,) are places in `users`, `shown` int32 in `videos`.

    A user's entries are in the order of their list.
    """

    users: list[str]
    videos: list[str]
    owners: NDArray[np.int32]
    shown: NDArray[np.int32]

    def places(self, case: Case) -> NDArray[np.int64]:
        """Where the case has the users of the lists, int64 (len(users),), -1 where it has not.

        Raises:
            InvalidInput: nobody who is judged has a list.
        """
        place_of: dict[str, int] = {name: at for at, name in enumerate(case.train.users)}
        places = np.array([place_of.get(name, NOTHING) for name in self.users], dtype=np.int64)
        if not np.isin(case.users, places).any():
            raise InvalidInput(
                f"--against has no list for any of the {len(case.users):,} users who are judged: "
                f"the first there is {self.users[0]!r}, the first who is judged "
                f"{case.train.users[int(case.users[0])]!r}.",
                field="against",
            )
        return places

    def of(
        self, case: Case, row_of: Mapping[str, int]
    ) -> tuple[ListScorer, NDArray[np.bool_], Seen]:
        """The lists as a scorer, which of the case's users have one, bool (m,), and what was seen.

        Raises:
            InvalidInput: nobody who is judged has a list.
        """
        users = self.places(case)
        judged = np.isin(users, case.users)
        listed = np.isin(case.users, users)
        entries = np.flatnonzero(judged[self.owners])
        rows = np.array([row_of.get(name, NOTHING) for name in self.videos], dtype=np.int64)
        known = entries[rows[self.shown[entries]] != NOTHING]
        pairs = pairs_of(users[self.owners[known]], rows[self.shown[known]], case.videos)
        once = pairs[np.sort(np.unique(pairs, return_index=True)[1])]
        new = once[~np.isin(once, _watched(case))]
        table = _table(new, len(case.train.users), case.videos)
        return (
            ListScorer(table, case.videos),
            listed,
            Seen(
                users=int(np.count_nonzero(listed)),
                without_list=int(np.count_nonzero(~listed)),
                other_users=int(np.count_nonzero(~judged)),
                watched=len(once) - len(new),
                unknown=len(entries) - len(known),
                repeated=len(pairs) - len(once),
                beyond=len(new) - int(np.count_nonzero(table != NOTHING)),
            ),
        )


def read_lists(path: Path) -> Lists:
    """The lists of a file with `user_id, video_id`, each user's rows in the order of their list.

    Raises:
        SetupError: there is no such file.
        InvalidInput: the file cannot be used; the message says why.
    """
    columns = read_columns(path, PAIR)
    users, videos = (ids_of(columns, name) for name in PAIR)
    rows = with_ids(columns, users, videos)
    users, videos = users.only(rows), videos.only(rows)
    return Lists(users.names, videos.names, users.codes, videos.codes)


def _watched(case: Case) -> NDArray[np.int64]:
    """What judged users had watched, as pairs, int64 (k,)."""
    users = np.unique(case.users)
    owners, places = entries_of(case.train.offsets, users)
    return pairs_of(users[owners], case.train.rows[places], case.videos)


def _table(pairs: NDArray[np.int64], users: int, videos: int) -> NDArray[np.int32]:
    """The first `LENGTH` of each user's list, int32 (users, LENGTH), `NOTHING` behind its end."""
    owners, rows = np.divmod(pairs, videos)
    order = np.argsort(owners, kind="stable")
    owners, rows = owners[order], rows[order]
    places = np.arange(len(owners)) - offsets_of(owners, users)[owners]
    table = np.full((users, LENGTH), NOTHING, dtype=np.int32)
    short = places < LENGTH
    table[owners[short], places[short]] = rows[short]
    return table
