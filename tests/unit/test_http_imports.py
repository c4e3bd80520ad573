"""POST /videos/import and /events/import over HTTP, in memory."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from api.importing import Imports
from core.errors import Interrupted, InvalidInput, Unavailable
from core.types import UpsertCounts, Video
from tests.asking import ADMIN, problem
from tests.serving import NAMES, World

pytestmark = pytest.mark.unit
NDJSON = {**ADMIN, "Content-Type": "application/x-ndjson"}


def lines(*rows: Any) -> bytes:
    return b"".join(
        (row if isinstance(row, bytes) else msgspec.json.encode(row)) + b"\n" for row in rows
    )


def send(client: TestClient[Litestar], what: str, body: Any, **headers: str) -> Any:
    return client.post(f"/{what}/import", headers={**NDJSON, **headers}, content=body)


def listed(client: TestClient[Litestar]) -> list[str]:
    body = client.get("/recs/ann?limit=100", headers=ADMIN).json()
    return [entry["content_id"] for entry in body["recommendations"]]


def watched(name: str, **fields: Any) -> dict[str, Any]:
    return {
        "user_id": "ann",
        "video_id": name,
        "occurred_at": "2026-02-01T00:00:00Z",
        "watched_seconds": 60,
        **fields,
    }


def test_good_lines_are_taken_and_bad_ones_named(client: TestClient[Litestar]) -> None:
    body = lines(
        {"id": "new", "title": "New", "genres": ["drama"]},
        {"id": 7, "title": "An integer id"},
        b"{",
        b"",
        {"id": "none"},
        {"id": "bad", "title": "Bad", "colour": "red"},
        b"\xff",
        b'{"id":"long","title":"' + b"x" * (1 << 20) + b'"}',
        {"id": "late", "title": "Late"},
    )
    report = send(client, "videos", body).json()
    assert (report["accepted"], report["duplicates"], report["rejected"]) == (3, 0, 5)
    assert [error["line"] for error in report["errors"]] == [3, 5, 6, 7, 8]
    assert "colour" in report["errors"][2]["reason"]
    assert report["errors"][0].keys() == {"line", "reason"}
    assert client.get("/videos/7", headers=ADMIN).json()["title"] == "An integer id"
    again = send(client, "videos", body).json()
    assert (again["accepted"], again["duplicates"], again["rejected"]) == (0, 3, 5)


async def test_events_are_taken_once_and_lists_dropped(
    world: World, client: TestClient[Litestar]
) -> None:
    await world.watched("ann", *NAMES[2:30:3])
    before = listed(client)[0]
    cloud = {
        "specversion": "1.0",
        "id": "e-1",
        "source": "/player",
        "type": "VideoRated",
        "time": "2026-02-01T00:00:00Z",
        "data": {"user_id": "ann", "video_id": before, "rating": 4.5},
    }
    body = lines(cloud, watched(NAMES[0]), watched(NAMES[0]), watched("a b"), watched("not yet"))
    report = send(client, "events", body).json()
    assert (report["accepted"], report["duplicates"], report["rejected"]) == (2, 1, 2)
    assert [error["line"] for error in report["errors"]] == [4, 5]
    assert before not in listed(client)
    again = send(client, "events", body).json()
    assert (again["accepted"], again["duplicates"], again["rejected"]) == (0, 3, 2)


async def test_every_thousand_lines_are_one_transaction(
    world: World, client: TestClient[Litestar]
) -> None:
    world.video_store.calls.clear()
    body = lines(*({"id": f"n{number}", "title": "T"} for number in range(2_500)))
    assert send(client, "videos", body).json()["accepted"] == 2_500
    assert world.video_store.calls == ["upsert_many"] * 3


def test_only_the_first_hundred_errors_are_told(client: TestClient[Litestar]) -> None:
    report = send(client, "videos", b"[]\n" * 250).json()
    assert (report["rejected"], len(report["errors"])) == (250, 100)


class Ending:
    """A catalogue whose PostgreSQL goes away after so many writes."""

    def __init__(self, writes: int) -> None:
        self._writes = writes

    async def upsert_many(self, videos: Sequence[Video]) -> UpsertCounts:
        if not self._writes:
            raise Unavailable("postgres")
        self._writes -= 1
        return UpsertCounts(len(videos), 0)


@pytest.mark.parametrize(
    ("writes", "said"), [(0, "no line is committed"), (2, "the first 2,000 lines are committed")]
)
async def test_when_postgres_goes_away_it_says_what_is_committed(
    world: World, writes: int, said: str
) -> None:
    imports = Imports(
        Ending(writes), world.history, world.forgetting, weights=world.weights.current
    )

    async def pieces() -> AsyncIterator[bytes]:
        for number in range(2_500):
            yield lines({"id": f"n{number}", "title": "T"})

    with pytest.raises(Interrupted, match=said):
        await imports.videos(pieces())


async def test_what_is_committed_can_be_told_to_the_caller(
    world: World, client: TestClient[Litestar]
) -> None:
    world.video_store.away = True
    found = problem(send(client, "videos", b'{"id":"n","title":"T"}\n'), 503, "unavailable")
    assert "no line is committed" in found["detail"]


async def test_a_broken_connection_keeps_what_was_committed(world: World) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for number in range(1_500):
            yield lines({"id": f"n{number}", "title": "T"})
        raise InvalidInput("The connection ended before the body did.")

    with pytest.raises(InvalidInput):
        await world.services().imports.videos(pieces())
    assert await world.video_store.count() == 1_000


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "application/json"},
        {"Content-Type": "text/csv"},
        {"Content-Encoding": "gzip"},
    ],
)
@pytest.mark.parametrize("what", ["videos", "events"])
def test_another_form_is_415(
    client: TestClient[Litestar], what: str, headers: dict[str, str]
) -> None:
    problem(send(client, what, b"{}", **headers), 415, "unsupported_media_type")


def test_an_empty_body_does_nothing(client: TestClient[Litestar]) -> None:
    nothing = {"accepted": 0, "duplicates": 0, "rejected": 0, "errors": []}
    answer = send(client, "videos", b"", **{"Content-Type": "application/x-ndjson; charset=utf-8"})
    assert (answer.status_code, answer.json()) == (200, nothing)
