"""Histories from columns against the plain way of gathering them."""

from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.clock import days
from core.types import Interaction, VideoId
from embeddings.dataset import Histories
from embeddings.history_reader import (
    SNAPSHOT,
    HistoryReader,
    erased_from,
    read_snapshot,
    table_of,
)
from storage.artifacts import DirectoryArtifacts
from tests.histories import START, watch
from upnext.jobs.erased_files import drop_from_snapshots

pytestmark = pytest.mark.unit

ROWS = {VideoId(name): row for row, name in enumerate("abcd")}

events = st.lists(
    st.builds(
        watch,
        st.uuids().map(str),
        st.sampled_from(["ann", "bob", 'c"\n,', "dan"]),
        st.sampled_from(["a", "b", "c", "d", "unknown"]),
        hours=st.floats(0, 1000),
        weight=st.floats(0, 1),
    ),
    max_size=30,
).map(lambda rows: sorted(rows, key=lambda row: (row.user_id, row.occurred_at)))


def plain(interactions: Sequence[Interaction]) -> dict[str, list[tuple[int, float, float]]]:
    """Users and what they watched, oldest first, a video where it was watched last."""
    found: dict[str, dict[int, tuple[int, float, float]]] = {}
    for one in interactions:
        row = ROWS.get(one.video_id)
        if row is not None:
            history = found.setdefault(one.user_id, {})
            history.pop(row, None)
            history[row] = (row, float(np.float32(one.weight)), days(one.occurred_at))
    return {user: list(history.values()) for user, history in found.items()}


def shown(made: Histories) -> dict[str, list[tuple[int, float, float]]]:
    return {
        user: list(
            zip(
                made.rows[made.of(at)].tolist(),
                made.weights[made.of(at)].tolist(),
                made.times[made.of(at)].tolist(),
                strict=True,
            )
        )
        for at, user in enumerate(made.users)
    }


@given(events, st.lists(st.integers(1, 30), max_size=6))
def test_tables_of_any_length_give_the_histories_of_plain_python(
    interactions: list[Interaction], cuts: list[int]
) -> None:
    reader = HistoryReader(ROWS)
    bounds = sorted({0, len(interactions), *(cut for cut in cuts if cut < len(interactions))})
    for start, end in pairwise(bounds):
        reader.take(table_of(interactions[start:end]))
    made = reader.histories()
    assert shown(made) == plain(interactions)
    assert list(shown(made)) == list(plain(interactions))  # in the same order
    moments = [one.occurred_at for one in interactions]
    assert (made.count, made.first, made.last) == (
        len(interactions),
        min(moments, default=None),
        max(moments, default=None),
    )
    arrays = (made.rows, made.weights, made.times, made.offsets)
    assert [str(array.dtype) for array in arrays] == ["int32", "float32", "float64", "int64"]


def test_the_snapshot_has_all_and_gives_the_same_histories_again(tmp_path: Path) -> None:
    interactions = [
        watch(f"{user} {at}", user, video, hours=at, weight=at / 7)
        for user in ("ann", "bob")
        for at, video in enumerate("abcad")
    ] + [watch("other", "eve", "unknown", hours=2)]
    kept = tmp_path / "snapshot.parquet"
    with HistoryReader(ROWS, kept) as reader:
        for one in interactions:
            reader.take(table_of([one]))
    made = reader.histories()
    assert pq.read_table(kept) == table_of(interactions).cast(SNAPSHOT)

    again = read_snapshot(kept, ROWS)
    assert shown(again) == shown(made) == plain(interactions)
    assert (again.users, again.count, again.first, again.last) == (
        made.users,
        len(interactions),
        START,
        START + timedelta(hours=4),
    )


def test_a_damaged_snapshot_is_not_read_as_a_history(tmp_path: Path) -> None:
    kept = tmp_path / "snapshot.parquet"
    rows = [watch(str(at), f"user {at}", "a", hours=at) for at in range(100)]
    with HistoryReader(ROWS, kept) as reader:
        reader.take(table_of(rows))
    whole = kept.read_bytes()
    changed = bytearray(whole)
    changed[len(whole) // 4] ^= 1
    for damaged in (bytes(changed), whole[: len(whole) // 2], b""):
        kept.write_bytes(damaged)
        with pytest.raises(OSError, match="cannot be read"):
            read_snapshot(kept, ROWS)


def test_a_snapshot_counts_what_erasures_take_out(tmp_path: Path) -> None:
    kept, store = tmp_path / "snapshot.parquet", DirectoryArtifacts(tmp_path / "artifacts")
    with HistoryReader(ROWS, kept) as reader:
        for user in ("ann", "bob", "eve", "zoe"):
            reader.take(table_of([watch(f"{user} {at}", user, "a", hours=at) for at in range(3)]))
    store.put("snapshots/m.parquet", kept)
    assert erased_from(kept) == 0
    for users, left in ((["bob"], 9), (["nobody"], 9), (["ann", "zoe"], 3)):
        assert drop_from_snapshots(store, users) == int(users != ["nobody"])
        store.fetch("snapshots/m.parquet", kept)
        assert (pq.read_metadata(kept).num_rows, erased_from(kept)) == (left, 12 - left)
    assert read_snapshot(kept, ROWS).users == ["eve"]
