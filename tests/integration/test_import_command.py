"""`upnext import` as a person or a script meets it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from upnext.cli import main
from upnext.home import Home

pytestmark = pytest.mark.integration


@pytest.fixture
def folder(
    tmp_path: Path, database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A folder to work in, with the stores in the environment."""
    monkeypatch.setenv("UPNEXT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("UPNEXT_POSTGRES_URL", database_url)
    monkeypatch.setenv("UPNEXT_REDIS_URL", redis_url)
    return tmp_path


def upnext(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["import", *map(str, arguments)])


def test_a_script_gets_the_report_as_json(folder: Path) -> None:
    file = folder / "videos.ndjson"
    file.write_text('{"id":1,"title":"One"}\n{"id":2}\n')
    result = upnext("videos", file, "--json")
    assert result.exit_code == 0, result.output
    reason = "object missing required field `title`"
    assert json.loads(result.stdout) == {
        "accepted": 1,
        "duplicates": 0,
        "rejected": 1,
        "videos": {"accepted": 1, "duplicates": 0, "rejected": 1},
        "interactions": {"accepted": 0, "duplicates": 0, "rejected": 0},
        "errors": [{"file": "videos.ndjson", "line": 2, "reason": reason}],
        "warnings": [],
    }
    assert "Importing videos.ndjson" in result.stderr


def test_data_of_the_user_ends_what_is_left_of_a_killed_demo_import(folder: Path) -> None:
    home = Home(folder / "home")
    home.make()
    home.demo_mark.touch()
    file = folder / "videos.ndjson"
    file.write_text('{"id":2}\n')
    assert upnext("videos", file).exit_code == 1
    assert home.demo_mark.exists()
    file.write_text('{"id":1,"title":"One"}\n')
    assert upnext("videos", file).exit_code == 0
    assert not home.demo_mark.exists()


def test_a_person_gets_a_table_and_all_rejects_in_a_file(folder: Path) -> None:
    file, rejects = folder / "events.csv", folder / "rejects.ndjson"
    bad = "".join(f"u,[bad],2025-01-{day:02d}\n" for day in range(1, 21))
    file.write_text(f"user_id,video_id,occurred_at\nu,1,2025-01-01\n{bad}")
    result = upnext("events", file, "--rejects", rejects)
    assert result.exit_code == 0, result.output
    assert "events.csv:3: video_id '[bad]' must be" in result.stdout
    assert "... and 10 more: all of them are in" in result.stdout
    lines = [json.loads(line) for line in rejects.read_text().splitlines()]
    assert [line["line"] for line in lines] == list(range(3, 23))


def test_a_file_with_nothing_usable_is_a_failure(folder: Path) -> None:
    file = folder / "videos.ndjson"
    file.write_text("nonsense\n")
    result = upnext("videos", file)
    assert result.exit_code == 1
    assert "videos.ndjson:1: not a JSON object" in result.stdout


def test_the_rejects_never_go_over_a_file(folder: Path) -> None:
    file = folder / "videos.ndjson"
    file.write_text('{"id":1,"title":"One"}\n')
    result = upnext("videos", file, "--rejects", file)
    assert result.exit_code == 1
    assert "is there already: name a new file for the rejects" in result.stderr
    assert file.read_text() == '{"id":1,"title":"One"}\n'


def test_a_missing_folder_is_one_sentence(folder: Path) -> None:
    result = upnext("movielens", folder / "gone")
    assert result.exit_code == 1
    assert "movies.csv is not a file. Expected a MovieLens file" in result.stderr
    assert "Traceback" not in result.stderr


def test_sequences_and_movielens_are_read_from_their_layouts(folder: Path) -> None:
    (folder / "pairs.tsv").write_text("1\t10 11\n")
    (folder / "titles.csv").write_text("item,title\n10,Ten\n11,Eleven\n")
    result = upnext(
        "sequences", "--pairs", folder / "pairs.tsv", "--titles", folder / "titles.csv", "--json"
    )
    assert json.loads(result.stdout)["accepted"] == 4
    (folder / "movies.csv").write_text("movieId,title,genres\n1,One (1995),Drama\n")
    (folder / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1,1,4.0,1260759144\n")
    assert json.loads(upnext("movielens", folder, "--json").stdout)["accepted"] == 2


@pytest.mark.parametrize("command", ["movielens", "sequences", "videos", "events", "demo"])
def test_every_import_has_help_with_an_example(command: str) -> None:
    result = upnext(command, "--help")
    assert result.exit_code == 0
    assert f"Example: upnext import {command}" in result.stdout
    assert "--json" in result.stdout
