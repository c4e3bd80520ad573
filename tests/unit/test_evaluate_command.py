"""`upnext evaluate`: its protocols, its JSON, and what it refuses; models that need no torch."""

import json
import re
from errno import EACCES
from pathlib import Path
from typing import NoReturn

import pytest

from core.errors import SetupError
from embeddings.evaluation.metrics import NAMES
from tests.logged import evaluate, evaluated, write_log, write_rows
from tests.planted import planted_taste
from upnext.evaluating import fitting

pytestmark = pytest.mark.unit

POPULAR = ("--model", "popular")


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of 60 users of 40 videos with tastes; the home is one that nobody may make."""
    monkeypatch.setenv("UPNEXT_HOME", str(tmp_path / "home"))
    return write_log(planted_taste(users=60, videos=40).log, tmp_path / "log.csv")


def test_users_last_events_are_found_by_taste_and_not_by_popularity(
    log: Path, tmp_path: Path
) -> None:
    told = evaluated(log, "leave-last-out", "--model", "itemknn")
    assert (told["model"], told["protocol"], told["users"]) == ("itemknn", "leave-last-out", 60)
    assert {*told["metrics"]} == {*NAMES} == {*told["intervals"]}
    assert told["metrics"]["ndcg@10"] > 2 * told["popular"]["metrics"]["ndcg@10"]
    assert told["verdict"][0].startswith("itemknn beats the most watched: nDCG@10")
    assert told["data"]["users"] == 60
    assert told["seconds"]["fit"] > 0 < told["peak_memory_mb"]
    assert {*told["segments"]} == {"history_length", "item_popularity", "item_age"}
    assert not (tmp_path / "home").exists()


def test_a_split_is_read_from_a_test_file(log: Path, tmp_path: Path) -> None:
    test = write_rows(tmp_path / "test.csv", "user_id,video_id", "u0,v99", "nobody,v1")
    told = evaluated(log, "split", *POPULAR, "--test", test)
    assert (told["users"], told["relevant"], told["data"]["videos"]) == (1, 1, 41)
    assert told["left_out"]["unknown_users"] == 1
    assert told["popular"] is None


def test_candidates_are_all_that_is_ranked(log: Path, tmp_path: Path) -> None:
    lines = "user_id,video_id,negatives", "u0,v1,v98 v99"
    told = evaluated(log, "candidates", *POPULAR, "--test", write_rows(tmp_path / "t.csv", *lines))
    assert told["metrics"]["hr@1"] == 1.0


def test_what_is_new_after_a_cut_off_is_told_apart(tmp_path: Path) -> None:
    events = [f"u{user},v{day},{day}" for day in range(10) for user in range(3 if day < 9 else 4)]
    log = write_rows(tmp_path / "log.csv", "user_id,video_id,occurred_at", *events)
    told = evaluated(log, "temporal", *POPULAR, "--cut-off", "9")
    assert told["parts"]["returning"]["users"] == 3
    assert told["parts"]["new"]["users"] == 1
    assert told["cold"]["videos"] == 1
    assert told["metrics"]["hr@1"] == 0.75  # who is new had watched nothing else


def test_own_lists_are_judged_by_the_same_users(log: Path, tmp_path: Path) -> None:
    planted = planted_taste(users=60, videos=40)
    case = planted.case()
    rows = [f"u{user},v{row}" for user, row in enumerate(case.relevant[:30].tolist())]
    lists = write_rows(tmp_path / "lists.csv", "user_id,video_id", *rows)
    told = evaluated(log, "leave-last-out", "--model", "itemknn", "--against", lists)
    assert told["against"]["theirs"]["metrics"]["hr@1"] == 1.0
    assert (told["against"]["seen"]["users"], told["against"]["seen"]["without_list"]) == (30, 30)
    assert told["against"]["ours"]["users"] == 30
    assert "itemknn does NOT beat the lists of --against" in told["verdict"][1]


def test_seeds_give_means_and_intervals(log: Path) -> None:
    told = evaluated(log, "leave-last-out", *POPULAR, "--seeds", "3", "--seed", "5")
    assert told["over_seeds"]["seeds"] == [5, 6, 7]
    low, high = told["over_seeds"]["intervals"]["ndcg@10"]
    assert low == pytest.approx(high) == pytest.approx(told["metrics"]["ndcg@10"])


def test_several_models_stand_beside_each_other(log: Path) -> None:
    told = evaluated(log, "leave-last-out", *POPULAR, "--model", "itemknn")
    assert [one["model"] for one in told["models"]] == ["popular", "itemknn"]
    result = evaluate(log, "leave-last-out", *POPULAR, "--model", "itemknn")
    assert "itemknn beats the most watched" in result.stdout
    assert "most watched" not in result.stdout.split("itemknn beats")[0]  # `popular` has a row


def test_hyper_parameters_lie_over_the_defaults(log: Path, tmp_path: Path) -> None:
    params = write_rows(tmp_path / "params.json", '{"shrink": 3.0}')
    told = evaluated(log, "leave-last-out", "--model", "itemknn", "--params", params)
    assert told["params"] == {"neighbours": 500, "shrink": 3.0}


@pytest.mark.parametrize(
    ("protocol", "options", "said"),
    [
        ("split", (), "needs --test FILE with user_id, video_id"),
        ("leave-last-out", ("--test", "log.csv"), "leave --test out"),
        ("leave-last-out", ("--cut-off", "0.8"), "goes with --protocol temporal"),
        ("leave-last-out", ("--end-to-end",), "which a baseline has none of"),
        ("candidates", ("--test", "log.csv", "--against", "log.csv"), "another protocol"),
        ("leave-last-out", ("--params", "params.json"), "There is no parameter factors"),
        (
            "leave-last-out",
            ("--model", "itemknn", "--params", "none.json"),
            "Expected `int` >= 1 - at `$.neighbours`",
        ),
        ("leave-last-out", ("--model", "content"), "with --videos FILE"),
        ("temporal", ("--cut-off", "1970-01-01"), "No event is before the cut-off"),
        ("split", ("--test", "none.csv"), "none.csv is not a file"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    log: Path,
    monkeypatch: pytest.MonkeyPatch,
    protocol: str,
    options: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.chdir(log.parent)
    write_rows(log.parent / "params.json", '{"factors": 8}')
    write_rows(log.parent / "none.json", '{"neighbours": 0}')
    model = () if "--model" in options else POPULAR
    result = evaluate(log, protocol, *model, *options)
    assert result.exit_code == 1
    assert said in result.stderr.splitlines()[-1]
    assert result.stdout == ""


def test_what_is_not_installed_is_named(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(fitting.LIBRARIES, "popular", ("no_such_library",))
    result = evaluate(log, "leave-last-out", *POPULAR)
    assert "no_such_library cannot be imported" in result.stderr
    assert "upnext[train]" in result.stderr


def test_the_report_is_one_page_whole_in_itself(tmp_path: Path) -> None:
    planted = planted_taste(users=60, videos=40)
    log = write_log(planted.log, tmp_path / "<script>alert(1)</script>.csv".replace("/", "-"))
    result = evaluate(log, "leave-last-out", "--model", "itemknn", "--report", tmp_path / "report")
    assert result.exit_code == 0, result.stderr
    (page,) = (tmp_path / "report").iterdir()
    text = page.read_text()
    assert str(page) in result.stderr
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert "http" not in re.sub(r'http-equiv|src="data:[^"]*"', "", text)
    assert text.count('src="data:image/svg+xml;base64,') >= 4
    assert "itemknn beats the most watched" in text


def test_a_report_that_cannot_be_written_is_said(log: Path, tmp_path: Path) -> None:
    (tmp_path / "report").write_text("a file")
    result = evaluate(log, "leave-last-out", *POPULAR, "--report", tmp_path / "report")
    assert result.exit_code == 1
    assert result.stderr.endswith("report cannot be written to: File exists.\n")


def test_a_report_folder_that_nothing_can_be_written_into_is_said_first(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_where: object) -> NoReturn:
        raise PermissionError(EACCES, "Permission denied")

    monkeypatch.setattr("upnext.cli.evaluate.TemporaryFile", refuse)
    result = evaluate(log, "leave-last-out", *POPULAR, "--report", tmp_path / "report")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert result.stderr.endswith("report cannot be written to: Permission denied.\n")


def test_results_are_told_also_when_the_report_cannot_be_written(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_page: object) -> NoReturn:
        raise SetupError("The page cannot be written: No space left on device.")

    monkeypatch.setattr("upnext.evaluating.page.write_page", refuse)
    result = evaluate(log, "leave-last-out", *POPULAR, "--json", "--report", tmp_path)
    assert result.exit_code == 1
    assert "No space left" in result.stderr
    assert json.loads(result.stdout)["model"] == "popular"


def test_what_is_missing_is_said_before_any_model_is_fitted(log: Path, tmp_path: Path) -> None:
    lists = write_rows(tmp_path / "lists.csv", "user_id,video_id", "someone-else,v1")
    for options in (("--against", lists), ("--model", "content")):
        result = evaluate(log, "leave-last-out", "--model", "itemknn", *options)
        assert result.exit_code == 1
        assert "Fitting" not in result.stderr
