"""`upnext evaluate` with the models that are trained: what they find, and the lists made of it."""

from pathlib import Path

import pytest

from tests.logged import evaluate, evaluated, write_log, write_rows
from tests.planted import planted_taste

pytestmark = pytest.mark.training


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluated")
    return write_log(planted_taste(users=80, videos=60).log, folder / "log.csv")


def test_als_finds_tastes_and_says_what_it_took(log: Path) -> None:
    told = evaluated(log, "leave-last-out", "--model", "als")
    assert told["verdict"][0].startswith("als beats the most watched")
    assert told["epochs"] == told["params"]["iterations"]
    watches = told["epochs"] * told["data"]["trained_watches"]
    assert told["interactions_per_second"] == pytest.approx(watches / told["seconds"]["fit"])
    assert told["diversity_of"] == "model"


def test_where_histories_have_no_order_the_newest_weighs_no_more(log: Path, tmp_path: Path) -> None:
    lines = [line.rpartition(",")[0] for line in log.read_text().splitlines()]
    untimed = write_rows(tmp_path / "log.csv", *lines)
    test = write_rows(tmp_path / "test.csv", "user_id,video_id", "u0,v1", "u1,v2")
    told = evaluated(untimed, "split", "--model", "als", "--test", test)
    assert (told["params"]["fade"], told["params"]["half_life"]) == (None, None)
    timed = evaluated(log, "split", "--model", "als", "--test", test)
    assert timed["params"]["half_life"] is not None


def test_too_little_to_learn_from_is_said(tmp_path: Path) -> None:
    log = write_rows(tmp_path / "log.csv", "user_id,video_id", "7,a", "7,b")
    result = evaluate(log, "leave-last-out", "--model", "als")
    assert "it needs 100 watches of 10 users to be trained on, and here are 1 of 1" in result.stderr


def test_texts_are_encoded_once_and_make_a_model(log: Path, tmp_path: Path) -> None:
    titles = [f"v{row},{('Space', 'Cooking', 'Football')[row % 3]} {row}" for row in range(9)]
    videos = write_rows(tmp_path / "videos.csv", "video_id,title", *titles)
    options = "--model", "content", "--videos", videos, "--cache", tmp_path / "cache"
    told = evaluated(log, "leave-last-out", *options)
    assert (told["data"]["told"], told["diversity_of"]) == (9, "texts")
    again = evaluate(log, "leave-last-out", *options)
    assert "texts encoded" not in again.stderr
    assert [path.suffix for path in (tmp_path / "cache").rglob("*.*")] == [".parquet"]


def test_whole_lists_stand_beside_the_models_own_order(
    log: Path, tmp_path: Path, milvus_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPNEXT_MILVUS_URI", milvus_uri)
    options = "--model", "als", "--end-to-end", "--report", tmp_path
    told = evaluated(log, "temporal", *options)
    made = told["end_to_end"]
    assert made["users"] == told["users"]
    assert made["retrieval"]["metrics"] == told["metrics"]
    assert made["ann"]["recall"]["recall@10"] > 0.9
    assert any("in whole lists" in line for line in told["verdict"])
    (page,) = tmp_path.iterdir()
    assert "als: what users get" in page.read_text()


def test_the_training_of_a_sequence_model_is_told_epoch_by_epoch(log: Path, tmp_path: Path) -> None:
    params = write_rows(tmp_path / "p.toml", "dimensions = 16", "layers = 1", "epochs = 2")
    told = evaluated(log, "leave-last-out", "--model", "sequence", "--params", params)
    assert told["params"]["dimensions"] == 16
    assert [point["epoch"] for point in told["curve"]] == list(range(1, told["epochs"] + 1))
    assert told["interactions_per_second"] > 0
