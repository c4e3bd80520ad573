"""Whether a start has to train: only what it decides, the commands are run elsewhere."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from core.clock import EPOCH
from core.errors import SetupError
from core.settings import Settings, load
from core.types import Model, ModelStatus, ModelType
from embeddings.version import write_version
from storage.artifacts import artifact_store
from tests.catalogues import fitted_of, random_vectors
from upnext import first_start
from upnext.first_start import Inventory, fill
from upnext.home import Home
from upnext.signals import Stop

pytestmark = pytest.mark.unit

NAME = "content_1"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    home = Home(tmp_path / "home")
    home.make()
    return load({"home": str(home.path), "artifacts_url": (tmp_path / "store").as_uri()})


@pytest.fixture
def manifest(settings: Settings, tmp_path: Path) -> Path:
    """That of the live version."""
    write_version(
        artifact_store(settings.artifacts_url or ""),
        fitted_of(["a"], random_vectors(1)),
        version=NAME,
        model_type="content",
        content_revision="r1",
        created_at=EPOCH,
    )
    return tmp_path / "store" / "models" / NAME / "manifest.json"


def steps(
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    *found: Inventory,
    ends: Mapping[str, ModelStatus] | None = None,
) -> list[tuple[str, ...]]:
    """The commands that `fill` runs.

    `found` is what it finds each time it looks, the last one stays; runs of the types in `ends` end
    badly, like this.
    """
    bad = ends or {}
    waiting, run = list(found), []

    def look(_settings: Settings) -> Inventory:
        return waiting.pop(0) if len(waiting) > 1 else waiting[0]

    def step(_settings: Settings, _stop: Stop, *arguments: str) -> None:
        run.append(arguments)
        if arguments[1] in bad:
            raise SetupError("It failed.")

    async def ended(_settings: Settings, model_type: ModelType) -> ModelStatus | None:
        return bad.get(model_type)

    async def no_runs(*_: Any) -> None:
        pass

    monkeypatch.setattr(first_start, "inventory", look)
    monkeypatch.setattr(first_start, "_step", step)
    monkeypatch.setattr(first_start, "_newest_status", ended)
    monkeypatch.setattr(first_start, "_await_runs", no_runs)
    fill(settings, Stop())
    return run


def there(version: str | None, model_type: ModelType = "content") -> Inventory:
    live = version and Model(
        id=version, model_type=model_type, version=version, status="live", created_at=EPOCH
    )
    return Inventory(videos=1, live=live or None, user=None)


def test_with_a_live_version_nothing_is_trained(
    settings: Settings, manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert manifest.exists()
    assert steps(settings, monkeypatch, there(NAME)) == []


@pytest.mark.parametrize("model_type", ["als", "content"])
def test_one_that_another_release_made_is_replaced_by_one_of_its_type(
    settings: Settings,
    manifest: Path,
    monkeypatch: pytest.MonkeyPatch,
    model_type: ModelType,
) -> None:
    kept = json.loads(manifest.read_bytes())
    del kept["format"]
    manifest.write_text(json.dumps(kept))
    found = there(NAME, model_type)
    assert steps(settings, monkeypatch, found) == [("train", model_type, "--promote")]


def test_one_is_trained_when_none_is_live(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert steps(settings, monkeypatch, there(None)) == [("train", "content", "--promote")]


CONTENT, ALS = [("train", kind, "--promote") for kind in ("content", "als")]


def test_where_texts_are_not_enough_what_users_watch_is_tried(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = steps(settings, monkeypatch, there(None), ends={"content": "rejected"})
    assert run == [CONTENT, ALS]
    said = capsys.readouterr().err
    assert "No content model goes live" in said
    assert "without a model" not in said


@pytest.mark.parametrize("end", ["rejected", "failed"])
def test_where_nothing_beats_what_is_popular_it_starts_without_a_model(
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    end: ModelStatus,
) -> None:
    run = steps(settings, monkeypatch, there(None), ends={"content": "rejected", "als": end})
    assert run == [CONTENT, ALS]
    assert "Starting without a model" in capsys.readouterr().err


def test_a_first_run_that_fails_stops_the_start(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SetupError):
        steps(settings, monkeypatch, there(None), ends={"content": "failed"})


def test_a_run_that_was_under_way_and_became_live_is_enough(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert steps(settings, monkeypatch, there(None), there(None), there(NAME)) == []


def test_a_version_that_the_store_does_not_give_is_waited_for(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert steps(settings, monkeypatch, there(NAME)) == []
    assert "could not be looked at" in capsys.readouterr().err
