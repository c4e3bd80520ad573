"""Every type of model, fitted by its recipe: what serving and evaluations may count on."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from core.clock import EPOCH
from core.types import ModelType, VideoId
from embeddings.evaluation.ports import Scorer
from embeddings.evaluation.scorers import VectorScorer
from embeddings.items import item_vectors
from embeddings.sequence.config import SequenceConfig
from embeddings.sequence.export import exported
from embeddings.sequence.network import Network
from embeddings.sequence_encoder import SequenceEncoder
from embeddings.version import Fitted, open_version, write_version
from storage.artifacts import DirectoryArtifacts
from tests.planted import TEXT, Planted
from tests.scorer_contract import STRANGER, LearnsOrder, LearnsTaste
from upnext.jobs.fitting.recipe import Material
from upnext.jobs.recipes import recipe_of

pytestmark = pytest.mark.contract

RECENT, SEED = 200, 1


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Two that wait for each other take ten times as long beside other tests."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("LOKY_MAX_CPU_COUNT", "1")  # what recipes ask how many there are
        torch.set_num_threads(1)
        yield


def ids(count: int) -> list[VideoId]:
    """So many, in the order that material has them in."""
    names = [VideoId(f"video-{number}") for number in range(count)]
    ordered = item_vectors(names, np.zeros((count, 1), np.float32)).ids
    return [VideoId(name.decode()) for name in ordered.tolist()]


class ModelContract(LearnsTaste):
    """Inherit and say which type it is; `params` are what makes it quick on little data."""

    model_type: ClassVar[ModelType]
    params: ClassVar[dict[str, Any]] = {}

    @classmethod
    def model(cls, planted: Planted) -> Fitted:
        train = planted.case().train
        material = Material(ids(planted.log.videos), train, planted.content)
        recipe = recipe_of(cls.model_type, material, SEED, cls.params)
        return recipe.fit(train, lambda _share, _said: None)

    @classmethod
    def scorer_of(cls, made: Fitted) -> Scorer:
        return VectorScorer(made.items.vectors, made.encoder, RECENT, made.watches)

    @classmethod
    def fitted(cls, planted: Planted) -> Scorer:
        return cls.scorer_of(cls.model(planted))

    @pytest.fixture(scope="class")
    @classmethod
    def made(cls, board: Planted) -> Fitted:
        return cls.model(board)

    @pytest.fixture(scope="class")
    @classmethod
    def scorer(cls, made: Fitted) -> Scorer:
        return cls.scorer_of(made)

    def test_it_has_vectors_of_every_video_in_one_space(self, board: Planted, made: Fitted) -> None:
        count, width = board.log.videos, made.items.dim
        assert made.items.vectors.shape == (count, width)
        assert made.items.vectors.dtype == np.float32
        assert np.isfinite(made.items.vectors).all()
        assert made.content_map.matrix.shape == (TEXT + 1, width)
        np.testing.assert_array_equal(made.content.vectors, board.content)
        assert made.watches.tolist() == board.case().train.watches(count).tolist()

    def test_who_watched_nothing_that_says_anything_is_a_stranger(self, made: Fitted) -> None:
        few = made.items.vectors[:3]
        assert made.encoder.encode(few, np.zeros(3, np.float32)) is None
        vector = made.encoder.encode(few, np.ones(3, np.float32))
        assert vector is not None
        assert vector.shape == (made.items.dim,)
        assert vector.dtype == np.float32

    def test_a_new_video_enters_by_its_text(self, board: Planted, made: Fitted) -> None:
        """One of either half, each told by the mean of the texts of its half."""
        texts = np.stack([board.content[board.groups == half].mean(axis=0) for half in (0, 1)])
        new = made.content_map(texts / np.linalg.norm(texts, axis=1, keepdims=True))
        users = np.delete(np.arange(len(board.tastes)), STRANGER)
        scores = np.stack([self.vector(board, made, user) @ new.T for user in users.tolist()])
        likes = scores.argmax(axis=1) == board.tastes[users]
        assert likes.mean() > 0.95

    def test_its_files_give_users_equal_vectors(
        self, board: Planted, made: Fitted, tmp_path: Path
    ) -> None:
        store = DirectoryArtifacts(tmp_path / "store")
        write_version(
            store,
            made,
            version="one",
            model_type=self.model_type,
            content_revision="r",
            created_at=EPOCH,
        )
        kept = open_version(store, "one", tmp_path / "local")
        np.testing.assert_array_equal(kept.items.vectors, made.items.vectors)
        np.testing.assert_array_equal(
            kept.content_map(board.content), made.content_map(board.content)
        )
        weights = np.array([1.0, 0.5, 0.0, 0.25], np.float32)
        before, after = (
            one.encode(made.items.vectors[:4], weights) for one in (made.encoder, kept.encoder)
        )
        assert before is not None
        np.testing.assert_array_equal(before, after)

    def vector(self, board: Planted, made: Fitted, user: int) -> NDArray[np.float32]:
        train = board.case().train
        newest_first = train.rows[train.of(user)][::-1]
        vector = made.encoder.encode(
            made.items.vectors[newest_first], np.ones(len(newest_first), np.float32)
        )
        assert vector is not None
        return vector


class TestContent(ModelContract):
    model_type = "content"


class TestAls(ModelContract):
    model_type = "als"
    # In these histories no watch is newer than another, and there are few.
    params: ClassVar[dict[str, Any]] = {"fade": None, "half_life": None, "regularisation": 0.1}


class TestSequence(ModelContract, LearnsOrder):
    model_type = "sequence"
    params: ClassVar[dict[str, Any]] = {
        "dimensions": 32,
        "epochs": 15,
        "batch_positions": 512,
        "learning_rate": 1e-2,
    }


def test_an_encoder_gives_what_the_network_gives() -> None:
    config = SequenceConfig()
    torch.manual_seed(SEED)
    network = Network(500, None, config).eval()
    encoder = SequenceEncoder(exported(network, config), config.longest)
    items = network.items().detach()
    for watches in (0, 1, 2, 200, 500):
        counts = np.ones(watches, np.float32)
        made = (
            encoder.encode(items[:watches].numpy()[::-1], counts)
            if watches
            else encoder.stranger(items.numpy(), np.ones(len(items), np.int32))
        )
        assert made is not None
        with torch.no_grad():
            expected = network(items[:watches][-config.longest :][None])[0, -1].numpy()
        np.testing.assert_allclose(made, expected, atol=1e-4)
