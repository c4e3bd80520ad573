"""What a test file asks for: pairs of a user and a video, perhaps with negatives to rank among."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from core.errors import InvalidInput
from embeddings.evaluation.case import Candidates, Case
from embeddings.evaluation.log import Log
from embeddings.evaluation.protocols import candidates, given
from upnext.evaluating.columns import Columns, Ids, ids_of, read_columns
from upnext.evaluating.events import PAIR, with_ids

UNKNOWN_USERS = "unknown_users"
WITHOUT_IDS = "rows_without_ids"


@dataclass(frozen=True, slots=True)
class Pairs:
    """Users, by the k places `of_user` in `users`, and the video that each is to be shown.

    `negatives`, int32 (c,), are places in `videos` too: those of pair p are
    `negatives[offsets[p]:offsets[p + 1]]`; None: the whole catalogue is ranked. `empty`, how many
    rows had no user or no video.
    """

    users: list[str]
    videos: list[str]
    of_user: NDArray[np.int32]
    shown: NDArray[np.int32]
    empty: int
    offsets: NDArray[np.int64] | None = None
    negatives: NDArray[np.int32] | None = None

    def case(self, log: Log, row_of: Mapping[str, int]) -> Case:
        """The case of training on all of `log` and asking for these.

        Users that the log does not have are left out, and counted.

        Raises:
            InvalidInput: nobody is left.
        """
        place_of: dict[str, int] = {name: place for place, name in enumerate(log.users)}
        places = np.array([place_of.get(name, -1) for name in self.users], dtype=np.int64)
        users = places[self.of_user]
        known = users >= 0
        rows = np.array([row_of[name] for name in self.videos], dtype=np.int32)
        if not known.any():
            raise InvalidInput(
                f"None of the {len(self.users):,} users of --test is in --interactions: "
                f"the first is {self.users[0]!r} there and {log.users[0]!r} here. Are both files "
                "of one data set?",
                field="test",
            )
        if self.offsets is None or self.negatives is None:
            return given(log, users[known], rows[self.shown[known]])
        lengths = np.diff(self.offsets)
        kept = np.repeat(known, lengths)
        offsets = np.concatenate([[0], np.cumsum(lengths[known])])
        among = Candidates(offsets, rows[self.negatives[kept]])
        return candidates(log, users[known], rows[self.shown[known]], among)

    def left_out(self, log: Log) -> dict[str, int]:
        """How many users and rows are not asked for."""
        strangers = len({*self.users} - {*log.users})
        counts = {UNKNOWN_USERS: strangers, WITHOUT_IDS: self.empty}
        return {reason: count for reason, count in counts.items() if count}


def read_pairs(path: Path) -> Pairs:
    """The pairs of a file with `user_id, video_id`.

    Raises:
        SetupError: there is no such file.
        InvalidInput: the file cannot be used; the message says why.
    """
    columns = read_columns(path, PAIR)
    users, videos, _ = _ids(columns)
    return Pairs(
        users.names, videos.names, users.codes, videos.codes, len(columns) - len(users.codes)
    )


def read_questions(path: Path) -> Pairs:
    """The pairs of a file with `user_id, video_id, negatives`, and the negatives of each.

    Raises:
        SetupError: there is no such file.
        InvalidInput: the file cannot be used; the message says why.
    """
    columns = read_columns(path, (*PAIR, "negatives"))
    users, videos, rows = _ids(columns)
    lists = _lists(columns)
    # No nulls are left, so that the lists lie one behind the other.
    lists = lists.take(pa.array(rows))
    lengths = pc.list_value_length(lists).to_numpy(zero_copy_only=False).astype(np.int64)
    if (lengths == 0).any():
        place = columns.place(int(rows[np.flatnonzero(lengths == 0)[0]]))
        raise InvalidInput(
            f"{place}: no negatives. They are video ids separated by spaces; without any, "
            "--protocol split ranks the whole catalogue.",
            field="negatives",
        )
    named = lists.flatten().dictionary_encode()
    names = [*dict.fromkeys([*videos.names, *named.dictionary.to_pylist()])]
    place_of = {name: place for place, name in enumerate(names)}
    negatives = _places(place_of, named.dictionary.to_pylist())[named.indices.to_numpy()]
    return Pairs(
        users=users.names,
        videos=names,
        of_user=users.codes,
        shown=_places(place_of, videos.names)[videos.codes],
        empty=len(columns) - len(rows),
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        negatives=negatives,
    )


def _ids(columns: Columns) -> tuple[Ids, Ids, NDArray[np.int64]]:
    """Users and videos of the rows that have both, and which rows those are."""
    users, videos = (ids_of(columns, name) for name in PAIR)
    rows = with_ids(columns, users, videos)
    return users.only(rows), videos.only(rows), rows


def _lists(columns: Columns) -> pa.ListArray:
    array = columns.table.column("negatives").combine_chunks()
    if pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
        return pc.cast(array, pa.list_(pa.string()))
    if not (pa.types.is_string(array.type) or pa.types.is_large_string(array.type)):
        raise InvalidInput(f"{columns.path}: negatives is {array.type}; it is a text of ids.")
    trimmed = pc.utf8_trim_whitespace(pc.fill_null(array, "")).cast(pa.string())
    lists = pc.utf8_split_whitespace(trimmed)
    return pc.if_else(pc.equal(trimmed, ""), pa.scalar([], lists.type), lists)


def _places(place_of: Mapping[str, int], names: Sequence[str]) -> NDArray[np.int32]:
    return np.fromiter((place_of[name] for name in names), np.int32, len(names))
