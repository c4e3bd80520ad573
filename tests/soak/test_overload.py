"""A step to three times what the machine can compute: everybody is answered, and soon."""

import time
from collections import Counter
from pathlib import Path

import httpx
import pytest

from tests.faults.dependencies import dependencies
from tests.faults.rounds import percentile, wait
from tests.faults.steady import Question, Steady, question
from tests.faults.world import Audience, settings_of
from tests.served import Served

pytestmark = pytest.mark.soak

MEASURED_SECONDS = 8.0
STEP_SECONDS = 30.0
AT_ONCE = 8
P99_SECONDS = 0.5
TIMES = 3


def test_three_times_too_much_is_answered(tmp_path: Path) -> None:
    with dependencies(tmp_path) as (_, urls):
        settings = settings_of(tmp_path, urls)
        audience = Audience(60_000, settings)
        audience.prepare()

        def newcomer(number: int) -> Question:
            return question("recs", str(number), f"/recs/user-{number}", audience.token)

        with Served(settings):
            # All ask as soon as they are answered: what comes is what the machine can compute.
            began = time.monotonic()
            with Steady(settings.port, newcomer, per_second=None, connections=AT_ONCE) as most:
                wait(MEASURED_SECONDS)
            computed = len([one for one in most.answers if not one.degraded])
            rate = computed / (time.monotonic() - began)
            asked = len(most.answers)
            with Steady(
                settings.port,
                lambda number: newcomer(asked + number),
                per_second=TIMES * rate,
                connections=400,
            ) as load:
                wait(STEP_SECONDS)
    print(f"{rate:.0f} lists/s can be made; at {TIMES * rate:.0f}/s:")  # noqa: T201
    print(Counter((one.status, *sorted(one.degraded)) for one in load.answers))  # noqa: T201
    for share in (0.5, 0.95, 0.99, 1):
        print(f"p{share:.0%} {percentile(load.answers, share):.3f} s")  # noqa: T201
    assert {one.status for one in load.answers} == {httpx.codes.OK}
    assert "overload" in {name for one in load.answers for name in one.degraded}
    made = [one for one in load.answers if not one.degraded]
    assert made
    for one in made:  # of newcomers whose list stands in, nobody had room to ask
        watched = set(audience.watched(int(one.question.about)))
        assert not watched & {entry["content_id"] for entry in one.body["recommendations"]}
    assert percentile(load.answers, 0.99) < P99_SECONDS
