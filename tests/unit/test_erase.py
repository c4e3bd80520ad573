"""Deleting a user's vectors, also beside what a killed publish left."""

from collections.abc import Sequence

import numpy as np
import pytest

from core.errors import Unavailable
from core.types import UserId
from storage.memory.index import MemoryIndex
from upnext.jobs.erase import drop_vectors

pytestmark = pytest.mark.unit

GONE, STAYS = UserId("gone"), UserId("stays")


class HalfMade(MemoryIndex):
    """Cannot say what is in a collection that was never sealed, as the real one."""

    def lacking(self, collection: str, ids: Sequence[str]) -> list[str]:
        if collection.endswith("_killed"):
            raise Unavailable("milvus", "index not found")
        return super().lacking(collection, ids)


@pytest.fixture
def index() -> HalfMade:
    made = HalfMade()
    for name in ("users_live", "users_before", "users_killed", "videos_live"):
        made.create(name, 2)
        list(made.insert(name, [GONE, STAYS], np.eye(2, dtype=np.float32)))
    return made


def test_a_users_vectors_go_from_all_versions(index: HalfMade) -> None:
    assert drop_vectors(index, GONE, ["killed", "never_published"]) == 2
    assert index.collections() == ["users_before", "users_live", "videos_live"]
    for name in ("users_live", "users_before"):
        assert index.lacking(name, [GONE, STAYS]) == [GONE]
    assert index.lacking("videos_live", [GONE]) == []
    assert drop_vectors(index, GONE, []) == 0


def test_what_nobody_can_look_into_is_not_passed_over(index: HalfMade) -> None:
    with pytest.raises(Unavailable):
        drop_vectors(index, GONE, [])
