"""What the index of `upnext up` finds of what exact search finds."""

import numpy as np
import pytest

from core.settings import load
from core.types import VideoId
from embeddings.items import item_vectors
from upnext.evaluating.ann import Ann, measure

pytestmark = pytest.mark.integration


def test_an_index_is_started_filled_searched_and_taken_away() -> None:
    draw = np.random.default_rng(5)
    items = item_vectors(
        [VideoId(f"v{number}") for number in range(500)],
        draw.normal(size=(500, 16)).astype(np.float32),
    )
    found = measure(load({}), items, draw.normal(size=(20, 16)).astype(np.float32))
    assert isinstance(found, Ann)
    assert found.users == 20
    assert found.recall["recall@10"] > 0.95
    assert found.recall["recall@100"] > 0.95
    assert found.milliseconds > 0
