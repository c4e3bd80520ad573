"""Protocols: nothing that is asked for is trained on, and what cannot be asked for is counted."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import InvalidInput
from embeddings.evaluation import protocols
from embeddings.evaluation.case import Candidates, Case
from embeddings.evaluation.log import Log
from embeddings.evaluation.protocols import (
    NOTHING_NEW,
    ONE_EVENT,
    REPEATED,
    WATCHED_BEFORE,
    candidates,
    cut_at,
    leave_last_out,
    temporal,
)
from tests.evaluations import log_of

pytestmark = pytest.mark.unit

VIDEOS = 8


@st.composite
def logs(draw: st.DrawFn) -> Log:
    """Up to six users with up to seven events among few videos and few times: many repeats."""
    users = draw(st.lists(st.lists(st.integers(0, VIDEOS - 1), max_size=7), min_size=1, max_size=6))
    times = [
        sorted(draw(st.lists(st.integers(0, 9), min_size=len(own), max_size=len(own))))
        for own in users
    ]
    return log_of(*users, videos=VIDEOS, times=times)


def asked(case: Case) -> dict[int, list[int]]:
    """What each judged user is asked for, by their number."""
    return {
        user: case.relevant[case.offsets[at] : case.offsets[at + 1]].tolist()
        for at, user in enumerate(case.users.tolist())
    }


def known(case: Case, user: int) -> list[int]:
    rows: list[int] = case.train.rows[case.train.of(user)].tolist()
    return rows


def own(log: Log, user: int) -> list[tuple[int, float]]:
    part = slice(int(log.offsets[user]), int(log.offsets[user + 1]))
    return list(zip(log.rows[part].tolist(), log.times[part].tolist(), strict=True))


def once(rows: list[int]) -> list[int]:
    """Each where it comes last."""
    return [row for at, row in enumerate(rows) if row not in rows[at + 1 :]]


def test_the_last_event_is_asked_for_and_the_rest_trained_on() -> None:
    case = leave_last_out(log_of([4, 1, 3], [2], [0, 2], [5, 6, 5], [], videos=VIDEOS))
    assert asked(case) == {0: [3], 2: [2]}
    assert [known(case, user) for user in range(5)] == [[4, 1], [2], [0], [5, 6], []]
    assert case.left_out == {WATCHED_BEFORE: 1, ONE_EVENT: 1}
    assert case.times is not None
    assert case.times.tolist() == [2, 5]


@settings(max_examples=60, deadline=None)
@given(logs())
def test_leaving_the_last_out_never_trains_on_it(log: Log) -> None:
    try:
        case = leave_last_out(log)
    except InvalidInput:
        assert all(len(events) < 2 or events[-1] in events[:-1] for events in rows_of(log))
        return
    for user, events in enumerate(rows_of(log)):
        before = events[:-1] if len(events) > 1 else events
        assert known(case, user) == once(before)
        judged = len(events) > 1 and events[-1] not in before
        assert asked(case).get(user) == ([events[-1]] if judged else None)


def rows_of(log: Log) -> list[list[int]]:
    return [[row for row, _ in own(log, user)] for user in range(len(log.users))]


@settings(max_examples=60, deadline=None)
@given(logs(), st.integers(0, 10))
def test_nothing_after_a_cut_is_trained_on(log: Log, cut: int) -> None:
    after = {
        user: list(dict.fromkeys(row for row, time in own(log, user) if time >= cut))
        for user in range(len(log.users))
    }
    before = {
        user: once([row for row, time in own(log, user) if time < cut])
        for user in range(len(log.users))
    }
    new = {user: [row for row in rows if row not in before[user]] for user, rows in after.items()}
    try:
        found = temporal(log, cut)
    except InvalidInput:
        assert not any(before.values()) or not any(new.values())
        return
    case = found.case
    assert asked(case) == {user: rows for user, rows in new.items() if rows}
    assert all(known(case, user) == rows for user, rows in before.items())
    assert (case.train.times < cut).all()
    assert case.times is not None
    assert (case.times >= cut).all()
    assert case.left_out[WATCHED_BEFORE] == sum(map(len, after.values())) - len(case.relevant)
    silent = [user for user, rows in after.items() if rows and not new[user]]
    assert case.left_out[NOTHING_NEW] == len(silent)
    assert found.returning.tolist() == [bool(before[user]) for user in case.users.tolist()]
    seen = {row for rows in before.values() for row in rows}
    later = {row for rows in after.values() for row in rows}
    assert set(np.flatnonzero(found.new).tolist()) == later - seen


def test_a_cut_by_share_leaves_so_many_events_after_it() -> None:
    log = log_of(list(range(8)), [0, 1], videos=VIDEOS)
    assert cut_at(log, 0.2) == 8
    assert cut_at(log, 0.0) == 9  # the last event at least is after it
    assert cut_at(log, 1.0) == 0


def test_several_pairs_of_a_user_are_asked_for_together() -> None:
    log = log_of([0, 1], [2, 2], [], videos=VIDEOS)
    users, rows = np.array([1, 0, 1, 0, 0, 2]), np.array([5, 3, 4, 1, 3, 0], dtype=np.int32)
    case = protocols.given(log, users, rows)
    assert asked(case) == {0: [3], 1: [4, 5], 2: [0]}
    assert known(case, 1) == [2]
    assert case.left_out == {WATCHED_BEFORE: 1, REPEATED: 1}


def test_each_target_is_ranked_among_its_own_negatives_once_each() -> None:
    log = log_of([0, 1], [2], videos=VIDEOS)
    negatives = Candidates(np.array([0, 3, 5]), np.array([7, 7, 6, 0, 4], dtype=np.int32))
    case = candidates(log, np.array([1, 1]), np.array([6, 0], dtype=np.int32), negatives)
    assert case.candidates is not None
    assert case.users.tolist() == [1, 1]
    assert case.candidates.offsets.tolist() == [0, 2, 4]
    assert case.candidates.rows.tolist() == [6, 7, 0, 4]


def test_a_case_of_some_of_what_is_asked_keeps_its_users_candidates() -> None:
    log = log_of([0], [1], [2], videos=VIDEOS)
    negatives = Candidates(np.array([0, 1, 2, 3]), np.array([3, 4, 5], dtype=np.int32))
    case = candidates(log, np.arange(3), np.array([6, 6, 7], dtype=np.int32), negatives)
    some = case.of_users(np.array([True, False, True]))
    assert asked(some) == {0: [6], 2: [7]}
    assert some.candidates is not None
    assert some.candidates.rows.tolist() == [3, 6, 5, 7]
    assert some.candidates.offsets.tolist() == [0, 2, 4]


def test_nobody_to_judge_is_said() -> None:
    with pytest.raises(InvalidInput, match="nobody to judge"):
        leave_last_out(log_of([1], [2], videos=VIDEOS))
    with pytest.raises(InvalidInput, match="nobody to judge"):
        temporal(log_of([1, 2], videos=VIDEOS), 5.0)
    with pytest.raises(InvalidInput, match="before the cut-off"):
        temporal(log_of([1, 2], videos=VIDEOS), 0.0)


def test_a_log_has_what_its_histories_lose() -> None:
    log = log_of([3, 1, 3], [1], videos=VIDEOS, times=[[0, 1, 2], [5]])
    histories = log.histories()
    assert histories.rows.tolist() == [1, 3, 1]
    assert histories.times.tolist() == [1, 2, 5]
    assert histories.count == 4
    assert histories.first is not None
    assert histories.last is not None
    assert (histories.last - histories.first).days == 5
    appeared = log.appeared()
    assert appeared[[1, 3]].tolist() == [1, 0]
    assert np.isnan(appeared[[0, 2]]).all()
