import msgspec
import pytest

from embeddings.als.config import AlsConfig
from embeddings.als.rules import defaults, defaults_for
from tests.unit.test_als import HISTORIES, VIDEOS

pytestmark = pytest.mark.unit


def rules(**changed: float) -> AlsConfig:
    size: dict[str, float] = {
        "users": 10_000,
        "videos": 5_000,
        "interactions": 200_000,
        "median_history": 16,
        "mean_weight": 1.0,
    }
    return defaults(**(size | changed))  # type: ignore[arg-type]


def test_the_table_holds() -> None:
    config = rules()
    assert config.factors == 128
    # Ten thousand users by five thousand videos: 0.4 % watched, and four times that.
    assert config.unobserved == pytest.approx(4 * 0.004)
    assert config.regularisation == pytest.approx(0.01)
    assert config.half_life == pytest.approx(0.3 * 4)


def test_all_that_was_not_watched_weighs_four_times_what_was_however_large_the_catalogue() -> None:
    for videos in (5_000, 500_000):
        config = rules(videos=videos)
        assert config.unobserved * videos * 10_000 == pytest.approx(4 * 200_000)


@pytest.mark.parametrize(
    ("users", "videos", "factors"),
    [(671, 9_125, 128), (500, 2_000, 64), (40, 2_000, 16), (2_000, 130, 32), (10**7, 10**6, 128)],
)
def test_the_smaller_side_bounds_the_factors(users: int, videos: int, factors: int) -> None:
    assert rules(users=users, videos=videos).factors == factors


def test_weights_all_smaller_scale_the_loss_and_change_nothing_else() -> None:
    whole, third = rules(), rules(mean_weight=1 / 3)
    expected = msgspec.structs.replace(
        whole, unobserved=whole.unobserved / 3, regularisation=whole.regularisation / 3
    )
    assert msgspec.structs.asdict(third) == pytest.approx(msgspec.structs.asdict(expected))


def test_without_an_order_all_watches_say_the_same_and_are_held_back_more() -> None:
    ordered = defaults_for(HISTORIES, VIDEOS)
    config = defaults_for(HISTORIES, VIDEOS, ordered=False)
    assert (config.fade, config.half_life) == (None, None)
    assert config.regularisation == pytest.approx(2 * ordered.regularisation)
    assert config.unobserved == ordered.unobserved


def test_sizes_are_read_off_the_histories() -> None:
    config = defaults_for(HISTORIES, VIDEOS)
    assert config.factors == 16
    density = len(HISTORIES.rows) / (80 * VIDEOS)
    assert config.unobserved == pytest.approx(4 * density * float(HISTORIES.weights.mean()))
