"""From an event that breaks a rule to its replay, by command, over a real bus and database."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text

from core.settings import Settings, load
from storage.embedded.stack import EmbeddedStack
from storage.postgres.engine import pool, reading
from tests.eventful import Consuming, Sent, event, make_streams, nothing_waits, publish
from upnext.cli import main

pytestmark = pytest.mark.integration

RATINGS = text("SELECT rating FROM interactions WHERE rating IS NOT NULL")


@pytest.fixture
def settings(
    tmp_path: Path, database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Settings]:
    with EmbeddedStack(tmp_path / "bus", ["bus"]) as stack:
        urls = {
            "bus_url": stack.servers["bus"].url,
            "postgres_url": database_url,
            "redis_url": redis_url,
        }
        for name, url in urls.items():
            monkeypatch.setenv(f"UPNEXT_{name.upper()}", url)
        monkeypatch.setenv("UPNEXT_HOME", str(tmp_path / "home"))
        asyncio.run(make_streams(urls["bus_url"]))
        yield load()


@contextmanager
def consuming(settings: Settings, log: Path) -> Iterator[None]:
    consumer = Consuming(settings)
    consumer.launch(log)
    try:
        yield
    finally:
        consumer.stop()


def upnext(*arguments: str) -> Result:
    result = CliRunner().invoke(main, ["bus", "dead-letters", *arguments])
    assert result.exit_code == 0, result.output
    return result


def listed() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(upnext("list", "--json").stdout)["dead_letters"]
    return found


def test_what_was_refused_is_shown_mended_and_replayed(settings: Settings, tmp_path: Path) -> None:
    url, user = settings.bus_url or "", f"u-{uuid4().hex}"
    good, broken = event(user, "v1"), event(user, "v2", rating=7)
    unreadable = Sent(good.subject, b"\xff[/red]", good.key)
    with consuming(settings, tmp_path / "consumer.log"):
        asyncio.run(publish(url, [good, broken, unreadable]))
        asyncio.run(nothing_waits(url))
        by_reason = {letter["reason"]: letter for letter in listed()}
        refused = by_reason["rating 7.0 must be 0.5 to 5"]
        assert (refused["event"], refused["encoding"]) == (broken.payload.decode(), "utf-8")
        assert (refused["subject"], refused["attempts"]) == ("analytics.video-rated", 1)
        assert {letter["encoding"] for letter in listed()} == {"utf-8", "base64"}
        assert "rating 7.0 must be 0.5 to 5" in upnext("list").stdout

        number = str(refused["id"])
        assert json.loads(upnext("show", number, "--json").stdout) == refused
        assert "analytics.video-rated" in upnext("show", number).stdout
        assert upnext("show", number, "--raw").stdout_bytes == broken.payload

        asked = ["bus", "dead-letters", "replay", number, "123"]
        assert "There is no dead letter 123" in CliRunner().invoke(main, asked).stderr
        assert all(letter["replayed_at"] is None for letter in listed())

        assert json.loads(upnext("replay", "--all", "--json").stdout) == {"replayed": 2}
        asyncio.run(nothing_waits(url))
        assert [letter["replayed_at"] is None for letter in listed()] == [True, True, False, False]

        body = msgspec.json.decode(broken.payload)
        body["data"]["rating"] = 5
        mended = tmp_path / "mended.json"
        mended.write_bytes(msgspec.json.encode(body))
        for _ in range(2):  # the second counts no more
            upnext("replay", number, "--mended", str(mended))
        asyncio.run(nothing_waits(url))
        assert len(listed()) == 4
        assert asyncio.run(_ratings(settings)) == [5.0]


async def _ratings(settings: Settings) -> list[float]:
    async with pool(settings) as engine, reading(engine) as connection:
        return list((await connection.execute(RATINGS)).scalars())


def test_what_makes_no_sense_is_said(settings: Settings, tmp_path: Path) -> None:
    assert settings.bus_url
    file = tmp_path / "mended.json"
    file.write_text("{}")
    for says, *arguments in (
        ("Name the events by their ids, or give --all.", "replay"),
        ("Name the events by their ids, or give --all.", "replay", "1", "--all"),
        ("--mended is for one event", "replay", "1", "2", "--mended", str(file)),
        ("There is no dead letter 123", "replay", "123"),
        ("There is no dead letter 123", "show", "123"),
    ):
        result = CliRunner().invoke(main, ["bus", "dead-letters", *arguments])
        assert result.exit_code == 1
        assert says in result.stderr
