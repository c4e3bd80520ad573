"""When a breaker opens, who pays, and when it closes."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from core.errors import InvalidInput, Unavailable
from core.metrics import BREAKER_OPEN, BREAKER_OPENINGS
from storage.breaker import Breaker

pytestmark = pytest.mark.unit


class Dependency:
    """Answers or not; a probe waits until `let` says that one more may end."""

    def __init__(self, name: str, pause: float = 0.0) -> None:
        self.name = name
        self.away = False
        self.calls = self.probes = 0
        self.let = asyncio.Semaphore(0)
        self.breaker = Breaker(name, self.probe, failures=3, pause_seconds=pause)

    async def probe(self) -> None:
        self.probes += 1
        await self.let.acquire()
        if self.away:
            raise Unavailable(self.name)

    def call(self, error: Exception | None = None) -> None:
        with self.breaker.calling("ask"):
            self.calls += 1
            if self.away:
                raise error or Unavailable(self.name)

    def fail(self, times: int, error: Exception | None = None) -> None:
        self.away = True
        for _ in range(times):
            with pytest.raises((Unavailable, InvalidInput)):
                self.call(error)


@pytest.fixture
async def dependency(request: pytest.FixtureRequest) -> AsyncIterator[Dependency]:
    made = Dependency(request.node.name)
    yield made
    await made.breaker.close()


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_failures_in_a_row_open_it_and_then_nobody_asks(dependency: Dependency) -> None:
    dependency.fail(2)
    assert not dependency.breaker.is_open()
    dependency.fail(10)
    assert dependency.breaker.is_open()
    assert dependency.calls == 3


async def test_an_answer_in_between_keeps_it_closed(dependency: Dependency) -> None:
    for _ in range(5):
        dependency.fail(2)
        dependency.away = False
        dependency.call()
    assert not dependency.breaker.is_open()


async def test_one_who_waits_too_long_while_others_are_answered_says_nothing(
    dependency: Dependency,
) -> None:
    async def slow(end: asyncio.Event) -> None:
        with dependency.breaker.calling("ask"):
            await end.wait()
            raise Unavailable(dependency.name)

    end = asyncio.Event()
    waiting = [asyncio.create_task(slow(end)) for _ in range(10)]
    await turns()
    dependency.call()
    end.set()
    assert all(
        isinstance(one, Unavailable)
        for one in await asyncio.gather(*waiting, return_exceptions=True)
    )
    assert not dependency.breaker.is_open()
    dependency.fail(3)
    assert dependency.breaker.is_open()


async def test_other_errors_say_nothing_of_it(dependency: Dependency) -> None:
    dependency.fail(5, Unavailable("another"))
    dependency.fail(5, InvalidInput("a value"))
    assert dependency.calls == 10
    assert not dependency.breaker.is_open()


async def test_it_is_probed_one_at_a_time_until_it_answers(dependency: Dependency) -> None:
    with capture_logs() as logs:
        dependency.fail(3)
        await turns()
        assert dependency.probes == 1  # at once, and nobody else while that one waits
        dependency.let.release()
        await turns()
        assert dependency.probes == 2
        dependency.away = False
        assert dependency.breaker.is_open()  # a dependency is back when a probe says so
        dependency.let.release()
        await turns()
    assert not dependency.breaker.is_open()
    dependency.call()
    assert [line["log_level"] for line in logs] == ["warning", "info"]


async def test_opening_and_closing_are_metrics(dependency: Dependency) -> None:
    def value() -> tuple[float, float]:
        labels = {"dependency": dependency.name}
        return (
            next(s.value for m in BREAKER_OPEN.collect() for s in m.samples if s.labels == labels),
            next(
                s.value
                for m in BREAKER_OPENINGS.collect()
                for s in m.samples
                if s.labels == labels and s.name.endswith("_total")
            ),
        )

    dependency.fail(9)
    assert value() == (1, 1)
    dependency.away = False
    dependency.let.release()
    await turns()
    assert value() == (0, 1)


async def test_one_that_closed_just_now_waits_before_it_probes_again() -> None:
    dependency = Dependency("flapping", pause=60)
    dependency.fail(3)
    dependency.let.release()
    dependency.away = False
    await turns()
    assert not dependency.breaker.is_open()
    dependency.fail(3)
    dependency.let.release()
    await turns()
    assert dependency.breaker.is_open()  # answers to a probe are not enough for calls
    assert dependency.probes == 1
    await dependency.breaker.close()


async def test_a_probe_that_breaks_is_no_answer() -> None:
    async def probe() -> None:
        raise RuntimeError

    broken = Breaker("broken", probe, failures=1, pause_seconds=60)
    with pytest.raises(Unavailable), broken.calling("ask"):
        raise Unavailable("broken")
    with capture_logs() as logs:
        await turns()
    assert broken.is_open()
    assert [line["log_level"] for line in logs] == ["error"]
    await broken.close()


async def test_one_that_is_closed_for_good_is_not_counted_as_open() -> None:
    def open_now() -> float:
        return float(BREAKER_OPEN.labels("node")._value.get())

    nodes = [Dependency("node") for _ in range(2)]
    for node in nodes:
        node.fail(3)
    assert open_now() == 2
    await turns()
    nodes[0].away = False
    nodes[0].let.release()
    await turns()
    assert open_now() == 1
    for node in nodes:
        await node.breaker.close()
    assert open_now() == 0
