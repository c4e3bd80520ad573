"""What was known at the time of a held-out watch, and nothing later."""

from datetime import timedelta

import numpy as np
import pytest

from core.clock import EPOCH, days
from core.types import Interaction, UserId, VideoId
from embeddings.dataset import Histories
from embeddings.items import ItemVectors, item_vectors
from embeddings.split import leave_last_out, split_at
from retrieval.build import Build
from retrieval.snapshot import Snapshot
from storage.counters import tally
from tests.catalogues import NOW, random_vectors, video
from tests.histories import START, watch
from upnext.jobs.past import Ask, Past

pytestmark = pytest.mark.unit

NAMES = [f"v{number}" for number in range(12)]
SOON = timedelta(milliseconds=1)
ITEMS: ItemVectors = item_vectors([VideoId(name) for name in NAMES], random_vectors(12))
IDS = [id_.decode() for id_ in ITEMS.ids.tolist()]


def facts() -> Snapshot:
    build = Build()
    build.add([video(name) for name in NAMES])
    return build.snapshot()


def drawn(users: int = 40, *, seed: int = 2) -> list[list[Interaction]]:
    """Histories of three to six watches at times of their own, oldest first."""
    draw = np.random.default_rng(seed)
    made = []
    for user in range(users):
        videos = draw.permutation(NAMES)[: draw.integers(3, 7)].tolist()
        hours = np.sort(draw.uniform(0, 2_000, len(videos))).tolist()
        made.append(
            [
                watch(
                    f"{user}-{name}", f"u{user:02}", name, hours=at, weight=draw.integers(0, 4) / 4
                )
                for name, at in zip(videos, hours, strict=True)
            ]
        )
    return made


def histories(users: list[list[Interaction]]) -> Histories:
    flat = [one for user in users for one in user]
    return Histories(
        users=[user[0].user_id for user in users],
        offsets=np.cumsum([0, *map(len, users)], dtype=np.int64),
        rows=np.array([IDS.index(one.video_id) for one in flat], dtype=np.int32),
        weights=np.array([one.weight for one in flat], dtype=np.float32),
        times=np.array([days(one.occurred_at) for one in flat]),
        count=len(flat),
        first=None,
        last=None,
    )


def looked_back(users: list[list[Interaction]], *, recent: int = 50) -> list[tuple[Snapshot, Ask]]:
    split = leave_last_out(histories(users), seed=0)
    past = Past(facts(), split.train, ITEMS, recent=recent)
    return [(snapshot, ask) for snapshot, asks in past.moments(split.users[::-1]) for ask in asks]


def test_each_user_is_met_once_after_the_last_watch_that_is_not_held_out() -> None:
    users = drawn()
    asks = {ask.state.user_id: ask for _, ask in looked_back(users)}
    assert len(asks) == len(users) == len(looked_back(users))
    for *before, target in users:
        ask = asks[target.user_id]
        assert abs(ask.now - before[-1].occurred_at) < timedelta(milliseconds=1)
        assert [one.video_id for one in ask.state.recent] == [
            one.video_id for one in reversed(before)
        ]
        assert [one.weight for one in ask.state.recent] == [one.weight for one in reversed(before)]
        assert len(ask.state.watched) == len(before)
        assert (np.diff(ask.state.watched.astype(object)) > 0).all()


def test_a_state_has_no_more_than_the_recent_watches_and_all_that_was_watched() -> None:
    for _, ask in looked_back(drawn(), recent=2):
        assert len(ask.state.recent) == 2
        assert len(ask.state.watched) >= 2


def test_counters_are_those_of_the_watches_up_to_then() -> None:
    users = drawn()
    known = [one for *before, _ in users for one in before]
    looks = looked_back(users)
    assert len({id(snapshot) for snapshot, _ in looks}) > 10
    asked = [ask.now for _, ask in looks]
    assert asked == sorted(asked)
    for snapshot, ask in looks:
        first = min(other.now for same, other in looks if same is snapshot)
        assert first <= ask.now
        expected = tally([one for one in known if one.occurred_at <= first])
        counters = snapshot.popularity.counters[
            snapshot.rows([VideoId(v) for v in expected.video_ids])
        ]
        assert counters["watches"].tolist() == expected.watches.tolist()
        assert counters["slow"] == pytest.approx(expected.slow)
        assert counters["fast"] == pytest.approx(expected.fast)
        assert snapshot.popularity.counters["watches"].sum() == expected.watches.sum()


def test_what_others_watch_later_and_what_is_held_out_does_not_count() -> None:
    early = [watch("a", "u0", "v0", hours=0), watch("b", "u0", "v1", hours=1)]
    late = [watch(str(n), "u1", name, hours=500 + n) for n, name in enumerate(NAMES[2:])]
    [(snapshot, ask), (later, _)] = looked_back([early, late])
    assert ask.state.user_id == UserId("u0")
    watched = snapshot.popularity.counters["watches"]
    assert watched.sum() == 1
    assert watched[snapshot.rows([VideoId("v0")])[0]] == 1
    assert later.popularity.counters["watches"].sum() == len(late)  # 1 of u0, all but one of u1


def test_after_a_cut_everybody_is_met_at_the_cut() -> None:
    whole = histories(drawn())
    split = split_at(whole, days(START + timedelta(hours=1_000)), seed=0)
    past = Past(facts(), split.train, ITEMS, recent=50, cut=split.cut)
    moments = list(past.moments(split.users))
    asks = [ask for _, asks in moments for ask in asks]
    assert [ask.state.user_id for ask in asks] == [split.train.users[user] for user in split.users]
    assert [ask.at for ask in asks] == list(range(len(split.users)))
    assert all(abs(ask.now - START - timedelta(hours=1_000)) < SOON for ask in asks)
    assert all(ask.state.recent[0].occurred_at < ask.now for ask in asks)
    for snapshot, _ in moments:
        assert snapshot.popularity.counters["watches"].sum() == len(split.train.rows)


def test_the_catalogue_is_that_of_the_facts() -> None:
    [(snapshot, ask), *_] = looked_back(drawn())
    assert len(snapshot) == len(NAMES)
    assert ask.now > EPOCH
    assert snapshot.eligible(NOW).all()
