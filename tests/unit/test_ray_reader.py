"""Parts of a snapshot, laid one after the other, against the whole of it; without Ray itself."""

import pickle
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import SetupError, Unavailable
from core.types import Interaction, VideoId
from embeddings import ray_reader
from embeddings.dataset import Histories
from embeddings.history_reader import SnapshotWriter, read_snapshot, table_of
from embeddings.ray_reader import _joined, _part, check_ray, read_by_ray
from tests.histories import watch
from tests.unit.test_history_reader import events

pytestmark = pytest.mark.unit
ROWS = {VideoId(name): row for row, name in enumerate("abcd")}


def assert_same(one: Histories, other: Histories) -> None:
    """Array for array, bit for bit."""
    for name in ("offsets", "rows", "weights", "times"):
        mine, theirs = getattr(one, name), getattr(other, name)
        assert mine.dtype == theirs.dtype
        assert mine.tobytes() == theirs.tobytes()
    assert one.users == other.users
    assert (one.count, one.first, one.last) == (other.count, other.first, other.last)


def written(folder: Path, rows: list[Interaction], cuts: list[int]) -> Path:
    """A snapshot whose groups end at these rows."""
    snapshot = folder / "snapshot.parquet"
    bounds = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    with SnapshotWriter(snapshot) as writer:
        for first, last in pairwise(bounds):
            writer.take(table_of(rows[first:last]))
    return snapshot


@settings(max_examples=40)
@given(
    rows=events,
    cuts=st.lists(st.integers(0, 30), max_size=8),
    wanted=st.lists(st.integers(0, 9), max_size=5),
)
def test_parts_are_the_whole_wherever_it_is_cut(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[Interaction],
    cuts: list[int],
    wanted: list[int],
) -> None:
    snapshot = written(tmp_path_factory.mktemp("cut"), rows, cuts)
    groups = len(cuts) + 1
    bounds = [0, *sorted(min(at, groups) for at in wanted), groups]
    known = pa.array(ROWS.keys(), pa.string()), np.fromiter(ROWS.values(), np.int32)
    sent = pickle.loads(pickle.dumps(pa.py_buffer(snapshot.read_bytes())))  # noqa: S301 - ours
    for source in (str(snapshot), sent):
        parts = [_part(source, known, first, last) for first, last in pairwise(bounds)]
        assert_same(_joined(parts), read_snapshot(snapshot, ROWS))


def test_damage_is_told_before_ray_is_started(tmp_path: Path) -> None:
    snapshot = written(tmp_path, [watch("1", "ann", "a")], [])
    snapshot.write_bytes(snapshot.read_bytes()[:-20])
    with pytest.raises(OSError, match="cannot be read"):
        read_by_ray(snapshot, ROWS)


def test_damage_in_a_part_is_told(tmp_path: Path) -> None:
    snapshot = written(tmp_path, [watch("1", "ann", "a")], [])
    content = bytearray(snapshot.read_bytes())
    content[40] ^= 255
    known = pa.array(ROWS.keys(), pa.string()), np.fromiter(ROWS.values(), np.int32)
    with pytest.raises(OSError, match="cannot be read"):
        _part(pa.py_buffer(bytes(content)), known, 0, 1)


def test_without_ray_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_reader, "find_spec", lambda _: None)
    with pytest.raises(SetupError, match=r"pip install 'upnext\[ray\]'"):
        check_ray()


def test_a_ray_that_does_not_start_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def init(**_: object) -> None:
        raise RuntimeError("The GCS did not answer in time.")

    errors = SimpleNamespace(RayError=type("RayError", (Exception,), {}))
    ray = SimpleNamespace(init=init, exceptions=errors, shutdown=lambda: None)
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setattr(ray_reader, "check_ray", lambda: None)
    monkeypatch.setattr(ray_reader, "give_children", lambda _: None)
    with pytest.raises(Unavailable, match="did not start: The GCS"):
        read_by_ray(written(tmp_path, [watch("1", "ann", "a")], []), ROWS)


def test_who_reads_without_ray_does_not_import_it() -> None:
    code = "import sys, upnext.jobs.reading; sys.exit('ray' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)  # noqa: S603 - ours
