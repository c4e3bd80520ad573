"""The sequence model: what it reads, what it learns, and what comes out of it."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from core.errors import InvalidInput
from core.types import UserId
from embeddings.content_map import ContentMap
from embeddings.dataset import Histories
from embeddings.items import normalised
from embeddings.sequence.batches import Batch, batches, watches_of
from embeddings.sequence.config import SequenceConfig
from embeddings.sequence.model import SequenceModel, fit
from embeddings.sequence.network import Network
from embeddings.sequence.rules import defaults
from embeddings.sequence.softmax import surprise
from embeddings.sequence.validation import hold_out, ndcg

pytestmark = pytest.mark.unit
VIDEOS = 12
TINY = SequenceConfig(
    dimensions=16, dropout=0.1, batch_positions=128, longest=20, epochs=15, learning_rate=2e-2
)


def histories(*rows: list[int], weights: list[float] | None = None) -> Histories:
    count = sum(map(len, rows))
    return Histories(
        users=[UserId(str(user)) for user in range(len(rows))],
        offsets=np.cumsum([0, *map(len, rows)]),
        rows=np.array([row for one in rows for row in one], np.int32),
        weights=np.array(weights or [1.0] * count, np.float32),
        times=np.arange(count, dtype=np.float64),
        count=count,
        first=None,
        last=None,
    )


def wheels() -> Histories:
    """Everybody watches the next one round, from wherever they began."""
    return histories(*([(start + at) % VIDEOS for at in range(8)] for start in range(36)))


def texts() -> NDArray[np.float32]:
    made = np.random.default_rng(1).normal(size=(VIDEOS, 6)).astype(np.float32)
    return normalised(made)


def fitted(
    config: SequenceConfig = TINY,
    *,
    content: NDArray[np.float32] | None = None,
    checkpoint: Path | None = None,
    told: list[str] | None = None,
) -> SequenceModel:
    said = [] if told is None else told
    return fit(
        wheels(),
        content,
        VIDEOS,
        config,
        seed=1,
        device="cpu",
        on_progress=lambda _share, message: said.append(message),
        checkpoint=checkpoint,
    )


def user(model: SequenceModel, rows: list[int]) -> NDArray[np.float32]:
    watched = torch.from_numpy(model.items[rows])
    with torch.no_grad():
        made: NDArray[np.float32] = model.network.newest(watched[None])[0].numpy()
    return made


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def model() -> SequenceModel:
    return fitted(content=texts())


def test_what_comes_next_follows_from_what_came_last(model: SequenceModel) -> None:
    for last in range(VIDEOS):
        before = [(last - 2) % VIDEOS, (last - 1) % VIDEOS, last]
        scores = model.items @ user(model, before)
        scores[before] = -np.inf
        assert int(np.argmax(scores)) == (last + 1) % VIDEOS


def test_the_order_of_the_same_watches_makes_another_user(model: SequenceModel) -> None:
    assert not np.allclose(user(model, [1, 2, 3]), user(model, [3, 2, 1]), atol=0.1)


def test_item_vectors_have_length_one(model: SequenceModel) -> None:
    np.testing.assert_allclose(np.linalg.norm(model.items, axis=1), 1.0, rtol=1e-5)


def test_the_curve_tells_each_epoch(model: SequenceModel) -> None:
    numbers = [epoch.number for epoch in model.curve]
    assert numbers == list(range(1, len(model.curve) + 1))
    learnt = [epoch for epoch in model.curve if epoch.ndcg is not None]
    cooled = len(model.curve) - len(learnt)
    best = max(range(len(learnt)), key=lambda at: learnt[at].ndcg or 0.0) + 1
    assert cooled == int(np.ceil(best * TINY.cooling))
    assert len(learnt) in (best + TINY.patience, TINY.epochs)
    assert model.curve[-1].loss < model.curve[0].loss


def test_the_same_seed_gives_the_same_model() -> None:
    short = msgspec.structs.replace(TINY, epochs=2)
    one, other = fitted(short), fitted(short)
    np.testing.assert_array_equal(one.items, other.items)


def test_an_unwatched_video_stands_where_its_text_is_mapped() -> None:
    content = np.vstack([texts(), texts()[:1]])
    config = msgspec.structs.replace(TINY, epochs=1)
    made = fit(
        wheels(), content, VIDEOS + 1, config, seed=1, device="cpu", on_progress=lambda *_: None
    )
    mapped = ContentMap(made.content_map, normalise=True)(content)
    np.testing.assert_allclose(made.items[VIDEOS], mapped[VIDEOS], atol=1e-5)
    assert not np.allclose(made.items[0], mapped[0], atol=1e-2)


def test_without_texts_nothing_is_mapped() -> None:
    assert fitted(msgspec.structs.replace(TINY, epochs=1)).content_map.shape == (1, 16)


class _Killed(Exception):
    pass


def test_a_killed_training_goes_on_to_the_same_end(tmp_path: Path) -> None:
    config = msgspec.structs.replace(TINY, epochs=6, patience=6)

    def killed(_share: float, message: str) -> None:
        if message.startswith("epoch 4"):
            raise _Killed

    with pytest.raises(_Killed):
        fit(
            wheels(),
            texts(),
            VIDEOS,
            config,
            seed=1,
            device="cpu",
            on_progress=killed,
            checkpoint=tmp_path,
        )
    told: list[str] = []
    [file] = tmp_path.iterdir()
    assert "texts" not in torch.load(file, weights_only=True)["network"]
    again = fitted(config, content=texts(), checkpoint=tmp_path, told=told)
    assert told[0].startswith("epoch 5")
    np.testing.assert_array_equal(again.items, fitted(config, content=texts()).items)


def test_a_checkpoint_of_other_data_or_a_damaged_one_is_left(tmp_path: Path) -> None:
    config = msgspec.structs.replace(TINY, epochs=1)
    fitted(config, checkpoint=tmp_path)
    [file] = tmp_path.iterdir()
    told: list[str] = []
    fitted(msgspec.structs.replace(config, dropout=0.2), checkpoint=tmp_path, told=told)
    assert told[0].startswith("epoch 1")
    file.write_bytes(b"damaged")
    told.clear()
    fitted(config, checkpoint=tmp_path, told=told)
    assert told[0].startswith("epoch 1")


def test_other_fits_may_start_from_the_end_of_one(model: SequenceModel) -> None:
    told: list[str] = []
    one, other = (
        fit(
            wheels(),
            texts(),
            VIDEOS,
            TINY,
            seed=1,
            device="cpu",
            on_progress=lambda _share, message: told.append(message),
            start=model.state,
        )
        for _ in range(2)
    )
    assert told
    assert all("cooling down" in said for said in told)
    assert int(np.argmax(one.items @ user(one, [1, 2, 3]))) == 4
    np.testing.assert_array_equal(one.items, other.items)


def test_watches_that_say_nothing_are_not_read() -> None:
    kept = watches_of(histories([1, 2, 3], [4, 5], weights=[1.0, 0.0, 0.5, 0.0, 0.0]))
    assert kept.rows.tolist() == [1, 3]
    assert kept.offsets.tolist() == [0, 2, 2]
    assert kept.weights.tolist() == [1.0, 0.5]


@pytest.mark.parametrize("lengths", [[1], [45, 3, 20, 21, 40], [1] * 50, [200]])
def test_batches_have_every_watch_once_and_bounded(lengths: list[int]) -> None:
    rows = list(range(sum(lengths)))
    ends = np.cumsum(lengths).tolist()
    made = watches_of(
        histories(*(rows[end - size : end] for end, size in zip(ends, lengths, strict=True)))
    )
    seen: list[int] = []
    for batch in batches(made, TINY, np.random.default_rng(1)):
        pieces, length = batch.rows.shape
        assert length <= TINY.longest
        assert pieces == 1 or pieces * (length + 1) <= TINY.batch_positions
        for piece, weights in zip(batch.rows.tolist(), batch.weights.tolist(), strict=True):
            real = [row for row, weight in zip(piece, weights, strict=True) if weight]
            assert real == list(range(real[0], real[0] + len(real)))
            seen += real
    assert sorted(seen) == rows


def test_the_newest_watches_are_held_out_of_who_has_others() -> None:
    watched = watches_of(histories([1], [], list(range(9)), list(range(30)), [4, 5]))
    made = hold_out(watched, 4, np.random.default_rng(1))
    assert made.users.tolist() == [2, 3, 4]
    assert made.held.tolist() == [1, 4, 1]
    assert np.diff(made.train.offsets).tolist() == [1, 0, 8, 26, 1]
    assert made.train.rows.tolist() == [1, *range(8), *range(26), 4]


@pytest.mark.parametrize("longest", [3, 20])
def test_ndcg_is_that_of_each_held_out_watch_by_itself(longest: int) -> None:
    draw = np.random.default_rng(3)
    config = msgspec.structs.replace(TINY, longest=longest)
    watched = watches_of(histories(*(draw.permutation(60)[:size].tolist() for size in (2, 9, 40))))
    torch.manual_seed(1)
    network = Network(60, None, config)
    validation = hold_out(watched, longest, draw)
    made = ndcg(network, validation, config)
    assert network.training
    network.eval()
    gains = []
    items = network.items().detach()
    for own, held in zip(
        np.split(watched.rows, watched.offsets[1:-1]), validation.held, strict=True
    ):
        first = max(0, len(own) - 1 - longest)
        for at in range(len(own) - held, len(own)):
            with torch.no_grad():
                scores = (items @ network.newest(items[own[first:at]][None])[0]).numpy()
            scores[own[:at]] = -np.inf
            rank = int((scores > scores[own[at]]).sum())
            gains.append(1 / np.log2(rank + 2) if rank < 10 else 0.0)
    assert 0 < made == pytest.approx(np.mean(gains), abs=1e-6)


def test_without_anybody_to_validate_by_it_still_learns() -> None:
    made = fit(
        histories(*([user % 3] for user in range(30))),
        None,
        VIDEOS,
        msgspec.structs.replace(TINY, patience=1),
        seed=1,
        device="cpu",
        on_progress=lambda *_: None,
    )
    assert [epoch.ndcg for epoch in made.curve] == [0.0, 0.0, None]
    assert np.isfinite(made.items).all()


def test_a_training_that_comes_to_no_numbers_is_ended() -> None:
    with pytest.raises(InvalidInput, match="lower learning_rate"):
        fitted(msgspec.structs.replace(TINY, learning_rate=1e30))


def test_watches_that_all_say_nothing_teach_nothing() -> None:
    with pytest.raises(InvalidInput, match="weigh 0"):
        fit(
            histories([1, 2], [3], weights=[0.0] * 3),
            None,
            VIDEOS,
            TINY,
            seed=1,
            device="cpu",
            on_progress=lambda *_: None,
        )


@pytest.mark.parametrize(
    "wrong",
    [{"heads": 3}, {"longest": 0}, {"negatives": 0}, {"dropout": 1.0}, {"learning_rate": 0.0}],
)
def test_settings_that_make_no_network_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(msgspec.to_builtins(TINY) | wrong, SequenceConfig)


def test_what_is_to_come_changes_nothing_before_it() -> None:
    network = Network(VIDEOS, None, TINY).eval()
    items = network.items()
    with torch.no_grad():
        one = network(items[torch.tensor([[1, 2, 3, 4]])])
        other = network(items[torch.tensor([[1, 2, 9, 8]])])
    torch.testing.assert_close(one[:, :3], other[:, :3])
    assert not torch.allclose(one[:, 3], other[:, 3])


def test_drawn_negatives_stand_for_the_whole_catalogue() -> None:
    network = Network(VIDEOS, None, msgspec.structs.replace(TINY, dropout=0.0)).eval()
    batch = Batch(torch.tensor([[1, 2, 3, 4, 5, 6]]), torch.ones(1, 6))
    with torch.no_grad():
        whole = float(surprise(network, batch, None))
        drawn = np.mean([float(surprise(network, batch, 64)) for _ in range(50)])
    assert drawn == pytest.approx(whole, rel=0.05)


def test_a_watch_counts_as_much_as_it_weighs() -> None:
    network = Network(VIDEOS, None, TINY).eval()
    rows = torch.tensor([[1, 2]])
    with torch.no_grad():
        first, second, both = (
            float(surprise(network, Batch(rows, torch.tensor([weights])), None))
            for weights in ([1.0, 1e-9], [1e-9, 1.0], [3.0, 1.0])
        )
    assert both == pytest.approx((3 * first + second) / 4, rel=1e-5)


def test_settings_grow_with_the_data() -> None:
    small, large = (
        defaults(interactions=1_000, videos=50),
        defaults(interactions=10**6, videos=10**5),
    )
    assert small.negatives is None
    assert (small.dimensions, large.dimensions) == (64, 128)
    assert small.batch_positions < large.batch_positions
    assert small.patience > large.patience
    assert small.epochs > large.epochs
