"""Which tests run on one worker, and in what order, when several workers share the suite."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling

# Folders whose tests start whole services, load them, or encode texts on every core: one worker has
# all of a folder, one after the other, and begins with it, since these take longest.
TOGETHER = ("tests/e2e", "tests/training", "tests/faults")
_ORDER = (*TOGETHER, "tests/contract_http", "tests/integration", "tests/contract", "tests/unit")


class ByFile(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """A worker gets a whole file, so that it starts no server and no application twice."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::", 1)[0]
        return next((folder for folder in TOGETHER if file.startswith(f"{folder}/")), file)


def longest_first(items: list[pytest.Item], root: Path) -> None:
    """Sort the folders, each in its own order: short tests fill up what long ones leave."""
    items.sort(key=lambda item: _rank(item.path.relative_to(root).parts))


def _rank(parts: Sequence[str]) -> int:
    folder = "/".join(parts[:2])
    return _ORDER.index(folder) if folder in _ORDER else len(_ORDER)
