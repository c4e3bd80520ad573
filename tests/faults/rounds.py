"""Rounds of a fault under load, and what must hold of every answer meanwhile."""

import math
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from threading import Event

import httpx

from tests.faults.dependencies import Dependency
from tests.faults.steady import Answer, Steady
from tests.faults.world import REGULARS, Audience
from tests.polling import eventually
from tests.serving import GENRES

SETTLING_SECONDS = 1.5
"""From a fault on: those who ask now pay for finding it out."""
RECOVERY_SECONDS = 20.0
HEALTH_SECONDS = 10.0
QUIET_SECONDS = 0.6
"""Answers of so long without anything missing mean that all is well again."""


@dataclass(frozen=True, slots=True)
class Round:
    """A fault: what was away, from when on, until when; when it was back and nothing missing."""

    away: frozenset[str]
    began: float
    mended: float
    back: float
    recovered: float


def wait(seconds: float) -> None:
    """Let the load go on."""
    Event().wait(seconds)


def play(
    load: Steady,
    port: int,
    away: Mapping[str, Dependency],
    *,
    hang: float,
    dead: float,
    meanwhile: Callable[[Collection[str]], None],
) -> Round:
    """Have these hang, then die, for so many seconds each, and wait for the recovery.

    With no time to be dead they go on as they were. `meanwhile` is told what is away.
    """
    began = time.monotonic()
    if hang:
        _each(away, "hang")
        wait(hang)
        _told(port, away)
    if dead:
        _each(away, "kill")
        wait(dead)
        _told(port, away)
    meanwhile(away)
    mended = time.monotonic()
    _each(away, "restart" if dead else "resume")
    back = time.monotonic()
    settle(load, back)
    _told(port, {})
    return Round(frozenset(away), began, mended, back, time.monotonic())


def _each(away: Mapping[str, Dependency], what: str) -> None:
    for dependency in away.values():
        getattr(dependency, what)()


def _told(port: int, away: Collection[str]) -> None:
    """Health names what is away, however it is; the service is ready all the while."""

    def unavailable() -> set[str]:
        answer = httpx.get(f"http://127.0.0.1:{port}/health", timeout=HEALTH_SECONDS)
        dependencies = answer.json()["dependencies"]
        return {name for name, one in dependencies.items() if one["status"] != "ok"}

    eventually(lambda: unavailable() == set(away), seconds=RECOVERY_SECONDS, every=0.2)
    ready = httpx.get(f"http://127.0.0.1:{port}/health/ready", timeout=HEALTH_SECONDS)
    assert ready.status_code == httpx.codes.OK


def settle(load: Steady, since: float) -> None:
    """Wait until nothing is missing from anything that is asked, newcomers' lists included."""

    def well() -> bool:
        moment = time.monotonic() - QUIET_SECONDS
        latest = load.since(max(since, moment))
        fresh = [one for one in latest if not (one.status == 200 and one.hit)]
        return (
            moment >= since
            and bool(fresh)
            and all(one.status == 200 and not one.degraded for one in latest)
        )

    eventually(well, seconds=RECOVERY_SECONDS, every=0.2)


def check(
    audience: Audience,
    answers: Sequence[Answer],
    rounds: Iterable[Round],
    *,
    most_false: float,
    most_shed: float,
) -> None:
    """No 5xx; full, true and personal lists; what was away is named, and nothing else.

    `most_false` is the share that may miss what was there, since this process, or that one, was
    late; `most_shed` the share that may say `overload`: what was kept has to be made anew.
    """
    assert Counter(one.status for one in answers) == {200: len(answers)}, [
        one for one in answers if one.status != 200
    ][:3]
    for one in answers:
        _check_list(audience, one)
    for played in rounds:
        _check_truth(played, answers, most_false, most_shed)


def settled(answers: Iterable[Answer], played: Round) -> list[Answer]:
    """Those asked for when it was known what is away, and while it was."""
    since = played.began + SETTLING_SECONDS
    return [one for one in answers if since <= one.due < played.mended]


def percentile(answers: Sequence[Answer], share: float) -> float:
    """Seconds within which that share of the answers came."""
    seconds = sorted(one.seconds for one in answers)
    return seconds[math.ceil(share * len(seconds)) - 1]


def figures(answers: Sequence[Answer], played: Round) -> str:
    """What a round was like, on one line."""
    during = [one for one in answers if played.began <= one.due < played.recovered]
    named = Counter(",".join(sorted(one.degraded)) or "nothing" for one in during)
    shares = ", ".join(f"{what} {count / len(during):.0%}" for what, count in named.most_common())
    times = "  ".join(
        f"p{share * 100:g} {percentile(during, share):.3f}" for share in (0.5, 0.99, 1)
    )
    return (
        f"{'+'.join(sorted(played.away)) or 'calm'}: {len(during)} answers, {times} s; away "
        f"{played.back - played.began:.1f} s, well {played.recovered - played.back:.1f} s later; "
        f"missing: {shares}"
    )


def _check_list(audience: Audience, one: Answer) -> None:
    """Ten of the user's genre that the user has not watched; popular ones if nobody could say."""
    found = one.body["recommendations"]
    names = [entry["content_id"] for entry in found]
    assert len(set(names)) == len(names) == 10, (one.question, one.body["metadata"])
    if one.question.kind == "similar" or _nobody_knew(one):
        return
    user = int(one.question.about)
    about = (user, one.body["metadata"], names)
    assert not set(audience.watched(user)) & set(names), about
    assert {entry["genre"] for entry in found} == {GENRES[user % 3]}, about


def _nobody_knew(one: Answer) -> bool:
    """Whether the answer was made without the user's history, or only with what Redis has of it."""
    return not one.hit and bool({"postgres", "overload"} & one.degraded)


def _check_truth(
    played: Round, answers: Sequence[Answer], most_false: float, most_shed: float
) -> None:
    """What was needed and away is named; what was there is, but for a very few late ones, not."""
    during = [one for one in answers if one.due >= played.began and one.due < played.recovered]
    known = [one for one in settled(during, played) if one.there < played.mended]
    assert known or played.mended - played.began <= SETTLING_SECONDS
    for one in known:
        wanted = _needed(one, played.away)
        assert wanted <= one.degraded, (played.away, wanted, one.question, one.body["metadata"])
    false = [one for one in during if not one.degraded <= played.away | {"overload"}]
    assert len(false) <= most_false * len(during), (played.away, false[:3])
    shed = [one for one in during if "overload" in one.degraded]
    assert len(shed) <= most_shed * len(during), played.away


def _needed(one: Answer, away: frozenset[str]) -> frozenset[str]:
    """What this answer had to do without."""
    if one.question.kind == "similar":
        return frozenset()  # what is like a video is remembered for a minute, and then complete
    if one.hit or "overload" in one.degraded:
        return frozenset()
    newcomer = int(one.question.about) >= REGULARS  # only PostgreSQL knows of these
    if "postgres" in away and (newcomer or "redis" in away):
        return away & {"redis", "postgres"}
    return away & ({"redis"} if one.question.kind == "rank" else {"redis", "milvus"})
