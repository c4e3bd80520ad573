"""New videos are encoded and added by a command."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from core.settings import Settings, child_environment
from core.types import Video, VideoId
from embeddings.version import open_version
from storage.artifacts import artifact_store
from storage.milvus_writer import MilvusWriter
from tests.catalogues import ids
from tests.served import write_videos
from upnext.cli import main

pytestmark = pytest.mark.training


@pytest.fixture
def run(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    for name, value in child_environment(settings).items():
        monkeypatch.setenv(name, value)

    def call(*arguments: str) -> Any:
        result = CliRunner().invoke(main, [*arguments, "--json"])
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    return call


@pytest.mark.usefixtures("filled")
def test_a_new_video_is_near_those_that_its_text_is_like(
    settings: Settings, milvus_uri: str, run: Callable[..., Any], tmp_path: Path
) -> None:
    version = run("train", "content", "--promote")["version"]
    told = "A starship meets aliens at the edge of the galaxy near Kiel."
    new = Video(id=VideoId("new"), title="Kiel", genres=("Sci-Fi",), description=told)
    write_videos(settings, [new])
    assert run("embeddings", "update") == {"encoded": 1, "added": {version: 1}}
    assert run("embeddings", "update") == {"encoded": 0, "added": {version: 0}}

    opened = open_version(artifact_store(settings.artifacts_url or ""), version, tmp_path)
    item, known = opened.items.take(ids("new"))
    assert known.all()
    assert np.linalg.norm(item) == pytest.approx(1, abs=1e-5)
    writer = MilvusWriter(milvus_uri)
    [near] = writer.search(f"videos_{version}", item, 9)
    writer.close()
    assert near.ids[0] == "new"
    assert {id_.partition("-")[0] for id_ in near.ids[1:]} == {"space"}
