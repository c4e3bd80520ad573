"""The demo data: the same everywhere, readable, and with tastes that can be seen."""

import subprocess
import sys
from collections import Counter, defaultdict
from datetime import UTC, datetime

import pytest

from core.types import Interaction, Video
from ingest.checks import check_occurred_at, check_user_id, check_video, latest_time
from ingest.demo import END, read_demo
from ingest.demo.histories import COLD_USERS, USERS

pytestmark = pytest.mark.unit

CHECKSUM = """
import hashlib, msgspec
from ingest.demo import read_demo
digest = hashlib.sha256()
for feed in read_demo():
    for row in feed.items:
        digest.update(msgspec.json.encode(row))
print(digest.hexdigest())
"""


@pytest.fixture(scope="module")
def videos() -> dict[str, Video]:
    return {item.id: item for item in read_demo()[0].items if isinstance(item, Video)}


@pytest.fixture(scope="module")
def events() -> list[Interaction]:
    return [item for item in read_demo()[1].items if isinstance(item, Interaction)]


def theme(video_id: str) -> str:
    return video_id.rpartition("-")[0]


def test_two_processes_make_the_same_rows() -> None:
    sums = {
        subprocess.run(  # noqa: S603 - our own code
            [sys.executable, "-c", CHECKSUM],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(sums) == 1
    assert len(sums.pop().strip()) == 64


def test_it_has_the_size_of_a_first_tour(
    videos: dict[str, Video], events: list[Interaction]
) -> None:
    assert len(videos) == 2_000
    assert len({video.title for video in videos.values()}) == 2_000
    assert len({event.user_id for event in events}) == USERS == 500
    assert 15_000 < len(events) < 25_000
    assert len({event.key for event in events}) == len(events)


def test_every_row_keeps_the_rules(videos: dict[str, Video], events: list[Interaction]) -> None:
    latest = latest_time(lambda: END)
    for video in videos.values():
        assert check_video(video) == video
    for event in events:
        check_user_id(event.user_id)
        assert check_occurred_at(event.occurred_at, latest) < END


def test_nobody_watches_before_publication_or_twice(
    videos: dict[str, Video], events: list[Interaction]
) -> None:
    watched = [(e.user_id, e.video_id) for e in events if e.kind == "watch"]
    assert len(set(watched)) == len(watched)
    for event in events:
        published = videos[event.video_id].published_at
        assert published is not None
        assert published <= event.occurred_at


def test_another_end_moves_the_times_and_keeps_the_keys() -> None:
    later = datetime(2026, 3, 1, tzinfo=UTC)
    moved = list(read_demo(end=later)[1].items)
    kept = list(read_demo()[1].items)
    for new, old in zip(moved, kept, strict=True):
        assert isinstance(new, Interaction)
        assert isinstance(old, Interaction)
        assert new.key == old.key
        assert new.occurred_at - old.occurred_at == later - END


def test_another_seed_makes_other_events(events: list[Interaction]) -> None:
    other = {item.key for item in read_demo(seed=8)[1].items if isinstance(item, Interaction)}
    assert other.isdisjoint(event.key for event in events)


def test_tastes_can_be_seen(videos: dict[str, Video], events: list[Interaction]) -> None:
    histories = defaultdict(list)
    for event in events:
        if event.kind == "watch":
            histories[event.user_id].append(event)
    warm = [history for history in histories.values() if len(history) >= 8]
    shares, liked, others = [], [], []
    for history in warm:
        counts = Counter(theme(event.video_id) for event in history)
        top = {name for name, _ in counts.most_common(3)}
        shares.append(sum(counts[name] for name in top) / len(history))
        favourite = counts.most_common(1)[0][0]
        liked += [e.weight for e in history if theme(e.video_id) == favourite]
        others += [e.weight for e in history if counts[theme(e.video_id)] == 1]
    # Three of twenty themes drawn at random would hold 0.15 of a history.
    assert sum(shares) / len(shares) > 0.85
    assert sum(liked) / len(liked) > 0.7
    assert sum(others) / len(others) < 0.45
    assert len(histories) - len(warm) >= COLD_USERS
    assert max(map(len, histories.values())) <= 80
    assert len({theme(video_id) for video_id in videos}) == 20


def test_texts_of_a_topic_share_their_words(videos: dict[str, Video]) -> None:
    def words(video: Video) -> set[str]:
        return {word.strip(".,:").lower() for word in video.description.split() if len(word) > 4}

    def overlap(one: Video, other: Video) -> float:
        return len(words(one) & words(other)) / len(words(one) | words(other))

    ordered = list(videos.values())
    near = [overlap(a, b) for a, b in zip(ordered[::25], ordered[1::25], strict=True)]
    far = [overlap(a, b) for a, b in zip(ordered[::25], ordered[100::25], strict=False)]
    assert sum(near) / len(near) > 3 * sum(far) / len(far)
    shown = [video.title for video in ordered] + [video.description for video in ordered]
    assert [text for text in shown if "{" in text] == []
