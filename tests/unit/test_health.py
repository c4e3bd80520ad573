"""How probes are asked: together, bounded, once for all who want to know."""

import asyncio

import pytest

from api.health import HealthCheck
from core.errors import Unavailable

pytestmark = pytest.mark.unit


class Dependency:
    """Counts how often it is asked."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.asked = 0

    async def probe(self) -> None:
        self.asked += 1
        await asyncio.sleep(0)
        if self.error:
            raise self.error


async def test_all_who_ask_together_share_one_answer() -> None:
    dependency = Dependency()
    health = HealthCheck({"redis": dependency.probe}, keep_seconds=0)
    answers = await asyncio.gather(*(health.check() for _ in range(50)))
    assert dependency.asked == 1
    assert all(answer["redis"].status == "ok" for answer in answers)
    await health.check()
    assert dependency.asked == 2


async def test_an_answer_is_kept_for_a_while() -> None:
    dependency = Dependency()
    health = HealthCheck({"redis": dependency.probe}, keep_seconds=60)
    assert await health.check() == await health.check()
    assert dependency.asked == 1


@pytest.mark.parametrize("error", [Unavailable("redis"), RuntimeError("closed"), OSError()])
async def test_whatever_a_probe_raises_means_no_answer(error: Exception) -> None:
    health = HealthCheck({"redis": Dependency(error).probe, "bus": Dependency().probe})
    answers = await health.check()
    assert (answers["redis"].status, answers["bus"].status) == ("unavailable", "ok")


async def test_a_probe_that_hangs_is_given_up() -> None:
    async def hang() -> None:
        await asyncio.Event().wait()

    health = HealthCheck({"artifacts": hang}, bound_seconds=0.01)
    assert (await health.check())["artifacts"].status == "unavailable"
