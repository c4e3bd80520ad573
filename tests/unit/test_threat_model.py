"""The threat model names what shows its controls, and all of that is there."""

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")


def test_every_threat_names_a_test_or_a_file_that_is_there() -> None:
    table = PAGE.split("## Threats, and what holds them off\n")[1].split("\n## ")[0]
    rows = [line.split("|") for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 20
    for row in rows:
        shown = re.findall(r"`([\w./-]+/[\w./-]+|Dockerfile|requirements.lock)`", row[3])
        assert shown, row[1]
        for path in shown:
            assert (ROOT / path).is_file(), path


def test_its_links_lead_somewhere() -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (ROOT / "docs" / link).is_file(), link
