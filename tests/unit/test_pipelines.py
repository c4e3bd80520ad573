"""Pipelines run every test, on what is supported and shipped, by actions that are pinned once."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.release import notes

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
PIPELINES = sorted([*ROOT.glob(".github/workflows/*.yml"), *ROOT.glob(".github/actions/*/*.yml")])
CHECKS: dict[str, Any] = yaml.safe_load((ROOT / ".github/workflows/checks.yml").read_text())


def test_an_action_has_one_commit_and_its_release_beside_it() -> None:
    pinned: dict[str, set[str]] = {}
    for path in PIPELINES:
        for used in re.findall(r"uses: (.+)", path.read_text()):
            if used.startswith("./"):
                assert (ROOT / used).exists()
                continue
            match = re.fullmatch(r"([\w./-]+)@([0-9a-f]{40} # v\d+\.\d+\.\d+)", used)
            assert match, used
            pinned.setdefault(match[1], set()).add(match[2])
    assert pinned
    assert all(len(commits) == 1 for commits in pinned.values()), pinned


def test_every_folder_of_tests_is_run_by_a_job() -> None:
    holding = {path.parent.name for path in ROOT.glob("tests/*/test_*.py")} - {"soak"}
    run = set(re.findall(r"tests/(\w+)(?:\s|$|,|})", str(CHECKS["jobs"]).replace("'", " ")))
    assert holding <= run


def test_the_oldest_python_and_that_of_the_images_are_tried() -> None:
    tried = CHECKS["jobs"]["unit"]["strategy"]["matrix"]["python"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    shipped = re.search(r"^FROM python:(\d+\.\d+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert shipped
    assert tried == [project["requires-python"].removeprefix(">="), shipped[1]]


def test_every_job_has_a_bound_and_its_own_rights() -> None:
    for path in ROOT.glob(".github/workflows/*.yml"):
        workflow = yaml.safe_load(path.read_text())
        assert workflow["permissions"] == {}
        for job in workflow["jobs"].values():
            assert "permissions" in job
            assert "uses" in job or job["timeout-minutes"] <= 60


def test_a_release_says_what_the_changelog_says_of_it() -> None:
    changelog = (
        "# Changelog\n\n## 1.2.0 (2026-11-22)\n\n- New.\n\n### Mended\n\n- Old.\n\n## 1.1.0\n"
    )
    assert notes("1.2.0", changelog, "1.2.0") == "- New.\n\n### Mended\n\n- Old.\n"
    with pytest.raises(ValueError, match=r"pyproject.toml has version 1\.1\.0"):
        notes("1.2.0", changelog, "1.1.0")
    for version in ("1.1.0", "1.0.0"):
        with pytest.raises(ValueError, match=f"says nothing of {version}"):
            notes(version, changelog, version)
