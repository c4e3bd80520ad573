"""The bus when it is not there, goes away, or comes back."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from core.errors import SetupError, Unavailable
from storage.bus import Bus, connect
from storage.embedded.stack import EmbeddedStack
from upnext.cli import main

pytestmark = pytest.mark.integration


async def _publish(bus: Bus) -> None:
    await bus.publish("recs.recommendations-refreshed", "one", b"{}")


async def test_nobody_at_the_address_is_unavailable() -> None:
    bus = connect("nats://127.0.0.1:9")
    for call in (bus.ping(), bus.setup(), _publish(bus)):
        with pytest.raises(Unavailable) as caught:
            await call
        assert caught.value.dependency == "bus"
    await bus.close()


async def test_a_wrong_password_is_unavailable(nats_url: str) -> None:
    bus = connect(nats_url.replace("upnext:", "somebody:"))
    with pytest.raises(Unavailable):
        await bus.ping()
    await bus.close()


@pytest.mark.parametrize("url", ["http://host:9092", "host:4222", ""])
def test_a_url_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(SetupError, match="UPNEXT_BUS_URL"):
        connect(url)


async def test_it_is_used_again_when_it_is_back(tmp_path: Path) -> None:
    stack = EmbeddedStack(tmp_path, ["bus"])
    bus = connect(stack.servers["bus"].url)
    with stack:
        await bus.setup()
        await _publish(bus)
    with pytest.raises(Unavailable):
        await _publish(bus)
    with stack:
        await _publish(bus)
    await bus.close()


def test_the_command_makes_the_streams(
    nats_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPNEXT_HOME", str(tmp_path))
    monkeypatch.setenv("UPNEXT_BUS_URL", nats_url)
    for _ in range(2):
        result = CliRunner().invoke(main, ["bus", "setup"])
        assert (result.exit_code, result.stdout) == (
            0,
            "Streams: ANALYTICS, RECS\nConsumers: upnext\n",
        )
