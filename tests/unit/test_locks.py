"""What images are made of is what everything else is tried with, and is known by its hashes."""

import re
import tomllib
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)")


def pins(name: str) -> dict[str, str]:
    lines = (ROOT / name).read_text().splitlines()
    found = [match for line in lines if (match := PIN.match(line))]
    return {match[1].lower(): match[2] for match in found}


def declared(extra: str | None = None) -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["optional-dependencies"][extra] if extra else project["dependencies"]
    return {re.split(r"[\[<>=;, ]", line)[0].lower() for line in wanted}


@pytest.mark.parametrize("name", ["requirements.api.lock", "requirements.worker.lock"])
def test_images_get_the_releases_that_are_locked(name: str) -> None:
    locked = pins("requirements.lock")
    assert pins(name).items() <= locked.items(), "run `make lock`"


def test_images_get_what_is_declared() -> None:
    api, worker = pins("requirements.api.lock"), pins("requirements.worker.lock")
    assert declared() <= set(api)
    assert declared("train") - {"torch"} <= set(worker)
    assert api.items() <= worker.items()
    assert {"torch", "sentence-transformers", "transformers"}.isdisjoint(api)


@pytest.mark.parametrize("kind", ["api", "worker", "build"])
def test_every_package_has_its_hashes(kind: str) -> None:
    text = (ROOT / f"requirements.{kind}.lock").read_text()
    entries = re.split(r"\n(?=[A-Za-z0-9])", text)
    packages = [entry for entry in entries if PIN.match(entry)]
    assert packages
    assert all("--hash=sha256:" in entry for entry in packages)


@pytest.mark.parametrize("name", ["requirements.api.lock", "requirements.worker.lock"])
def test_nothing_is_missing_that_a_package_needs_on_the_images_python(name: str) -> None:
    """The worker's are installed without a look at what they need."""
    [python] = re.findall(
        r"^FROM python:([0-9.]+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE
    )
    there = {"python_version": python.rpartition(".")[0], "python_full_version": python}
    known = {canonicalize_name(pin) for pin in pins(name)} | {"torch"}
    for pin in pins(name):
        for need in map(Requirement, requires(pin) or ()):
            if need.marker is None or need.marker.evaluate({"extra": "", **there}):
                assert canonicalize_name(need.name) in known, f"{pin}: {need}; run `make lock`"
