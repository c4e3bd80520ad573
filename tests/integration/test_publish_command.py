"""Events sent by command."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from core.settings import load
from storage import bus
from storage.embedded.stack import EmbeddedStack
from tests.eventful import event
from upnext.cli import main

pytestmark = pytest.mark.integration

WATCHED = event("publish-1", "v1").payload
RATED = event("publish-1", "v1", rating=4.5).payload


@pytest.fixture(autouse=True)
def _bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with EmbeddedStack(tmp_path / "bus", ["bus"]) as stack:
        url = stack.servers["bus"].url
        monkeypatch.setenv("UPNEXT_BUS_URL", url)
        monkeypatch.setenv("UPNEXT_HOME", str(tmp_path / "home"))
        asyncio.run(bus.setup(load()))
        yield


def publish(*lines: bytes) -> Result:
    return CliRunner().invoke(main, ["bus", "publish", "--json"], input=b"\n".join(lines))


def taken() -> list[tuple[str, bytes]]:
    async def take() -> list[tuple[str, bytes]]:
        source = bus.events_of(load())
        try:
            return [(one.subject, one.payload) for one in await source.fetch(10)]
        finally:
            await source.close()

    return asyncio.run(take())


def test_events_go_to_the_subject_of_their_type() -> None:
    result = publish(WATCHED, b"", RATED)
    assert json.loads(result.stdout) == {"published": 2}, result.output
    subjects = {"analytics.video-watched": WATCHED, "analytics.video-rated": RATED}
    assert dict(taken()) == subjects


def test_nothing_is_sent_when_a_line_cannot_be() -> None:
    for wrong, reason in (
        (b"{", "line 2"),
        (WATCHED.replace(b"VideoWatched", b"VideoLiked"), "VideoWatched or VideoRated"),
    ):
        result = publish(WATCHED, wrong)
        assert result.exit_code == 1
        assert reason in result.stderr
    assert taken() == []


def test_an_event_that_the_bus_does_not_take_is_said() -> None:
    result = publish(WATCHED, event("publish-1", "v" * 2_000_000).payload)
    assert result.exit_code == 1
    assert "bytes are more than the bus takes in one message. About 0 of 2" in result.stderr


def test_events_whose_names_look_alike_are_all_sent() -> None:
    names = [("/a b", "c"), ("/a", "b c"), ("/a", "b c "), ("/a", "b c\r\nd"), ("/a", "b c\r\ne")]
    body = msgspec.json.decode(WATCHED)
    result = publish(
        *(msgspec.json.encode({**body, "source": source, "id": id_}) for source, id_ in names)
    )
    assert json.loads(result.stdout) == {"published": 5}, result.output
    assert len(taken()) == 5
