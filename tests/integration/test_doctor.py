"""What the doctor says of a service whose stores are there."""

from pathlib import Path

import pytest

from core.settings import Settings, load
from tests.catalogues import fitted_of, random_vectors, video
from tests.served import put_live, write_videos
from upnext.diagnosis import Finding, dependencies

pytestmark = pytest.mark.integration

NAMES = [f"v{number}" for number in range(12)]


@pytest.fixture
def settings(tmp_path: Path, store_urls: dict[str, str]) -> Settings:
    (tmp_path / "artifacts").mkdir()
    return load(
        {
            "home": str(tmp_path),
            **store_urls,
            "artifacts_url": (tmp_path / "artifacts").as_uri(),
        }
    )


def of(settings: Settings, name: str, **changed: object) -> Finding:
    found = dependencies(settings.model_copy(update=changed), lite=True)
    return next(finding for finding in found if finding.name == name)


def test_it_says_whether_exact_search_may_go_through_the_live_version(settings: Settings) -> None:
    write_videos(settings, [video(name) for name in NAMES])
    assert "exact search" not in [one.name for one in dependencies(settings, lite=True)]
    put_live(settings, fitted_of(NAMES, random_vectors(12)), "r1")
    assert of(settings, "exact search").fine
    beside = of(settings, "exact search", exact_bytes=100)
    assert beside.fine
    assert beside.detail.endswith("it cannot stand in for Milvus")
    alone = of(settings, "exact search", exact_bytes=100, index="exact")
    assert not alone.fine
    assert "UPNEXT_EXACT_BYTES" in alone.advice
    away = of(settings, "exact search", artifacts_url="file:///nowhere/at/all")
    assert not away.fine
