"""Which versions a replica has open, and which of them answers."""

import pytest
from structlog.testing import capture_logs

from tests.catalogues import video
from tests.following import Replica, Truth, a_truth, following, lines

pytestmark = pytest.mark.unit


async def test_a_promotion_swaps_and_going_back_opens_nothing() -> None:
    truth = a_truth()
    async with following(truth) as replica:
        await replica.until(lambda: replica.version() == "content_1")
        truth.promote("content_2")
        await replica.until(lambda: replica.version() == "content_2")
        truth.promote("content_1")
        await replica.until(lambda: replica.version() == "content_1")
        assert truth.opened == ["content_1", "content_2"]
        await replica.until(lambda: set(truth.kept[-1]) == {"content_1", "content_2"})


async def test_what_is_ready_is_open_before_it_goes_live_and_reported() -> None:
    truth = a_truth()
    async with following(truth) as replica:
        await replica.until(lambda: ["content_1"] in truth.reports)
        truth.end_run("content_2")
        await replica.until(lambda: ["content_1", "content_2"] in truth.reports)
        assert (replica.version(), replica.open()) == ("content_1", {"content_1", "content_2"})
        truth.away.add("artifacts")
        truth.promote("content_2")
        await replica.until(lambda: replica.version() == "content_2")
        assert replica.live.missing is None


async def test_after_a_start_the_one_before_is_open_too() -> None:
    truth = a_truth()
    truth.promote("content_2")
    async with following(truth) as replica:
        await replica.until(lambda: truth.kept)
        assert truth.opened == ["content_2", "content_1"]
        truth.away.add("artifacts")
        truth.promote("content_1")
        await replica.until(lambda: replica.version() == "content_1")


async def test_what_is_no_longer_wanted_is_closed_and_its_copy_deleted() -> None:
    truth = a_truth()
    truth.end_run("content_2")
    async with following(truth) as replica:
        await replica.until(lambda: truth.kept)
        truth.others = []
        await replica.until(lambda: replica.open() == {"content_1"})
        await replica.until(lambda: truth.reports[-1] == ["content_1"])
        await replica.until(lambda: set(truth.kept[-1]) == {"content_1"})
    assert set(truth.kept[0]) == {"content_1", "content_2"}


async def test_nothing_is_deleted_while_nothing_is_known() -> None:
    truth = Truth()
    async with following(truth) as replica:
        await replica.follower.settled.wait()
        await replica.until(lambda: len(truth.reports) > 0)
    assert truth.kept == []


async def test_a_version_that_cannot_be_opened_leaves_the_old_one_and_the_catalogue_goes_on() -> (
    None
):
    truth = a_truth()
    with capture_logs() as logs:
        async with following(truth) as replica:
            await replica.until(lambda: replica.version() == "content_1")
            truth.away.add("artifacts")
            truth.promote("content_2")
            await replica.until(lambda: replica.live.missing)
            truth.put(video("c"))
            await replica.until(lambda: replica.title("c"))
            assert (replica.version(), replica.live.missing) == ("content_1", "artifacts")
            truth.away.clear()
            await replica.until(lambda: replica.version() == "content_2")
            assert replica.live.missing is None
            await replica.until(lambda: lines(logs, "info", "Renewal goes on."))
    assert [line["dependency"] for line in lines(logs, "warning")] == ["artifacts"]


async def test_with_the_artifacts_away_at_the_start_it_says_so_until_they_are_back() -> None:
    truth = a_truth()
    truth.away.add("artifacts")
    async with following(truth) as replica:
        await replica.until(lambda: replica.live.missing)
        assert (replica.version(), replica.live.missing) == (None, "artifacts")
        assert not replica.follower.settled.is_set()
        truth.away.clear()
        await replica.follower.settled.wait()
        assert (replica.version(), replica.live.missing) == ("content_1", None)


async def test_a_damaged_version_is_one_log_line_and_holds_up_no_other() -> None:
    truth = a_truth()
    truth.damaged.add("content_2")
    truth.end_run("content_2")
    with capture_logs() as logs:
        async with following(truth) as replica:
            await replica.until(lambda: lines(logs, "warning"))
            truth.end_run("content_3")
            await replica.until(lambda: "content_3" in replica.open())
            assert replica.live.missing is None
            truth.promote("content_3")
            await replica.until(lambda: replica.version() == "content_3")
            truth.damaged.clear()
            await replica.until(lambda: "content_2" in replica.open())
    assert [line["reason"] for line in lines(logs, "warning")] == ["content_2 is damaged"]


async def test_one_that_was_opened_in_vain_and_is_wanted_no_more_is_an_outage_no_more() -> None:
    truth = a_truth()
    truth.damaged.add("content_2")
    truth.end_run("content_2")
    with capture_logs() as logs:
        async with following(truth) as replica:
            await replica.until(lambda: lines(logs, "warning"))
            truth.others = []
            await replica.until(lambda: lines(logs, "info", "Renewal goes on."))


async def test_going_back_to_the_open_one_while_the_new_one_cannot_be_had() -> None:
    truth = a_truth()
    async with following(truth) as replica:
        await replica.until(lambda: replica.version() == "content_1")
        truth.damaged.add("content_2")
        truth.promote("content_2")
        await replica.until(lambda: replica.live.missing)
        truth.promote("content_1")
        await replica.until(lambda: replica.live.missing is None)
        assert replica.version() == "content_1"


async def test_news_of_models_brings_the_new_videos_of_what_is_open() -> None:
    truth = a_truth()
    async with following(truth) as replica:
        await replica.until(lambda: replica.version() == "content_1")
        before = replica.live.current
        truth.away.add("artifacts")
        truth.tails["content_1"] = ("00000001-ab",)
        truth.note("model", "content_1")
        await replica.until(lambda: truth.asked_for_tails)
        assert replica.live.current is before
        truth.away.clear()
        await replica.until(lambda: replica.live.current is not before)
        assert [version.segments for version in replica.live.open_versions()] == [("00000001-ab",)]
        assert truth.opened == ["content_1"]


async def test_new_videos_that_could_not_be_had_at_opening_are_asked_for_until_they_can() -> None:
    truth = Truth()
    truth.behind.add("content_1")
    truth.refuses_tails = True
    truth.tails["content_1"] = ("00000001-ab",)
    truth.promote("content_1")
    async with following(truth) as replica:
        await replica.until(lambda: truth.asked_for_tails > 1)
        assert replica.version() == "content_1"
        truth.refuses_tails = False
        await replica.until(lambda: _segments(replica) == [("00000001-ab",)])
        asked = truth.asked_for_tails
        truth.end_run("content_2")
        await replica.until(lambda: "content_2" in replica.open())
    assert truth.opened == ["content_1", "content_2"]
    assert truth.asked_for_tails - asked <= 2  # for the news of the run, once a version


def _segments(replica: Replica) -> list[tuple[str, ...]]:
    return [version.segments for version in replica.live.open_versions()]


async def test_what_could_not_be_reported_is_reported_later() -> None:
    truth = a_truth()
    truth.refuses_reports = True
    async with following(truth) as replica:
        await replica.until(lambda: replica.version() == "content_1")
        truth.refuses_reports = False
        await replica.until(lambda: truth.reports)
    assert truth.reports[-1] == ["content_1"]
