"""What `upnext evaluate` reads: logs, test files, lists, videos, and what it says of bad ones."""

import gzip
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from core.clock import days
from core.errors import InvalidInput, SetupError
from embeddings.evaluation.protocols import leave_last_out
from upnext.evaluating.against import read_lists
from upnext.evaluating.cut_off import cut_of
from upnext.evaluating.events import Events, read_events
from upnext.evaluating.held_out import read_pairs, read_questions
from upnext.evaluating.params import read_params
from upnext.evaluating.videos import catalogue_of, read_videos

pytestmark = pytest.mark.unit

ROWS = {"a": 0, "b": 1, "c": 2, "d": 3}
Written = Callable[..., Path]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """Writes lines into a file of this name; packed where the name says so."""

    def write(*lines: str, name: str = "log.csv") -> Path:
        text = "".join(f"{line}\n" for line in lines).encode()
        path = tmp_path / name
        path.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
        return path

    return write


def watched(events: Events) -> dict[str, list[str]]:
    """Videos of each user, in the order of events."""
    pairs = zip(events.owners.tolist(), events.watched.tolist(), strict=True)
    found: dict[str, list[str]] = {user: [] for user in events.users}
    for user, video in pairs:
        found[events.users[user]].append(events.videos[video])
    return found


@pytest.mark.parametrize("name", ["log.csv", "log.csv.gz", "log.tsv"])
def test_without_times_the_rows_are_in_order(written: Written, name: str) -> None:
    lines = ["user_id,video_id", "7,b", "8,a", "7,a"]
    tabbed = [line.replace(",", "\t") if ".tsv" in name else line for line in lines]
    assert watched(read_events(written(*tabbed, name=name))) == {"7": ["b", "a"], "8": ["a"]}


def test_times_order_events_and_rows_order_those_of_one_time(written: Written) -> None:
    path = written("user_id,video_id,occurred_at", "7,c,20", "7,a,10", "7,b,10")
    events = read_events(path)
    assert watched(events) == {"7": ["a", "b", "c"]}
    log = events.log(ROWS)
    assert (log.timed, log.rows.tolist()) == (True, [0, 1, 2])


@pytest.mark.parametrize(
    "cell",
    [
        "2026-01-31T12:00:00Z",
        "2026-01-31 12:00:00",
        "2026-01-31T13:00:00.000000001+01:00",
        "1769860800",
        "1769860800000",
        "1769860800000000",
    ],
)
def test_a_time_is_read_however_it_is_written(written: Written, cell: str) -> None:
    events = read_events(written("user_id,video_id,occurred_at", f"7,a,{cell}"))
    assert events.times is not None
    assert events.times[0] == pytest.approx(days(datetime(2026, 1, 31, 12, tzinfo=UTC)))


def test_parquet_has_ids_and_times_of_its_own_types(tmp_path: Path) -> None:
    moments = [datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)]
    table = pa.table({"user_id": [7, 7], "video_id": [2, 1], "occurred_at": moments})
    parquet.write_table(table, tmp_path / "log.parquet")
    assert watched(read_events(tmp_path / "log.parquet")) == {"7": ["1", "2"]}


def test_parquet_may_have_its_ids_coded(tmp_path: Path) -> None:
    table = pa.table(
        {
            "user_id": pa.array([7, 8, 7]).dictionary_encode(),
            "video_id": pa.array(["b", "a", "a"], pa.large_string()).dictionary_encode(),
        }
    )
    parquet.write_table(table, tmp_path / "log.parquet")
    assert watched(read_events(tmp_path / "log.parquet")) == {"7": ["b", "a"], "8": ["a"]}


def test_a_byte_order_mark_and_windows_lines_are_no_matter(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_bytes(b"\xef\xbb\xbfuser_id,video_id\r\n7,a\r\n")
    assert watched(read_events(tmp_path / "log.csv")) == {"7": ["a"]}


def test_rows_without_ids_are_counted(written: Written) -> None:
    events = read_events(written("user_id,video_id,weight", "7,a,0.5", ",a,1", "7,,1"))
    assert (len(events), events.empty, events.videos) == (1, 2, ["a"])
    assert events.weights.tolist() == [0.5]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ((), "is empty"),
        (("user_id,video_id",), "has no rows"),
        (("user,video_id", "7,a"), "no column user_id among user, video_id"),
        (("user_id,video_id", "7,a,3"), "cannot be read.*as many cells in each row"),
        (("user_id,video_id,occurred_at", "7,a,2026-01-01", "7,b,soon"), "line 3.*'soon'"),
        (("user_id,video_id,occurred_at", "7,a,10", "7,b,11", "7,b,soon"), "line 4.*'soon'"),
        (("user_id,video_id,occurred_at", "7,a,"), "line 2.*is no time"),
        (("user_id,video_id,weight", "7,a,5"), "line 2: weight 5 is not 0"),
        (("user_id,video_id,weight", "7,a,much"), "line 2: weight 'much' is no number"),
        (("user_id,video_id,weight", "7,a,"), "line 2: weight '' is no number.*leave the column"),
        (("user_id,video_id", ",a"), "no row has both"),
    ],
)
def test_a_bad_log_says_what_is_wrong(written: Written, lines: tuple[str, ...], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        read_events(written(*lines))


def test_text_in_another_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_bytes("user_id,video_id\nJörg,a\n".encode("latin-1"))
    with pytest.raises(InvalidInput, match=r"cannot be read.*UTF-8"):
        read_events(tmp_path / "log.csv")


@pytest.mark.parametrize("name", ["log.txt", "log.parquet.gz"])
def test_another_kind_of_file_is_refused(written: Written, name: str) -> None:
    with pytest.raises(InvalidInput, match="must end in"):
        read_events(written("user_id,video_id", "7,a", name=name))


@pytest.mark.parametrize("name", ["log.csv.gz", "log.parquet"])
def test_a_damaged_file_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"nothing of the kind")
    with pytest.raises(InvalidInput, match="cannot be read"):
        read_events(tmp_path / name)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="is not a file"):
        read_events(tmp_path / "log.csv")


def test_without_times_users_meet_at_one_moment(written: Written) -> None:
    log = read_events(written("user_id,video_id", "7,a", "7,b", "8,a")).log(ROWS)
    last = log.times[log.offsets[1:] - 1]
    assert last[0] == last[1]
    assert log.times[0] < log.times[1]


def test_pairs_of_unknown_users_are_left_out_and_counted(written: Written) -> None:
    log = read_events(written("user_id,video_id", "7,a", "8,b")).log(ROWS)
    pairs = read_pairs(written("user_id,video_id", "7,c", "9,a", ",b", name="test.csv"))
    case = pairs.case(log, ROWS)
    assert [log.users[user] for user in case.users] == ["7"]
    assert case.relevant.tolist() == [ROWS["c"]]
    assert pairs.left_out(log) == {"unknown_users": 1, "rows_without_ids": 1}


def test_pairs_of_nobody_known_are_refused(written: Written) -> None:
    log = read_events(written("user_id,video_id", "7,a")).log(ROWS)
    pairs = read_pairs(written("user_id,video_id", "x7,b", name="test.csv"))
    with pytest.raises(InvalidInput, match=r"None of the 1 users .* 'x7' .* '7'"):
        pairs.case(log, ROWS)


def test_each_question_has_its_own_negatives(written: Written) -> None:
    log = read_events(written("user_id,video_id", "7,a", "8,a")).log(ROWS)
    lines = ["user_id,video_id,negatives", "9,a,b", "7,b, c  d ", "8,c,d"]
    case = read_questions(written(*lines, name="test.csv")).case(log, ROWS)
    assert case.candidates is not None
    assert case.relevant.tolist() == [1, 2]
    assert np.split(case.candidates.rows, case.candidates.offsets[1:-1])[0].tolist() == [1, 2, 3]
    assert case.candidates.rows[case.candidates.offsets[1] :].tolist() == [2, 3]


def test_a_question_without_negatives_is_refused(written: Written) -> None:
    path = written("user_id,video_id,negatives", "7,b,c", "8,c,", name="test.csv")
    with pytest.raises(InvalidInput, match="line 3: no negatives"):
        read_questions(path)


def test_lists_of_a_platform_are_read_in_their_order(written: Written) -> None:
    log = read_events(written("user_id,video_id", "7,a", "7,b", "8,a", "8,d")).log(ROWS)
    case = leave_last_out(log)
    path = written(
        "user_id,video_id", "7,c", "7,a", "6,a", "7,elsewhere", "7,c", "7,b", name="lists.csv"
    )
    scorer, listed, seen = read_lists(path).of(case, ROWS)
    scores = scorer.scores(case.train, case.users)
    assert listed.tolist() == [True, False]
    assert np.argsort(-scores[0])[:2].tolist() == [ROWS["c"], ROWS["b"]]
    assert np.isneginf(scores[0, [ROWS["a"], ROWS["d"]]]).all()
    assert (seen.users, seen.without_list, seen.other_users) == (1, 1, 1)
    assert (seen.watched, seen.unknown, seen.repeated, seen.beyond) == (1, 1, 1, 0)


def test_lists_of_nobody_known_are_refused(written: Written) -> None:
    case = leave_last_out(read_events(written("user_id,video_id", "7,a", "7,b")).log(ROWS))
    with pytest.raises(InvalidInput, match="no list for any of the 1 users"):
        read_lists(written("user_id,video_id", "6,a", name="lists.csv")).of(case, ROWS)


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("0.5", 2.0),
        ("50%", 2.0),
        ("1970-01-02", 1.0),
        ("1970-01-02T12:00+12:00", 1.0),
        ("86400", 1.0),
    ],
)
def test_a_cut_off_is_a_share_or_a_time(written: Written, text: str, cut: float) -> None:
    lines = [f"7,a,{day * 86_400}" for day in (0, 1, 2, 3)]
    log = read_events(written("user_id,video_id,occurred_at", *lines)).log(ROWS)
    assert cut_of(log, text) == pytest.approx(cut)


def test_a_cut_off_that_is_neither_is_refused(written: Written) -> None:
    log = read_events(written("user_id,video_id", "7,a", "7,b")).log(ROWS, in_one_order=True)
    with pytest.raises(InvalidInput, match="no occurred_at"):
        cut_of(log, "2026-01-01")
    timed = read_events(written("user_id,video_id,occurred_at", "7,a,10")).log(ROWS)
    with pytest.raises(InvalidInput, match="'soon' is not a time"):
        cut_of(timed, "soon")


def test_videos_are_read_by_either_name_of_the_id(written: Written) -> None:
    lines = ["video_id,title,genres,colour", "a,Heat,Crime|Drama,blue", "b,,Crime,red"]
    videos = read_videos(written(*lines, name="videos.csv"))
    assert videos.by_id["a"].genres == ("Crime", "Drama")
    assert len(videos.rejected) == 1


def test_videos_without_one_that_can_be_used_are_refused(written: Written) -> None:
    with pytest.raises(InvalidInput, match=r"no video that can be used.*line 2"):
        read_videos(written("id,title", "a,", name="videos.csv"))
    with pytest.raises(InvalidInput, match="no column id or video_id"):
        read_videos(written("name,title", "a,b", name="videos.csv"))


def test_the_catalogue_has_all_that_any_file_names(written: Written) -> None:
    videos = read_videos(written('{"id":"a","title":"Heat"}', name="videos.ndjson"))
    catalogue = catalogue_of(videos, ["b", "a"], ["c"])
    assert sorted(catalogue.ids) == ["a", "b", "c"]
    assert [text for text in catalogue.texts if text] == ["Heat"]


def test_hyper_parameters_are_json_or_toml(written: Written) -> None:
    assert read_params(written('{"factors": 8}', name="p.json")) == {"factors": 8}
    assert read_params(written("factors = 8", name="p.toml")) == {"factors": 8}
    with pytest.raises(InvalidInput, match="no JSON object"):
        read_params(written("[8]", name="p.json"))
