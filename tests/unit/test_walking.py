"""Walking lists page by page while they are renewed, watched from and taken down from."""

import asyncio
import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api import cursors
from api.answers import Asked
from api.cursors import START
from api.schemas import UserList
from core.errors import InvalidInput
from core.types import NO_FILTERS, Filters, ListType, Ranked, RankingConfig, UserId, VideoId
from tests.serving import NAMES, World

pytestmark = pytest.mark.unit
ANN = UserId("ann")
OWNER = cursors.owner(ANN, "personalized", NO_FILTERS)
LIST = "0d9c5f6a7b8e4c1f9a2b3c4d5e6f7081"
DRAMA = Filters(genres=frozenset({"Drama"}))


def ranked(*names: str) -> list[Ranked]:
    return [Ranked(VideoId(name), "popular", 0.5) for name in names]


def cursor(*names: str) -> str:
    made = cursors.after(START, ranked(*names), LIST, OWNER)
    assert made is not None
    return made


@dataclass(frozen=True)
class Step:
    """What happens before a page: `which` of the videos it happens to."""

    limit: int
    what: str
    which: int


steps = st.lists(
    st.builds(
        Step,
        limit=st.integers(1, 40),
        what=st.sampled_from(["nothing", "renewal", "hour", "watch", "watch of one given", "down"]),
        which=st.integers(0, len(NAMES) - 1),
    ),
    min_size=1,
    max_size=12,
)


class Walker:
    """Walks ann's list, and knows what must not come any more."""

    def __init__(self, list_type: ListType, filters: Filters) -> None:
        self.world = World()
        self.asked = Asked(ANN, list_type=list_type, filters=filters)
        self.given: list[str] = []
        self.barred: set[str] = set()
        self.cursor: str | None = None

    async def page(self, step: Step) -> UserList:
        await self._happen(step)
        asked = Asked(ANN, step.limit, self.asked.list_type, self.asked.filters)
        return await self.world.recommender.recommend(asked.after(self.cursor))

    async def _happen(self, step: Step) -> None:
        name = NAMES[step.which]
        if step.what == "renewal":
            self.world.config = RankingConfig(
                version=self.world.config.version + 1, diversity=0.3, preset="seed"
            )
        elif step.what == "hour":
            self.world.now += timedelta(hours=1)
        elif step.what == "down":
            down = NAMES[step.which :: 5]
            self.world.take_down(*down)
            self.barred.update(down)
        elif step.what != "nothing":
            if step.what == "watch of one given" and self.given:
                name = self.given[step.which % len(self.given)]
            await self.world.watched("ann", name)
            self.barred.add(name)

    def left(self) -> set[str]:
        """What the catalogue still has for the list."""
        rows = range(0, len(NAMES), 3) if self.asked.filters.genres else range(len(NAMES))
        return {NAMES[row] for row in rows} - self.barred - set(self.given)


async def walk(walker: Walker, way: Sequence[Step]) -> None:
    if way[0].which % 2:
        await walker.world.watched("ann", *NAMES[2:30:3])
        walker.barred.update(NAMES[2:30:3])
    for step in [*way, *(Step(60, "nothing", 0) for _ in range(101))]:
        body = await walker.page(step)
        names = [entry.content_id for entry in body.recommendations]
        assert set(names) <= walker.left()  # nothing twice, nothing barred, and what was asked for
        assert len(set(names)) == len(names) <= step.limit
        walker.given += names
        assert len(walker.given) <= 100
        walker.cursor = body.metadata.next_cursor
        if walker.cursor is None:
            assert len(walker.given) == 100 or not walker.left()
            return
        assert names
    pytest.fail("the walk has no end")


PLAIN: tuple[ListType, Filters] = ("personalized", NO_FILTERS)  # the only ones that are kept
others = st.tuples(st.sampled_from(get_args(ListType)), st.sampled_from([NO_FILTERS, DRAMA]))


@settings(max_examples=60, deadline=None)
@given(way=steps, kind=st.one_of(st.just(PLAIN), others))
def test_a_walk_gives_nothing_twice_nothing_barred_and_everything_else(
    way: list[Step], kind: tuple[ListType, Filters]
) -> None:
    asyncio.run(walk(Walker(*kind), way))


async def test_pages_of_one_kept_list_are_its_slices() -> None:
    world = World()
    await world.watched("ann", *NAMES[:5])
    whole = await world.recommender.recommend(Asked(ANN, 100))
    first = await world.recommender.recommend(Asked(ANN, 30))
    second = await world.recommender.recommend(Asked(ANN, 40).after(first.metadata.next_cursor))
    assert first.recommendations + second.recommendations == whole.recommendations[:70]
    names = {body.metadata.recommendation_id for body in (whole, first, second)}
    assert len(names) == 1
    assert first.metadata.cache_hit
    assert second.metadata.cache_hit
    assert whole.metadata.next_cursor is None


async def test_a_walk_may_begin_with_a_known_users_list_and_go_on_elsewhere() -> None:
    here, there = World(), World()
    for world in (here, there):
        await world.watched("ann", *NAMES[:5])
    first = await here.recommender.recommend(Asked(ANN, 30), must_exist=True)
    second = await there.recommender.recommend(Asked(ANN, 30).after(first.metadata.next_cursor))
    both = first.recommendations + second.recommendations
    assert len({entry.content_id for entry in both}) == 60


def test_what_a_cursor_says_is_read_again() -> None:
    walk_on = cursors.read(cursor("a", "b"), OWNER)
    assert [item.video_id for item in walk_on.ahead(ranked("a", "c", "b", "d"))] == ["c", "d"]
    assert walk_on.left == 98
    assert cursors.after(walk_on, ranked(*map(str, range(98))), LIST, OWNER) is None


def test_filters_that_let_the_same_through_have_one_cursor() -> None:
    one = Filters(genres=frozenset({"Drama", "crime"}), region="de")
    other = Filters(genres=frozenset({"drama", "Crime"}), region="DE")
    assert cursors.owner(ANN, "new", one) == cursors.owner(ANN, "new", other)


@pytest.mark.parametrize(
    "other",
    [
        Asked(UserId("bob")),
        Asked(ANN, list_type="new"),
        Asked(ANN, filters=DRAMA),
        Asked(ANN, filters=Filters(region="de")),
        Asked(ANN, filters=Filters(max_maturity=12)),
        Asked(ANN, filters=Filters(exclude=frozenset({VideoId("a")}))),
    ],
)
def test_a_cursor_of_another_list_is_refused(other: Asked) -> None:
    with pytest.raises(InvalidInput, match="another list") as refused:
        other.after(cursor("a"))
    assert refused.value.field == "cursor"


def test_a_cursor_is_short_and_needs_no_quoting() -> None:
    longest = cursor(*map(str, range(99)))
    assert len(longest) <= cursors.LONGEST_CURSOR
    assert longest.replace("-", "").replace("_", "").isalnum()


raw = base64.urlsafe_b64decode(cursor("a", "b") + "==")


@pytest.mark.parametrize(
    "changed",
    [
        b"",
        raw[:1],
        raw[:26],
        raw[:-1],
        raw + b"x",
        raw + b"more",
        bytes([2]) + raw[1:],  # another form
        raw[:25] + bytes([3]) + raw[26:],  # another offset
        raw[:26] + 400 * b"\x00",
        raw[:25] + bytes([100]) + 400 * b"\x00",
        100_000 * b"x",
    ],
)
def test_a_cursor_that_is_none_of_ours_is_refused(changed: bytes) -> None:
    with pytest.raises(InvalidInput, match="cannot be read"):
        cursors.read(base64.urlsafe_b64encode(changed).rstrip(b"=").decode(), OWNER)


@given(st.text(max_size=700))
def test_any_text_is_a_cursor_or_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        cursors.read(text, OWNER)
