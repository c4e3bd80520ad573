import pytest
from structlog.testing import capture_logs

from core.types import RankingConfig
from retrieval.follower import POPULARITY_OVERLAP
from tests.catalogues import NOW, counted, video
from tests.following import Truth, a_truth, following, lines

pytestmark = pytest.mark.unit


async def test_everything_is_loaded_at_first() -> None:
    async with following(a_truth()) as replica:
        await replica.follower.loaded.wait()
        await replica.follower.settled.wait()
        await replica.until(lambda: replica.config.current.version == 4)
        assert replica.version() == "content_1"
        assert replica.catalogue.snapshot.popularity_of(1) == 1


async def test_without_a_live_version_it_settles_too() -> None:
    truth = Truth()
    async with following(truth) as replica:
        await replica.follower.settled.wait()
        assert replica.version() is None


async def test_changed_and_new_videos_are_taken_in() -> None:
    truth = a_truth()
    async with following(truth) as replica:
        await replica.follower.loaded.wait()
        truth.put(video("b", title="Changed", available=False), video("c"))
        await replica.until(lambda: replica.title("c"))
        assert replica.title("b") == "Changed"
        assert replica.catalogue.snapshot.eligible(NOW).tolist() == [True, False, True]


async def test_a_video_brings_the_popularity_of_events_that_came_before_it() -> None:
    truth = a_truth()
    async with following(truth) as replica:
        await replica.follower.loaded.wait()
        truth.older = [counted("c", 50)]
        truth.put(video("c"))
        await replica.until(lambda: replica.title("c"))
        assert replica.catalogue.snapshot.popularity_of(2) == 1
        assert replica.catalogue.snapshot.popularity_of(1) == 0.5


async def test_news_of_all_videos_reads_the_catalogue_again() -> None:
    truth = a_truth()
    async with following(truth) as replica:
        await replica.follower.loaded.wait()
        truth.videos |= {entry.id: entry for entry in [video("c")]}
        truth.note("video")
        await replica.until(lambda: replica.title("c"))


async def test_popularity_is_asked_for_from_a_little_before_the_last_time() -> None:
    truth = a_truth()
    async with following(truth) as replica:
        await replica.follower.loaded.wait()
        truth.counters = [counted("a", 50)]
        await replica.until(lambda: replica.catalogue.snapshot.popularity_of(0) == 1)
        assert replica.catalogue.snapshot.popularity_of(1) == 0.5
        assert truth.asked_since[0] is None
        assert set(truth.asked_since[1:]) == {NOW - POPULARITY_OVERLAP}


async def test_a_new_configuration_comes_into_force() -> None:
    truth = a_truth()
    async with following(truth) as replica:
        await replica.until(lambda: replica.config.current.version == 4)
        truth.config = RankingConfig(version=5, diversity=0.9)
        truth.note("config", "5")
        await replica.until(lambda: replica.config.current.version == 5)


async def test_an_outage_keeps_what_is_known_and_is_two_loglines() -> None:
    truth = a_truth()
    with capture_logs() as logs:
        async with following(truth) as replica:
            await replica.follower.settled.wait()
            await replica.follower.loaded.wait()
            truth.away.add("postgres")
            await replica.until(lambda: lines(logs, "warning"))
            before = replica.catalogue.snapshot
            truth.put(video("b", title="Changed meanwhile"))
            truth.promote("content_2")
            assert replica.catalogue.snapshot is before
            truth.away.clear()
            await replica.until(lambda: replica.title("b") == "Changed meanwhile")
            await replica.until(lambda: replica.version() == "content_2")
            await replica.until(lambda: lines(logs, "info", "Renewal goes on."))
    told = [(line["log_level"], line["dependency"]) for line in logs if "dependency" in line]
    assert told == [("warning", "postgres"), ("info", "postgres")]


async def test_it_waits_for_stores_that_are_away_at_the_start() -> None:
    truth = a_truth()
    truth.away |= {"postgres", "artifacts"}
    with capture_logs() as logs:
        async with following(truth) as replica:
            await replica.until(lambda: lines(logs, "warning"))
            assert not replica.follower.loaded.is_set()
            truth.away.clear()
            await replica.follower.loaded.wait()
            await replica.follower.settled.wait()
            assert replica.title("a") == "Title of a"


async def test_a_fault_of_ours_is_logged_with_its_traceback_and_does_not_end_it() -> None:
    truth = a_truth()
    broken = ValueError("a fault of ours")

    async def load_config() -> RankingConfig:
        raise broken

    truth.load_config = load_config  # type: ignore[method-assign]
    with capture_logs() as logs:
        async with following(truth) as replica:
            await replica.until(lambda: lines(logs, "warning"))
            truth.put(video("c"))
            await replica.until(lambda: replica.title("c"))
    [line] = lines(logs, "warning")
    assert line["exc_info"] is broken
    assert line["work"] == "ranking configuration"
