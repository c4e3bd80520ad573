"""A run's judgement with recipes whose models are known to be good or bad."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from core.clock import EPOCH
from core.settings import Settings, load
from core.types import DataSpan, Model, UserId, VideoId, Weights
from embeddings.content_map import ContentMap
from embeddings.dataset import Catalogue, Histories
from embeddings.items import item_vectors, normalised
from embeddings.user_encoder import DecayedMean
from embeddings.version import Fitted, write_version
from storage.artifacts import artifact_store
from tests.catalogues import catalogue_of, random_vectors, video
from upnext.jobs import judge as judging
from upnext.jobs.fitting.recipe import Material, Recipe
from upnext.jobs.judge import Judge, Judged, Watched
from upnext.jobs.reading import Data, Pinned

pytestmark = pytest.mark.unit

KINDS, OF_A_KIND = 6, 30
NAMES = sorted(f"v{number:03}" for number in range(KINDS * OF_A_KIND))
ORDERED = [
    id_.decode()
    for id_ in item_vectors(
        [VideoId(n) for n in NAMES], np.zeros((180, 1), np.float32)
    ).ids.tolist()
]
KIND = np.array([int(name[1:]) % KINDS for name in ORDERED])
"""Of each row of a model, which are in the order of hashes."""
USERS, WATCHED = 240, 8
DEFAULT = Weights(similarity=1.0, popularity=0.0, genre=0.0, recency=0.0, exploration=0.0)


def by_kind() -> NDArray[np.float32]:
    """Vectors (180, 8) that say of which kind a video is."""
    kinds: NDArray[np.float32] = np.eye(KINDS, 8, dtype=np.float32)[KIND]
    return kinds


def at_random() -> NDArray[np.float32]:
    return normalised(random_vectors(len(KIND), seed=3))


def histories(users: int = USERS) -> Histories:
    """Each user keeps to a kind and watches a video a day, all of them within the same days."""
    draw = np.random.default_rng(1)
    rows = [
        draw.choice(np.flatnonzero(user % KINDS == KIND), WATCHED, replace=False)
        for user in range(users)
    ]
    count = users * WATCHED
    return Histories(
        users=[UserId(f"u{user:03}") for user in range(users)],
        offsets=np.arange(users + 1, dtype=np.int64) * WATCHED,
        rows=np.concatenate(rows).astype(np.int32) if rows else np.zeros(0, np.int32),
        weights=np.ones(count, np.float32),
        times=np.tile(np.arange(WATCHED, dtype=np.float64), users),
        count=count,
        first=EPOCH,
        last=EPOCH + timedelta(days=WATCHED - 1),
    )


def fitted(vectors: NDArray[np.float32]) -> Fitted:
    items = item_vectors([VideoId(name) for name in ORDERED], vectors)
    return Fitted(
        items=items,
        content=items,
        watches=np.zeros(len(ORDERED), np.int32),
        content_map=ContentMap(np.eye(9, 8, dtype=np.float32), normalise=True),
        encoder=DecayedMean(3.0),
        weights=DEFAULT,
        metrics={},
    )


@dataclass
class Planted:
    """A recipe whose model is given; counts how often it is fitted, and to what."""

    vectors: NDArray[np.float32]
    params: dict[str, Any] = field(default_factory=dict)
    weights: Weights = DEFAULT
    seed: int = 0
    saw: list[Histories] = field(default_factory=list)

    def fit(
        self,
        histories: Histories,
        on_progress: Callable[[float, str], None],
        kept: Path | None = None,  # noqa: ARG002 - nothing takes long
        after: Fitted | None = None,  # noqa: ARG002 - nothing takes long
    ) -> Fitted:
        on_progress(0.0, "starting")
        self.saw.append(histories)
        return fitted(self.vectors)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load({"home": str(tmp_path / "home"), "artifacts_url": (tmp_path / "store").as_uri()})


def judged(
    settings: Settings,
    recipe: Recipe,
    *,
    live: Model | None = None,
    watched: Histories | None = None,
    told: list[str] | None = None,
    watched_before: Watched = lambda users, _videos, _moment: np.zeros(len(users), np.bool_),
) -> Judged:
    data = Data(
        Catalogue([VideoId(name) for name in ORDERED], list(ORDERED), list(ORDERED)),
        catalogue_of([video(name) for name in NAMES]).snapshot,
        histories() if watched is None else watched,
        Pinned("snapshot", 0, ""),
    )
    heard = [] if told is None else told

    def tell(_status: str, _stage: str, _fraction: float, message: str) -> None:
        heard.append(message)

    material = Material(data.catalogue.ids, data.histories, by_kind())
    return Judge(
        settings, data, material, live, watched_before, tell, settings.home / "kept"
    ).judge(recipe)


def model(*, end_day: float | None = None, **params: Any) -> Model:
    end = None if end_day is None else EPOCH + timedelta(days=end_day)
    return Model(
        id="live",
        model_type="content",
        version="content_1",
        status="live",
        created_at=EPOCH,
        data=DataSpan(end=end),
        params=params,
    )


def store(
    settings: Settings, vectors: NDArray[np.float32], rows: Sequence[int] | None = None
) -> None:
    """The live version's files; of these videos only."""
    made = fitted(vectors)
    if rows is not None:
        some = item_vectors([VideoId(ORDERED[row]) for row in rows], vectors[list(rows)])
        made = replace(made, items=some, content=some, watches=np.zeros(len(some), np.int32))
    write_version(
        artifact_store(settings.artifacts_url or ""),
        made,
        version="content_1",
        model_type="content",
        content_revision="r1",
        created_at=EPOCH,
    )


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """A live version is judged by as many users as there are here."""
    monkeypatch.setattr(judging, "ENOUGH", 200)


def test_a_first_model_that_knows_what_users_like_passes(settings: Settings) -> None:
    recipe = Planted(by_kind())
    found = judged(settings, recipe)
    assert found.verdict.passed
    assert found.baseline is not None
    assert found.baseline.model_id is None
    metrics, popular = found.fitted.metrics, found.baseline.metrics
    assert metrics["recall@10"] > 0.3 > 2 * popular["recall@10"]
    assert "ndcg@10:list" in metrics
    # It had not seen what it was asked for: each user's newest watch, which are a seventh of all.
    [train] = recipe.saw
    assert train.times.max() == WATCHED - 2


def test_a_first_model_that_knows_nothing_is_rejected_and_keeps_its_numbers(
    settings: Settings,
) -> None:
    found = judged(settings, Planted(np.zeros((len(KIND), 8), np.float32)))
    assert not found.verdict.passed
    assert "does not beat the most watched" in found.verdict.reason
    assert found.fitted.metrics["recall@10"] == 0
    assert found.baseline is not None
    assert found.baseline.metrics["recall@10"] > 0
    assert "ndcg@10:list" not in found.fitted.metrics  # no more is made of it


def test_without_a_history_there_is_nothing_to_judge_by(settings: Settings) -> None:
    for live in (None, model(end_day=2)):
        found = judged(settings, Planted(at_random()), live=live, watched=histories(0))
        assert (found.verdict.passed, found.baseline, found.fitted.metrics) == (True, None, {})
        assert "Not judged" in found.verdict.reason


def test_who_watches_again_after_the_cut_is_not_asked(settings: Settings) -> None:
    asked: list[tuple[UserId, VideoId, datetime]] = []

    def before(
        users: Sequence[UserId], videos: Sequence[VideoId], moment: datetime
    ) -> NDArray[np.bool_]:
        asked.extend((user, video, moment) for user, video in zip(users, videos, strict=True))
        return np.resize(np.array([True, False]), len(users))

    found = judged(settings, Planted(by_kind()), watched_before=before)
    assert "for 120 users" in found.verdict.reason
    whole = histories()
    newest = [VideoId(ORDERED[row]) for row in whole.rows[WATCHED - 1 :: WATCHED]]
    cut = EPOCH + timedelta(days=WATCHED - 1)
    assert asked == [(user, video, cut) for user, video in zip(whole.users, newest, strict=True)]


def test_the_live_models_settings_are_fitted_to_the_same_split(settings: Settings) -> None:
    told: list[str] = []
    live = model(dimensions=8)  # of the vectors that texts have here, which say the kind
    found = judged(settings, Planted(at_random()), live=live, told=told)
    assert not found.verdict.passed
    assert "live model's settings on the same history" in found.verdict.reason
    assert found.baseline is not None
    assert found.baseline.model_id == "live"
    assert found.fitted.metrics["ndcg@10"] < 0.5 * found.baseline.metrics["ndcg@10"]
    assert any("live model's settings" in line for line in told)
    assert judged(settings, Planted(by_kind()), live=live).verdict.passed


@pytest.mark.usefixtures("few")
def test_a_live_version_is_judged_as_it_serves_by_what_came_after_its_data(
    settings: Settings,
) -> None:
    store(settings, at_random())
    recipe = Planted(by_kind())
    found = judged(settings, recipe, live=model(end_day=3.5))
    assert found.verdict.passed
    assert "the live model for 240 users" in found.verdict.reason
    assert found.baseline is not None
    assert found.fitted.metrics["recall@10"] > 2 * found.baseline.metrics["recall@10"]
    assert recipe.saw[0].times.max() == WATCHED - 2  # the newest of what the live one has not seen


@pytest.mark.usefixtures("few")
def test_a_model_that_is_worse_than_the_live_version_is_rejected(settings: Settings) -> None:
    store(settings, by_kind())
    found = judged(settings, Planted(at_random()), live=model(end_day=3.5))
    assert not found.verdict.passed
    assert "worse than the live model:" in found.verdict.reason
    assert found.baseline is not None
    assert found.baseline.metrics["recall@10"] > 0.3 > found.fitted.metrics["recall@10"]


@pytest.mark.usefixtures("few")
def test_only_videos_that_both_have_are_ranked(settings: Settings) -> None:
    known = [row for row in range(len(ORDERED)) if KIND[row] != 0]
    store(settings, by_kind(), known)
    found = judged(settings, Planted(by_kind()), live=model(end_day=3.5))
    assert found.baseline is not None
    assert "the live model for 200 users" in found.verdict.reason  # who keep to other kinds
    assert found.fitted.metrics["recall@10"] == pytest.approx(found.baseline.metrics["recall@10"])


@pytest.mark.usefixtures("few")
def test_a_live_version_whose_files_are_gone_is_fitted_again(settings: Settings) -> None:
    found = judged(settings, Planted(by_kind()), live=model(end_day=3.5, dimensions=8))
    assert found.verdict.passed
    assert "live model's settings" in found.verdict.reason


def test_a_live_model_without_settings_in_the_registry_gets_those_of_its_type(
    settings: Settings,
) -> None:
    live = model(dimensions="as another release had them")
    found = judged(settings, Planted(by_kind()), live=live)
    assert found.verdict.passed
    assert found.baseline is not None
    assert found.baseline.metrics["recall@10"] > 0.3
