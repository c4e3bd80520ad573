import numpy as np
import pytest

from bench.made_up_history import GROUPS, histories

pytestmark = pytest.mark.unit


def test_made_up_histories_have_each_video_once_and_two_tastes_a_user() -> None:
    made = histories(2_000, 1_000)
    assert len(made.users) == 100
    assert made.offsets[-1] == len(made.rows) <= made.count == 2_000
    for user in range(len(made.users)):
        own = made.rows[made.of(user)]
        assert 0 < len(own) <= 20
        assert len(np.unique(own)) == len(own)
        assert len(np.unique(own % GROUPS)) <= 2
    np.testing.assert_array_equal(histories(2_000, 1_000).rows, made.rows)
