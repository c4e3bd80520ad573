"""Histories without times: the order is kept, the times are made up the same way each run."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core.types import Interaction, Video
from ingest.report import Reject
from ingest.sequences import read_pairs, read_titles

pytestmark = pytest.mark.unit

REAL = Path(__file__).parents[3] / "shared" / "data" / "microlens-50k"
LAST = datetime(2024, 1, 1, tzinfo=UTC)


def pairs(folder: Path, content: bytes) -> tuple[list[Interaction], list[Reject]]:
    path = folder / "pairs.tsv"
    path.write_bytes(content)
    items = list(read_pairs(path).items)
    good = [item for item in items if isinstance(item, Interaction)]
    return good, [item for item in items if isinstance(item, Reject)]


def test_the_last_watch_is_at_a_fixed_time_and_earlier_ones_an_hour_apart(tmp_path: Path) -> None:
    good, bad = pairs(tmp_path, b"1\t10 11 12\r\n2\t11\r\n")
    assert bad == []
    assert [(row.user_id, row.video_id, row.occurred_at) for row in good] == [
        ("1", "10", LAST - timedelta(hours=2)),
        ("1", "11", LAST - timedelta(hours=1)),
        ("1", "12", LAST),
        ("2", "11", LAST),
    ]
    assert {(row.kind, row.weight) for row in good} == {("watch", 1.0)}
    assert len({row.key for row in good}) == 4
    assert good == pairs(tmp_path, b"1\t10 11 12\n2\t11\n")[0]


def test_watching_again_later_is_another_watch(tmp_path: Path) -> None:
    good, _ = pairs(tmp_path, b"1\t10 11 10\n")
    assert len({row.key for row in good}) == 3


def test_bad_lines_and_bad_entries_cost_themselves_only(tmp_path: Path) -> None:
    good, bad = pairs(tmp_path, b"no tab\n\t1 2\nu\t\n\xff\t1\n\nu\t1 b/d 3\n")
    assert [row.video_id for row in good] == ["1", "3"]
    assert [row.occurred_at for row in good] == [LAST - timedelta(hours=2), LAST]
    assert [(reject.line, reject.reason) for reject in bad] == [
        (1, "expected `user TAB video video ...`"),
        (2, "user_id is empty"),
        (3, "expected `user TAB video video ...`"),
        (4, "the line is not UTF-8 (byte 1)"),
        (
            6,
            "entry 2: video_id 'b/d' must be 1 to 128 of A-Z a-z 0-9 _ . : - | @ + = ~",
        ),
    ]


def test_captions_are_titles_and_long_ones_descriptions_too(tmp_path: Path) -> None:
    path = tmp_path / "titles.csv"
    caption = "duck intestines " * 50
    path.write_text(f'item,title\n1,"So ""good"" # comic # food"\n2,{caption}\n')
    first, second = read_titles(path).items
    assert isinstance(first, Video)
    assert (first.title, first.description) == ('So "good" # comic # food', "")
    assert first.genres == ()
    assert isinstance(second, Video)
    assert second.description == caption.strip()
    assert second.title.endswith(" intestines\N{HORIZONTAL ELLIPSIS}")
    assert len(second.title) <= 500


@pytest.mark.skipif(not REAL.is_dir(), reason="../shared/data/microlens-50k is not there")
def test_the_real_files_have_no_bad_line() -> None:
    titles = list(read_titles(REAL / "titles.csv").items)
    assert len(titles) == sum(isinstance(item, Video) for item in titles) == 19_220
    kinds = {type(item) for item in read_pairs(REAL / "pairs.tsv").items}
    assert kinds == {Interaction}
