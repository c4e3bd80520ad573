"""Whatever is in a file, good lines come through and bad ones say why."""

import csv
import io
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from core.errors import InvalidInput, SetupError
from core.types import Video
from ingest.readers.csv_rows import CsvRows
from ingest.readers.lines import LONGEST_LINE
from ingest.readers.tables import Rows
from ingest.report import Reject
from ingest.video_files import read_videos

pytestmark = pytest.mark.unit


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scratch")


def rows_of(rows: Rows) -> tuple[list[tuple[int, dict[str, Any]]], list[Reject]]:
    items = list(rows)
    good = [item for item in items if not isinstance(item, Reject)]
    return good, [item for item in items if isinstance(item, Reject)]


def csv_rows(folder: Path, content: bytes) -> tuple[list[tuple[int, dict[str, Any]]], list[Reject]]:
    path = folder / "rows.csv"
    path.write_bytes(content)
    return rows_of(CsvRows(path, ("id", "title")))


def videos_of(path: Path) -> tuple[list[Video], list[tuple[int, str]]]:
    items = list(read_videos(path).items)
    good = [item for item in items if isinstance(item, Video)]
    return good, [(item.line, item.reason) for item in items if isinstance(item, Reject)]


def test_an_open_quote_costs_its_own_line_only(tmp_path: Path) -> None:
    content = b'id,title\n1,One\n2,"never closed\n3,Three\n4,"Four, with a comma"\n5,Five\n'
    good, bad = csv_rows(tmp_path, content)
    assert [row["id"] for _, row in good] == ["1", "3", "4", "5"]
    assert bad == [Reject("rows.csv", 3, "broken CSV quoting")]


def test_an_open_quote_before_a_bad_line_or_the_end_costs_its_own_line_only(tmp_path: Path) -> None:
    good, bad = csv_rows(tmp_path, b'id,title\n1,"a\n\xff\xfe\n2,b\n3,"c\n')
    assert good == [(4, {"id": "2", "title": "b"})]
    assert [(reject.line, reject.reason) for reject in bad] == [
        (2, "broken CSV quoting"),
        (3, "the line is not UTF-8 (byte 1)"),
        (5, "broken CSV quoting"),
    ]


def test_quoted_fields_may_hold_line_ends_commas_and_quotes(tmp_path: Path) -> None:
    good, bad = csv_rows(tmp_path, b'id,title\r\n1,"two\r\nlines, ""quoted"""\r\n2,b\r\n')
    assert good == [
        (2, {"id": "1", "title": 'two\nlines, "quoted"'}),
        (4, {"id": "2", "title": "b"}),
    ]
    assert bad == []


def test_a_byte_order_mark_blank_lines_and_empty_cells_are_left_out(tmp_path: Path) -> None:
    good, bad = csv_rows(tmp_path, b"\xef\xbb\xbfid,title\n\n1,\n")
    assert good == [(3, {"id": "1"})]
    assert bad == []


def test_a_wrong_number_of_columns_is_a_reject(tmp_path: Path) -> None:
    _, bad = csv_rows(tmp_path, b"id,title\n1\n1,2,3\n")
    assert [reject.reason for reject in bad] == [
        "1 columns, the header has 2",
        "3 columns, the header has 2",
    ]


def test_an_endless_line_is_a_reject_of_its_own(tmp_path: Path) -> None:
    endless = b"x" * (2 * LONGEST_LINE + 5)
    good, bad = csv_rows(tmp_path, b"id,title\n" + endless + b"\n1,One\n")
    assert good == [(3, {"id": "1", "title": "One"})]
    assert [reject.line for reject in bad] == [2]


@pytest.mark.parametrize("header", [b"", b"id,name\n", b"\xff\n", b'"id,title\n'])
def test_a_missing_column_is_one_clear_error(tmp_path: Path, header: bytes) -> None:
    with pytest.raises(InvalidInput, match=r"no column .*title.*Expected a header with id, title"):
        csv_rows(tmp_path, header)


@given(st.lists(st.tuples(st.text(max_size=20), st.text(max_size=20)), max_size=8))
def test_what_the_standard_writer_writes_is_read_back(
    scratch: Path, records: list[tuple[str, str]]
) -> None:
    # Bare carriage returns and NULs have no portable form in CSV.
    clean = [tuple(cell.replace("\r", "").replace("\0", "") for cell in row) for row in records]
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows([("id", "title"), *clean])
    good, bad = csv_rows(scratch, text.getvalue().encode())
    assert [(row.get("id", ""), row.get("title", "")) for _, row in good] == clean
    assert bad == []


@given(st.lists(st.binary(max_size=40).filter(lambda line: b"\n" not in line), max_size=6))
def test_garbage_never_drops_the_good_lines_around_it(scratch: Path, garbage: list[bytes]) -> None:
    # A quote opened by garbage may end inside a good line's own quotes: these have none.
    lines = [b"id,title", b"first,One"]
    for line in garbage:
        lines += [line.replace(b'"', b""), b"between,Two"]
    good, _ = csv_rows(scratch, b"\n".join(lines))
    between = [row for _, row in good if row == {"id": "between", "title": "Two"}]
    assert good[0] == (2, {"id": "first", "title": "One"})
    assert len(between) >= len(garbage)


@given(st.lists(st.binary(max_size=60).filter(lambda line: b"\n" not in line), max_size=6))
def test_garbage_in_ndjson_never_drops_a_good_line(scratch: Path, garbage: list[bytes]) -> None:
    video = b'{"id":"good","title":"One"}'
    lines = [video, *(part for line in garbage for part in (line, video))]
    path = scratch / "videos.ndjson"
    path.write_bytes(b"\n".join(lines))
    good, bad = videos_of(path)
    assert len(good) == len(garbage) + 1
    assert len(bad) == sum(1 for line in garbage if _visible(line))


def _visible(line: bytes) -> bool:
    try:
        return bool(line.decode().rstrip("\r\n").strip())
    except UnicodeDecodeError:
        return True


def test_deep_json_is_a_reject(tmp_path: Path) -> None:
    path = tmp_path / "videos.ndjson"
    path.write_bytes(b'{"title":' + b"[" * 500_000 + b'\n{"id":"1","title":"One"}\n')
    good, bad = videos_of(path)
    assert [video.id for video in good] == ["1"]
    assert bad[0][0] == 1
    assert bad[0][1].startswith("not a JSON object")


def write(folder: Path, extension: str, rows: list[dict[str, Any]]) -> Path:
    """The same rows in one of the three formats."""
    path = folder / f"videos{extension}"
    if extension == ".parquet":
        parquet.write_table(pa.Table.from_pylist(rows), path)
    elif extension == ".csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            for row in rows:
                flat = {k: "|".join(v) if isinstance(v, list) else v for k, v in row.items()}
                writer.writerow(flat)
    else:
        path.write_bytes(b"\n".join(msgspec.json.encode(row) for row in rows))
    return path


@pytest.mark.parametrize("extension", [".csv", ".ndjson", ".jsonl", ".parquet"])
def test_every_format_gives_the_same_videos(tmp_path: Path, extension: str) -> None:
    rows: list[dict[str, Any]] = [
        {
            "id": 42,
            "title": "Bowls, mugs",
            "description": "Clay\nand fire",
            "genres": ["pottery", "crafts"],
            "duration_seconds": 61.5,
            "language": "en",
            "creator_id": 7,
            "published_at": date(2024, 5, 1),
            "available": False,
            "available_until": datetime(2030, 1, 1, 12, tzinfo=UTC),
            "regions": ["DE", "FR"],
            "maturity": 12,
        },
        {
            "id": 43,
            "title": "Plain",
            "description": None,
            "genres": [],
            "duration_seconds": None,
            "language": None,
            "creator_id": None,
            "published_at": None,
            "available": True,
            "available_until": None,
            "regions": [],
            "maturity": 0,
        },
    ]
    good, bad = videos_of(write(tmp_path, extension, rows))
    assert bad == []
    assert good == [
        Video(
            id=good[0].id,
            title="Bowls, mugs",
            description="Clay\nand fire",
            genres=("pottery", "crafts"),
            duration_seconds=61.5,
            language="en",
            creator_id="7",
            published_at=datetime(2024, 5, 1, tzinfo=UTC),
            available=False,
            available_until=datetime(2030, 1, 1, 12, tzinfo=UTC),
            regions=("DE", "FR"),
            maturity=12,
        ),
        Video(id=good[1].id, title="Plain"),
    ]
    assert [video.id for video in good] == ["42", "43"]


def test_a_parquet_value_that_cannot_be_read_costs_its_row(tmp_path: Path) -> None:
    titles = pa.array([b"One", b"\xff\xfe", b"Three"]).view(pa.string())
    table = pa.table({"id": pa.array([1, 2, 3]), "title": titles})
    parquet.write_table(table, tmp_path / "v.parquet")
    good, bad = videos_of(tmp_path / "v.parquet")
    assert [video.title for video in good] == ["One", "Three"]
    assert bad == [(2, "a value is no UTF-8 text or no possible time")]


def test_parquet_times_in_nanoseconds_are_cut_to_microseconds(tmp_path: Path) -> None:
    moment = pa.array([1_700_000_000_123_456_789], pa.timestamp("ns"))
    table = pa.table({"id": ["1"], "title": ["One"], "published_at": moment})
    parquet.write_table(table, tmp_path / "v.parquet")
    (video,), _ = videos_of(tmp_path / "v.parquet")
    assert video.published_at == datetime(2023, 11, 14, 22, 13, 20, 123456, UTC)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("v.csv", b"id,title,colour\n", "unknown column 'colour'. Known are available"),
        ("v.parquet", b"PAR1 not really", "cannot be read as Parquet"),
        ("v.txt", b"", r"must end in \.ndjson, \.jsonl, \.csv or \.parquet"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_clear_error(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidInput, match=message):
        read_videos(tmp_path / name)


def test_parquet_without_a_required_column_is_one_clear_error(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"id": ["1"]}), tmp_path / "v.parquet")
    with pytest.raises(InvalidInput, match="no column title"):
        read_videos(tmp_path / "v.parquet")


def test_a_missing_file_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"gone\.csv is not a file\. Expected videos"):
        read_videos(tmp_path / "gone.csv")


def test_a_parquet_time_that_python_does_not_have_costs_its_row(tmp_path: Path) -> None:
    times = pa.array([2**62, 0]).cast(pa.timestamp("us"))
    table = pa.table({"id": ["1", "2"], "title": ["One", "Two"], "published_at": times})
    parquet.write_table(table, tmp_path / "v.parquet")
    good, bad = videos_of(tmp_path / "v.parquet")
    assert [video.id for video in good] == ["2"]
    assert bad == [(1, "a value is no UTF-8 text or no possible time")]


def test_a_damaged_parquet_file_is_one_clear_error_after_the_good_rows(tmp_path: Path) -> None:
    path = tmp_path / "v.parquet"
    ids = [str(number) for number in range(20_000)]
    table = pa.table({"id": ids, "title": ids})
    parquet.write_table(table, path, row_group_size=10_000, use_dictionary=False)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle + 2_000 : middle + 20_000] = b"\x99" * 18_000
    path.write_bytes(content)
    good: list[Video | Reject] = []
    with pytest.raises(InvalidInput, match=r"v\.parquet is damaged after row 10000"):
        good.extend(iter(read_videos(path).items))
    assert len(good) == 10_000
